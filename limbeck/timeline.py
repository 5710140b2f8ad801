"""A picture of a model's answers along a recording: the signal, and below it what each task says and how surely."""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.values import is_real

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Segment = tuple[Array, float, float]
"""A stretch without a gap: signal `(T, M)`, rate in Hz, second at which it begins."""
Row = dict[str, Any]
"""`{"start", "end", "tasks"}`, in seconds; for each task `{"label", "probability", "probabilities"}`, of a task with a
span `{"value", "low", "high", "entropy", "unit"}` (low to high holds 95 %; entropy in nats), of a plain regression
`{"value", "unit"}`."""
STYLE: dict[Any, Any] = {"svg.hashsalt": "limbeck", "svg.fonttype": "none", "text.parse_math": False}
"""The same rows give the same bytes; words stay words; a dollar in a label is a dollar."""
WIDTH = 10.5
"""Inches, without the legends."""
TALL = 7
"""Entries of a legend in one column."""
POINTS = 3000
"""Of a channel, beyond which a signal is drawn as its envelope; of rows, beyond which they are pixels or means."""


def plot(
    rows: Sequence[Row], tasks: Sequence[Task], card: Mapping[str, Any], segments: Sequence[Segment], path: Path
) -> None:
    """Writes the picture as `.png` or `.svg`. `rows` are those that `predict` made of `segments`."""
    if path.suffix not in (".png", ".svg"):
        raise UserError(f"a plot is written as .png or .svg, not {path.name!r}")
    import matplotlib

    drawn, kind = io.BytesIO(), path.suffix[1:]
    with matplotlib.rc_context(STYLE):
        figure = _figure(rows, tasks, card, segments)
        figure.savefig(drawn, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    checkpoint.write(path, drawn.getvalue())


def _figure(
    rows: Sequence[Row], tasks: Sequence[Task], card: Mapping[str, Any], segments: Sequence[Segment]
) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    heights = [3.0]
    for task in tasks:
        heights += [1.6] if is_real(task) else [0.5, 1.0]
    width = WIDTH + _margin(tasks, rows, card["channels"])
    layout = ConstrainedLayoutEngine(rect=(0, 0, WIDTH / width, 1))
    figure = Figure(figsize=(width, sum(heights) * 0.8 + 0.8), layout=layout)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    places = iter(axes)
    _signal(next(places), card, segments)
    for task in tasks:
        if is_real(task):
            _value(next(places), task, rows)
        else:
            _lane(next(places), task, rows)
            _probability(next(places), task, rows)
    ends = [begin + len(signal) / rate for signal, rate, begin in segments]
    axes[-1].set_xlim(min(begin for *_, begin in segments), max(ends))
    axes[-1].set_xlabel("seconds")
    figure.align_ylabels(list(axes))
    return figure


def _signal(axes: "Axes", card: Mapping[str, Any], segments: Sequence[Segment]) -> None:
    from matplotlib.lines import Line2D

    for signal, rate, begin in segments:
        for channel in range(signal.shape[1]):
            seconds, values = _envelope(signal[:, channel], rate, POINTS // len(segments) + 1)
            axes.plot(begin + seconds, values, color=f"C{channel}", linewidth=0.7)
    axes.set_ylabel(card["unit"])
    handles = [Line2D([], [], color=f"C{n}", label=name) for n, name in enumerate(card["channels"])]
    _legend(axes, handles)


def _envelope(values: Array, rate: float, points: int) -> tuple[Array, Array]:
    """Seconds and values of a channel `(T,)`; of a long one, the least and the greatest value of each of some bins."""
    width = len(values) // points
    if width < 4:
        return np.arange(len(values)) / rate, values
    bins = values[: len(values) // width * width].reshape(-1, width)
    ends = np.stack([bins.min(axis=1), bins.max(axis=1)], axis=1).ravel()
    return np.arange(len(ends)) * width / 2 / rate, ends


def _spans(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """The seconds that each row is drawn over: its window, up to where the next begins if they overlap."""
    following = [row["start"] for row in rows[1:]] + [np.inf]
    return [
        (r["start"], min(r["end"], n) if n > r["start"] else r["end"]) for r, n in zip(rows, following, strict=True)
    ]


def _lane(axes: "Axes", task: Task, rows: Sequence[Row]) -> None:
    """One bar for each run of a label; its name stands in it where there is room, and in the legend."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    labels = task.labels or tuple(map(str, range(task.classes or 0)))
    palette = [*colormaps["tab20"].colors[::2], *colormaps["tab20"].colors[1::2]]  # type: ignore[attr-defined]
    colours = {label: palette[place % len(palette)] for place, label in enumerate(labels)}
    runs: list[tuple[float, float, str]] = []
    for (start, end), row in zip(_spans(rows), rows, strict=True):
        label = row["tasks"][task.name]["label"]
        if runs and runs[-1][2] == label and abs(runs[-1][1] - start) < 1e-3:
            runs[-1] = (runs[-1][0], end, label)
        else:
            runs.append((start, end, label))
    whole = runs[-1][1] - runs[0][0]
    seen = [label for label in labels if label in {run[2] for run in runs}]
    for label in seen:
        bars = [(start, end - start) for start, end, name in runs if name == label]
        axes.broken_barh(bars, (0, 1), color=colours[label], linewidth=0, rasterized=len(rows) > POINTS)
    for start, end, label in runs:
        if (end - start) / whole > 0.011 * len(label) + 0.01:
            axes.text((start + end) / 2, 0.5, label, ha="center", va="center", clip_on=True)
    axes.set_yticks([])
    axes.set_ylabel(task.name, rotation=0, ha="right", va="center")
    axes.set_ylim(0, 1)
    _legend(axes, [Patch(color=colours[label], label=label) for label in seen])


def _legend(axes: "Axes", handles: "Sequence[Artist]") -> None:
    """Beside the axes. What it takes is told to the layout by `_margin`, else a long one would push the rows apart."""
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize="small",
        ncols=1 + (len(handles) - 1) // TALL,
    ).set_in_layout(False)  # fmt: skip


def _margin(tasks: Sequence[Task], rows: Sequence[Row], channels: Sequence[str]) -> float:
    """Inches that the legends take on the right."""
    named = [list(channels), *({row["tasks"][t.name]["label"] for row in rows} for t in tasks if not is_real(t))]
    return max((1 + (len(names) - 1) // TALL) * (0.5 + 0.08 * max(map(len, names))) for names in named)


def _probability(axes: "Axes", task: Task, rows: Sequence[Row]) -> None:
    # one outline for all, of means where there are many: a rectangle for each row would take minutes for a day of them
    spans, heights = np.array(_spans(rows)), np.array([row["tasks"][task.name]["probability"] for row in rows])
    firsts = np.arange(0, len(rows), 1 + len(rows) // POINTS)
    lasts = np.append(firsts[1:], len(rows)) - 1
    means = np.add.reduceat(heights, firsts) / (lasts - firsts + 1)
    edges = np.repeat(np.stack([spans[firsts, 0], spans[lasts, 1]], axis=1).ravel(), 2)
    outline = np.stack([0 * means, means, means, 0 * means], axis=1).ravel()
    axes.fill_between(edges, outline, color="0.6", linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability", rotation=0, ha="right", va="center", fontsize="small")


def _value(axes: "Axes", task: Task, rows: Sequence[Row]) -> None:
    """The value at the middle of each window, in its interval where there is one; nothing across a gap."""
    gaps = [0, *(n for n in range(1, len(rows)) if rows[n]["start"] > rows[n - 1]["end"] + 1e-3), len(rows)]
    marker = "." if len(rows) < POINTS else ""
    for first, end in pairwise(gaps):
        middles = [(row["start"] + row["end"]) / 2 for row in rows[first:end]]
        answers = [row["tasks"][task.name] for row in rows[first:end]]
        if "low" in answers[0]:
            low, high = [a["low"] for a in answers], [a["high"] for a in answers]
            axes.fill_between(middles, low, high, color="C0", alpha=0.25, linewidth=0)
        axes.plot(middles, [a["value"] for a in answers], color="C0", marker=marker, markersize=3)
    axes.set_ylabel(f"{task.name}\n{task.unit}".strip(), rotation=0, ha="right", va="center")
