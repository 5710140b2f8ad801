"""Cityscapes: streets from a car, with classes and depth of every pixel."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator

from limbeck.batch import IMAGE
from limbeck.data import mtan
from limbeck.data.archive import Entry, Reader, find
from limbeck.data.decoding import NoImage, opened
from limbeck.data.pixel_data import TRAIN, Decoded, Decoder, Frame, PixelFiles
from limbeck.data.recordings import Findings
from limbeck.data.split import TEST
from limbeck.errors import UserError
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]

GROUPS = {
    "flat": ((7, "road"), (8, "sidewalk")),
    "construction": ((11, "building"), (12, "wall"), (13, "fence")),
    "object": ((17, "pole"), (19, "traffic light"), (20, "traffic sign")),
    "nature": ((21, "vegetation"), (22, "terrain")),
    "sky": ((23, "sky"),),
    "human": ((24, "person"), (25, "rider")),
    "vehicle": (
        (26, "car"),
        (27, "truck"),
        (28, "bus"),
        (31, "train"),
        (32, "motorcycle"),
        (33, "bicycle"),
    ),
}
"""The label ids and names of the 19 classes that are evaluated, in the order of their training ids, by category."""
IDS = 34
"""Label ids that there are; -1, a licence plate, is 255 in an image."""
COARSE = {"background": ("flat", "construction", "object", "nature", "sky"), "foreground": ("human", "vehicle")}
LABELS = {
    2: tuple(COARSE),
    7: tuple(GROUPS),
    19: tuple(name for group in GROUPS.values() for _, name in group),
}
BASELINE, FOCAL = 0.209313, 2262.52
"""Of the stereo camera: metres, and pixels of the full size. Of some cities they are up to 6 % other ones."""
SIXTEEN = 65535
Depth = Literal["mtan", "inverse", "metric", "disparity"]
_PARTS = {"train": TRAIN, "val": TEST}
_FILES = {IMAGE: "leftImg8bit", "segmentation": "gtFine_labelIds", "depth": "disparity"}
_ENDS = {f"_{file.lower()}.png": what for what, file in _FILES.items()}
_MODES = {
    IMAGE: ("image in colour", ("RGB", "RGBA", "P")),
    "segmentation": ("map of ids", ("L",)),
    "depth": ("image of 16 bits", ("I;16", "I;16B", "I")),
}
"""By input or task: what its files are, and the modes that Pillow reads such a file in."""
_OFFICIAL = r"(?:train|val|test|train_extra)/[^/]+/.+_(?:leftImg8bit|gtFine_labelIds|disparity)\.png"


class Cityscapes(PixelFiles):
    """Cityscapes: 2,975 streets to train on, 500 to test on; tasks: segmentation and depth.

    [Cordts 2016]. Two layouts are read: the official one, and MTAN's [Liu 2019]. The test is the official val part,
    since the labels of the official test are not public. A subject is a city's sequence, in MTAN's files an image.
    """

    kind: ClassVar[str] = "cityscapes"
    licence: ClassVar[str] = "for research, by the terms of cityscapes-dataset.com"
    citation: ClassVar[str] = (
        "M. Cordts et al.: The Cityscapes Dataset for Semantic Urban Scene Understanding. Conference on Computer "
        "Vision and Pattern Recognition (CVPR), 2016"
    )
    expected: ClassVar[str] = (
        "root holds the official leftImg8bit, gtFine and disparity, each with train and val, or MTAN's train and val "
        "with image, label_7 and depth"
    )
    size: tuple[int, int] = (128, 256)
    """Pixels that every image is brought to: height,width."""
    classes: int = 7
    """19: those that are evaluated. 7: their categories (flat, construction, object, nature, sky, human, vehicle). 2:
    what stands, and what may move. All else is no label."""
    depth: Depth = "inverse"
    """What the depth is, all of the disparity d = (p - 1) / 256 pixels, of the values p in its files: inverse: 1 / m.
    metric: m. disparity: d, at the full size. mtan: p / 65535, which MTAN's files hold (0 to 0.5; large is near) and
    published figures are of. For that one d = 0 is a depth, and relative errors there are huge; else it is missing."""

    @field_validator("classes")
    @classmethod
    def _known(cls, classes: int) -> int:
        if classes not in LABELS:
            raise ValueError("Cityscapes is labelled with 2, 7 or 19 classes")
        return classes

    def entries(self) -> list[Entry]:
        """All files of the set, also of parts that are not read. Raises `UserError` where there are none, or those of
        both layouts."""
        found = find(self.root, f"{_OFFICIAL}|{mtan.FILES}", self.expected, folders=2)
        if len({e.name.lower().endswith(".npy") for e in found}) > 1:
            raise UserError(f"{self.root}: holds official and MTAN's files; name the folder of one of them")
        return found

    def used(self) -> list[Entry]:
        entries, folder = self.entries(), f"label_{self.classes}"
        if mtan.written(entries):
            if folder not in mtan.folders(entries):
                known = ", ".join(sorted(f for f in mtan.folders(entries) if f.startswith("label_"))) or "no labels"
                raise UserError(f"{self.root}: classes {self.classes} need a folder {folder}; it has {known}")
            return [e for e in entries if e.name.split("/")[1].lower() in ("image", folder, "depth")]
        return [e for e in entries if e.name.split("/")[0].lower() in _PARTS]

    def available(self) -> tuple[Task, ...]:
        unit = {"inverse": "1/m", "metric": "m", "disparity": "px"}.get(self.depth, "")
        return Task.of("segmentation", LABELS[self.classes]), Task("depth", unit=unit, quantity="depth")

    def frames(self, findings: Findings) -> Sequence[Frame]:
        entries, tasks = self.entries(), [t.name for t in self.wanted()]
        if mtan.written(entries):
            folders = {"segmentation": f"label_{self.classes}", "depth": "depth"}
            return mtan.frames(entries, {t: folders[t] for t in tasks}, findings)
        others = [e.name for e in entries if e.name.split("/")[0].lower() not in _PARTS]
        findings.note("files of test and train_extra, without fine labels, not read", (others or [""])[0], len(others))
        return _official(entries, tasks, findings)

    def decoder(self) -> Decoder:
        return self._decode

    def _decode(self, frame: Frame, reader: Reader, notes: list[str]) -> Decoded:
        official = not mtan.written([frame.sources[IMAGE]])
        files = {what: reader.read(entry) for what, entry in frame.sources.items()}
        values = {what: _png(data, what) if official else mtan.array(data) for what, data in files.items()}
        if official and "segmentation" in values:
            values["segmentation"] = table(self.classes)[values["segmentation"]]
        if official and "depth" in values:
            values["depth"] = values["depth"] / np.float32(SIXTEEN)
        made = mtan.made(values, len(LABELS[self.classes]), self.size, notes)
        if "depth" in made:
            made["depth"] = converted(made["depth"], self.depth)
        return made


def _official(entries: Sequence[Entry], tasks: Sequence[str], findings: Findings) -> list[Frame]:
    """The frames that have an image, by part, city and name; those that lack a file are counted."""
    found: dict[tuple[str, str, str], dict[str, Entry]] = {}
    for entry in entries:
        part, city, file = entry.name.split("/")
        name, what = next((file[: -len(end)], what) for end, what in _ENDS.items() if file.lower().endswith(end))
        if part.lower() in _PARTS:
            found.setdefault((part.lower(), city, name), {})[what] = entry
    made = []
    for (part, city, name), sources in sorted(found.items()):
        if lacks := [what for what in (IMAGE, *tasks) if what not in sources]:
            findings.add("images without one of their files, left out", f"{part}/{city}/{name}: no {_FILES[lacks[0]]}")
            continue
        wanted = {what: sources[what] for what in (IMAGE, *tasks)}
        sequence = "_".join(name.split("_")[:2])
        made.append(Frame(f"{part}/{city}/{name}", sequence, _PARTS[part], wanted, session=city))
    return made


def _png(data: bytes, what: str) -> Array:
    """The pixels of one of the official files. Raises `NoImage` where it is another kind of image."""
    with opened(data) as image:
        sort, modes = _MODES[what]
        if image.mode not in modes:
            raise NoImage(f"{_FILES[what]} files that are no {sort}", f"mode {image.mode}, where {modes[0]} is due")
        return np.asarray(image.convert("RGB") if what == IMAGE else image)


def table(classes: int) -> Array:
    """The class of each label id, `(256,)`; -1 where it is none, -2 where there is no such id."""
    made = np.full(256, -2)
    made[:IDS], made[255] = -1, -1
    names = {ids: (group, name) for group, members in GROUPS.items() for ids, name in members}
    for ids, (group, name) in names.items():
        coarse = next(c for c, groups in COARSE.items() if group in groups)
        made[ids] = LABELS[classes].index({2: coarse, 7: group, 19: name}[classes])
    return made


def converted(values: Array, depth: Depth) -> Array:
    """Depths out of the values p / 65535 of disparity files; NaN stays. A disparity of 0 is infinitely far: missing but
    for `mtan`."""
    if depth == "mtan":
        return values
    disparity = (values * SIXTEEN - 1) / 256
    disparity[disparity < 0.5 / 256] = np.nan
    metric = BASELINE * FOCAL / disparity
    return {"disparity": disparity, "metric": metric, "inverse": 1 / metric}[depth]
