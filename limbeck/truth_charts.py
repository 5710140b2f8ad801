"""Charts of answers against the truth: a confusion matrix of classes; a Bland-Altman plot and a trace of real values.

Many points make a small drawing: the first is drawn as shaded cells, the second as means over stretches.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck.charts import CHARACTER, TRUTH, WIDTH, Frame, Style, path, rule, safe, shape, shortened, svg, ticks, words

Array = np.ndarray[Any, Any]
CELL = 4.0
"""Pixels along a side of a Bland-Altman plot's cells."""
SHADES = 5
POINTS = 160
"""Most points of a line of a trace."""
GAP = 5.0
"""A step of more than so many usual ones breaks a trace."""


def heat_map(counts: Sequence[Sequence[int]], labels: Sequence[str], label: str) -> str:
    """A confusion matrix (row true, column predicted), each row as shares of its sum; counts are in the tooltips."""
    size = len(labels)
    cell = 56.0 if size <= 3 else 36.0 if size <= 8 else 22.0 if size <= 20 else max(3.0, 480 / size)
    every = math.ceil(size / 40)
    margin = min(132.0, 10 + CHARACTER * max(map(len, labels)))
    left, top, wide = max(margin, 48.0), 8.0, cell * size
    below = 12 + margin * 0.72
    parts = [f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{wide:.1f}" class="sheet"/>']
    for i, (name, row) in enumerate(zip(labels, counts, strict=True)):
        whole, y = sum(row), top + cell * i
        if i % every == 0:
            short = shortened(name, margin - 8)
            parts.append(words(left - 6, y + cell / 2 + 4, short, "name end", full=name))
            x, under = left + cell * (i + 0.5) + 3, top + wide + 12
            parts.append(words(x, under, short, "name end", f' transform="rotate(-45 {x:.1f} {under:.1f})"', full=name))
        for j, count in enumerate(row):
            if count:
                parts.append(_cell(left + cell * j, y, cell, count, whole, f"{name} called {labels[j]}"))
    parts.append(words(left + wide, top + wide + below + 14, "predicted →", "axis end"))
    parts.append(words(left - 6, top + wide + 14, "true ↑", "axis end"))
    said = f"{label}: {sum(row[i] for i, row in enumerate(counts))} of {sum(map(sum, counts))} on the diagonal"
    return svg(left + wide + 8, top + wide + below + 20, said, parts, fluid=False)


def _cell(x: float, y: float, size: float, count: int, whole: int, what: str) -> str:
    share = count / whole
    title = f"<title>{safe(what)}: {count:,} of {whole:,} ({share:.1%})</title>"
    box = f'x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}"'
    drawn = f'<g>{title}<rect {box} class="heat" fill-opacity="{0.04 + 0.96 * share:.2f}"/>'
    if size >= 22 and share >= 0.005:
        css = f"{'in' if share > 0.68 else 'half' if share > 0.5 else 'out'} {'large' if size > 40 else 'small'} mid"
        drawn += words(x + size / 2, y + size / 2 + 3.5, f"{100 * share:.0f}", css)
    return drawn + "</g>"


def bland_altman(
    truth: Array, answer: Array, bias: float, limits: tuple[float, float], style: Style, label: str, unit: str
) -> str:
    """Difference (answer less truth) against the mean of both, `(N,)` each, with the bias and the limits of agreement.

    Cells are the darker the more windows they hold, by the logarithm of the count.
    """
    middle, apart = (truth + answer) / 2, answer - truth
    frame = Frame(
        ticks(float(middle.min()), float(middle.max()), 5),
        ticks(min(float(apart.min()), limits[0]), max(float(apart.max()), limits[1]), 5),
    )
    parts = frame.drawn(
        f"mean of answer and truth, {unit}".rstrip(", "), f"answer less truth, {unit}".rstrip(", "), 0.0
    )
    places = np.array([frame.at(*point) for point in zip(middle, apart, strict=True)])
    cells, counts = np.unique((places // CELL).astype(int), axis=0, return_counts=True)
    shades = np.minimum(np.log(counts) / max(np.log(counts.max()), 1e-9) * SHADES, SHADES - 1).astype(int)
    for shade in range(SHADES):
        drawn = (f"M{CELL * i:g} {CELL * j:g}h{CELL:g}v{CELL:g}h-{CELL:g}z" for i, j in cells[shades == shade])
        parts.append(f'<path d="{"".join(drawn)}" class="cell {style.css}" fill-opacity="{(shade + 1) / SHADES:.2f}"/>')
    ends = frame.columns[0], frame.columns[-1]
    for value, css in ((bias, "mean"), *((limit, "limit") for limit in limits)):
        (left, height), (right, _) = (frame.at(end, value) for end in ends)
        parts.append(rule(left, height, right, height, css))
    told = f"bias {bias:.2f}, limits of agreement {limits[0]:.2f} to {limits[1]:.2f} {unit}".rstrip()
    return svg(WIDTH, frame.height, f"{label}: {told}", parts)


def thinned(seconds: Array, columns: Array) -> list[tuple[Array, Array]]:
    """The unbroken pieces of `columns` `(K, N)` at rising times `(N,)`, and the times; means over stretches of equally
    many points where there are too many."""
    usual = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    cuts = np.flatnonzero(np.diff(seconds) > GAP * usual) + 1
    width = math.ceil(len(seconds) / POINTS)
    pieces = []
    for at in np.split(np.arange(len(seconds)), cuts):
        stretches = np.arange(0, len(at), width)
        sizes = np.diff(np.append(stretches, len(at)))
        means = np.add.reduceat(np.concatenate([seconds[None, at], columns[:, at]]), stretches, axis=1) / sizes
        pieces.append((means[0], means[1:]))
    return pieces


def trace(
    seconds: Array, truth: Array, answer: Array, band: tuple[Array, Array] | None, style: Style, label: str, unit: str
) -> str:
    """True and predicted values over time, `(N,)` each at rising seconds, with the interval as a band."""
    columns = np.stack([truth, answer, *(band or ())])
    pieces = thinned(seconds / 60, columns)
    values = np.concatenate([means for _, means in pieces], axis=1)
    ends = [pieces[0][0][0], pieces[-1][0][-1]]
    frame = Frame(ticks(float(ends[0]), float(ends[1]), 5), ticks(float(values.min()), float(values.max())))
    parts = frame.drawn("minutes", unit)
    lines: list[str] = []
    for minutes, (true, said, *edges) in pieces:
        if edges:
            low, high = ([frame.at(*point) for point in zip(minutes, edge, strict=True)] for edge in edges)
            parts.append(f'<polygon points="{path([*high, *reversed(low)])}" class="band {style.css}"/>')
        for series, css in ((true, TRUTH.css), (said, style.css)):
            places = [frame.at(*point) for point in zip(minutes, series, strict=True)]
            lines.append(f'<polyline points="{path(places)}" class="line thin {css}"/>')
    for series, look in ((0, TRUTH), (1, style)):
        lines.append(shape(look, *frame.at(pieces[-1][0][-1], pieces[-1][1][series, -1]), size=3.0))
    off = f"{len(truth)} windows, off by {np.abs(answer - truth).mean():.2f} {unit} in the mean".replace("  ", " ")
    return svg(WIDTH, frame.height, f"{label}: {off}", [*parts, *lines])
