"""The plot of a study's laws, alone or in a page, in the light or dark that the reader has."""

from collections.abc import Sequence

import numpy as np

from limbeck.charts import WIDTH, Frame, Style, number, path, rule, safe, shape, shortened, ticks, words
from limbeck.laws import PARAMETERS, Curve, unit
from limbeck.tables import figures

LIGHT = ("#b4490a", "#0f68a8", "#0b7a5c", "#7a4fb0", "#8a6a00", "#b03068", "#3d7f8f", "#5f6a30")
DARK = ("#ff9d5c", "#6bb8f5", "#4fd1a5", "#c3a2f5", "#e6c34a", "#ff8fb8", "#8fd3e0", "#bcc97a")
"""The colours of a report's series."""
ENTRY, GAP, COLUMNS = 16, 18, 2
"""Pixels of a line of the legend and between panels; panels beside each other."""
STYLE = """
svg.laws { --paper: #fbfaf6; --ink: #1d2327; --soft: #5a6268; --line: #dfdcd2; background: var(--paper); LIGHT }
@media (prefers-color-scheme: dark) {
  svg.laws { --paper: #14181b; --ink: #e9e6df; --soft: #a3abb0; --line: #343b40; DARK } }
.laws text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--ink); }
.laws .tick, .laws .axis { fill: var(--soft); font-size: 10.5px; } .laws .head { font-weight: 600; }
.laws .mid { text-anchor: middle; } .laws .end { text-anchor: end; }
.laws .grid { stroke: var(--line); } .laws .line { stroke: var(--c); fill: none; stroke-width: 1.8; }
.laws .faint { stroke-dasharray: 5 3; } .laws .flat { stroke: var(--soft); stroke-dasharray: 2 3; }
.laws .bar { stroke: var(--c); stroke-width: 1.3; } .laws .band { fill: var(--c); fill-opacity: .12; }
.laws .mark { fill: var(--c); stroke: var(--paper); stroke-width: .8; }
"""


def plot(curves: Sequence[Curve], size: str) -> str:
    """Points with their intervals, laws with their bands, a panel for each task, data set, split and value that panels
    differ in. A law that is in doubt is dashed, and has no band."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.group, curve.task, curve.panel), []).append(curve)
    shared = {key[:2]: members for key, members in groups.items() if not key[2]}
    several = {key[:2] for key in groups if key[2]}
    panels = [
        (key, members if not key[2] else [*shared.get(key[:2], []), *members])
        for key, members in groups.items() if key[2] or key[:2] not in several
    ]  # fmt: skip
    drawn = [_panel(*key, members, size) for key, members in panels]
    height = max(high for _, high in drawn)
    columns = min(COLUMNS, len(drawn))
    wide, high = columns * (WIDTH + GAP) + GAP, -(-len(drawn) // columns) * (height + GAP) + GAP
    places = [(GAP + i % columns * (WIDTH + GAP), GAP + i // columns * (height + GAP)) for i in range(len(drawn))]
    inside = "".join(
        f'<g transform="translate({x} {y})">{parts}</g>' for (parts, _), (x, y) in zip(drawn, places, strict=True)
    )
    said = f"Errors by {size}: " + "; ".join(dict.fromkeys(f"{c.group}, {c.task}" for c in curves))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="laws" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{safe(said)}"><style>{_colours()}</style>{inside}</svg>\n'
    )


def _colours() -> str:
    told = STYLE
    for name, colours in (("LIGHT", LIGHT), ("DARK", DARK)):
        told = told.replace(name, " ".join(f"--s{i}: {colour};" for i, colour in enumerate(colours)))
    return told + "".join(f".laws .s{i} {{ --c: var(--s{i}); }}" for i in range(len(LIGHT)))


def _panel(group: str, task: str, panel: str, curves: Sequence[Curve], size: str) -> tuple[str, float]:
    """The elements of one panel, and its height."""
    measure = curves[0].measure
    scale, flat = measure.scale, curves[0].untrained
    ends = [v for c in curves for e in c.points.values() for v in (e.mean, e.low, e.high) if v is not None]
    frame = Frame(
        ticks(0, max(v for c in curves for v in c.points), 5),
        ticks(scale * min(*ends, *flat.values()), scale * max(*ends, *flat.values())), top=40,
    )  # fmt: skip
    head = ", ".join(filter(None, (f"{task}: {unit(measure)}", panel)))
    parts = [
        words(0, 12, shortened(head, WIDTH), "head", full=head),
        words(0, 27, shortened(group, WIDTH), "axis", full=group),
    ]
    parts += frame.drawn(size)
    for name, value in flat.items():
        y = frame.at(0, scale * value)[1]
        parts.append(rule(frame.left, y, WIDTH - frame.right, y, "flat"))
        parts.append(words(WIDTH - frame.right - 2, y - 4, name, "axis end"))
    styles = [Style(i) for i in range(len(curves))]
    for i, (curve, style) in enumerate(zip(curves, styles, strict=True)):
        # Intervals of one size stand beside each other.
        parts += [*_law(curve, style, frame), *_points(curve, style, frame, 3.0 * (i - (len(curves) - 1) / 2))]
        x, y = (i % 2) * WIDTH / 2, frame.height + 12 + ENTRY * (i // 2)
        parts.append(rule(x + 2, y, x + 28, y, f"line {style.css}") + shape(style, x + 15, y, size=3.2))
        parts.append(words(x + 34, y + 4, shortened(curve.name, WIDTH / 2 - 38), full=curve.name))
    return "".join(parts), frame.height + 12 + ENTRY * -(-len(curves) // 2)


def _law(curve: Curve, style: Style, frame: Frame) -> list[str]:
    told, scale = curve.told, curve.measure.scale
    if not told.fit.band:
        return []
    sizes, values, low, high = np.array(told.fit.band).T
    if told.along == PARAMETERS:
        # Between measured sizes a size has no count of parameters of its own: it is drawn along their logarithm.
        known = sorted((parameters, size) for size, parameters in curve.parameters.items())
        sizes = np.interp(np.log(sizes), *np.array([(np.log(parameters), size) for parameters, size in known]).T)
    top, bottom = frame.rows[-1], frame.rows[0]
    low, high = (
        [frame.at(x, min(top, max(bottom, v))) for x, v in zip(sizes, scale * e, strict=True)] for e in (low, high)
    )
    line = path([frame.at(x, v) for x, v in zip(sizes, scale * values, strict=True)])
    if told.fit.doubts:
        return [f'<polyline points="{line}" class="line {style.css} faint"/>']
    band = path([*high, *reversed(low)])
    return [
        f'<polygon points="{band}" class="band {style.css}"/>',
        f'<polyline points="{line}" class="line {style.css}"/>',
    ]


def _points(curve: Curve, style: Style, frame: Frame, aside: float) -> list[str]:
    parts, scale = [], curve.measure.scale
    for size, error in curve.points.items():
        x, y = frame.at(size, scale * error.mean)
        x += aside
        if error.low is not None and error.high is not None:
            ends = [frame.at(size, scale * v)[1] for v in (error.low, error.high)]
            parts.append(rule(x, ends[0], x, ends[1], f"bar {style.css}"))
        said = f"{curve.name}, {number(size)}: {figures(curve.measure, error)} {curve.measure.unit}"
        parts.append(shape(style, x, y, said, 3.4))
    return parts
