"""MORPH: police photos of people over years, whose file names tell person, gender and age."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from limbeck.data import faces, lists
from limbeck.data.archive import Entry, find, search
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings

_RACES = {"W": "White", "B": "Black", "A": "Asian", "H": "Others"}
_IMAGE = r"(\d+)_(\d+)([MF])(\d+)\.(?:jpe?g|png)"


class MORPH(ImageData):
    """MORPH, album 2: 55,134 photos of 13,618 people of 16 to 77 years.

    [Ricanek 2006]. A subject is a person. Race is read from a table, if there is one beside the images; Hispanic is
    among the others, as in UTKFace, and other is missing. Ages become the groups of Adience.
    """

    kind: ClassVar[str] = "morph"
    licence: ClassVar[str] = "by its makers' contract"
    citation: ClassVar[str] = (
        "K. Ricanek, T. Tesafaye: MORPH: A Longitudinal Image Database of Normal Adult Age-Progression. IEEE "
        "International Conference on Automatic Face and Gesture Recognition (FGR), 2006"
    )
    expected: ClassVar[str] = "root is the zip or folder of files <person>_<number><M or F><age>.JPG"
    gaps: faces.Gaps = "nearest"
    """An age between two groups is of the nearest one (of two as near, of the younger), or missing."""

    def entries(self) -> list[Entry]:
        return [*self.images(), *self.tables()]

    def images(self) -> list[Entry]:
        """The images. Raises `UserError` where there are none."""
        return find(self.root, _IMAGE, self.expected)

    def tables(self) -> list[Entry]:
        """The tables, if there are any."""
        return search(self.root, r"[^/]+\.csv")

    def listing(self, findings: Findings) -> Listing:
        """The images, with what their names and a table tell."""
        races = _races(self.tables(), findings)
        photos = list(self._photos(races, findings))
        tasks = (faces.AGE, faces.GENDER, *([faces.RACE] if races else []))
        return Listing(photos, tasks)

    def _photos(self, races: Mapping[str, str], findings: Findings) -> Iterator[Photo]:
        for entry in self.images():
            ((person, number, gender, years),) = re.findall(_IMAGE, entry.name, re.IGNORECASE)
            labels = faces.age(int(years), self.gaps, entry.name, findings)
            labels[faces.GENDER.name] = "MF".index(gender.upper())
            keys = (entry.name.lower(), _key(person, number), _key(person))
            code = next((races[key] for key in keys if key in races), "")
            if code in _RACES:
                labels[faces.RACE.name] = faces.RACE.labels.index(_RACES[code])
            elif races:
                findings.add("images of a race other than W, B, A and H, missing", entry.name)
            yield Photo(entry.name, entry, labels, str(int(person)))


def _key(person: str, number: str = "") -> str:
    """A person, or one of the photos, without the zeros that some tables leave out."""
    return f"{int(person)}_{int(number) if number else ''}"


def _races(tables: list[Entry], findings: Findings) -> dict[str, str]:
    """Codes by file name, by photo or by person, as tables name them; none where no table has a race."""
    races: dict[str, str] = {}
    for entry in tables:
        table = lists.read(entry, findings)
        columns = {column.lower(): column for column in table.columns}
        person = next((columns[c] for c in ("id_num", "id", "subject") if c in columns), "")
        number = columns.get("picture_num", "")
        photo = next((columns[c] for c in ("photo", "image", "file", "filename") if c in columns), "")
        if "race" not in columns or not (person or photo):
            findings.note("tables without race and person or photo, not read", entry.name)
            continue
        for line, row in table.lines:
            named = row[photo].replace("\\", "/").rpartition("/")[2].lower() if photo else ""
            who, which = (row[column] if column and row[column].isdecimal() else "" for column in (person, number))
            if not named and not who:
                findings.add("lines without a person or photo, left out", f"{entry.name}:{line}")
                continue
            key = named or _key(who, which)
            code = row[columns["race"]].upper()
            findings.add(
                "lines that tell another race, first taken", f"{entry.name}:{line}", races.get(key, code) != code
            )
            races.setdefault(key, code)
    return races
