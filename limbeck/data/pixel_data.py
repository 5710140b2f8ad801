"""Sets of images whose targets are asked for every pixel: classes, depths, directions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import field_validator

from limbeck.batch import IMAGE
from limbeck.data import cache, maps
from limbeck.data.archive import Entry, Reader
from limbeck.data.base import Data
from limbeck.data.decoding import CHANNELS, NoImage, quiet
from limbeck.data.packed import Packed
from limbeck.data.photos import in_threads, watched
from limbeck.data.recordings import Findings
from limbeck.data.source import Dense, Picked, Table
from limbeck.errors import UserError, unknown
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]

TRAIN = "train"
"""What a frame's part is that the makers set aside for training; `split.TEST` is the other."""
SMALLEST, LARGEST = 8, 2048
SAMPLED = 199
"""Values of each map that the middle one of all is estimated by."""


@dataclass(frozen=True)
class Frame:
    """An image with its targets as a data set lists it. `sources`: its files, by `image` or task; `number`: its place
    where one file holds many."""

    name: str
    subject: str
    part: str
    sources: Mapping[str, Entry] = field(default_factory=dict)
    number: int = 0
    session: str = ""


Decoded = dict[str, Array]
"""The image, uint8 `(3, H, W)`, under `image`, and the maps of tasks, as they are stored, by task."""
Decoder = Callable[[Frame, Reader, list[str]], Decoded]
"""Decodes a frame; the list takes what is odd in it, and no reason to leave it out."""


