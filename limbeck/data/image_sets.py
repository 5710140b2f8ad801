"""Several sets of images as one, each labelled for some of the tasks."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from limbeck.data.adience import Adience
from limbeck.data.fairface import FairFace
from limbeck.data.fer2013 import FER2013
from limbeck.data.joined import Joined, Member
from limbeck.data.morph import MORPH
from limbeck.data.own_images import Images
from limbeck.data.utkface import UTKFace

AnyImages = UTKFace | FER2013 | Adience | MORPH | FairFace | Images


class ImageSet(Member):
    """A set of images of several, and what of it is used. In a word: `utkface:DIR`."""

    kind: ClassVar[str] = "image-set"
    data: AnyImages


class ImageSets(Joined):
    """Several sets of images as one: `--data.sets utkface:DIR,fer2013:DIR`."""

    kind: ClassVar[str] = "image-sets"
    size: int = Field(64, gt=7)
    """Pixels a side, of every set."""
    colour: Literal["rgb", "grey"] = "rgb"
    """Of every set; where one is grey, grey tells a network least about which set an image is of."""
    sets: tuple[ImageSet, ...] = ()
    """Each `KIND:DIR`, or by its place, as `--data.sets.0.tasks age,gender`."""

    @field_validator("sets")
    @classmethod
    def _alike(cls, sets: tuple[ImageSet, ...], info: ValidationInfo) -> tuple[ImageSet, ...]:
        if not {"size", "colour"} <= info.data.keys():
            return sets  # what is wrong with those is told
        return tuple(m.changed(data=m.data.changed(**{k: info.data[k] for k in ("size", "colour")})) for m in sets)

    @property
    def members(self) -> Sequence[Member]:
        return self.sets
