"""The figures of a comparison: which numbers of the runs go into which chart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from limbeck.charts import Line, Mark, Style, dot_chart, interval_chart, legend, line_chart
from limbeck.compare import Entry, Group
from limbeck.finished import AreaScores, ClassScores, Finished, PixelScores
from limbeck.measures import PIXELS, Measure
from limbeck.truth_charts import heat_map
from limbeck.verdict import reference

POINTS = 120
"""Most points that a line is drawn with."""
MOST = 200
"""Subjects that are drawn one by one."""
SCENES = 30
"""Images that are, where every pixel is asked for: of one alone there is little to be learnt."""


@dataclass(frozen=True)
class Figure:
    """A drawing (markup, escaped) with its caption; `scored` where it shows scores, which a leak flatters."""

    caption: str
    drawing: str
    scored: bool = True
    wide: bool = False


@dataclass(frozen=True)
class Panel:
    """Figures that share one legend (markup, escaped)."""

    legend: str
    figures: list[Figure]


def style(entry: Entry) -> Style:
    """How an entry looks in all charts: its method's colour and shape; teachers faint."""
    return Style(entry.style, faint=not entry.alone)


def figures(group: Group) -> dict[str, Panel]:
    """The panels by name: scores, losses, valid, gap, subjects, a `confusion TASK` for each task with classes, and an
    `iou TASK` where these are of pixels."""
    return {
        "scores": Panel("", [figure for task in group.tasks if (figure := _scores(group, task))]),
        "losses": _losses(group),
        "valid": _valid(group),
        "gap": _gap(group),
        "subjects": _subjects(group),
        **{f"confusion {task}": found for task in group.tasks if (found := _confusion(group, task)).figures},
        **{f"iou {task}": found for task in group.tasks if (found := _iou(group, task)).figures},
    }


def _panel(entries: Sequence[Entry], drawn: list[Figure]) -> Panel:
    return Panel(legend([(e.name, style(e)) for e in entries]), drawn)


def _scores(group: Group, task: str) -> Figure | None:
    judge = group.measures(task)[0]
    marks = [
        Mark(e.name, style(e), judge.scale * x.mean, *(None if v is None else judge.scale * v for v in (x.low, x.high)))
        for e in group.entries
        if (x := e.estimate(task, judge))
    ]
    caption = f"Test {judge.name} on {task}, {judge.unit}".rstrip(", ")
    return Figure(caption, interval_chart(marks, caption, judge.unit, judge.places)) if marks else None


