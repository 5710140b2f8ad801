"""Weights of tasks that follow how far the student has come towards its teachers, on validation."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.config import Spec
from limbeck.objective import Balancing, Scene

LEAST, MOST = 0.05, 2.0
"""No weight falls below the first before weights are scaled: it would never come back. No ratio counts above the
second: a teacher that knows nothing would rule."""


class Feedback(Spec):
    """JointDistill's update of the tasks' weights, once an evaluation [Cheng 2025, arXiv:2505.10057].

        a_i = student / teacher (of errors teacher / student),   clamped to [0, 2]
        w_i <- w_i - rate w_i g_i,   then at least 0.05, then scaled so that they sum to their number N

    `a` says where each task stands on validation by what it is judged by, 1 being level with its teacher. What g_i
    is is left open by what is known of the paper; `step` names the readings.
    """

    kind: ClassVar[str] = "feedback"
    rate: float = Field(0.1, ge=0, lt=1)
    """Of the weights; at 0 they stay 1."""
    alpha: float = Field(1.5, ge=0)
    """How much the mean of all ratios counts."""
    step: Literal["printed", "abs", "squared"] = "printed"
    """With `target_i = mean(w) a_i mean(a)^(alpha - 1)`. printed: along the gradient of `w_i - target_i`, the mean
    being a function of `w_i`; what has come further weighs more. abs: along the sign of `w_i - target_i`. squared:
    along that difference itself."""

    def over(self, names: Iterable[str], reference: Mapping[str, float], on: Iterable[str]) -> "Follower":
        """The weights of tasks whose teachers have a `reference` goodness each; only the losses of the tasks in `on`
        are multiplied by theirs."""
        return Follower(self, tuple(names), reference, frozenset(on))


def ratio(student: float, teacher: float) -> float:
    """How far a student has come towards its teacher, from what each is worth: of scores, where more is better, student
    / teacher; of errors, which are given as their negatives, teacher / student. Within [0, `MOST`]; 1 where it cannot
    be told."""
    if math.isnan(student) or math.isnan(teacher):
        return 1.0
    errors = student < 0 or teacher < 0
    part, whole = (teacher, student) if errors else (student, teacher)
    return min(MOST, max(0.0, part / whole)) if whole else MOST if part else 1.0


def moved(weights: Tensor, ratios: Tensor, spec: Feedback) -> Tensor:
    """Weights `(N,)` after one step by ratios `(N,)`; they sum to N."""
    count, common = len(weights), ratios.mean().clamp(min=1e-6).pow(spec.alpha - 1)
    apart = weights - weights.mean() * ratios * common
    along = {"printed": 1 - ratios * common / count, "abs": apart.sign(), "squared": apart}[spec.step]
    made = (weights * (1 - spec.rate * along)).clamp(min=LEAST)
    return made * count / made.sum()


class Follower(Balancing):
    """What `Feedback` says: its weights, and the `ratios` that moved them last."""

    now: Tensor
    reference: Tensor
    judged: Tensor

    def __init__(
        self, spec: Feedback, names: Sequence[str], reference: Mapping[str, float], on: frozenset[str]
    ) -> None:
        losses = "" if on == frozenset(names) else f" losses={sorted(on)}"
        super().__init__(f"{spec.kind}[{spec}{losses}]", names)
        self.spec = spec
        # In checkpoints: asked again elsewhere, a teacher may differ in the last bit.
        self.register_buffer("reference", torch.tensor([reference[name] for name in names]))
        self.register_buffer("now", torch.ones(len(names)))
        self.register_buffer("judged", torch.tensor([name in on for name in names]), persistent=False)

    def weights(self) -> Tensor:
        return self.now.clone()

    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        return (torch.where(self.judged, self.weights(), 1.0) * torch.stack(list(losses))).sum()

    def after_eval(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """Moves the weights by what each task is worth on validation, higher being better; gives weights and ratios."""
        reference = dict(zip(self.names, self.reference.tolist(), strict=True))
        ratios = [ratio(scores[name], reference[name]) for name in self.names]
        made = moved(self.now.cpu().double(), torch.tensor(ratios, dtype=torch.float64), self.spec)
        self.now.copy_(made)
        return {
            "weights": dict(zip(self.names, made.tolist(), strict=True)),
            "ratios": dict(zip(self.names, ratios, strict=True)),
        }
