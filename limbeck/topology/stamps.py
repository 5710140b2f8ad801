"""Compiled loops over diagrams: a point is a stamp of a few pixels, from a table. Only imported when first needed."""

import math
from typing import Any, NamedTuple

import numpy as np

from limbeck.topology.kernels import compiled
from limbeck.topology.lanes import WIDTH, larger, largest, load, plus_times, smaller, splat, store, times

Array = np.ndarray[Any, Any]
FAINT = 0.02
"""Share of a full stamp below which the largest pixel is too faint for single precision and cut tails."""


class Axis(NamedTuple):
    """Bins along one axis, and what a point adds to those around it as cubics of where it lies within a bin."""

    table: Array
    """(phases * 4 * bins,) float32: of each phase four coefficients for each bin, highest power first."""
    phases: int
    """0 where the exact loop is to be used."""
    bins: int
    first: float
    pitch: float
    scale: float
    """Bins of a unit: 1 / pitch."""
    width: float
    sigma: float
    start: int
    """The bin of the table's first column, counted from that in which the point lies."""
    reach: int
    """Bins that a point touches, at most; the rest of the table is 0."""
    peak: float


@compiled()
def images(
    pairs: Array,
    offsets: Array,
    windows: Array,
    births: Axis,
    lives: Axis,
    weight: int,
    least: float,
    peak: bool,
    out: Array,
) -> None:
    """Draws the diagrams of some windows into `out` `(B, M, R, R)`, persistence falling along rows.

    `weight` is 0 for persistence by the largest one, 1 for persistence, 2 for one.
    """
    count, channels, size, _ = out.shape
    # Stamps may stick out on all sides.
    pitch = (size + WIDTH - 1) // WIDTH * WIDTH + 2 * WIDTH
    canvas = np.zeros((size + 2 * _border(lives, size)) * pitch, np.float32)
    along = np.empty(lives.bins, np.float32)
    points = np.empty((0, 3))
    dense = births.phases > 0 and lives.phases > 0
    for b in range(count):
        for m in range(channels):
            diagram = windows[b] * channels + m
            own = pairs[offsets[diagram] : offsets[diagram + 1]]
            if len(own) > len(points):
                points = np.empty((2 * len(own), 3))
            found, heaviest = _points(own, weight, least, points)
            image = out[b, m].reshape(size * size)
            if found == 0:
                for c in range(size * size):
                    image[c] = 0
                continue
            done = False
            if dense:
                top, bottom = _stamps(points, found, births, lives, size, pitch, canvas, along)
                faint = heaviest * births.peak * lives.peak * FAINT
                if size == 64:  # told as a constant, the loops over columns are laid out flat
                    done = _finish(canvas, 64, 80, top, bottom, faint, peak, image)
                else:
                    done = _finish(canvas, size, pitch, top, bottom, faint, peak, image)
            if not done:
                _exact(points, found, births, lives, peak, out[b, m])


@compiled(inline="always")
def _border(lives: Axis, size: int) -> int:
    """Rows beyond the image on either side: small stamps are not cut, so that all have as many rows; large ones are."""
    return lives.bins if lives.bins <= size else 0


@compiled()
def _points(pairs: Array, weight: int, least: float, points: Array) -> Any:
    """Birth, persistence and weight of the pairs above `least`; their number, and the largest weight."""
    found, longest = 0, 0.0
    for i in range(len(pairs)):
        birth = np.float64(pairs[i, 0])
        life = abs(np.float64(pairs[i, 1]) - birth)
        # Written always and kept by counting: no branch to guess wrong.
        points[found, 0] = birth
        points[found, 1] = life
        points[found, 2] = life if weight < 2 else 1.0
        found += int(life > least)
        longest = max(longest, life)
    if weight == 0:
        for i in range(found):
            points[i, 2] /= longest
    return found, longest if weight == 1 else 1.0


