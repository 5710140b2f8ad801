"""Columns of images: all decoded beforehand in one array on disk, or each decoded when it is asked for."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from limbeck.data import cache
from limbeck.data.archive import Entry, Reader
from limbeck.data.decoding import CHANNELS, Array, Colour, NoImage, decode, quiet
from limbeck.data.packed import Packed
from limbeck.data.recordings import Findings
from limbeck.data.source import Picked
from limbeck.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

PART = 16
"""Images that a thread takes at a time: where they are small, threads that hand over after each are slower than one."""
PATIENCE = 2.0
"""Seconds before a bar shows how far it is."""


@dataclass(frozen=True)
class Photo:
    """An image as a data set lists it.

    - `source`: the file it is, or its bytes where it is a part of one.
    - `labels`, by task: class ids; a task that is not named is missing.
    - `subject`: the person, "" where unknown; then the image is a subject of its own.
    """

    name: str
    source: Entry | bytes
    labels: Mapping[str, int] = field(default_factory=dict)
    subject: str = ""
    session: str = ""

    def read(self, reader: Reader) -> bytes:
        """Its bytes. Raises `UserError` where the file cannot be read."""
        return self.source if isinstance(self.source, bytes) else reader.read(self.source)


def in_threads(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """What work makes of each item, in their order."""
    threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque[Future[list[R]]]()
        for at in range(0, len(items), PART):
            ahead.append(pool.submit(lambda part: [work(item) for item in part], items[at : at + PART]))
            if len(ahead) > 2 * threads:
                yield from ahead.popleft().result()
        for future in ahead:
            yield from future.result()


def watched(items: Iterable[R], total: int, words: str) -> Iterator[R]:
    """The items; a bar shows how far they are, if there is a terminal and it takes long."""
    from rich.console import Console
    from rich.progress import Progress

    console, began = Console(stderr=True), monotonic()
    with ExitStack() as stack:
        bar: Progress | None = None
        for number, item in enumerate(items):
            if bar is None and console.is_terminal and monotonic() - began > PATIENCE:
                bar = stack.enter_context(Progress(console=console, transient=True))
                bar.add_task(words, total=total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=number)
            yield item


def pack(
    photos: Sequence[Photo], size: int, colour: Colour, folder: Path | None, findings: Findings
) -> tuple[Tensor, list[int]]:
    """The images in one uint8 array `(N, M, size, size)`, and which they are: those that cannot be decoded are counted.

    The array lies in a file of the folder, not in memory, if there is a folder.
    """
    shape, kept = (len(CHANNELS[colour]), size, size), list[int]()
    with quiet(), Packed(folder and folder / cache.SIGNAL, shape, np.dtype(np.uint8)) as packed:
        for row in _decodable(photos, size, colour, kept, findings):
            packed.add(row)
        return packed.column(), kept


def _decodable(
    photos: Sequence[Photo], size: int, colour: Colour, kept: list[int], findings: Findings
) -> Iterator[Array]:
    """The pixels of each image that can be decoded, whose number is added to `kept`; the others are counted."""
    reader = Reader()

    def decoded(photo: Photo) -> tuple[Array, list[str]] | NoImage:
        try:
            return decode(photo.read(reader), size, colour)
        except NoImage as error:
            return error
        except UserError as error:
            return NoImage("files that cannot be read", str(error))

    for number, made in enumerate(watched(in_threads(decoded, photos), len(photos), "decoding images")):
        if isinstance(made, NoImage):
            findings.add(f"{made.what}, left out", f"{photos[number].name}: {made.why}")
        else:
            for what in made[1]:
                findings.note(what, photos[number].name)
            kept.append(number)
            yield made[0]


class Decoded:
    """A column of images that are decoded when they are asked for; those used last are kept, so many MB of them."""

    def __init__(self, photos: Sequence[Photo], size: int, colour: Colour, memory: int) -> None:
        self.photos, self.size, self.colour = photos, size, colour
        self.shape = (len(CHANNELS[colour]), size, size)
        self.device = torch.device("cpu")
        self._reader = Reader()
        self._kept = lru_cache(maxsize=max(1, memory * 2**20 // (size * size * self.shape[0])))(self._decoded)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The images at an index `(B,)`. Raises `UserError` where one cannot be decoded."""
        out = np.empty((len(index), *self.shape), np.uint8)
        with quiet():
            for place, pixels in enumerate(in_threads(self._kept, index.tolist())):
                out[place] = pixels
        return torch.from_numpy(out).to(self.device)

    def take(self, index: Tensor) -> Picked:
        return Picked(self, index)

    def to(self, device: torch.device) -> "Decoded":
        """The same images, which go to another device when they are decoded."""
        moved = copy(self)
        moved.device = device
        return moved

    def _decoded(self, row: int) -> Array:
        photo = self.photos[row]
        try:
            return np.ascontiguousarray(decode(photo.read(self._reader), self.size, self.colour)[0])
        except NoImage as error:
            raise UserError(
                f"{photo.name} is one of the {error.what}: {error.why}; take it away, or leave --data.store packed, "
                "which leaves such files out and counts them"
            ) from None
