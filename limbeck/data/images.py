"""Sets of images: files with labels to a table of squares of pixels."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from limbeck.batch import IMAGE
from limbeck.data import cache
from limbeck.data.archive import Entry
from limbeck.data.base import Data
from limbeck.data.copies import distinct
from limbeck.data.decoding import CHANNELS, Colour
from limbeck.data.photos import Decoded, Photo, pack
from limbeck.data.recordings import Findings, counted
from limbeck.data.source import Dense, Picked, Table
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task


@dataclass(frozen=True)
class Listing:
    """What a set holds before an image is decoded. `unlabelled`: images without any label stay."""

    photos: Sequence[Photo]
    tasks: tuple[Task, ...]
    unlabelled: bool = False


class ImageData(Data, ABC):
    """A set of images. A concrete one lists them with their labels; the rest is shared.

    The input `image` is uint8 `(M, size, size)`. Of images that are the same byte by byte one is kept, with the labels
    on which they agree.
    """

    root: Path
    """The folder or zip it lies in."""
    size: int = Field(64, ge=8, le=1024)
    """Pixels a side: of each image the square in its middle, made that large."""
    colour: Colour = "rgb"
    """rgb: three channels. grey: one."""
    store: Literal["packed", "lazy"] = "packed"
    """packed: every image is decoded once, into one file of the cache; those that cannot be decoded are left out. lazy:
    each is decoded when it is asked for, and nothing is written; for images looked at once, or too many to be kept."""
    memory: int = Field(256, gt=0)
    """MB of decoded images that a lazy store keeps."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """The files that are read, of a zip or folder. Raises `UserError` where there are none."""

    @abstractmethod
    def listing(self, findings: Findings) -> Listing:
        """The images. Raises `UserError` where there are no files or they cannot be understood."""

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.entries()))

    def digest(self) -> str:
        """Names the contents of the files and this spec, but for where they lie and how much is kept in memory."""
        return Data.digest(self.model_copy(update={"memory": type(self).model_fields["memory"].default}))

    def load(self) -> Table:
        """The table of images; packed, from the cache where the same files were read by the same spec before.

        Raises `UserError` where there are no files, or no usable image.
        """
        name = self.digest()
        if self.store == "lazy":
            return self._table(name, None)
        made = cache.table(name, type(self), partial(self._table, name))
        return replace(made, inputs={IMAGE: Picked(made.inputs[IMAGE], torch.arange(len(made)))})

    def _table(self, name: str, folder: Path | None) -> Table:
        """The table; where the store is packed, with the pixels in a file of the folder, if there is one."""
        findings = Findings()
        listing = self.listing(findings)
        photos = distinct(listing.photos, findings)
        some = [p for p in photos if p.labels or listing.unlabelled]
        unlabelled = len(photos) - len(some)
        column: Dense | Decoded = Decoded(some, self.size, self.colour, self.memory)
        if self.store == "packed":
            values, kept = pack(some, self.size, self.colour, folder, findings)
            column, some = Dense(values), [some[i] for i in kept]
        if not some:
            raise UserError(f"{self.kind}: no usable image in the files{findings.told}")
        targets = {
            t.name: torch.tensor([p.labels.get(t.name, IGNORE) for p in some], dtype=torch.long) for t in listing.tasks
        }
        meta = {
            "subject": np.array([p.subject or p.name for p in some]),
            "session": np.array([p.session for p in some]),
            "start": np.zeros(len(some)),
            "file": np.array([p.name for p in some]),
        }
        card = {**self._card(findings), "images": len(some), "subjects": len(set(meta["subject"].tolist()))}
        card["tasks"] = {t.name: counted(t, targets[t.name]) for t in listing.tasks}
        card["dropped"] = {"images without a label": unlabelled} if unlabelled else {}
        return Table(listing.tasks, {IMAGE: column}, targets, meta, card, name)

    def _card(self, findings: Findings) -> dict[str, Any]:
        """What holds for all images, and what was odd."""
        card: dict[str, Any] = {
            "name": self.kind,
            "modality": IMAGE,
            "channels": list(CHANNELS[self.colour]),
            "unit": "0 to 255",
            "size": self.size,
            "findings": findings.counts,
            "findings_first": findings.first,
            "facts": findings.facts,
        }
        return card | {k: v for k, v in (("licence", self.licence), ("citation", self.citation)) if v}
