"""Scores of one model on one task, as `scores.json` has them: each kind with the measures that are told of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Discriminator, Tag

from limbeck.measures import CLASSES, DIRECTIONS, PIXELS, Measures, depth, ordered, values

Number = Annotated[float | None, BeforeValidator(lambda v: None if isinstance(v, float) and math.isnan(v) else v)]
"""A score (a share in 0..1, a loss in nats, an error in its unit); None where nothing was labelled."""


class Stats(BaseModel):
    """Scores of one subject or circumstance on one task. Where every pixel is asked for, `n` are pixels, of so many
    `images`; `leverage` is what stands for a subject's part in the mean IoU."""

    n: int
    images: int = 1
    accuracy: Number = None
    macro_f1: Number = None
    one_off: Number = None
    mae: Number = None
    rmse: Number = None
    r: Number = None
    within_5: Number = None
    bias: Number = None
    miou: Number = None
    pixel_accuracy: Number = None
    leverage: Number = None
    rel_err: Number = None
    abs_err: Number = None
    delta_1: Number = None
    delta_2: Number = None
    delta_3: Number = None
    mean_angle: Number = None
    median_angle: Number = None
    within_11: Number = None
    within_22: Number = None
    within_30: Number = None


class Scores(Stats, ABC):
    """Scores of one model on one task and one part of the data."""

    loss: Number = None
    subjects: dict[str, Stats]
    interval: dict[str, tuple[float, float] | None] | None = None

    @property
    @abstractmethod
    def measures(self) -> Measures:
        """What is told of the task, the first being what it is judged by."""

    @property
    def own(self) -> dict[str, float]:
        """What the task is judged by, by subject."""
        judge = self.measures[0].key
        return {name: mean for name, s in self.subjects.items() if (mean := getattr(s, judge)) is not None}

    @property
    def counts(self) -> dict[str, tuple[float, float]]:
        """Windows by subject, and a value of each whose mean over windows is what the task is judged by: mostly the
        subject's own."""
        return {name: (self.subjects[name].n, mean) for name, mean in self.own.items()}

    def value(self, key: str) -> float | None:
        """A score by its key; None where nothing was labelled."""
        found: float | None = getattr(self, key)
        return found


class ClassScores(Scores):
    """Of a classification. `middles` where its classes are stretches of a scale, in `unit`; `domains`: by data set."""

    weighted_f1: Number = None
    ece: Number = None
    confusion: list[list[int]]
    labels: list[str]
    middles: tuple[float, ...] = ()
    unit: str = ""
    domains: dict[str, Stats] = {}

    @property
    def measures(self) -> Measures:
        return ordered(self.unit) if self.middles else CLASSES


class ValueScores(Scores):
    """Of real values: `metrics.value_scores` says what each is. `groups`: by circumstance (activity), then name."""

    limits: tuple[float, float] | None = None
    mae_argmax: Number = None
    mae_expectation: Number = None
    coverage: Number = None
    width: Number = None
    entropy: Number = None
    groups: dict[str, dict[str, Stats]] = {}
    unit: str = ""

    @property
    def measures(self) -> Measures:
        return values(self.unit)


class PixelScores(Scores):
    """Of classes at every pixel: of the confusion matrix of all pixels. `iou`: by class; None of one that is neither
    true nor predicted. `size`: pixels of an image."""

    confusion: list[list[int]]
    labels: list[str]
    iou: list[Number]
    size: int

    @property
    def measures(self) -> Measures:
        return PIXELS

    @property
    def counts(self) -> dict[str, tuple[float, float]]:
        """Images by subject, and a value whose mean over images is the mean IoU, and varies as that does."""
        return {name: (s.images, s.leverage) for name, s in self.subjects.items() if s.leverage is not None}


class AreaScores(Scores):
    """Of real values at every pixel. `size`: pixels of an image."""

    size: int

    @property
    def counts(self) -> dict[str, tuple[float, float]]:
        """Labelled pixels by subject, as so many images, and the mean over them."""
        return {name: (self.subjects[name].n / self.size, mean) for name, mean in self.own.items()}


class DepthScores(AreaScores):
    """Of a depth at every pixel, in a unit."""

    unit: str = ""

    @property
    def measures(self) -> Measures:
        return depth(self.unit)


class DirectionScores(AreaScores):
    """Of a direction at every pixel."""

    @property
    def measures(self) -> Measures:
        return DIRECTIONS


KINDS: dict[str, tuple[str, type[Scores]]] = {
    "of pixels": ("iou", PixelScores), "of depths": ("rel_err", DepthScores),
    "of directions": ("mean_angle", DirectionScores), "of values": ("rmse", ValueScores),
    "of classes": ("", ClassScores),
}  # fmt: skip
"""Tags of the kinds of scores, and what tells each from those that follow."""


def _tag(scores: object) -> str:
    if isinstance(scores, Mapping):
        return next(tag for tag, (key, _) in KINDS.items() if not key or key in scores)
    return next(tag for tag, (_, kind) in KINDS.items() if isinstance(scores, kind))


AnyScores = Annotated[
    Annotated[PixelScores, Tag("of pixels")]
    | Annotated[DepthScores, Tag("of depths")]
    | Annotated[DirectionScores, Tag("of directions")]
    | Annotated[ValueScores, Tag("of values")]
    | Annotated[ClassScores, Tag("of classes")],
    Discriminator(_tag),
]
