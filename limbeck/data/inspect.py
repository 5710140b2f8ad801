"""What is wrong with a data set, as plain values, and the same on a console; what is in it is told by `describe`."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from limbeck.data import maps
from limbeck.data.base import Data
from limbeck.data.describe import describe, print_description
from limbeck.data.recordings import Findings, Reading, Recording, SensorData
from limbeck.data.source import Table
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.words import cards, counted, samples

__all__ = ["check", "describe", "print_check", "print_description"]
Array = np.ndarray[Any, Any]

_FEW = 3
"""Subjects that a class needs to be in training, validation and test of a split by subject."""


def check(spec: Data) -> dict[str, Any]:
    """What is wrong with a data set: `errors` stop a training, `warnings` are oddities. Recordings are not cached.

    Other keys: name, files (name: bytes), findings (count and first place of each), windows (however the samples are
    called, which `samples` says), and `facts`: findings that are nothing amiss. Of recordings also subjects (samples,
    seconds, rates and labels of each) and sessions (subject, samples and rates of each). After an error some are
    absent.
    """
    report: dict[str, Any] = {"name": spec.kind, "errors": [], "warnings": [], "facts": [], "findings": {}}
    found = Findings()
    try:
        report["files"] = {str(f): f.stat().st_size for f in spec.files()}
        if isinstance(spec, SensorData):
            reading = spec.read()
            report |= {"subjects": _subjects(reading), "sessions": _sessions(reading)}
            found = reading.findings
            _signals(reading, report)
            table = spec.cut(reading)
        else:
            table = spec.load()
    except UserError as error:
        report["errors"].append(str(error))
        _tell(found, report)
        return report
    report |= {"windows": len(table), "samples": samples(table.card)}
    for of, card in cards(table.card):
        _tell(Findings(card["findings"], card["findings_first"], card["facts"]), report, of)
        report["warnings"] += [f"{of}{n} {why}, left out" for why, n in card["dropped"].items()]
    _splits(table, report)
    return report


def _tell(found: Findings, report: dict[str, Any], of: str = "") -> None:
    for what, n in found.counts.items():
        report["findings"][of + what] = {"count": n, "first": found.first[what]}
        kind = "facts" if what in found.facts else "warnings"
        report[kind].append(f"{of}{n} {what} (first: {found.first[what]})")


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
    subjects, words = table.meta["subject"], report["samples"]
    if len(set(subjects.tolist())) < _FEW:
        text = f"{words} of {len(set(subjects.tolist()))} subjects: a split by subject needs {_FEW}"
        report["warnings"].append(f"{text}; only a random split of {words} is possible, and it is leaky")
    for task in (t for t in table.tasks if t.classes and not t.span):
        for c, has in enumerate(_having(table, task)):
            of = set(subjects[has].tolist())
            label = task.labels[c] if task.labels else str(c)
            if not of:
                report["warnings"].append(f"task {task.name!r}: no {words[:-1]} of {label!r}")
            elif len(of) < _FEW:
                who = ", ".join(sorted(of))
                report["warnings"].append(
                    f"task {task.name!r}: {label!r} only of {len(of)} subjects ({who}), too few for a split"
                )


def _having(table: Table, task: Task) -> Iterator[Array]:
    """For each class of a task which samples have it, bool `(N,)`: as their label, or as that of one of their
    pixels."""
    if task.name in table.dense:
        yield from (maps.counted(table.dense[task.name]).numpy() > 0).T
    else:
        yield from (table.targets[task.name].numpy() == c for c in range(task.classes or 0))


def print_check(report: Mapping[str, Any], console: Console) -> None:
    """A table of the subjects, then facts, warnings and errors."""
    if "subjects" not in report and "files" in report:
        console.print(f"{report['name']}: {counted(len(report['files']), 'files')}", highlight=False, markup=False)
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
        console.print(f"{report['windows']} {report['samples']}; {count or 'no'} warning{'s' * (count > 1)}, no error")
