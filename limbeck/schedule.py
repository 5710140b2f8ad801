"""Functions of progress p in [0, 1], as specs: learning rates and weights follow them. The step is the only clock."""

import math
from typing import ClassVar, Self

from pydantic import model_validator

from limbeck.config import Spec


class Constant(Spec):
    """1 throughout."""

    kind: ClassVar[str] = "constant"

    def __call__(self, p: float) -> float:
        return 1.0


class Cosine(Spec):
    """Linear warm-up from 0 over the first share `warmup`, then half a cosine from 1 to `floor`."""

    kind: ClassVar[str] = "cosine"
    warmup: float = 0.0
    floor: float = 0.0

    def __call__(self, p: float) -> float:
        if p < self.warmup:
            return p / self.warmup
        rest = (p - self.warmup) / max(1e-12, 1 - self.warmup)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


class Linear(Spec):
    """A straight line from `start` to `end`."""

    kind: ClassVar[str] = "linear"
    start: float = 1.0
    end: float = 0.0

    def __call__(self, p: float) -> float:
        return self.start + (self.end - self.start) * p


class Steps(Spec):
    """1, multiplied by `factor` at each of the given shares of the run."""

    kind: ClassVar[str] = "steps"
    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __call__(self, p: float) -> float:
        return float(self.factor ** sum(p >= a for a in self.at))


class Stairs(Spec):
    """1, then each of `values` from its share of the run in `at` on."""

    kind: ClassVar[str] = "stairs"
    at: tuple[float, ...] = (0.5, 0.75)
    values: tuple[float, ...] = (0.1, 0.01)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.at) != len(self.values) or list(self.at) != sorted(self.at):
            raise ValueError(
                f"stairs need a value for each share, and shares in order, not {self.at} and {self.values}"
            )
        return self

    def __call__(self, p: float) -> float:
        passed = sum(p >= a for a in self.at)
        return self.values[passed - 1] if passed else 1.0


Schedule = Constant | Cosine | Linear | Steps | Stairs
