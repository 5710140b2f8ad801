"""What is to be predicted: the word *task*, and the mark of a missing label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

IGNORE = -100
"""The target that means *this label is missing* where targets are class ids; NaN says the same where they are reals."""


@dataclass(frozen=True)
class Task:
    """One thing to be predicted for a sample.

    Logits are `(B, C, *S)` and targets `(B, *S)`: the class axis is always 1 and `S` is `()` or `(H, W)`.

    - `classes` is C for a classification, or `None` for a plain regression (then logits are `(B, 1, *S)`).
    - `labels` names the classes, in the order of their ids.
    - `span` makes a classification of a regression: C bins of equal width over `[low, high)`, in the task's unit.
      Targets stay reals, which are what errors are taken against; losses ask for their `ids`.
    - `decoder` reads a value off the probabilities of bins: the middle of the likeliest, or the expectation.
    - `middles` of classes that are stretches of a scale, in order and in the task's unit, as age groups are: classes
      all the same, but a neighbouring one is less wrong than a far one.
    - `quantity`: what a plain regression is of, where that decides its loss and its scores. A `depth` is positive and
      learnt by its absolute error. A `direction` is a unit vector, with logits and targets `(B, 3, *S)`, learnt by the
      angle.
    """

    name: str
    classes: int | None = None
    labels: tuple[str, ...] = ()
    span: tuple[float, float] | None = None
    unit: str = ""
    decoder: Literal["argmax", "expectation"] = "argmax"
    middles: tuple[float, ...] = ()
    quantity: Literal["", "depth", "direction"] = ""

    def __post_init__(self) -> None:
        if self.labels and self.classes != len(self.labels):
            raise ValueError(f"task {self.name!r} has {self.classes} classes but {len(self.labels)} labels")
        if self.span and (not self.classes or not self.span[0] < self.span[1]):
            raise ValueError(f"task {self.name!r}: a span needs classes and low < high, not {self.span}")
        if self.middles and (len(self.middles) != self.classes or list(self.middles) != sorted(self.middles)):
            raise ValueError(f"task {self.name!r}: {self.classes} classes need as many middles in order")
        if self.quantity and self.classes is not None:
            raise ValueError(f"task {self.name!r}: a {self.quantity} is a real value and has no classes")

    @classmethod
    def of(cls, name: str, labels: tuple[str, ...]) -> "Task":
        """A classification whose classes are `labels`, in that order."""
        return cls(name, len(labels), labels)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Task":
        """A task from plain values as JSON has them: what `vars` of a task gives."""
        span = plain["span"]
        middles = tuple(plain.get("middles", ()))
        return cls(
            **{**plain, "labels": tuple(plain["labels"]), "span": tuple(span) if span else None, "middles": middles}
        )

    @property
    def width(self) -> int:
        """Logits of one prediction, C: its classes, 3 of a direction, 1 of any other real value."""
        return self.classes or (3 if self.quantity == "direction" else 1)

    def present(self, target: Tensor) -> Tensor:
        """Where a target `(B, *S)` is given rather than missing: bool `(B, *S)`."""
        if self.quantity == "direction":
            return ~target.isnan().any(dim=1)
        return ~target.isnan() if target.is_floating_point() else target != IGNORE

    def ids(self, target: Tensor) -> Tensor:
        """The class ids of a target `(B, *S)`: themselves, or the bins of reals; `IGNORE` where it is missing."""
        return self.bins(target) if target.is_floating_point() else target

    def bins(self, value: Tensor) -> Tensor:
        """Class ids of real values (clamped into the span), `IGNORE` where a value is NaN."""
        low, high, width = self._grid()
        index = ((value.clamp(low, high) - low) / width).floor().clamp(max=self.classes - 1 if self.classes else 0)
        return torch.where(value.isnan(), torch.full_like(value, IGNORE), index).long()

    def centres(self) -> Tensor:
        """The value in the middle of each bin, `(C,)`."""
        low, _, width = self._grid()
        return low + width * (torch.arange(self.classes or 0) + 0.5)

    def _grid(self) -> tuple[float, float, float]:
        if self.span is None or self.classes is None:
            raise ValueError(f"task {self.name!r} has no span, so its classes are not bins of a real value")
        return self.span[0], self.span[1], (self.span[1] - self.span[0]) / self.classes
