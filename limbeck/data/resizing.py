"""Images and maps brought to another size: colours are mixed, labels and measured values never are."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Size = tuple[int, int]


def image(pixels: Array, size: Size) -> Array:
    """Pixels uint8 `(H, W, 3)` as `(3, *size)`: bilinear, with antialiasing where that is smaller."""
    from PIL import Image

    if pixels.shape[:2] != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    return pixels.transpose(2, 0, 1)


def nearest(labels: Array, size: Size) -> Array:
    """Labels `(H, W)` as `size`: of each new pixel the one that lies in its middle."""
    rows, columns = (_middles(old, new) for old, new in zip(labels.shape, size, strict=True))
    return np.asarray(labels[rows[:, None], columns])


def measured(values: Array, size: Size) -> Array:
    """Measured values `(H, W, ...)` as `(*size, ...)`: of each new pixel the one nearest to its middle among those that
    lie in it and are no NaN; NaN where all of them are."""
    old = values.shape[:2]
    rows, columns = (_middles(*each) for each in zip(old, size, strict=True))
    made = values[rows[:, None], columns]
    reach = [-(-o // n) // 2 + 1 for o, n in zip(old, size, strict=True)]
    steps = [(i, j) for i in range(-reach[0], reach[0] + 1) for j in range(-reach[1], reach[1] + 1)]
    for i, j in sorted(steps, key=lambda step: step[0] ** 2 + step[1] ** 2)[1:]:
        empty = np.isnan(made if made.ndim == 2 else made[..., 0])
        if not empty.any():
            break
        inside = _within(rows + i, old[0], size[0])[:, None] & _within(columns + j, old[1], size[1])
        at = np.nonzero(empty & inside)
        made[at] = values[rows[at[0]] + i, columns[at[1]] + j]
    return made


def _middles(old: int, new: int) -> Array:
    """Which of the old pixels lies in the middle of each new one."""
    return ((np.arange(new) + 0.5) * old / new).astype(int)


def _within(at: Array, old: int, new: int) -> Array:
    """Whether an old pixel lies, at least in part, in the new one whose turn it is."""
    each = np.arange(new)
    return np.asarray((at >= each * old // new) & (at < -(-(each + 1) * old // new)))


def stretched(old: Size, new: Size) -> bool:
    """Whether one is of another shape than the other."""
    return abs(old[0] * new[1] / (old[1] * new[0]) - 1) > 0.03
