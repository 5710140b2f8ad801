"""The learning rate of each step: the plan's number by a schedule, or a cycle that tunes itself."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from limbeck import process
from limbeck.learner import Learner
from limbeck.plan import Plan
from limbeck.schedule import AdaptiveCLR, Schedule

SPAN = 10.0
"""The largest rate of a cycle over its smallest; and how far below divergence the largest is."""
LOOKS = 4
"""How often validation is asked in the falling half of a cycle; the last time at its end."""
FEWEST = 100
"""Steps of a range test, though an epoch has fewer: over fewer, a rate would be too far from the next."""
KEEPS, EARLY = 0.9, 10
"""Of a range test's smoothed loss: what a step keeps of it, and the steps before it is trusted."""
RISE = 4.0
"""A range test ends where its smoothed loss is so many times its least."""
LOST, AGAIN = 0.5, 0.05
"""It has diverged where that share of the fall of the smoothed loss is lost, or this share of what it was at first
where that is more: a classifier that is destroyed goes back to guessing, which is not so many times its least."""


class Rate(ABC):
    """The learning rate of each step, and what it is to be told for that: nothing, as a rule."""

    looks: frozenset[int] = frozenset()
    """The numbers of steps done at which it `hears` of validation."""

    @abstractmethod
    def at(self, step: int) -> float:
        """The rate of a step, the first of which is 0."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` gave."""

    def unknown(self) -> bool:
        """Whether it has to be found before the first step."""
        return False

    def find(self, learner: Learner, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Finds what is unknown with a learner that is spoilt by it, and gives what `range.json` holds; None where it
        was to stop."""
        return None

    def hears(self, step: int, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
        """Takes the student's scores on validation after so many steps; a row for the journal, if there is one."""
        return None


class Scheduled(Rate):
    """A number times a function of progress."""

    def __init__(self, rate: float, schedule: Schedule, steps: int) -> None:
        self.rate, self.schedule, self.steps = rate, schedule, steps

    def at(self, step: int) -> float:
        return self.rate * self.schedule(step / self.steps)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """There is nothing to put back."""


class Cycle(Rate):
    """What `AdaptiveCLR` says: from high / SPAN up to high, and down again."""

    def __init__(self, spec: AdaptiveCLR, epoch: int, steps: int) -> None:
        self.spec, self.half = spec, max(1, round(spec.half * epoch))
        self.high = self.least = 0.0
        self.losses: list[float] = []
        self.before: float | None = None
        whole = 2 * self.half
        self.looks = frozenset(
            number * whole + self.half + math.ceil(self.half * (look + 1) / LOOKS)
            for number in range(steps // whole)
            for look in range(LOOKS)
        )
        if spec.high is not None:
            self._begin(spec.high)

    def _begin(self, high: float) -> None:
        self.high, self.least = high, high / SPAN / SPAN

    def unknown(self) -> bool:
        return self.high == 0.0

    def find(self, learner: Learner, stop: Callable[[], bool]) -> dict[str, Any] | None:
        found = range_test(self.spec, learner, stop)
        if found:
            self._begin(found["high"])
        return found

    def at(self, step: int) -> float:
        place = step % (2 * self.half)
        low = self.high / SPAN
        return low + (self.high - low) * min(place, 2 * self.half - place) / self.half

    def hears(self, step: int, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
        known = [s["loss"] for s in scores.values() if not math.isnan(s["loss"])]
        self.losses.append(sum(known) / len(known) if known else math.nan)
        if step % (2 * self.half):
            return None
        loss, before = sum(self.losses) / len(self.losses), self.before
        if before is not None and not loss < before:
            self.high = max(self.least, self.high * self.spec.shrink)
        told = loss if math.isfinite(loss) else None
        self.losses, self.before = [], told
        return {"event": "cycle", "loss": told, "before": before, "high": self.high, "low": self.high / SPAN}

    def state(self) -> dict[str, Any]:
        return {"high": self.high, "least": self.least, "losses": self.losses, "before": self.before}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.high, self.least, self.before = state["high"], state["least"], state["before"]
        self.losses = list(state["losses"])


def of(plan: Plan, epoch: int, steps: int) -> Rate:
    """The rates of a plan, for so many steps an epoch and in all."""
    if isinstance(plan.schedule, AdaptiveCLR):
        return Cycle(plan.schedule, epoch, steps)
    return Scheduled(plan.optimiser.lr, plan.schedule, steps)


def range_test(spec: AdaptiveCLR, learner: Learner, stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Trains with ever larger rates, at progress 0, until the loss is out of bounds, and gives what `range.json` holds;
    None where it is to stop. The learner is spoilt by it.

    - `lrs`, and of the batches that met them `losses` and `smoothed`: of each step within bounds.
    - `diverged`: the rate at which the loss did, null where it did not.
    - `high`, `low`: the rates between which the cycle begins.
    """
    steps = min(spec.steps, max(FEWEST, learner.order.per_epoch))
    lrs: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, ended = 0.0, None
    model = learner.together()
    for step in range(steps):
        if process.anywhere(stop()):
            return None
        rate = spec.lowest * (spec.largest / spec.lowest) ** (step / (steps - 1))
        loss = float(process.total(learner.judge(model, step, 0.0).total.detach())) / process.world()
        average = KEEPS * average + (1 - KEEPS) * loss
        now = average / (1 - KEEPS ** (step + 1))
        least = min(smoothed[EARLY:], default=math.inf)
        if not math.isfinite(loss) or now > least + (RISE - 1) * abs(least):
            ended = rate
            break
        for values, value in ((lrs, rate), (losses, loss), (smoothed, now)):
            values.append(value)
        learner.move(rate, 0.0)
    diverged = _turned(lrs[EARLY:], smoothed[EARLY:]) or ended
    high = (diverged or spec.largest) / SPAN
    return {"lrs": lrs, "losses": losses, "smoothed": smoothed, "diverged": diverged, "high": high, "low": high / SPAN}


def _turned(lrs: list[float], smoothed: list[float]) -> float | None:
    """The first rate behind that of the least loss at which too much of the fall is lost."""
    if not smoothed:
        return None
    first, least = smoothed[0], min(smoothed)
    bound = least + max(LOST * (first - least), AGAIN * abs(first))
    after = smoothed.index(least)
    return next((rate for rate, loss in zip(lrs[after:], smoothed[after:], strict=True) if loss > bound), None)
