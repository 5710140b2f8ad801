"""The figures of a comparison: which numbers of the runs go into which chart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from limbeck.charts import Line, Mark, Style, dot_chart, heat_map, interval_chart, legend, line_chart, signed
from limbeck.compare import Entry, Group
from limbeck.finished import STUDENT, Finished
from limbeck.verdict import reference

POINTS = 120
"""Most points that a line is drawn with."""


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
    return Style(entry.style, faint=entry.model not in (STUDENT, entry.method))


def figures(group: Group) -> dict[str, Panel]:
    """The panels by name: scores, losses, valid, gap, subjects, and a `confusion TASK` for each task."""
    return {
        "scores": Panel("", [figure for task in group.tasks if (figure := _scores(group, task))]),
        "losses": _losses(group),
        "valid": _valid(group),
        "gap": _gap(group),
        "subjects": _subjects(group),
        **{f"confusion {task}": _confusion(group, task) for task in group.tasks},
    }


def _panel(entries: Sequence[Entry], drawn: list[Figure]) -> Panel:
    return Panel(legend([(e.name, style(e)) for e in entries]), drawn)


def _scores(group: Group, task: str) -> Figure | None:
    marks = [
        Mark(e.name, style(e), 100 * x.mean, *(None if v is None else 100 * v for v in (x.low, x.high)))
        for e in group.entries
        if (x := e.estimate(task, "accuracy"))
    ]
    caption = f"Test accuracy on {task}, %"
    return Figure(caption, interval_chart(marks, caption)) if marks else None


def _lines(entries: Sequence[Entry], read: Callable[[Entry, Finished], Mapping[float, float]]) -> list[Line]:
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

        if lines := _lines(group.students, read):
            drawn.append(Figure(term, line_chart(lines, f"Training loss {term}", "epoch"), scored=False))
    return _panel(group.students, drawn)


def _accuracies(run: Finished, model: str, part: str, task: str) -> dict[float, float]:
    """Accuracy in percent by epoch, as evaluated during training."""
    rows = (
        r for r in run.rows if r["event"] == "eval" and (r["model"], r["part"]) == (model, part) and task in r["scores"]
    )
    return {row["epoch"]: 100 * v for row in rows if (v := row["scores"][task]["accuracy"]) is not None}


def _valid(group: Group) -> Panel:
    """Validation accuracy of every model that learns, a chart for each task."""
    drawn, shown = [], set()
    for task in group.tasks:

        def read(entry: Entry, run: Finished, task: str = task) -> dict[float, float]:
            return _accuracies(run, entry.model, "valid", task)

        lines = _lines(group.entries, read)
        shown |= {line.name for line in lines}
        if lines:
            caption = f"Validation accuracy on {task}"
            drawn.append(Figure(caption, line_chart(lines, caption, "epoch", "%")))
    return _panel([e for e in group.entries if e.name in shown], drawn)


def _gap(group: Group) -> Panel:
    """How far a student's accuracy on training windows lies above that on validation: what over-fitting looks like."""
    drawn = []
    for task in group.tasks:

        def read(entry: Entry, run: Finished, task: str = task) -> dict[float, float]:
            train, valid = (_accuracies(run, entry.model, part, task) for part in ("train", "valid"))
            return {epoch: train[epoch] - valid[epoch] for epoch in train if epoch in valid}

        if lines := _lines(group.students, read):
            ends = ", ".join(f"{line.name} {signed(line.points[-1][1])}" for line in lines)
            chart = line_chart(lines, f"Training less validation accuracy on {task}", "epoch", "points", zero=True)
            drawn.append(Figure(f"{task}: training less validation accuracy. At the end: {ends} points", chart))
    return _panel(group.students, drawn)


def _subjects(group: Group) -> Panel:
    """Test accuracy of every subject, a row each, those first on whom the student does best."""
    drawn = []
    entries = [e for e in group.entries if e.model in (STUDENT, e.method)]
    for task in group.tasks:
        found = [(e, subject_accuracy(e, task)) for e in entries if e.scores(task)]
        first = found[0][1]
        order = sorted(first, key=lambda name: -first[name])
        rows = [
            (name, [Mark(e.name, style(e), 100 * values[name]) for e, values in found if name in values])
            for name in order
        ]
        if rows:
            caption = f"Test accuracy on {task} by subject, %; hardest: {order[-1]}"
            drawn.append(Figure(caption, dot_chart(rows, caption)))
    return _panel(entries, drawn)


def subject_accuracy(entry: Entry, task: str) -> dict[str, float]:
    """Test accuracy by subject, mean over seeds."""
    found: dict[str, list[float]] = {}
    for scores in entry.scores(task):
        for name, (_, accuracy) in scores.counts.items():
            found.setdefault(name, []).append(accuracy)
    return {name: fmean(values) for name, values in found.items()}


def _confusion(group: Group, task: str) -> Panel:
    """A matrix for each row of the table, the two that the verdict compares first; counts summed over seeds."""
    other = reference(group)
    drawn = []
    for entry in sorted(group.entries, key=lambda e: (e is not group.entries[0], e is not other)):
        if scores := entry.scores(task):
            labels, caption = scores[0].labels, f"{entry.name} on {task}"
            together = zip(*(s.confusion for s in scores), strict=True)
            counts = [[sum(cell) for cell in zip(*rows, strict=True)] for rows in together]
            drawn.append(
                Figure(caption, heat_map(counts, labels, f"Confusion matrix of {caption}"), wide=len(labels) > 4)
            )
    return Panel("", drawn)
