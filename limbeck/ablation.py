"""What each part of a method is worth: its variants side by side, and how much each gains over a model a task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.compare import Entry, Group
from limbeck.finished import Scores
from limbeck.gain import COUNTED, average_gain, headline_gain
from limbeck.measures import Measure, Measures
from limbeck.statistics import Estimate, over_seeds

KIND = "joint-distill"
"""The recipe whose variants are shown so."""
REFERENCE = "single-task"
GAINS = {
    Measure("average_gain", "of two scores a task", "%"): average_gain,
    Measure("headline_gain", "of the first alone", "%"): headline_gain,
}


@dataclass(frozen=True)
class Row:
    """A variant: its scores by task, and its gains, None of the reference itself and where they cannot be told."""

    entry: Entry
    scores: Mapping[str, Sequence[Estimate | None]]
    gains: Sequence[Estimate | None]


@dataclass(frozen=True)
class Section:
    """`measures` by task; `reference`: the name of what gains are over, if it was run."""

    measures: Mapping[str, Measures]
    gains: Measures
    rows: Sequence[Row]
    reference: str | None


def section(group: Group) -> Section | None:
    """None where a group has no two variants of the method."""
    if sum(_is_variant(e) for e in group.students) < 2:
        return None
    shown = {task: group.measures(task)[:COUNTED] for task in group.tasks}
    base = next((e for e in group.students if e.runs[0].method == REFERENCE), None)
    known = tuple(GAINS) if base else ()
    rows = [
        Row(
            entry,
            {task: [entry.estimate(task, m) for m in measures] for task, measures in shown.items()},
            [None if base is None or entry is base else gain(entry, base, m, group.tasks) for m in known],
        )
        for entry in group.students
        if entry is base or _is_variant(entry)
    ]
    return Section(shown, known, rows, base.name if base else None)


def _is_variant(entry: Entry) -> bool:
    return bool(entry.runs[0].recipe["kind"] == KIND)


def gain(entry: Entry, base: Entry, measure: Measure, tasks: Sequence[str]) -> Estimate | None:
    """By how much, in percent, an entry is better than another, from the seeds that both have (in order where they
    share none), with an interval over them; None where one lacks a task or a score."""
    ours, theirs = (_by_seed(e, tasks) for e in (entry, base))
    if not ours.keys() & theirs.keys():
        ours, theirs = (dict(enumerate(each.values())) for each in (ours, theirs))
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    values = [GAINS[measure](*pair) for pair in pairs if all(len(one) == len(tasks) for one in pair)]
    known = [value for value in values if not math.isnan(value)]
    return over_seeds(known, (-math.inf, math.inf)) if known else None


def _by_seed(entry: Entry, tasks: Sequence[str]) -> dict[Any, dict[str, Scores]]:
    """The scores of all tasks, by seed."""
    found: dict[Any, dict[str, Scores]] = {}
    for task in tasks:
        for seed, scores in entry.by_seed(task).items():
            found.setdefault(seed, {})[task] = scores
    return found