@compiled()
def _stamps(
    points: Array, found: int, births: Axis, lives: Axis, size: int, pitch: int, canvas: Array, along: Array
) -> Any:
    """Adds points to the canvas, persistence rising along rows; gives the range of rows that were touched."""
    top, bottom = size, 0
    border = _border(lives, size)
    for i in range(found):
        x = (points[i, 0] - births.first) * births.scale
        y = (points[i, 1] - lives.first) * lives.scale
        if x + births.start >= size or x + births.start + births.reach < 0:
            continue
        if y + lives.start >= size or y + lives.start + lives.reach < 0:
            continue
        column, row = math.floor(x), math.floor(y)
        u, cubics = _phase(y - row, lives)
        for v in range(0, len(along), WIDTH):
            store(along, v, larger(_cubic(lives.table, lives.bins, cubics + v, u), splat(np.float32(0))))
        u, cubics = _phase(x - column, births)
        weight = splat(np.float32(points[i, 2]))
        first = int(row) + lives.start
        begin, end = 0, lives.bins
        if border == 0:
            begin, end = max(0, -first), min(lives.bins, size - first)
        top, bottom = min(top, first + begin), max(bottom, first + end)
        for v in range(0, births.bins, WIDTH):
            at = int(column) + births.start + v
            if at <= -WIDTH or at >= size:
                continue
            across = times(larger(_cubic(births.table, births.bins, cubics + v, u), splat(np.float32(0))), weight)
            place = (border + first + begin) * pitch + at + WIDTH
            for r in range(begin, end):
                store(canvas, place, plus_times(splat(along[r]), across, load(canvas, place)))
                place += pitch
    return top, bottom


@compiled(inline="always")
def _phase(within: float, axis: Axis) -> Any:
    """Where in its cubics a point lies (-0.5 to 0.5) that is so far into its bin, and where these begin."""
    scaled = within * axis.phases
    number = min(int(scaled), axis.phases - 1)
    return splat(np.float32(scaled - number - 0.5)), number * 4 * axis.bins


@compiled(inline="always")
def _cubic(table: Array, stride: int, at: int, u: Any) -> Any:
    """Eight cubics from coefficients `(4, stride)`, highest power first."""
    inner = plus_times(load(table, at), u, load(table, at + stride))
    return plus_times(plus_times(inner, u, load(table, at + 2 * stride)), u, load(table, at + 3 * stride))


@compiled(inline="always")
def _finish(canvas: Array, size: int, pitch: int, top: int, bottom: int, faint: float, peak: bool, out: Array) -> Any:
    """Moves the canvas to the image and clears it; False, with no image, where its largest pixel is too faint."""
    border = (len(canvas) // pitch - size) // 2
    begin, end = max(0, top), min(size, bottom)
    whole = size // WIDTH * WIDTH
    zeros = splat(np.float32(0))
    most, tail = zeros, np.float32(0)
    for r in range(begin, end):
        start = (border + r) * pitch + WIDTH
        for c in range(start, start + whole, WIDTH):
            most = larger(most, load(canvas, c))
        for c in range(start + whole, start + size):
            tail = max(tail, canvas[c])
    peakest = max(tail, largest(most))
    bright = peakest >= faint
    scale, limit = np.float32(1), np.float32(np.inf)
    if peak and bright:
        limit = np.float32(1)
        scale = limit / peakest
        if scale * peakest < 1:  # so that the largest pixel is 1, not the float before it
            scale = np.float32(scale * np.float32(1.0000001192092896))
    if bright:
        for c in range((size - max(begin, end)) * size):
            out[c] = 0
        for c in range((size - begin) * size, size * size):
            out[c] = 0
        for r in range(begin, end):
            start, target = (border + r) * pitch + WIDTH, (size - 1 - r) * size
            for c in range(0, whole, WIDTH):
                store(out, target + c, smaller(times(load(canvas, start + c), splat(scale)), splat(limit)))
            for c in range(whole, size):
                out[target + c] = min(canvas[start + c] * scale, limit)
    for c in range((border + top) * pitch, (border + bottom) * pitch):
        canvas[c] = 0
    return bright


@compiled()
def _exact(points: Array, found: int, births: Axis, lives: Axis, peak: bool, out: Array) -> None:
    """The image by the error function in double precision: for what the table is too coarse, and for faint tails."""
    size = len(out)
    image, across = np.zeros((size, size)), np.empty(size)
    for i in range(found):
        for c in range(size):
            across[c] = _share(births, c, points[i, 0]) * points[i, 2]
        for r in range(size):
            along = _share(lives, r, points[i, 1])
            for c in range(size):
                image[size - 1 - r, c] += along * across[c]
    most = 0.0
    for r in range(size):
        for c in range(size):
            most = max(most, image[r, c])
    divisor = most if peak and most > 0 else 1.0
    for r in range(size):
        for c in range(size):
            out[r, c] = image[r, c] / divisor


@compiled()
def _share(axis: Axis, bin: int, point: float) -> float:
    """Of a normal distribution about a point, what falls into a bin."""
    low = (axis.first + bin * axis.pitch - point) / (axis.sigma * math.sqrt(2.0))
    high = low + axis.width / (axis.sigma * math.sqrt(2.0))
    if low > 0:  # by the tail that does not end in 1, where small differences would be lost
        return 0.5 * (math.erfc(low) - math.erfc(high))
    return 0.5 * (math.erfc(-high) - math.erfc(-low))
