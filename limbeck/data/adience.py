"""Adience: faces from albums of phones, with groups of age and gender, in five folds by person."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from limbeck.data import faces, lists
from limbeck.data.archive import Entry, find
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings

_CROPS = {"aligned": "landmark_aligned_face", "faces": "coarse_tilt_aligned_face"}
_GENDERS = {"m": 0, "f": 1}


class Adience(ImageData):
    """Adience: some 19,000 faces of 2,284 people, in eight groups of age.

    [Eidinger 2014]. A session is a fold; a subject is a user, who is in one fold only. An age that lies inside no group
    is missing, and counted.
    """

    kind: ClassVar[str] = "adience"
    licence: ClassVar[str] = "research use"
    citation: ClassVar[str] = (
        "E. Eidinger, R. Enbar, T. Hassner: Age and Gender Estimation of Unfiltered Faces. IEEE Transactions on "
        "Information Forensics and Security 9 (12), 2014"
    )
    folds: Literal["all", "frontal"] = "all"
    """all: fold_0_data.txt and so on. frontal: fold_frontal_0_data.txt and so on, of faces that look ahead."""
    crops: Literal["aligned", "faces"] = "aligned"
    """aligned: the images aligned by landmarks. faces: those that are only turned and cut."""

    def tables(self) -> list[Entry]:
        """The lists of the folds. Raises `UserError` where there are none."""
        which = "frontal_" if self.folds == "frontal" else ""
        expected = f"root holds fold_{which}0_data.txt and so on, and the images in {self.crops}/<user>"
        return find(self.root, rf"fold_{which}\d+_data\.txt", expected)

    def images(self) -> list[Entry]:
        """The images. Raises `UserError` where there are none."""
        expected = f"the images are {self.crops}/<user>/{_CROPS[self.crops]}.<face>.<image>.jpg; or see --data.crops"
        return find(self.root, rf"[^/]+/{_CROPS[self.crops]}\.\d+\.[^/]+", expected, folders=1)

    def entries(self) -> list[Entry]:
        return [*self.tables(), *self.images()]

    def listing(self, findings: Findings) -> Listing:
        """The images that the lists of the folds name."""
        images = {entry.name: entry for entry in self.images()}
        named: dict[str, Photo] = {}
        for photo in (photo for entry in self.tables() for photo in self._photos(entry, images, findings)):
            findings.add("images listed twice, first taken", f"{photo.session}: {photo.name}", photo.name in named)
            named.setdefault(photo.name, photo)
        extra = [name for name in images if name not in named]
        findings.note("images that no list names, left out", extra[0] if extra else "", len(extra))
        return Listing(list(named.values()), (faces.AGE, faces.GENDER))

    def _photos(self, entry: Entry, images: Mapping[str, Entry], findings: Findings) -> Iterator[Photo]:
        fold = entry.name.rpartition("_")[0]
        table = lists.read(entry, findings)
        table.need("user_id", "original_image", "face_id", "age", "gender")
        for number, row in table.lines:
            where = f"{entry.name}:{number}"
            name = f"{row['user_id']}/{_CROPS[self.crops]}.{row['face_id']}.{row['original_image']}"
            if name not in images:
                findings.add("lines whose image is not there, left out", f"{where}: {name}")
                continue
            labels = _age(row["age"], where, findings)
            gender = row["gender"].lower()
            findings.add("genders other than m, f and u, missing", where, gender not in (*_GENDERS, "u", ""))
            labels |= {faces.GENDER.name: _GENDERS[gender]} if gender in _GENDERS else {}
            yield Photo(name, images[name], labels, row["user_id"], fold)


def _age(text: str, where: str, findings: Findings) -> dict[str, int]:
    """The label of an age such as `(25, 32)` or `35`, by task."""
    years = [int(number) for number in re.findall(r"\d+", text)]
    made = faces.inside(min(years), max(years)) if years else None
    findings.add("ages that lie inside no group, missing", f"{where}: {text}", bool(years) and made is None)
    return {} if made is None else {faces.AGE.name: made}
