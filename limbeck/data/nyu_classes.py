"""The classes of NYU Depth v2: 894 names that people gave, and the 40 and the 13 that these were summed up to."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from limbeck.data import matlab
from limbeck.data.archive import Entry
from limbeck.errors import UserError

Array = np.ndarray[Any, Any]

RAW = 894
THIRTEEN = (
    *("bed", "books", "ceiling", "chair", "floor", "furniture", "objects"),
    *("picture", "sofa", "table", "tv", "wall", "window"),
)
"""[Couprie 2013, arXiv:1301.3572], in the order of their ids, from 1."""
FORTY = (
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture"),
    *("counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes"),
    *("ceiling", "books", "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard"),
    *("person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture"),
    "other prop",
)
"""[Gupta 2013], in the order of their ids, from 1."""
MAPPINGS = r"classMapping40\.mat|classMapping13\.mat|class13Mapping\.mat"
"""Matches the files that say which of the 894 is which of fewer."""


def lookup(files: Mapping[str, Entry], classes: int, where: object) -> Array:
    """The class id, from 0, of each of the 894 labels, `(895,)`, from files by their names in lower case; -1 of label
    0, which is none, and of those that are no class. Raises `UserError` where a file is missing or not understood."""
    if classes == RAW:
        return np.arange(-1, RAW)
    forty, thirteen = len(FORTY), len(THIRTEEN)
    if classes == forty:
        return _padded(_chosen(files, "classMapping40.mat", (RAW,), forty, where))
    name = next((n for n in ("class13Mapping.mat", "classMapping13.mat") if n.lower() in files), "class13Mapping.mat")
    found = _chosen(files, name, (RAW, forty), thirteen, where)
    if len(found) == RAW:
        return _padded(found)
    # This file sums up the 40.
    of = _padded(_chosen(files, "classMapping40.mat", (RAW,), forty, where))
    return np.where(of >= 0, found[of] - 1, -1)


def _padded(ids: Array) -> Array:
    """Ids from 1 as ids from 0, after that of label 0."""
    return np.concatenate([[-1], ids - 1])


def _chosen(files: Mapping[str, Entry], name: str, lengths: tuple[int, ...], most: int, where: object) -> Array:
    """The first list in a file that has one of these lengths and ids from 0 to `most`."""
    if name.lower() not in files:
        raise UserError(
            f"{where}: these classes need {name} beside the data (of the NYU toolbox, or "
            "github.com/ankurhanda/nyuv2-meta-data); or say classes 894, which needs no mapping"
        )
    entry = files[name.lower()]
    for values in _vectors(matlab.load(entry, None)):
        if len(values) in lengths and values.min() >= 0 and values.max() <= most:
            return values.astype(int)
    raise UserError(f"{entry.place}: holds no list of {' or '.join(map(str, lengths))} class ids up to {most}")


def _vectors(held: object) -> Iterator[Array]:
    """All lists of numbers in what a MATLAB file holds."""
    if isinstance(held, Mapping):
        for value in held.values():
            yield from _vectors(value)
    elif isinstance(held, np.ndarray) and held.dtype == object:
        for value in held.ravel():
            yield from _vectors(value)
    elif isinstance(held, np.ndarray) and held.dtype.kind in "iuf" and held.size > 1:
        yield held.ravel()