def curves(entries: Sequence[Entry], read: Callable[[Entry, Finished], Mapping[float, float]]) -> list[Line]:
    """A line for each entry that `read` finds something in."""
    lines = []
    for entry in entries:
        points = entry.curve(partial(read, entry))
        thin = points[:: max(1, len(points) // POINTS)]
        if points:
            lines.append(Line(entry.name, style(entry), thin if thin[-1] == points[-1] else [*thin, points[-1]]))
    return lines


def _losses(group: Group) -> Panel:
    """One chart for each loss term, with a line for each method that was trained by it."""
    drawn = []
    for term in dict.fromkeys(term for e in group.students for run in e.runs for term in run.terms):

        def read(entry: Entry, run: Finished, term: str = term) -> dict[float, float]:
            rows = (row for row in run.rows if row["event"] == "train")
            return {row["epoch"]: row["terms"][term] for row in rows if row["terms"].get(term) is not None}

        if lines := curves(group.students, read):
            drawn.append(Figure(term, line_chart(lines, f"Training loss {term}", "epoch"), scored=False))
    return _panel(group.students, drawn)


def _course(run: Finished, model: str, part: str, task: str, judge: Measure) -> dict[float, float]:
    """What a task is judged by, by epoch, as evaluated during training."""
    rows = (
        r for r in run.rows if r["event"] == "eval" and (r["model"], r["part"]) == (model, part) and task in r["scores"]
    )
    return {r["epoch"]: judge.scale * v for r in rows if (v := r["scores"][task].get(judge.key)) is not None}


def _valid(group: Group) -> Panel:
    """Validation accuracy (or MAE) of every model that learns, a chart for each task."""
    drawn, shown = [], set()
    for task in group.tasks:
        judge = group.measures(task)[0]

        def read(entry: Entry, run: Finished, task: str = task, judge: Measure = judge) -> dict[float, float]:
            return _course(run, entry.model, "valid", task, judge)

        lines = curves(group.entries, read)
        shown |= {line.name for line in lines}
        if lines:
            caption = f"Validation {judge.name} on {task}"
            drawn.append(Figure(caption, line_chart(lines, caption, "epoch", judge.unit)))
    return _panel([e for e in group.entries if e.name in shown], drawn)


def _gap(group: Group) -> Panel:
    """By how much a student does better on training windows than on validation: what over-fitting looks like."""
    drawn = []
    for task in group.tasks:
        judge = group.measures(task)[0]

        def read(entry: Entry, run: Finished, task: str = task, judge: Measure = judge) -> dict[float, float]:
            train, valid = (_course(run, entry.model, part, task, judge) for part in ("train", "valid"))
            return {epoch: judge.good(train[epoch] - valid[epoch]) for epoch in train if epoch in valid}

        if lines := curves(group.students, read):
            ends = ", ".join(f"{line.name} {judge.number(line.points[-1][1] / judge.scale, '+')}" for line in lines)
            what = (
                f"training less validation {judge.name}" if judge.higher else f"validation less training {judge.name}"
            )
            chart = line_chart(lines, f"{what[0].upper()}{what[1:]} on {task}", "epoch", judge.step, 0.0)
            drawn.append(Figure(f"{task}: {what}. At the end: {ends} {judge.step}".rstrip(), chart))
    return _panel(group.students, drawn)


def _subjects(group: Group) -> Panel:
    """Every subject of the test in a row, those first on whom the student does best."""
    drawn = []
    entries = [e for e in group.entries if e.alone]
    for task in group.tasks:
        judge = group.measures(task)[0]
        found = [(e, subject_means(e, task)) for e in entries if e.scores(task)]
        if len(found[0][1]) > SCENES and isinstance(found[0][0].scores(task)[0], (PixelScores, AreaScores)):
            continue
        caption = f"Test {judge.name} on {task} by subject, {judge.unit}".rstrip(", ")
        drawn += dots(found, judge, caption)
    return _panel(entries, drawn)


def dots(found: Sequence[tuple[Entry, Mapping[str, float]]], judge: Measure, caption: str) -> list[Figure]:
    """A row for each name that the first entry has, those first where it does best; no figure without any, or of more
    than `MOST`."""
    first = found[0][1]
    if not 0 < len(first) <= MOST:
        return []
    order = sorted(first, key=lambda name: -judge.good(first[name]))
    rows = [
        (name, [Mark(e.name, style(e), judge.scale * values[name]) for e, values in found if name in values])
        for name in order
    ]
    told = f"{caption}; hardest: {order[-1]}"
    return [Figure(told, dot_chart(rows, told, judge.unit, judge.places))]


def subject_means(entry: Entry, task: str) -> dict[str, float]:
    """What the task is judged by, on the test by subject, mean over seeds."""
    found: dict[str, list[float]] = {}
    for scores in entry.scores(task):
        for name, mean in scores.own.items():
            found.setdefault(name, []).append(mean)
    return {name: fmean(values) for name, values in found.items()}


def ranked(group: Group) -> list[Entry]:
    """The entries, the two that the verdict compares first."""
    other = reference(group)
    return sorted(group.entries, key=lambda e: (e is not group.entries[0], e is not other))


def _confusion(group: Group, task: str) -> Panel:
    """A matrix for each row of the table; counts summed over seeds. None of real values."""
    drawn = []
    for entry in ranked(group):
        if scores := [s for s in entry.scores(task) if isinstance(s, (ClassScores, PixelScores))]:
            labels, caption = scores[0].labels, f"{entry.name} on {task}"
            together = zip(*(s.confusion for s in scores), strict=True)
            counts = [[sum(cell) for cell in zip(*rows, strict=True)] for rows in together]
            drawn.append(
                Figure(caption, heat_map(counts, labels, f"Confusion matrix of {caption}"), wide=len(labels) > 4)
            )
    return Panel("", drawn)


def _iou(group: Group, task: str) -> Panel:
    """Of each student a mark for every class, mean over seeds; those first that the first student tells best."""
    found = []
    for entry in (e for e in group.entries if e.alone):
        each: dict[str, list[float]] = {}
        for scores in entry.scores(task):
            if isinstance(scores, PixelScores):
                for label, value in zip(scores.labels, scores.iou, strict=True):
                    each.setdefault(label, []).extend([] if value is None else [value])
        if known := {label: fmean(values) for label, values in each.items() if values}:
            found.append((entry, known))
    caption = f"Test IoU on {task} by class, %"
    return _panel([e for e, _ in found], dots(found, PIXELS[0], caption) if found else [])
