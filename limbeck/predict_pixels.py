"""A model's answers for every pixel of images, as maps of the size that an image came in: of a file, a folder or a
zip."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from limbeck import deployed, map_files
from limbeck.data.archive import Entry, Reader, find
from limbeck.data.decoding import SUFFIXES, Array, Colour, NoImage, quiet, whole
from limbeck.data.photos import in_threads, watched
from limbeck.errors import UserError
from limbeck.map_files import resized
from limbeck.rows import write
from limbeck.tasks import Task
from limbeck.timeline import Row

PIXELS = 1 << 20
"""Of the model's images, that are answered for at once."""
SHOWN, LONGEST = 6, 320
"""Images in the overview, and pixels on their longer side."""
Size = tuple[int, int]
STRETCHED = 0.1
"""The share by which the shape of an image may differ from what the model knows before it is told."""


class _Photo(NamedTuple):
    """An image as the model reads it, `(M, H, W)`, the size it came in, and it made small where it is to be shown."""

    name: str
    read: Array
    size: Size
    small: Array | None


def predict_pixels(
    model: Callable[[Array], Mapping[str, Array]],
    tasks: Sequence[Task],
    card: Mapping[str, Any],
    source: Path,
    out: Path | None,
    console: Console,
) -> list[Row]:
    """A row `{"file", "tasks"}` for each image of a file, a folder or a zip, which sums its maps up; those that cannot
    be read are told.

    Into a folder `out` go the maps of each image and task, an overview of some, and the rows as `predictions.csv`; into
    a `.csv` or `.json` the rows alone. `model` maps pixels `(B, M, H, W)` to answers `(B, C, H, W)` by task, as
    `deployed.opened` gives one. Images are stretched to the size that it knows, and maps back. Raises `UserError`
    where there is no image, or none that can be read.
    """
    entries = find(source, rf".*{SUFFIXES}", "give an image, or a folder or a zip of images", folders=None)
    rows_alone = out is not None and out.suffix in (".csv", ".json")
    folder = None if rows_alone else out
    rows: list[Row] = []
    shown: list[map_files.Shown] = []
    wanted = {entries[at].name for at in np.linspace(0, len(entries) - 1, min(SHOWN, len(entries))).round().astype(int)}
    for photo, answers in _answered(model, tasks, card, _photos(entries, card, wanted, console)):
        rows.append({"file": photo.name, "tasks": {t.name: summary(t, answers[t.name]) for t in tasks}})
        if folder is None:
            continue
        for task in tasks:
            map_files.save(task, restore(task, answers[task.name], photo.size), folder, photo.name)
        if photo.small is not None:
            drawn = {t.name: restore(t, answers[t.name], photo.small.shape[:2]) for t in tasks}
            shown.append(map_files.Shown(photo.name, photo.small, drawn))
    if not rows:
        raise UserError(f"{source}: none of its images can be read")
    if folder is not None:
        map_files.explain(tasks, folder)
        write(rows, tasks, folder / "predictions.csv")
        if shown:
            map_files.overview(tasks, shown, folder)
            console.print(f"some of them side by side: {folder / map_files.OVERVIEW}", highlight=False, markup=False)
    elif out is not None:
        write(rows, tasks, out)
    return rows


def summary(task: Task, answer: Array) -> dict[str, Any]:
    """A map `(C, H, W)` in a few values: the class of most pixels with their share, the middle one of all values with
    those that 5 % are below and above, or the mean direction."""
    if task.classes:
        counts = np.bincount(answer.argmax(axis=0).ravel(), minlength=task.classes)
        most = int(counts.argmax())
        share = round(float(counts[most] / counts.sum()), 4)
        return {"label": task.labels[most] if task.labels else str(most), "share": share}
    if task.quantity == "direction":
        mean = answer.reshape(3, -1).mean(axis=1)
        unit = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return {axis: round(float(value), 4) for axis, value in zip("xyz", unit, strict=True)}
    low, middle, high = np.quantile(answer, (0.05, 0.5, 0.95))
    values = {"median": middle, "low": low, "high": high}
    return {key: round(float(value), 4) for key, value in values.items()} | {"unit": task.unit}


def restore(task: Task, answer: Array, size: Sequence[int]) -> Array:
    """A map at another size (H, W): ids of classes by the nearest pixel; real values `(H, W)` and directions
    `(H, W, 3)`, of length 1, linearly between pixels."""
    if task.classes:
        return resized(answer.argmax(axis=0).astype(np.int32), size)
    bands = np.stack([resized(band, size) for band in answer], axis=-1)
    if task.quantity != "direction":
        return bands[..., 0]
    length = np.linalg.norm(bands, axis=-1, keepdims=True)
    found: Array = bands / np.maximum(length, 1e-12)
    return found


def _answered(
    model: Callable[[Array], Mapping[str, Array]],
    tasks: Sequence[Task],
    card: Mapping[str, Any],
    photos: Iterator[_Photo],
) -> Iterator[tuple[_Photo, dict[str, Array]]]:
    """Each image with its answers by task; some are asked for together."""
    _, height, width = deployed.shape(card)
    together = max(1, PIXELS // (height * width * sum(task.width for task in tasks)))
    ended = False
    while not ended:
        some = list(islice(photos, together))
        ended = len(some) < together
        told = model(np.stack([photo.read for photo in some])) if some else {}
        for number, photo in enumerate(some):
            yield photo, {task.name: told[task.name][number] for task in tasks}


def _photos(
    entries: Sequence[Entry], card: Mapping[str, Any], shown: Collection[str], console: Console
) -> Iterator[_Photo]:
    """The images that can be read; of the others, and of those that are stretched, it is said."""
    colour: Colour = "grey" if len(card["channels"]) == 1 else "rgb"
    reader, size = Reader(), deployed.shape(card)[1:]

    def decoded(entry: Entry) -> _Photo | str:
        try:
            pixels = whole(reader.read(entry), colour)
        except NoImage as error:
            return f"{entry.name}: {error.why}"
        except UserError as error:
            return str(error)
        high, wide = pixels.shape[:2]
        read = np.moveaxis(np.atleast_3d(resized(pixels, size)), -1, 0)
        share = min(1.0, LONGEST / max(high, wide))
        small = resized(pixels, (max(1, round(share * high)), max(1, round(share * wide))))
        return _Photo(entry.name, read, (high, wide), small if entry.name in shown else None)

    stretched: list[str] = []
    with quiet():
        for each in watched(in_threads(decoded, entries), len(entries), "reading images"):
            if isinstance(each, str):
                console.print(f"left out: {each}", style="yellow", highlight=False, markup=False)
                continue
            yield each
            high, wide = each.size
            if abs(wide / high / (size[1] / size[0]) - 1) > STRETCHED:
                stretched.append(each.name)
    if stretched:
        console.print(
            f"warning: images that are stretched, not being as wide for their height as the {size[0]} x {size[1]} that "
            f"the model knows: {len(stretched)} (first: {stretched[0]})",
            style="yellow", highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
