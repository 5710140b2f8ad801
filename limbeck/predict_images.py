"""A model's answers for images: of one file, of a folder, or of a zip; each made the square that the model was trained
on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from limbeck.data.archive import Entry, Reader, find
from limbeck.data.decoding import SUFFIXES, Array, Colour, NoImage, decode, quiet
from limbeck.data.photos import in_threads, watched
from limbeck.errors import UserError
from limbeck.rows import answers
from limbeck.tasks import Task
from limbeck.timeline import Row

CHUNK = 128


def predict_images(
    model: Callable[[Array], Mapping[str, Array]],
    tasks: Sequence[Task],
    card: Mapping[str, Any],
    source: Path,
    console: Console,
) -> list[Row]:
    """A row `{"file", "tasks"}` for each image of a file, a folder or a zip; those that cannot be read are told.

    `model` maps pixels `(B, M, H, W)` to probabilities `(B, C)` by task, as `deployed.opened` gives one. Raises
    `UserError` where there is no image, or none that can be read.
    """
    entries = find(source, rf".*{SUFFIXES}", "give an image, or a folder or a zip of images", folders=None)
    rows: list[Row] = []
    for names, pixels in _chunks(entries, card, console):
        told = model(pixels)
        columns = {task.name: answers(task, told[task.name]) for task in tasks}
        rows += [
            {"file": name, "tasks": {task: column[number] for task, column in columns.items()}}
            for number, name in enumerate(names)
        ]
    if not rows:
        raise UserError(f"{source}: none of its images can be read")
    return rows


def _chunks(entries: Sequence[Entry], card: Mapping[str, Any], console: Console) -> Iterator[tuple[list[str], Array]]:
    """Some images at a time: their names, and pixels `(B, M, H, W)`. What cannot be read is said."""
    colour: Colour = "grey" if len(card["channels"]) == 1 else "rgb"
    reader = Reader()

    def decoded(entry: Entry) -> Array | str:
        try:
            return decode(reader.read(entry), card["size"], colour)[0]
        except NoImage as error:
            return f"{entry.name}: {error.why}"
        except UserError as error:
            return str(error)

    names: list[str] = []
    pixels: list[Array] = []
    with quiet():
        made = watched(in_threads(decoded, entries), len(entries), "reading images")
        for entry, each in zip(entries, made, strict=True):
            if isinstance(each, str):
                console.print(f"left out: {each}", style="yellow", highlight=False, markup=False)
                continue
            names.append(entry.name)
            pixels.append(each)
            if len(names) == CHUNK:
                yield names, np.stack(pixels)
                names, pixels = [], []
    if names:
        yield names, np.stack(pixels)
