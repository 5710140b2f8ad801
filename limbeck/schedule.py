"""Functions of progress p in [0, 1], as specs: learning rates and weights follow them. The step is the only clock."""

import math
from typing import ClassVar, Self

from pydantic import Field, model_validator

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


class Ramp(Spec):
    """Rises in a line from 0 to 1 over the first share `over`, then stays; 1 throughout where that is 0."""

    kind: ClassVar[str] = "ramp"
    over: float = Field(0.2, ge=0, le=1)

    def __call__(self, p: float) -> float:
        return min(1.0, p / self.over) if self.over else 1.0


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


class AdaptiveCLR(Spec):
    """A triangular cycle [Smith 2017, arXiv:1506.01186] that finds its rates by a range test, and shrinks where
    validation does not improve.

    Plainly our own reading of the rates that tune themselves of [Hosseini 2019, arXiv:1907.03402], of which nothing but
    the claim is known. Before training a copy is trained with rates that grow exponentially; `high` is a tenth of that
    from which on the smoothed loss has lost half of its fall, or is 4 times its least, or not finite. The rate goes
    from high / 10 to high and back; at the end of a cycle the validation loss, the mean of 4 looks in the falling half,
    is compared with that of the cycle before, and where it is not lower `high` shrinks, but never below a tenth of the
    first high / 10.
    """

    kind: ClassVar[str] = "adaptive-clr"
    half: float = Field(4.0, gt=0)
    """Epochs of half a cycle."""
    high: float | None = Field(None, gt=0)
    """The largest rate at first; by a range test where not given."""
    shrink: float = Field(0.7, gt=0, lt=1)
    """What `high` is multiplied by after a cycle that did not improve."""
    lowest: float = Field(1e-6, gt=0)
    """The rate with which the range test begins."""
    largest: float = Field(1.0, gt=0)
    """The rate with which it ends; `high` is a tenth of it where nothing diverges."""
    steps: int = Field(300, ge=20)
    """Of the range test, at most; fewer where an epoch, or 100 steps if it is shorter, has fewer."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lowest >= self.largest:
            raise ValueError(f"lowest is {self.lowest:g} and largest {self.largest:g}; lowest must be below largest")
        return self


Schedule = Constant | Cosine | Linear | Ramp | Steps | Stairs
