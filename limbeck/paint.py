"""Arrays as pictures that a page holds in itself: PNG files as data addresses.

What is unknown is left open, so that the page shows through.
"""

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.charts import number, safe, svg, words

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
COLOURS = (
    "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7", "3010f0", "e0f0a0", "f0f0f0",
    "a01020", "1070f0", "803060", "90b060", "b0d0a0", "4040b0", "d0d0f0", "802080", "6090f0", "b0e060",
)  # fmt: skip
"""Of classes: seven of [Okabe 2008], and from there on always the one that is farthest from those before it, for eyes
that see all colours and for those that confuse red and green; none is dark, as what lies under a veil is."""
STEPS = 64
"""Colours of a scale: as many as an eye tells apart, and a small file."""
MAP = "viridis"
SHADE = (16, 20, 24, 214)
"""Lies over what is right, where errors are looked for."""


def photo(pixels: Array) -> str:
    """8-bit pixels `(H, W, 3)`."""
    from PIL import Image

    return _address(Image.fromarray(pixels))


def classes(numbers: Array, known: Array) -> str:
    """Numbers of classes `(H, W)`, in `COLOURS` by their number, which come again where there are more."""
    ids = np.where(known, numbers % len(COLOURS), len(COLOURS)).astype(np.uint8)
    return _paletted(ids, np.array([*map(rgb, COLOURS), (0, 0, 0)]))


def scaled(values: Array, ends: tuple[float, float]) -> str:
    """Positive values `(H, W)` between two ends, by their logarithm: equal ratios look equally far apart. NaN is
    unknown; what lies beyond an end looks like it."""
    low, high = map(math.log, ends)
    places = (np.log(np.clip(values.astype(np.float64), *ends)) - low) / max(high - low, 1e-9)
    return _ramp(places)


def heat(values: Array) -> str:
    """Values `(H, W)` from their least to their greatest."""
    low, high = np.nanmin(values), np.nanmax(values)
    return _ramp((values - low) / max(float(high - low), 1e-12))


def directions(vectors: Array) -> str:
    """Vectors `(H, W, 3)` of integers from -127 to 127 in a camera's axes (x right, y down, z away from it): red is to
    the right, green up, blue towards the camera, as surfaces are usually shown; 0 is unknown."""
    from PIL import Image

    # Neighbours that look the same are the same: a file of half the size.
    levels = (vectors * np.array([1, -1, -1], np.int16) + 128) // 8 * 8
    alpha = np.where(vectors.any(axis=-1), 255, 0)
    return _address(Image.fromarray(np.concatenate([levels, alpha[..., None]], axis=-1).astype(np.uint8)))


def shade(where: Array) -> str:
    """A dark veil over the pixels `(H, W)` that are true; the others are open."""
    from PIL import Image

    return _address(Image.fromarray(np.where(where[..., None], np.array(SHADE), 0).astype(np.uint8)))


def ball() -> str:
    """A ball as `directions` shows one that is looked at: what colour stands for which way."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    z = -np.sqrt(np.clip(1 - x**2 - y**2, 0, None))  # what is seen faces the camera, which looks along z
    inside = (x**2 + y**2 <= 1)[..., None]
    return directions(np.where(inside, np.round(127 * np.stack([x, y, z], axis=-1)), 0).astype(np.int8))


def bar(ends: tuple[float, float], unit: str, label: str) -> str:
    """The scale of `scaled` between its ends, with round values marked (markup)."""
    width, height, left = 300, 34, 14
    low, high = map(math.log, ends)
    ramp = scaled(np.exp(np.linspace(low, high, STEPS))[None], ends)
    box = f'x="{left}" y="2" width="{width - 2 * left}" height="12" preserveAspectRatio="none"'
    parts = [f'<image {box} href="{ramp}"/>']
    for value in marks(*ends):
        x = left + (math.log(value) - low) / max(high - low, 1e-9) * (width - 2 * left)
        parts.append(words(x, 28, number(value), "tick mid"))
    said = f"{label}: from {number(float(f'{ends[0]:.3g}'))} to {number(float(f'{ends[1]:.3g}'))} {unit}".rstrip()
    return svg(width, height, said, parts, fluid=False)


def marks(low: float, high: float) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten; of long scales 1 alone) from `low` to `high`, both above 0; the
    ends where there are less than two."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    found = [float(f"{m}e{power}") for power in range(first, last + 1) for m in steps]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) > 1 else [float(f"{low:.2g}"), float(f"{high:.2g}")]


def swatch(place: int) -> str:
    """A patch of a class's colour (markup)."""
    box = '<rect width="14" height="14" rx="2" stroke="currentColor" stroke-opacity=".35"'
    return f'<svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">{box} fill="#{COLOURS[place]}"/></svg>'


def key(names: list[tuple[str, int]]) -> str:
    """The names of classes with their colours, as an HTML list (markup)."""
    items = (f"<li>{swatch(number % len(COLOURS))}{safe(name)}</li>" for name, number in names)
    return f'<ul class="legend">{"".join(items)}</ul>'


def rgb(text: str) -> tuple[int, ...]:
    """The three parts of a colour in hexadecimal."""
    return tuple(bytes.fromhex(text))


def _ramp(places: Array) -> str:
    """Places `(H, W)` in [0, 1] on the scale of colours."""
    from matplotlib import colormaps

    known = ~np.isnan(places)
    ids = np.where(known, np.round(np.where(known, places, 0.0) * (STEPS - 1)), STEPS).astype(np.uint8)
    colours = colormaps[MAP](np.linspace(0, 1, STEPS))[:, :3] * 255
    return _paletted(ids, np.concatenate([colours, np.zeros((1, 3))]))


def _paletted(ids: Array, colours: Array) -> str:
    """Numbers `(H, W)` of colours `(K, 3)`, the last of which is open."""
    from PIL import Image

    made = Image.fromarray(ids)
    made.putpalette(np.round(colours).astype(np.uint8).tobytes())
    return _address(made, len(colours) - 1)


def _address(image: "Image", open_colour: int | None = None) -> str:
    drawn = io.BytesIO()
    options = {} if open_colour is None else {"transparency": open_colour}
    image.save(drawn, "PNG", **options)
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"
