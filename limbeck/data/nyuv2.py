"""NYU Depth v2: rooms, with classes, depth and surface normals of every pixel."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import field_validator

from limbeck.batch import IMAGE
from limbeck.data import matlab, mtan
from limbeck.data.archive import Entry, Reader, find
from limbeck.data.decoding import NoImage
from limbeck.data.nyu_classes import FORTY, MAPPINGS, RAW, THIRTEEN, lookup
from limbeck.data.pixel_data import TRAIN, Decoded, Decoder, Frame, PixelFiles
from limbeck.data.recordings import Findings
from limbeck.data.split import TEST
from limbeck.errors import UserError
from limbeck.tasks import Task

if TYPE_CHECKING:
    import h5py

Array = np.ndarray[Any, Any]

MAT = "nyu_depth_v2_labeled.mat"
_TABLES = rf"nyu_depth_v2_labeled\.mat|splits\.mat|{MAPPINGS}"
_DEPTH = Task("depth", unit="m", quantity="depth")
_NORMALS = Task("normals", quantity="direction")
_FOLDERS = {"segmentation": "label", "depth": "depth", "normals": "normal"}


class NYUv2(PixelFiles):
    """NYU Depth v2: 795 images of rooms to train on, 654 to test on; tasks: segmentation, depth in metres, normals.

    [Silberman 2012]. Two layouts are read: MTAN's files [Liu 2019], and the official nyu_depth_v2_labeled.mat with
    splits.mat, which has no normals. A subject is a scene, of which there may be several images; in MTAN's files, which
    do not tell it, an image.
    """

    kind: ClassVar[str] = "nyuv2"
    citation: ClassVar[str] = (
        "N. Silberman, D. Hoiem, P. Kohli, R. Fergus: Indoor Segmentation and Support Inference from RGBD Images. "
        "European Conference on Computer Vision (ECCV), 2012"
    )
    expected: ClassVar[str] = (
        f"root holds MTAN's train and val with image, label, depth and normal, or the official {MAT} with splits.mat"
    )
    size: tuple[int, int] = (288, 384)
    """Pixels that every image is brought to: height,width."""
    classes: int = 13
    """13, 40 or 894; of the official file 13 needs class13Mapping.mat or classMapping13.mat, 40 needs
    classMapping40.mat, and MTAN's files have 13."""
    filled: bool = True
    """Of the official file: depths with their holes filled in; else as measured, with the holes missing."""

    @field_validator("classes")
    @classmethod
    def _known(cls, classes: int) -> int:
        if classes not in (len(THIRTEEN), len(FORTY), RAW):
            raise ValueError("NYU Depth v2 is labelled with 13, 40 or 894 classes")
        return classes

    def used(self) -> list[Entry]:
        found = find(self.root, rf"{mtan.FILES}|(?:[^/]+/){{0,2}}(?:{_TABLES})", self.expected, folders=2)
        arrays = [e for e in found if e.name.lower().endswith(".npy")]
        tables = [Entry(e.name.rpartition("/")[2], e.file, e.member) for e in found if e not in arrays]
        if arrays and any(e.name.lower() == MAT for e in tables):
            raise UserError(f"{self.root}: holds MTAN's files and {MAT}; name the folder of one of them")
        return arrays or tables

    def available(self) -> tuple[Task, ...]:
        used = self.used()
        if mtan.written(used):
            if self.classes != len(THIRTEEN):
                raise UserError(f"{self.root}: MTAN's files have 13 classes, not {self.classes}; for those read {MAT}")
            tasks = (Task.of("segmentation", THIRTEEN), _DEPTH, _NORMALS)
            return tuple(t for t in tasks if _FOLDERS[t.name] in mtan.folders(used))
        if self.classes == RAW:
            with _held(_file(used, MAT, self.root)) as held:
                return Task.of("segmentation", tuple(_texts(held, "names"))), _DEPTH
        return Task.of("segmentation", FORTY if self.classes == len(FORTY) else THIRTEEN), _DEPTH

    def frames(self, findings: Findings) -> Sequence[Frame]:
        used = self.used()
        if mtan.written(used):
            return mtan.frames(used, {t.name: _FOLDERS[t.name] for t in self.wanted()}, findings)
        mat, splits = (_file(used, name, self.root) for name in (MAT, "splits.mat"))
        parts = matlab.load(splits, ("trainNdxs", "testNdxs"))
        if len(parts) < 2:
            raise UserError(f"{splits.place}: holds no trainNdxs and testNdxs")
        of = {int(i): part for part, key in ((TRAIN, "trainNdxs"), (TEST, "testNdxs")) for i in np.ravel(parts[key])}
        with _held(mat) as held:
            scenes, count = _texts(held, "scenes"), len(held["images"])
        kept = [i for i in range(count) if i + 1 in of]
        findings.add("images in no part of splits.mat, left out", splits.name, count - len(kept))
        return [Frame(f"image {i + 1}", scenes[i], of[i + 1], {IMAGE: mat}, number=i) for i in kept]

    def decoder(self) -> Decoder:
        used = self.used()
        if mtan.written(used):
            return self._mtan
        ids = lookup({e.name.lower(): e for e in used}, self.classes, self.root)

        def decode(frame: Frame, reader: Reader, notes: list[str]) -> Decoded:
            with _held(frame.sources[IMAGE]) as held:
                depths = held["depths" if self.filled else "rawDepths"]
                # MATLAB's order of axes is the other way round.
                image, labels, depth = (each[frame.number].T for each in (held["images"], held["labels"], depths))
            if labels.max(initial=0) >= len(ids):
                raise NoImage("label maps with ids that are no class", f"{labels.max()}; known are 0 to {len(ids) - 1}")
            values = {IMAGE: image, "segmentation": ids[labels], "depth": depth}
            return mtan.made(values, self.classes, self.size, notes)

        return decode

    def _mtan(self, frame: Frame, reader: Reader, notes: list[str]) -> Decoded:
        values = {what: mtan.array(reader.read(entry)) for what, entry in frame.sources.items()}
        return mtan.made(values, self.classes, self.size, notes)


def _file(entries: Sequence[Entry], name: str, root: Path) -> Entry:
    """The file of that name. Raises `UserError` where it is not there."""
    for entry in entries:
        if entry.name.lower() == name:
            return entry
    raise UserError(f"{root}: no {name} here, which the official layout needs; put it beside the others")


@contextmanager
def _held(entry: Entry) -> "Iterator[h5py.File]":
    """The official file, open. Raises `UserError` where it cannot be, or is damaged."""
    try:
        import h5py
    except ImportError:
        raise UserError(f"{entry.name} needs the extra 'nyu': pip install 'limbeck[nyu]'") from None
    if entry.member:
        raise UserError(f"{entry.place} is read in parts: unpack it, and name the folder")
    try:
        with h5py.File(entry.file) as held:
            yield held
    except (OSError, KeyError, RuntimeError) as error:
        raise UserError(f"{entry.place}: this file is damaged, or not {MAT}: {error}") from None


def _texts(held: "h5py.File", name: str) -> list[str]:
    """A MATLAB list of texts."""
    return ["".join(map(chr, np.ravel(held[place]))) for place in np.ravel(held[name])]
