"""Charts of a learning rate that tunes itself: its course, and the test that found its range."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.charts import WIDTH, Frame, Style, path, rule, safe, svg, ticks


def rate_chart(
    rates: Sequence[tuple[int, float]], cycles: Sequence[tuple[int, float]], style: Style, label: str
) -> str:
    """Learning rates by step, with the ends of cycles as upright lines, each with the largest rate from there on."""
    frame = Frame(
        ticks(0, max(step for step, _ in (*rates, *cycles)), 5),
        ticks(0.0, max(rate for _, rate in rates)),
        left=50,
        right=16,
    )
    parts = frame.drawn("step", "learning rate")
    for step, high in cycles:
        x, _ = frame.at(step, 0)
        line = rule(x, frame.top, x, frame.height - frame.bottom, "limit")
        parts.append(f"<g>{line}<title>{safe(f'step {step:,}: on with up to {high:.3g}')}</title></g>")
    parts.append(f'<polyline points="{path([frame.at(*each) for each in rates])}" class="line {style.css}"/>')
    told = f"{label}: {len(cycles)} cycles, the last with up to {cycles[-1][1]:.3g}" if cycles else label
    return svg(WIDTH, frame.height, told, parts)


def range_chart(found: Mapping[str, Any], style: Style, label: str) -> str:
    """The smoothed loss of a range test by the learning rate, on a logarithmic axis; shaded what the cycle begins
    between, dashed where the loss diverged."""
    lrs, losses = [math.log10(rate) for rate in found["lrs"]], found["smoothed"]
    known = [*lrs, *(math.log10(found[key]) for key in ("low", "high", "diverged") if found[key])]
    # What a diverging loss rises to would flatten all that is to be seen.
    most = min(max(losses), losses[0] + max(losses[0] - min(losses), abs(losses[0]) / 2))
    rows, powers = (
        ticks(min(losses), most),
        [float(p) for p in range(math.floor(min(known)), math.ceil(max(known)) + 1)],
    )
    frame = Frame(powers, rows, tell=lambda power: f"1e{power:g}".replace("-", "−"))
    low, high = (frame.at(math.log10(found[k]), rows[0])[0] for k in ("low", "high"))
    top, bottom = frame.top, frame.height - frame.bottom
    band = f'<rect x="{low:.1f}" y="{top}" width="{high - low:.1f}" height="{bottom - top}" class="band {style.css}"/>'
    parts = [*frame.drawn("learning rate", "smoothed loss"), band]
    if found["diverged"]:
        x, _ = frame.at(math.log10(found["diverged"]), rows[0])
        parts.append(rule(x, top, x, bottom, "limit"))
    places = [frame.at(x, min(y, rows[-1])) for x, y in zip(lrs, losses, strict=True)]
    parts.append(f'<polyline points="{path(places)}" class="line {style.css}"/>')
    return svg(WIDTH, frame.height, label, parts)
