"""FER2013: expressions of faces, from the official table of pixels or from folders of images."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from limbeck.data import faces
from limbeck.data.archive import Entry, find
from limbeck.data.decoding import SUFFIXES
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

SIDE = 48
"""Pixels a side of each image."""
_NAMES = faces.EXPRESSION.labels
_PARTS = ("Training", "PublicTest", "PrivateTest", "train", "validation", "test")
_TABLE = r"(?:fer2013|icml_face_data)\.csv"
_IS_TABLE = re.compile(rf"(?:.*/)?{_TABLE}", re.IGNORECASE)


class FER2013(ImageData):
    """FER2013: 35,887 faces of 48 pixels in grey, with one of seven expressions.

    [Goodfellow 2013]. A session is one of its official parts. Who a face is of is not known: each is a subject of its
    own.
    """

    kind: ClassVar[str] = "fer2013"
    licence: ClassVar[str] = "research use"
    citation: ClassVar[str] = (
        "I. J. Goodfellow et al.: Challenges in Representation Learning: A Report on Three Machine Learning Contests. "
        "International Conference on Neural Information Processing (ICONIP), 2013"
    )
    pattern: ClassVar[str] = rf"(?:.*/)?{_TABLE}|(?:{'|'.join(_PARTS)})/(?:{'|'.join(_NAMES)})/[^/]+{SUFFIXES}"
    expected: ClassVar[str] = (
        "root is fer2013.csv, a folder or zip that holds it, or one of images Training/Angry/<number>.jpg and so on"
    )

    def entries(self) -> list[Entry]:
        """The table of pixels where there is one, else the images. Raises `UserError` where there is neither."""
        found = self._found()
        tables = sorted((e for e in found if _IS_TABLE.fullmatch(e.name)), key=lambda e: e.name.rpartition("/")[2])
        return tables[:1] or found

    def _found(self) -> list[Entry]:
        return find(self.root, self.pattern, self.expected, folders=2)

    def listing(self, findings: Findings) -> Listing:
        """The images, with their expressions."""
        entries = self.entries()
        if _IS_TABLE.fullmatch(entries[0].name):
            findings.note("other files beside the table, not read", entries[0].place, len(self._found()) - 1)
            return Listing(list(_rows(entries[0], findings)), (faces.EXPRESSION,))
        photos = []
        for entry in entries:
            part, name, _ = entry.name.split("/")
            photos.append(Photo(entry.name, entry, {faces.EXPRESSION.name: _NAMES.index(name.lower())}, session=part))
        return Listing(photos, (faces.EXPRESSION,))


def _rows(table: Entry, findings: Findings) -> Iterator[Photo]:
    """The images of a table of pixels; rows without a whole one are counted. Raises `UserError` at another table."""
    with table.open() as file:
        rows = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", errors="replace"), skipinitialspace=True)
        names = {name.strip().lower(): name for name in rows.fieldnames or ()}
        if not {"emotion", "pixels"} <= names.keys():
            raise UserError(f"{table.place} has no columns emotion and pixels, as fer2013.csv has")
        try:
            for number, row in enumerate(rows):
                cells = {name: (row[column] or "").strip() for name, column in names.items()}
                if photo := _photo(f"row {number:05d}", cells, findings):
                    yield photo
        except csv.Error as error:
            raise UserError(f"{table.place} is damaged behind line {rows.line_num}: {error}") from None


def _photo(where: str, cells: Mapping[str, str], findings: Findings) -> Photo | None:
    """The image of a row; none where its pixels are not what they should be."""
    try:
        pixels = bytes(map(int, cells["pixels"].split()))
    except ValueError:
        pixels = b""
    if len(pixels) != SIDE * SIDE:
        findings.add(f"rows without {SIDE * SIDE} pixels of 0 to 255, left out", where)
        return None
    emotion = cells["emotion"]
    labels = faces.label(faces.EXPRESSION, int(emotion) if emotion.isdecimal() else -1, where, findings)
    image = b"P5 %d %d 255\n" % (SIDE, SIDE) + pixels
    return Photo(where, image, labels, session=cells.get("usage", ""))
