"""What is in a data set and what is wrong with it, as plain values; and the same on a console."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from limbeck.data.recordings import Findings, Reading, Recording, SensorData, counted
from limbeck.data.source import Table
from limbeck.data.split import BySubject, Splitting
from limbeck.errors import UserError
from limbeck.tasks import Task

_FEW = 3
"""Subjects that a class needs to be in training, validation and test of a split by subject."""


def check(spec: SensorData) -> dict[str, Any]:
    """What is wrong with a data set: `errors` stop a training, `warnings` are oddities. Nothing is cached.

    Other keys: name, files (name: bytes), subjects (samples, seconds, rates and labels of each), sessions (subject,
    samples and rates of each), findings (count and first place of each), windows, and `facts`: findings that are
    nothing amiss. After an error some are absent.
    """
    report: dict[str, Any] = {"name": spec.kind, "errors": [], "warnings": [], "facts": []}
    found = Findings()
    try:
        report["files"] = {str(f): f.stat().st_size for f in spec.files()}
        reading = spec.read()
        report |= {"subjects": _subjects(reading), "sessions": _sessions(reading)}
        found = reading.findings
        _signals(reading, report)
        table = spec.cut(reading)
    except UserError as error:
        report["errors"].append(str(error))
        _tell(found, report)
        return report
    _tell(Findings(table.card["findings"], table.card["findings_first"], table.card["facts"]), report)
    report["windows"] = len(table)
    report["warnings"] += [f"{n} {why}, left out" for why, n in table.card["dropped"].items()]
    _splits(table, report)
    return report


def describe(spec: SensorData, split: Splitting | None = None) -> dict[str, Any]:
    """What is in a data set: subjects, rates, windows by label and subject, and what a split (by subject) makes of it.

    Raises `UserError` as `SensorData.load` does. Where only the split is not possible, `parts` is empty and `split`
    says why.
    """
    table = spec.load()
    card = table.card
    keys = ("name", "rate", "unit", "channels", "window", "stride", "recordings", "seconds", "rates", "dropped")
    report: dict[str, Any] = {key: card[key] for key in keys}
    report["windows"] = len(table)
    report["subjects"] = dict(sorted(Counter(table.meta["subject"].tolist()).items(), key=lambda s: (len(s[0]), s[0])))
    report["findings"] = _findings(card["findings"], card["findings_first"])
    report["tasks"] = {t.name: _labels(table, t) for t in table.tasks}
    report["values"] = {t.name: _values(table, t) for t in table.tasks if table.targets[t.name].is_floating_point()}
    report["parts"], report["split"] = {}, ""
    try:
        made = (split or BySubject()).split(table)
    except UserError as error:
        return report | {"split": str(error)}
    for name, part in (("train", made.train), ("valid", made.valid), ("test", made.test)):
        labels = {t.name: counted(t, part.targets[t.name]) for t in part.tasks}
        subjects = sorted(set(part.meta["subject"].tolist()), key=lambda s: (len(s), s))
        report["parts"][name] = {"windows": len(part), "subjects": subjects, "tasks": labels}
    return report | {"leaky": made.leaky}


def _tell(found: Findings, report: dict[str, Any]) -> None:
    report["findings"] = _findings(found.counts, found.first)
    for what, count in found.counts.items():
        report["facts" if what in found.facts else "warnings"].append(f"{count} {what} (first: {found.first[what]})")


def _findings(counts: Mapping[str, int], first: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {what: {"count": n, "first": first[what]} for what, n in counts.items()}


def _labels(table: Table, task: Task) -> dict[str, dict[str, Any]]:
    """For each label its windows, and how many of them each subject has."""
    subjects = table.meta["subject"]
    by = {s: counted(task, table.targets[task.name][subjects == s]) for s in dict.fromkeys(subjects.tolist())}
    made = {}
    for label, windows in counted(task, table.targets[task.name]).items():
        made[label] = {"windows": windows, "subjects": {s: c[label] for s, c in by.items() if c.get(label)}}
    return made


def _values(table: Table, task: Task) -> dict[str, Any]:
    """Smallest, middle and largest of the real values of a task, in its unit; none where there are no values."""
    known = table.targets[task.name][task.present(table.targets[task.name])]
    spread = [round(v, 2) for v in known.quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()] if len(known) else [None] * 3
    return {"lowest": spread[0], "median": spread[1], "highest": spread[2], "unit": task.unit}


def _subjects(reading: Reading) -> dict[str, dict[str, Any]]:
    """Of each subject: recordings, samples, seconds, rates (Hz) and samples of each label."""
    made: dict[str, dict[str, Any]] = {}
    for r in reading.recordings:
        of = made.setdefault(r.subject, {"recordings": 0, "samples": 0, "seconds": 0.0, "rates": [], "labels": {}})
        of["recordings"] += 1
        of["samples"] += len(r.signal)
        of["seconds"] = round(of["seconds"] + len(r.signal) / r.rate, 3)
        of["rates"] = sorted({*of["rates"], round(r.rate) or r.rate})
        for task in (t for t in reading.tasks if t.classes and t.name in r.labels):
            labels = of["labels"].setdefault(task.name, {})
            for name, n in _samples(task, r):
                labels[name] = labels.get(name, 0) + n
    return made


def _samples(task: Task, recording: Recording) -> Iterator[tuple[str, int]]:
    """Labels of a recording and how many samples each has; of reals, how many are values."""
    given = recording.labels[task.name]
    if given.dtype.kind == "f":
        values = int(np.isfinite(given).sum())
        yield from (each for each in (("values", values), ("missing", len(given) - values)) if each[1])
        return
    ids, counts = np.unique(given, return_counts=True)
    for i, n in zip(ids.tolist(), counts.tolist(), strict=True):
        known = 0 <= i < (task.classes or 0)
        yield (task.labels[i] if task.labels else str(i)) if known else "missing", n


def _sessions(reading: Reading) -> dict[str, dict[str, Any]]:
    """Of each session: subject, samples and the rate (Hz) of each of its stretches."""
    made: dict[str, dict[str, Any]] = {}
    for r in reading.recordings:
        of = made.setdefault(r.session, {"subject": r.subject, "samples": 0, "rates": []})
        of["samples"] += len(r.signal)
        of["rates"].append(round(r.rate, 2))
    return made


def _signals(reading: Reading, report: dict[str, Any]) -> None:
    """Signals that say something is wrong: the same one twice, a channel that never moves, an unlikely unit."""
    first: dict[bytes, tuple[str, str]] = {}
    still = []
    for r in reading.recordings:
        if len(r.signal) < 20:
            continue
        same = first.setdefault(hashlib.blake2b(r.signal.tobytes(), digest_size=16).digest(), (r.session, r.subject))
        if same != (r.session, r.subject):
            severe = "errors" if same[1] != r.subject else "warnings"
            report[severe].append(
                f"{same[0]} (subject {same[1]}) and {r.session} (subject {r.subject}) hold the same signal"
            )
        if (np.ptp(r.signal, axis=0) == 0).any():
            still.append(r.session)
    if still:
        report["warnings"].append(f"{len(still)} recordings with a channel that never changes (first: {still[0]})")
    if reading.recordings and len(reading.channels) == 3 and reading.unit in ("g", "m/s2"):
        size = float(
            np.median([np.median(np.linalg.norm(r.signal, axis=1)) for r in reading.recordings if len(r.signal)])
        )
        if not 0.5 < size / (1.0 if reading.unit == "g" else 9.81) < 2:
            report["warnings"].append(
                f"an acceleration of mostly {size:.3g} {reading.unit} is not gravity: is the unit right?"
            )


def _splits(table: Table, report: dict[str, Any]) -> None:
    """Whether a split by subject is possible, and which classes it may leave out of a part."""
    subjects = table.meta["subject"]
    if len(set(subjects.tolist())) < _FEW:
        text = f"windows of {len(set(subjects.tolist()))} subjects: a split by subject needs {_FEW}"
        report["warnings"].append(f"{text}; only a random split of windows is possible, and it is leaky")
    for task in (t for t in table.tasks if t.classes and not t.span):
        owners: dict[int, set[str]] = defaultdict(set)
        target = table.targets[task.name].numpy()
        for c in range(task.classes or 0):
            owners[c] = set(subjects[target == c].tolist())
        for c, of in owners.items():
            label = task.labels[c] if task.labels else str(c)
            if not of:
                report["warnings"].append(f"task {task.name!r}: no window of {label!r}")
            elif len(of) < _FEW:
                who = ", ".join(sorted(of))
                report["warnings"].append(
                    f"task {task.name!r}: {label!r} only of {len(of)} subjects ({who}), too few for a split"
                )


def print_check(report: Mapping[str, Any], console: Console) -> None:
    """A table of the subjects, then facts, warnings and errors."""
    if "subjects" in report:
        grid = Grid("subject", title=f"{report['name']}: {len(report['files'])} files")
        for column in ("recordings", "samples", "minutes", "rates (Hz)", "labels"):
            grid.add_column(column, justify="right")
        for subject, of in report["subjects"].items():
            labels = ", ".join(
                task if "values" in v else f"{len(v.keys() - {'missing'})} {task}" for task, v in of["labels"].items()
            )
            rates = ", ".join(f"{r:g}" for r in of["rates"])
            cells = (f"{of['recordings']}", f"{of['samples']}", f"{of['seconds'] / 60:.1f}", rates, labels)
            grid.add_row(escape(subject), *map(escape, cells))
        console.print(grid)
    for line in report["facts"]:
        console.print(f"note {line}", markup=False, highlight=False, soft_wrap=True)
    for line in report["warnings"]:
        console.print(f"[yellow]warning[/yellow] {escape(line)}", soft_wrap=True)
    for line in report["errors"]:
        console.print(f"[red]error[/red] {escape(line)}", soft_wrap=True)
    if not report["errors"]:
        count = len(report["warnings"])
        console.print(f"{report['windows']} windows; {count or 'no'} warning{'s' * (count > 1)}, no error")


def print_description(report: Mapping[str, Any], console: Console) -> None:
    """What the set is in a few lines, then a table of labels for each task, by part of the split."""
    rates = ", ".join(f"{hz} in {n}" for hz, n in report["rates"].items())
    lines = [
        f"{report['name']}: {len(report['subjects'])} subjects, {report['seconds'] / 3600:.2f} hours",
        f"{report['recordings']} recordings ({rates})",
        f"channels {', '.join(report['channels'])} ({report['unit'] or 'unit unknown'})",
        f"{report['windows']} windows of {report['window']} samples, {report['stride']} apart, {report['rate']:g} Hz",
    ]
    console.print("\n".join(lines), markup=False)
    for what, of in report["findings"].items():
        console.print(f"  {of['count']} {what} (first: {of['first']})", markup=False)
    for why, count in report["dropped"].items():
        console.print(f"  {count} {why}, left out", markup=False)
    for task, of in report["values"].items():
        line = f"{task}: {of['lowest']} to {of['highest']} {of['unit']}, half of them below {of['median']}"
        console.print(line, markup=False)
    for task, labels in report["tasks"].items():
        grid = Grid(escape(task))
        for column in ("windows", "subjects", *report["parts"]):
            grid.add_column(column, justify="right")
        for label, of in labels.items():
            parts = (str(p["tasks"][task].get(label, 0)) for p in report["parts"].values())
            grid.add_row(escape(label), str(of["windows"]), str(len(of["subjects"])), *parts)
        console.print(grid)
    for name, part in report["parts"].items():
        console.print(f"{name}: {part['windows']} windows of subjects {', '.join(part['subjects'])}", markup=False)
    if report["split"]:
        console.print(f"no split: {report['split']}", markup=False)