class PixelData(Data, ABC):
    """A set of images with maps as targets. A concrete one lists frames and decodes one of them; the rest is shared.

    The input `image` is uint8 `(3, H, W)`. Every frame is decoded once, into files of the cache that are read as they
    are used; those that cannot be decoded are left out, and counted.
    """

    size: tuple[int, int] = (128, 256)
    """Pixels that every image is brought to: height,width."""
    tasks: tuple[str, ...] = ()
    """Which tasks, by name; all that the files have where none is named."""
    threaded: ClassVar[bool] = True
    """Whether frames are decoded by several threads, as is of use where they are files."""

    @field_validator("size")
    @classmethod
    def _usable(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not all(SMALLEST <= side <= LARGEST for side in size):
            raise ValueError(f"each side has {SMALLEST} to {LARGEST} pixels")
        return size

    @abstractmethod
    def available(self) -> tuple[Task, ...]:
        """The tasks that there can be. Raises `UserError` where there are no files."""

    def wanted(self) -> tuple[Task, ...]:
        """Those of them that are named, or all. Raises `UserError` where one that is named is not there."""
        known = {t.name: t for t in self.available()}
        for name in self.tasks:
            if name not in known:
                raise unknown(f"task of {self.kind} data", name, known)
        return tuple(t for name, t in known.items() if name in self.tasks or not self.tasks)

    @abstractmethod
    def frames(self, findings: Findings) -> Sequence[Frame]:
        """The frames, before one is decoded. Raises `UserError` where there are none."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """What decodes frames at `size`; also maps that are not wanted, where that costs nothing. Raises `NoImage`."""

    def about(self) -> dict[str, Any]:
        """What else the card is to say."""
        return {}

    def load(self) -> Table:
        """The table; from the cache where the same files were read by the same spec before.

        Raises `UserError` where there are no files, or no usable frame.
        """
        name = self.digest()
        made = cache.table(name, type(self), partial(self._table, name))
        return replace(made, inputs={IMAGE: Picked(made.inputs[IMAGE], torch.arange(len(made)))})

    def _table(self, name: str, folder: Path | None) -> Table:
        findings, tasks = Findings(), self.wanted()
        frames = self.frames(findings)
        height, width = self.size
        shapes = {IMAGE: (3, height, width)} | {
            t.name: (3, height, width) if t.quantity == "direction" else (height, width) for t in tasks
        }
        files = {IMAGE: cache.SIGNAL} | {t.name: cache.DENSE.format(i) for i, t in enumerate(tasks)}
        types = {IMAGE: np.dtype(np.uint8)} | {t.name: maps.storage(t) for t in tasks}
        kept, seen = list[Frame](), {t.name: _Seen(t) for t in tasks}
        with ExitStack() as stack, quiet():
            packed = {
                key: stack.enter_context(Packed(folder and folder / files[key], shape, types[key]))
                for key, shape in shapes.items()
            }
            for frame, made in self._decoded(frames, findings):
                for task in tasks:
                    count = seen[task.name].add(made[task.name])
                    findings.add(f"images without a pixel of {task.name}", frame.name, not count)
                for key, each in packed.items():
                    each.add(made[key])
                kept.append(frame)
            columns = {key: each.column() for key, each in packed.items()}
        if not kept:
            raise UserError(f"{self.kind}: no usable image in the files{findings.told}")
        dense = {t.name: maps.column(t, columns[t.name], seen[t.name].table()) for t in tasks}
        card = self._card(kept, findings) | {"tasks": {t.name: seen[t.name].told(height * width) for t in tasks}}
        return Table(tasks, {IMAGE: Dense(columns[IMAGE])}, {}, _meta(kept), card, name, dense=dense)

    def _decoded(self, frames: Sequence[Frame], findings: Findings) -> Iterator[tuple[Frame, Decoded]]:
        """The frames that can be decoded, with what is in them; the others are counted."""
        reader, decode = Reader(), self.decoder()

        def decoded(frame: Frame) -> tuple[Decoded, list[str]] | NoImage:
            notes = list[str]()
            try:
                return decode(frame, reader, notes), notes
            except NoImage as error:
                return error
            except UserError as error:
                return NoImage("images with a file that cannot be read", str(error))

        results = in_threads(decoded, frames) if self.threaded else map(decoded, frames)
        for frame, made in zip(frames, watched(results, len(frames), "decoding images"), strict=True):
            if isinstance(made, NoImage):
                findings.add(f"{made.what}, left out", f"{frame.name}: {made.why}")
                continue
            for what in made[1]:
                findings.add(what, frame.name)
            yield frame, made[0]

    def _card(self, frames: Sequence[Frame], findings: Findings) -> dict[str, Any]:
        card: dict[str, Any] = {
            "name": self.kind,
            "modality": IMAGE,
            "channels": list(CHANNELS["rgb"]),
            "unit": "0 to 255",
            "size": list(self.size),
            "images": len(frames),
            "subjects": len({f.subject for f in frames}),
            "findings": findings.counts,
            "findings_first": findings.first,
            "facts": findings.facts,
            "dropped": {},
        }
        return card | {k: v for k, v in (("licence", self.licence), ("citation", self.citation)) if v} | self.about()


class PixelFiles(PixelData, ABC):
    """A set of images with maps that lies in files."""

    root: Path
    """The folder or zip it lies in."""

    @abstractmethod
    def used(self) -> list[Entry]:
        """The files that are read, of a zip or folder. Raises `UserError` where there are none."""

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.used()))


def _meta(frames: Sequence[Frame]) -> dict[str, Array]:
    return {
        "subject": np.array([f.subject for f in frames]),
        "session": np.array([f.session for f in frames]),
        "start": np.zeros(len(frames)),
        "file": np.array([f.name for f in frames]),
        "part": np.array([f.part for f in frames]),
    }


class _Seen:
    """What the maps of one task hold, map by map."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.counts: list[Array] = []
        self.values: list[Array] = []
        self.low, self.high = np.inf, -np.inf

    def add(self, made: Array) -> int:
        """Takes a map in; gives the number of its pixels that have a label or value."""
        self.counts.append(maps.pixels(self.task, made))
        if self.task.classes is None and self.task.quantity != "direction":
            known = made[np.isfinite(made)]
            self.values.append(known[:: max(1, len(known) // SAMPLED)])
            self.low, self.high = min(self.low, known.min(initial=np.inf)), max(self.high, known.max(initial=-np.inf))
        return int(self.counts[-1].sum())

    def table(self) -> torch.Tensor:
        """Pixels of each map by class, `(N, C)`."""
        return torch.from_numpy(np.stack(self.counts))

    def told(self, area: int) -> dict[str, Any]:
        """Pixels of each label, or with a value; of a quantity also the lowest, about the middle and the highest
        one."""
        told: dict[str, Any] = maps.told(self.task, self.table(), area)
        if any(map(len, self.values)):
            middle = float(np.median(np.concatenate(self.values)))
            told["range"] = [float(f"{value:.4g}") for value in (self.low, middle, self.high)]
        return told
