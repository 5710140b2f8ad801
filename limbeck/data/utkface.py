"""UTKFace: faces whose file names tell age, gender and race."""

import re
from typing import ClassVar

from limbeck.data import faces
from limbeck.data.archive import Entry, find
from limbeck.data.decoding import SUFFIXES
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings


class UTKFace(ImageData):
    """UTKFace: some 23,700 aligned and cropped faces of 200 pixels, of ages from 1 to 116 years.

    [Zhang 2017]. Ages become the groups of Adience. Who a face is of is not known: each is a subject of its own.
    """

    kind: ClassVar[str] = "utkface"
    licence: ClassVar[str] = "research use"
    citation: ClassVar[str] = (
        "Z. Zhang, Y. Song, H. Qi: Age Progression/Regression by Conditional Adversarial Autoencoder. IEEE Conference "
        "on Computer Vision and Pattern Recognition (CVPR), 2017"
    )
    pattern: ClassVar[str] = rf"[^/]+{SUFFIXES}"
    expected: ClassVar[str] = (
        "root is the zip or folder of files <age>_<gender>_<race>_<time>.jpg.chip.jpg, or a folder that holds it"
    )
    gaps: faces.Gaps = "nearest"
    """An age between two groups is of the nearest one (of two as near, of the younger), or missing."""

    def entries(self) -> list[Entry]:
        return find(self.root, self.pattern, self.expected)

    def listing(self, findings: Findings) -> Listing:
        """The images, with what their names tell."""
        photos = [photo for entry in self.entries() if (photo := self._photo(entry, findings)) is not None]
        return Listing(photos, (faces.AGE, faces.GENDER, faces.RACE))

    def _photo(self, entry: Entry, findings: Findings) -> Photo | None:
        """The image of a file; none where its name is another, which is counted."""
        matched = re.match(r"(\d+)_(?:(\d+)_(?:(\d+)_)?)?\d+ *\.", entry.name)
        if matched is None:
            findings.add("files not named <age>_<gender>_<race>_<time>, left out", entry.name)
            return None
        age, *others = (None if text is None else int(text) for text in matched.groups())
        labels = faces.age(age or 0, self.gaps, entry.name, findings)
        if None in others:  # which of the two is not there cannot be told
            findings.add("names with a missing field, gender and race missing", entry.name)
            return Photo(entry.name, entry, labels)
        for task, number in zip((faces.GENDER, faces.RACE), others, strict=True):
            labels |= faces.label(task, number or 0, entry.name, findings)
        return Photo(entry.name, entry, labels)
