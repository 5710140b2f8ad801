"""The layout of MTAN's files [Liu 2019]: a .npy file for each image and each of its maps."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.batch import IMAGE
from limbeck.data import resizing
from limbeck.data.archive import Entry
from limbeck.data.decoding import NoImage
from limbeck.data.maps import stored
from limbeck.data.pixel_data import TRAIN, Decoded, Frame
from limbeck.data.recordings import Findings
from limbeck.data.split import TEST

Array = np.ndarray[Any, Any]

PARTS = {"train": TRAIN, "val": TEST}
FILES = r"(?:train|val)/(?:image|label|label_\d+|depth|normal)/\d+\.npy"
"""Matches a file with the two folders it lies in."""
UNIT = 0.05
"""How far from 1 the middle length of directions may be."""


def written(entries: Sequence[Entry]) -> bool:
    """Whether files are in this layout."""
    return entries[0].name.lower().endswith(".npy")


def folders(entries: Sequence[Entry]) -> set[str]:
    """The folders of maps that there are."""
    return {entry.name.split("/")[1].lower() for entry in entries}


def frames(entries: Sequence[Entry], wanted: Mapping[str, str], findings: Findings) -> list[Frame]:
    """The images, with the files of the folders that tasks want; those that lack one are counted and left out."""
    files = {entry.name.lower(): entry for entry in entries}
    made = []
    for name, image in sorted(files.items(), key=lambda item: [int(t) if t.isdigit() else t for t in _words(item[0])]):
        part, folder, file = name.split("/")
        if folder != "image":
            continue
        sources = {task: files[f"{part}/{at}/{file}"] for task, at in wanted.items() if f"{part}/{at}/{file}" in files}
        if lacks := [at for task, at in wanted.items() if task not in sources]:
            findings.add("images without one of their files, left out", f"{name}: no {part}/{lacks[0]}/{file}")
            continue
        number = file.removesuffix(".npy")
        made.append(Frame(name, f"{PARTS[part]} {number}", PARTS[part], {IMAGE: image} | sources))
    return made


def _words(name: str) -> list[str]:
    return re.split(r"[/.]", name)


def array(data: bytes) -> Array:
    """What a .npy file holds, numbers only. Raises `NoImage`."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.kind not in "fiu":
            raise NoImage("arrays of something other than numbers", f"type {dtype}")
        if len(data) - file.tell() < int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise NoImage("files that end too early", f"{shape} numbers of {dtype} are announced")
        file.seek(0)
        return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, EOFError, OSError, SyntaxError, TypeError) as error:
        raise NoImage("files that are no .npy", str(error).splitlines()[0] if str(error) else "empty") from None


def made(values: Mapping[str, Array], classes: int, size: resizing.Size, notes: list[str]) -> Decoded:
    """An image and those of its maps (segmentation, depth, normals) that there are, as this layout has them, at a size
    and as they are stored. Raises `NoImage`."""
    decoded = {IMAGE: image(values[IMAGE], size)}
    alike({what: each.shape[:2] for what, each in values.items()})
    if resizing.stretched(values[IMAGE].shape[:2], size):
        notes.append("images of another shape, which are stretched")
    if "segmentation" in values:
        decoded["segmentation"] = labels(values["segmentation"], classes, size)
    if "depth" in values:
        decoded["depth"] = depth(values["depth"], size, notes)
    if "normals" in values:
        decoded["normals"] = directions(values["normals"], size)
    return decoded


def alike(sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `NoImage` where a map of an image is of another size than it is."""
    for what, size in sizes.items():
        if size != sizes[IMAGE]:
            told = (f"{which} {' x '.join(map(str, sizes[which]))}" for which in (what, IMAGE))
            raise NoImage("images and maps of different sizes", ", ".join(told))


def image(values: Array, size: resizing.Size) -> Array:
    """Colours `(H, W, 3)`, from 0 to 1 or of 8 bits, as uint8 `(3, *size)`. Raises `NoImage`."""
    if values.ndim != 3 or values.shape[2] != 3 or not values.size:
        raise NoImage("images that are not (height, width, 3)", f"shape {values.shape}")
    if values.dtype != np.uint8:
        if not np.isfinite(values).all() or values.min(initial=0) < -0.1 or values.max(initial=0) > 1.1:
            raise NoImage("images whose values are not from 0 to 1", f"{values.min():.3g} to {values.max():.3g}")
        values = (values.astype(np.float32).clip(0, 1) * 255).round().astype(np.uint8)
    return resizing.image(values, size)


def labels(values: Array, classes: int, size: resizing.Size) -> Array:
    """Class ids `(H, W)`, -1 where there is none, as they are stored. Raises `NoImage`."""
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2:
        raise NoImage("label maps that are not (height, width)", f"shape {values.shape}")
    ids = np.nan_to_num(values, nan=-2, posinf=-2, neginf=-2).clip(-2, classes).astype(np.int64)
    odd = (ids != values) | (ids < -1) | (ids >= classes)
    if odd.any():
        known = f"known are 0 to {classes - 1} and -1"
        raise NoImage("label maps with ids that are no class", f"{values[odd][0]:g}; {known}")
    return resizing.nearest(stored(ids, classes), size)


def depth(values: Array, size: resizing.Size, notes: list[str]) -> Array:
    """Depths `(H, W)` or `(H, W, 1)` as float32 `size`, NaN where there is none (0 or below). Raises `NoImage`."""
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2:
        raise NoImage("depth maps that are not (height, width)", f"shape {values.shape}")
    with np.errstate(over="ignore"):
        made = values.astype(np.float32)
    if not np.isfinite(made).all():
        notes.append("depth maps with values that are not finite, missing")
    if (made < 0).any():
        notes.append("depth maps with values below 0, missing")
    made[~(np.isfinite(made) & (made > 0))] = np.nan
    return resizing.measured(made, size)


def directions(values: Array, size: resizing.Size) -> Array:
    """Vectors `(H, W, 3)` as unit vectors `(3, *size)`, NaN where there is none (0). Raises `NoImage`."""
    if values.ndim != 3 or values.shape[2] != 3:
        raise NoImage("normals that are not (height, width, 3)", f"shape {values.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        made = values.astype(np.float32)
        length = np.linalg.norm(made, axis=2)
    known = np.isfinite(length) & (length > 0.5)
    if known.any() and abs(float(np.median(length[known])) - 1) > UNIT:
        raise NoImage("normals that are no unit vectors", f"most have the length {np.median(length[known]):.3g}")
    made = np.divide(made, length[..., None], out=np.full_like(made, np.nan), where=known[..., None])
    return resizing.measured(made, size).transpose(2, 0, 1)
