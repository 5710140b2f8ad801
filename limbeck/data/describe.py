"""What is in a data set, as plain values, and the same on a console."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import starmap
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from limbeck.data import maps
from limbeck.data.base import Data
from limbeck.data.generated import GENERATED, LABELLED, MISSING
from limbeck.data.recordings import counted
from limbeck.data.source import Table
from limbeck.data.split import TEST, BySubject, Official, Splitting
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.words import LISTED, cards, listed, samples, sizes
from limbeck.words import counted as told

KEYS = ("name", "rate", "unit", "channels", "window", "stride", "size", "recordings", "seconds", "rates", "dropped")
"""What a description takes from the card, where that has it."""


def describe(spec: Data, split: Splitting | None = None) -> dict[str, Any]:
    """What is in a data set: subjects, rates, windows by label and subject, and what a split makes of it: the official
    one where the data has such parts, else by subject.

    Of tasks that ask for every pixel, `pixels` has the number of each label and of those with none; `values` has
    the range of real ones. Windows are however the samples are called, which `samples` says. Of a joined set,
    `sets` has the card of each, and `cells` how many samples of each set are labelled, generated and missing by
    task, and `hidden` the tasks of each whose labels are hidden from training. Raises `UserError` as `Data.load`
    does. Where only the split is not possible, `parts` is empty and `split` says why.
    """
    table = spec.load()
    card = table.card
    report: dict[str, Any] = {key: card[key] for key in KEYS if key in card}
    report |= {"windows": len(table), "samples": samples(card)}
    report["subjects"] = dict(sorted(Counter(table.meta["subject"].tolist()).items(), key=lambda s: (len(s[0]), s[0])))
    report["findings"] = {
        of + what: {"count": n, "first": one["findings_first"][what]}
        for of, one in cards(card)
        for what, n in one["findings"].items()
    }
    report["dropped"] = {of + why: n for of, one in cards(card) for why, n in one["dropped"].items()}
    report["sets"] = dict(zip(card["cells"], card["parts"], strict=True)) if "parts" in card else {}
    report |= {"cells": card.get("cells", {}), "hidden": card.get("hidden", {})}
    report["tasks"] = {t.name: _labels(table, t) for t in table.tasks if t.name in table.targets}
    report["pixels"] = _pixels(table)
    report["values"] = {t.name: _values(table, t) for t in table.tasks if _is_real(table, t)}
    report["parts"], report["split"] = {}, ""
    try:
        made = (split or (Official() if TEST in table.meta.get("part", ()) else BySubject())).split(table)
    except UserError as error:
        return report | {"split": str(error)}
    for name, part in made.parts.items():
        labels = {t.name: counted(t, part.targets[t.name]) for t in part.tasks if t.name in part.targets}
        subjects = sorted(set(part.meta["subject"].tolist()), key=lambda s: (len(s), s))
        report["parts"][name] = {"windows": len(part), "subjects": subjects, "tasks": labels, "pixels": _pixels(part)}
    return report | {"leaky": made.leaky}


def _labels(table: Table, task: Task) -> dict[str, dict[str, Any]]:
    """For each label its windows, and how many of them each subject has."""
    subjects, target = table.meta["subject"], table.targets[task.name]
    known = task.present(target)
    made = {}
    for number, (label, windows) in enumerate(counted(task, target).items()):
        at = ~known if label == "missing" else known if target.is_floating_point() else target == number
        made[label] = {"windows": windows, "subjects": dict(Counter(subjects[at.numpy()].tolist()))}
    return made


def _pixels(table: Table) -> dict[str, dict[str, int]]:
    """Of each task that asks for every pixel, how many have each label, or a value, and how many nothing."""
    area = math.prod(table.card["size"]) if table.dense else 0
    return {t.name: maps.told(t, maps.counted(table.dense[t.name]), area) for t in table.tasks if t.name in table.dense}


def _is_real(table: Table, task: Task) -> bool:
    """Whether a task has values that lie in a range."""
    if task.name in table.dense:
        return "range" in table.card["tasks"][task.name]
    return table.targets[task.name].is_floating_point()


def _values(table: Table, task: Task) -> dict[str, Any]:
    """Smallest, middle and largest of the real values of a task, in its unit; none where there are no values."""
    if task.name in table.dense:
        return dict(zip(("lowest", "median", "highest"), table.card["tasks"][task.name]["range"], strict=True)) | {
            "unit": task.unit
        }
    known = table.targets[task.name][task.present(table.targets[task.name])]
    spread = [round(v, 2) for v in known.quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()] if len(known) else [None] * 3
    return {"lowest": spread[0], "median": spread[1], "highest": spread[2], "unit": task.unit}


def print_description(report: Mapping[str, Any], console: Console) -> None:
    """What the set is in a few lines, then a table of labels for each task, by part of the split."""
    console.print("\n".join(_lines(report)), markup=False)
    for what, of in report["findings"].items():
        console.print(f"  {of['count']} {what} (first: {of['first']})", markup=False)
    for why, count in report["dropped"].items():
        console.print(f"  {count} {why}, left out", markup=False)
    for task, of in report["values"].items():
        highest = f"{of['highest']} {of['unit']}".strip()
        line = f"{task}: {of['lowest']} to {highest}, half of them below {of['median']}"
        console.print(line, markup=False)
    if report["cells"]:
        _print_cells(report, console)
    alone = _alone(report)
    for task, labels in report["tasks"].items():
        grid = Grid(escape(task))
        for column in (report["samples"], *(() if alone else ("subjects",)), *report["parts"]):
            grid.add_column(column, justify="right")
        for label, of in labels.items():
            counts = (of["windows"], *(() if alone else (len(of["subjects"]),)))
            parts = (p["tasks"][task].get(label, 0) for p in report["parts"].values())
            grid.add_row(escape(label), *map(str, (*counts, *parts)))
        console.print(grid)
    _print_pixels(report, console)
    for name, part in report["parts"].items():
        who = listed(part["subjects"], "subjects")
        whose = "" if alone else f" of {'subjects ' if len(part['subjects']) <= LISTED else ''}{who}"
        console.print(f"{name}: {part['windows']} {report['samples']}{whose}", markup=False)
    if report["split"]:
        console.print(f"no split: {report['split']}", markup=False)


def _print_pixels(report: Mapping[str, Any], console: Console) -> None:
    """For each task of classes what share of the labelled pixels each one has, in all and by part; and what share of
    all pixels have a label or value of each task."""
    wholes = {"pixels": report["pixels"]} | {name: part["pixels"] for name, part in report["parts"].items()}
    for task, labels in report["pixels"].items():
        if "values" in labels:
            continue
        grid = _grid(task, wholes)
        for label in (name for name in labels if name != "missing"):
            counts = [(each[task][label], sum(each[task].values()) - each[task]["missing"]) for each in wholes.values()]
            grid.add_row(escape(label), *starmap(_share, counts))
        console.print(grid)
    if report["pixels"]:
        grid = _grid("with a label or value", wholes)
        for task in report["pixels"]:
            sums = [(sum(each[task].values()), each[task]["missing"]) for each in wholes.values()]
            grid.add_row(escape(task), *(_share(total - missing, total) for total, missing in sums))
        console.print(grid)


def _grid(title: str, columns: Iterable[str]) -> Grid:
    grid = Grid(escape(title))
    for column in columns:
        grid.add_column(column, justify="right")
    return grid


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.2f} %" if of else "-"


def _alone(report: Mapping[str, Any]) -> bool:
    """Whether no subject has two samples."""
    return len(report["subjects"]) == int(report["windows"])


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What it is, a set of a joined one on a line."""
    people = "each of a subject of its own" if _alone(report) else f"of {told(len(report['subjects']), 'subjects')}"
    if report["sets"]:
        yield f"{report['name']}: {told(report['windows'], report['samples'])} {people}"
        for name, card in report["sets"].items():
            yield f"{name}: {told(sizes(report)[name], samples(card))} of {told(card['subjects'], 'subjects')}"
    elif "size" in report:
        yield f"{report['name']}: {told(report['windows'], report['samples'])} {people}"
    else:
        rates = ", ".join(f"{hz} in {n}" for hz, n in report["rates"].items())
        yield f"{report['name']}: {len(report['subjects'])} subjects, {report['seconds'] / 3600:.2f} hours"
        yield f"{report['recordings']} recordings ({rates})"
    yield f"channels {', '.join(report['channels'])} ({report['unit'] or 'unit unknown'})"
    if "size" in report:
        size = report["size"] if isinstance(report["size"], list) else [report["size"]] * 2
        yield f"{size[0]} x {size[1]} pixels"
    else:
        shape = f"of {report['window']} samples, {report['stride']} apart, {report['rate']:g} Hz"
        yield f"{report['windows']} windows {shape}"


def _print_cells(report: Mapping[str, Any], console: Console) -> None:
    """A row for each set, with what is labelled, generated and missing of each task."""
    cells, hidden = report["cells"], report["hidden"]
    tasks = list(dict.fromkeys(task for each in cells.values() for task in each))
    grid = Grid("set", title="labelled / generated / missing", title_justify="left")
    for task in tasks:
        grid.add_column(escape(task), justify="right")
    for name, each in cells.items():
        grid.add_row(escape(name), *(_cell(each[task], task in hidden.get(name, ())) for task in tasks))
    console.print(grid)


def _cell(counts: Mapping[str, Any], hidden: bool) -> str:
    """The three counts; of what was generated the mean confidence, and the teachers by their digests."""
    made = " / ".join(f"{counts[what]}" for what in (LABELLED, GENERATED, MISSING)) + "\nhidden" * hidden
    if not counts[GENERATED]:
        return made
    return f"{made}\nconfidence {counts['confidence']:.3f}\nby {', '.join(t[:8] for t in counts['teachers'])}"
