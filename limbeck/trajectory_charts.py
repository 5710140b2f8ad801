"""Drawings of where two networks look, from visit to visit: over an image, or along a window of a signal."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from limbeck import paint
from limbeck.charts import WIDTH, Style, path, rule, shape, svg, words

Array = np.ndarray[Any, Any]
Place = Callable[[Array, int], tuple[float, float]]
"""Where a place `(D,)` of a visit is drawn."""
LOOKS = {"connector": Style(1), "student": Style(0)}
"""Two colours and two shapes."""
POINTS = 300
"""Of a channel of a signal."""
SIGNAL, ROW, STRIP, GAP = 90.0, 9.0, 12.0, 8.0
LEFT = 62.0


def over_image(image: Array, places: dict[str, Array], maps: dict[str, Array], label: str) -> str:
    """Places `(t, k, 2)` (row and column in [0, 1]; the oldest visit first, NaN where there was none) on pixels
    `(H, W, 3)`, with the attention `(h, w)` of each below."""
    tall = WIDTH * image.shape[0] / image.shape[1]
    parts = [_picture(paint.photo(image), 0, 0, WIDTH, tall)]
    for name, visits in places.items():
        parts += _trail(visits, LOOKS[name], lambda place, _: (float(place[1]) * WIDTH, float(place[0]) * tall))
    wide = (WIDTH - GAP) / 2
    for i, (name, values) in enumerate(maps.items()):
        x, height = i * (wide + GAP), wide * image.shape[0] / image.shape[1]
        parts.append(_picture(paint.heat(values), x, tall + 22, wide, height))
        parts += [shape(LOOKS[name], x + 6, tall + 12), words(x + 15, tall + 16, f"attention of the {name}")]
    below = 26 + wide * image.shape[0] / image.shape[1] if maps else 2
    return svg(WIDTH, tall + below, label, parts)


def over_signal(signal: Array, places: dict[str, Array], maps: dict[str, Array], label: str) -> str:
    """Places `(t, k, 1)` in the time of a window, in [0, 1], below its signal `(M, L)`: a row for each visit, the
    newest at the foot; and the attention `(l,)` of each."""
    along = WIDTH - LEFT
    parts = list(_curves(signal, along))
    y = SIGNAL + GAP
    for name, visits in places.items():
        tall = ROW * len(visits)
        parts.append(f'<rect x="{LEFT}" y="{y:.1f}" width="{along}" height="{tall}" class="stripe"/>')
        parts.append(words(LEFT - 6, y + tall / 2 + 4, name, "name end"))

        def at(place: Array, visit: int, top: float = y) -> tuple[float, float]:
            return LEFT + float(place[0]) * along, top + ROW * (visit + 0.5)

        parts += _trail(visits, LOOKS[name], at)
        y += tall + GAP
    for name, values in maps.items():
        parts.append(_picture(paint.heat(values[None]), LEFT, y, along, STRIP))
        parts.append(words(LEFT - 6, y + STRIP - 2, name, "name end", full=f"attention of the {name}"))
        y += STRIP + 4
    return svg(WIDTH, y + 2, label, parts)


def _picture(address: str, x: float, y: float, width: float, height: float) -> str:
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none"'
    return f'<image {box} class="pixels" href="{address}"/>'


def _trail(visits: Array, look: Style, at: Place) -> Iterator[str]:
    """The places of each rank joined from visit to visit, the older the fainter; the newest are marked."""
    known = np.flatnonzero(np.isfinite(visits).all(axis=(1, 2))).tolist()
    for start, end in pairwise(known):
        strong = (end + 1) / len(visits)
        for here, there in zip(visits[start], visits[end], strict=True):
            points = path([at(here, start), at(there, end)])
            for css in ("halo", f"line {look.css}"):
                yield f'<polyline points="{points}" class="{css}" stroke-opacity="{strong:.2f}"/>'
    for newest in known[-1:]:
        yield from (shape(look, *at(place, newest), size=3.6) for place in visits[newest])


def _curves(signal: Array, along: float) -> Iterator[str]:
    """All channels of a signal between its least and its greatest value."""
    thin = signal[:, :: max(1, signal.shape[1] // POINTS)].astype(np.float64)
    low, high = float(np.nanmin(thin)), float(np.nanmax(thin))
    yield words(LEFT - 6, SIGNAL / 2 + 4, "signal", "name end")
    yield rule(LEFT, SIGNAL, WIDTH, SIGNAL, "grid")
    x = LEFT + np.linspace(0, along, thin.shape[1])
    for number, channel in enumerate(thin):
        y = 4 + (SIGNAL - 8) * (1 - (channel - low) / max(high - low, 1e-12))
        points = path([point for point in zip(x, y, strict=True) if np.isfinite(point[1])])
        yield f'<polyline points="{points}" class="line thin s{2 + number % 6}"/>'
