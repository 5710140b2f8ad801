"""Labels that models gave to samples without one, and what the cells of a table can be."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limbeck.tasks import Task

MISSING, GENERATED, LABELLED = "missing", "generated", "labelled"
"""What a cell (a sample's label of a task) can be."""


@dataclass(frozen=True)
class Generated:
    """Labels of one task that models gave to samples without one.

    - `shares` `(N, C)`: of the classes; one 1 for a hard label, 0 throughout where there is none.
    - `confidence` `(N,)`: the largest probability of what the model said, kept or not; NaN where it was not asked.
    - `teacher` `(N,)`: which of `teachers` (digests of their weights) said it, -1 where there is none.
    """

    shares: Tensor
    confidence: Tensor
    teacher: Tensor
    teachers: tuple[str, ...]

    @property
    def given(self) -> Tensor:
        """Where there is one: bool `(N,)`."""
        return self.teacher >= 0

    def take(self, index: Tensor) -> "Generated":
        """Those of some rows."""
        return replace(self, shares=self.shares[index], confidence=self.confidence[index], teacher=self.teacher[index])

    def to(self, device: torch.device) -> "Generated":
        """The same on another device."""
        return replace(
            self,
            shares=self.shares.to(device),
            confidence=self.confidence.to(device),
            teacher=self.teacher.to(device),
        )


def no_labels(task: Task, count: int) -> Generated:
    """That no model gave any of so many samples a label of a task."""
    return Generated(
        torch.zeros(count, task.classes or 1),
        torch.full((count,), float("nan")),
        torch.full((count,), -1, dtype=torch.int16),
        (),
    )
