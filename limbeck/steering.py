"""Mixup whose strength follows what the teachers say: more of it while they are sure, less once they are not.

Each modality has a strength s in [0, 1], from which both its numbers follow:

    alpha = low (high / low)^s,   part of the batch that is mixed = least + (1 - least) s
    s <- s + rate (target - measured),   after every step

`measured` lies in [0, 1]: the entropy of the teachers' answers, or how far the student is from them. Where it rises
with mixing, as it should, mixing grows until the teachers of a modality are as unsure as asked for (or the student as
far behind), and is taken back as soon as they are more so. A student that has not learnt yet is far behind anyway.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from limbeck import process
from limbeck.batch import Batch, Outputs
from limbeck.config import Spec
from limbeck.distiller import Steered
from limbeck.mixup import SERIES, levels, mixed, partners, quantile
from limbeck.objective import STUDENT, Scene

MODALITIES = (SERIES, "others")


class AdaptiveMixup(Spec):
    """Mixup with an alpha and a share for each modality that follow its teachers."""

    kind: ClassVar[str] = "adaptive"
    by: Literal["entropy", "gap"] = "entropy"
    """entropy: of a teacher's answers, over the largest there can be. gap: 1 - exp(-KL) of the student's answers from
    the teacher's."""
    target: float = Field(0.2, gt=0, lt=1)
    """What that is held at."""
    rate: float = Field(0.02, gt=0, le=1)
    """How fast the strength follows, a step."""
    low: float = Field(0.02, gt=0)
    """alpha at strength 0."""
    high: float = Field(0.5, gt=0)
    """alpha at strength 1."""
    least: float = Field(0.1, ge=0, le=1)
    """Part of a batch that is mixed at strength 0."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}; low must be below high")
        return self

    @property
    def labels(self) -> float:
        """Labels are not smoothed."""
        return 0.0


class Steering(Steered):
    """What `AdaptiveMixup` says, for teachers that read the named modalities. Strengths begin at 0."""

    strength: Tensor

    def __init__(self, spec: AdaptiveMixup, teachers: Mapping[str, str]) -> None:
        super().__init__()
        self.spec, self.teachers = spec, dict(teachers)
        self.register_buffer("strength", torch.zeros(len(MODALITIES)))

    def settings(self) -> list[tuple[float, float]]:
        """alpha, and the part of the batch that is mixed, of the series and of the others."""
        spec = self.spec
        return [(spec.low * (spec.high / spec.low) ** s, spec.least + (1 - spec.least) * s)
                for s in self.strength.tolist()]  # fmt: skip

    def forward(self, batch: Batch) -> Batch:
        count = len(batch)
        rank = torch.randperm(count)
        made = []
        for (alpha, part), level in zip(self.settings(), levels(2, count), strict=True):
            chosen = rank < round(part * count)  # of two modalities, the smaller part lies within the larger
            made.append((chosen, torch.where(chosen, quantile(alpha, level), 1.0)))
        (one, series), (two, others) = made
        return mixed(batch, partners(one | two), lambda modality: series if modality == SERIES else others)

    @torch.no_grad()
    def learn(self, scene: Scene) -> dict[str, Tensor]:
        """Moves the strengths by this batch; gives alpha and share of each modality that a teacher reads."""
        told: dict[str, Tensor] = {}
        for place, name in enumerate(MODALITIES):
            own = [t for t, reads in self.teachers.items() if (reads == SERIES) == (name == SERIES)]
            seen = [self.measured(scene.outputs[t], scene.outputs[STUDENT]) for t in own if t in scene.outputs]
            if seen:
                now = process.total(torch.stack(seen).mean()) / process.world()
                self.strength[place] += self.spec.rate * (self.spec.target - now)
                self.strength.clamp_(0, 1)
                alpha, part = self.settings()[place]
                told |= {f"alpha({name})": now.new_tensor(alpha), f"share({name})": now.new_tensor(part)}
        return told

    def measured(self, teacher: Outputs, student: Outputs) -> Tensor:
        """The property, as the mean over samples and tasks."""
        each = []
        for task, logits in teacher.logits.items():
            log_p = logits.float().log_softmax(dim=1)
            if self.spec.by == "entropy":
                each.append(-(log_p.exp() * log_p).sum(dim=1).mean() / math.log(logits.shape[1]))
            else:
                apart = log_p - student.logits[task].float().log_softmax(dim=1)
                each.append(1 - (-(log_p.exp() * apart).sum(dim=1)).exp().mean())
        return torch.stack(each).mean()
