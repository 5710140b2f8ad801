"""What a report shows of real values against the truth: Bland-Altman plots, traces, activities, and how sure they are.

Plots are of the first run of each row of the table; numbers are means over its seeds.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from limbeck.charts import TRUTH, Style, legend
from limbeck.compare import Entry, Group
from limbeck.figures import Figure, Panel, dots, ranked, style
from limbeck.finished import ValueScores
from limbeck.measures import SURE, Measure
from limbeck.truth_charts import bland_altman, trace

Array = np.ndarray[Any, Any]
Columns = dict[str, Array]
"""Of each test window whose truth is known: `subject`, `session`, `start`, `truth` and `value`; `low` and `high` too
where the model gives a distribution."""


def value_tasks(group: Group) -> list[str]:
    """The tasks whose answers are real values."""
    return [task for task in group.tasks if any(_scores(e, task) for e in group.entries)]


def _scores(entry: Entry, task: str) -> list[ValueScores]:
    return [s for s in entry.scores(task) if isinstance(s, ValueScores)]


def panels(group: Group) -> dict[str, Panel]:
    """By name, for each task of real values: `agreement TASK`, `traces TASK` and `groups TASK`."""
    found = {}
    for task in value_tasks(group):
        judge = group.measures(task)[0]
        found[f"agreement {task}"] = _agreement(group, task, judge)
        found[f"traces {task}"] = _traces(group, task, judge)
        found[f"groups {task}"] = _groups(group, task, judge)
    return found


def answers(entry: Entry, task: str) -> Columns | None:
    """What the first run of an entry says; None where it was not kept."""
    values, own = entry.runs[0].values, f"{task}/{entry.model}/"
    if f"{own}value" not in values:
        return None
    columns = {name: values[name] for name in ("subject", "session", "start")} | {"truth": values[f"{task}/truth"]}
    columns |= {name.removeprefix(own): v for name, v in values.items() if name.startswith(own)}
    known = ~np.isnan(columns["truth"])
    return {name: v[known] for name, v in columns.items()}


def _agreement(group: Group, task: str, judge: Measure) -> Panel:
    """A Bland-Altman plot for each row of the table, the two that the verdict compares first."""
    drawn = []
    for entry in ranked(group):
        found, scores = answers(entry, task), _scores(entry, task)
        if found and scores and scores[0].limits and scores[0].bias is not None:
            bias, limits = scores[0].bias, scores[0].limits
            caption = (
                f"{entry.name} on {task}: bias {judge.text(bias)}, 95 % limits {judge.number(limits[0])} to "
                f"{judge.text(limits[1])}"
            )
            label = f"Bland-Altman plot of {entry.name} on {task}"
            plot = bland_altman(found["truth"], found["value"], bias, limits, style(entry), label, judge.unit)
            drawn.append(Figure(caption, plot))
    return Panel("", drawn)


def _traces(group: Group, task: str, judge: Measure) -> Panel:
    """The first student over time: on the subject of the test that it does best, middling and worst on, each in the
    session that has most windows."""
    entry = group.entries[0]
    found = answers(entry, task)
    if not found:
        return Panel("", [])
    look, drawn = style(entry), []
    errors = {s: float(np.abs(found["value"] - found["truth"])[found["subject"] == s].mean())
              for s in np.unique(found["subject"])}  # fmt: skip
    order = sorted(errors, key=errors.__getitem__)
    for subject, rank in _chosen(order):
        sessions, counts = np.unique(found["session"][found["subject"] == subject], return_counts=True)
        session = sessions[counts.argmax()]
        at = np.flatnonzero((found["subject"] == subject) & (found["session"] == session))
        at = at[found["start"][at].argsort(kind="stable")]
        columns = {name: v[at] for name, v in found.items()}
        band = (columns["low"], columns["high"]) if "low" in columns else None
        off = judge.text(errors[subject])
        caption = f"{subject} ({rank}, {judge.name} {off})" + (f", session {session}" if len(sessions) > 1 else "")
        start = columns["start"] - columns["start"][0]
        label = f"{task} of {caption}"
        plot = trace(start, columns["truth"], columns["value"], band, look, label, judge.unit)
        drawn.append(Figure(caption, plot))
    said = f"{entry.name}, with its 95 % interval" if "low" in found else entry.name
    return Panel(legend([("true", TRUTH), (said, look)]), drawn)


def _chosen(order: Sequence[str]) -> list[tuple[str, str]]:
    """The best, the middle and the worst of subjects in order, each once, with what it is."""
    places = {0: "best", len(order) // 2: "in the middle", len(order) - 1: "worst"}
    return [(order[place], rank if len(order) > 1 else "only one") for place, rank in places.items()]


def _groups(group: Group, task: str, judge: Measure) -> Panel:
    """The score in each circumstance (activity), mean over seeds."""
    entries = [e for e in group.entries if e.alone and _scores(e, task)]
    drawn = []
    for what in dict.fromkeys(what for e in entries for s in _scores(e, task) for what in s.groups):
        found = []
        for entry in entries:
            each: dict[str, list[float]] = {}
            for scores in _scores(entry, task):
                for name, stats in scores.groups.get(what, {}).items():
                    if stats.mae is not None:
                        each.setdefault(name, []).append(stats.mae)
            found.append((entry, {name: fmean(values) for name, values in each.items()}))
        drawn += dots(found, judge, f"Test {judge.name} on {task} by {what}, {judge.unit}".rstrip(", "))
    shown: list[tuple[str, Style]] = [(e.name, style(e)) for e in entries]
    return Panel(legend(shown) if drawn else "", drawn)


def sureness(group: Group, task: str) -> list[tuple[Entry, list[str]]]:
    """A row for each entry, mean over seeds: limits of agreement, the MAE by either decoder, and what its intervals are
    like; a dash for what it does not have."""
    judge = group.measures(task)[0]
    rows = []
    for entry in group.entries:
        scores = _scores(entry, task)
        ends = [fmean(ends) for ends in zip(*(s.limits for s in scores if s.limits), strict=True)]
        limits = f"{judge.number(ends[0])} to {judge.number(ends[1])}" if ends else "–"
        cells = [limits]
        for measure in SURE:
            values = [v for s in scores if (v := s.value(measure.key)) is not None]
            cells.append(measure.number(fmean(values)) if values else "–")
        if scores:
            rows.append((entry, cells))
    return rows


def floor(group: Group, task: str) -> float | None:
    """The error of always answering the median of the test's truths; None where these were not kept."""
    found = answers(group.entries[0], task)
    return float(np.abs(found["truth"] - np.median(found["truth"])).mean()) if found else None
