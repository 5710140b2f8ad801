"""Which numbers tell how good a model is at a task, which way is better, and how they are written.

This is the one place that knows: what a task is judged by comes first in its `Measures`. A classification is judged by
its accuracy, a share and told in percent; real values by their mean absolute error (MAE), in their own unit; of answers
for every pixel classes by the mean IoU, depths by their relative error, directions by their mean angle in degrees.
"""

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Measure:
    """One score: its `key` in `scores.json`, its name, its unit, and how a value of it is written.

    - `higher`: whether more is better.
    - `bounds`: what it cannot leave; intervals are cut to it.
    """

    key: str
    name: str
    unit: str = ""
    higher: bool = True
    bounds: tuple[float, float] = (-math.inf, math.inf)
    scale: float = 1.0
    places: int = 2

    @property
    def share(self) -> bool:
        """Whether it is a share, told in percent."""
        return self.unit == "%"

    @property
    def step(self) -> str:
        """The unit of a difference: of shares, percentage points."""
        return "points" if self.share else self.unit

    @property
    def head(self) -> str:
        """Its name with its unit, as in a table's head."""
        return f"{self.name} {self.unit}".rstrip()

    @property
    def said(self) -> str:
        """What stands before a value in a sentence: nothing for the accuracy, which goes without saying."""
        return "" if self is ACCURACY else f"{self.one} of "

    @property
    def one(self) -> str:
        """Its name with its article."""
        spelled = self.name[1:2].isupper()  # as MAE and mIoU: em ...
        return f"{'an' if spelled or self.name[0] in 'aeiou' else 'a'} {self.name}"

    def number(self, value: float, sign: str = "") -> str:
        """A value without its unit. Small values have two figures rather than none."""
        shown = self.scale * value
        small = 0 < abs(shown) < 0.1 and not self.share
        text = f"{shown:{sign}.2g}" if small else f"{shown:{sign}.{self.places}f}"
        return text.replace("-", "−")

    def text(self, value: float) -> str:
        """A value with its unit, as `71.2 %` or `4.31 bpm`; the space does not break."""
        return f"{self.number(value)}\u00a0{self.unit}" if self.unit else self.number(value)

    def span(self, low: float | None, high: float | None) -> str:
        """An interval without its unit, as `66.0–75.9`; empty where there is none."""
        if low is None or high is None:
            return ""
        return f"{self.number(low)}–{self.number(high)}" if low >= 0 else f"{self.number(low)} to {self.number(high)}"

    def difference(self, gap: float) -> str:
        """The size of a difference with its unit, as `1.3 points` or `0.41 bpm`."""
        return f"{self.number(abs(gap))} {self.step}".rstrip()

    def cut(self, value: float) -> float:
        """The value within the bounds."""
        return min(self.bounds[1], max(self.bounds[0], value))

    def good(self, value: float) -> float:
        """The value turned so that higher is better."""
        return value if self.higher else -value

    def gain(self, value: float, other: float) -> float:
        """By how much a value is better than another: of shares the difference, of errors as a share of the other."""
        return value - other if self.share else self.good(value - other) / max(abs(other), 1e-12)


Measures = tuple[Measure, ...]
"""What is told of one task; it is judged by the first."""


def share(key: str, name: str, higher: bool = True) -> Measure:
    """A score that is a share, told in percent."""
    return Measure(key, name, "%", higher, (0.0, 1.0), 100.0, 1)


ACCURACY = share("accuracy", "accuracy")
CLASSES: Measures = (
    ACCURACY, share("macro_f1", "macro-F1"), share("weighted_f1", "weighted-F1"), share("ece", "ECE", False),
)  # fmt: skip


def values(unit: str) -> Measures:
    """Of a task whose answers are real values in a unit."""
    positive = (0.0, math.inf)
    return (
        Measure("mae", "MAE", unit, False, positive),
        Measure("rmse", "RMSE", unit, False, positive),
        Measure("r", "r", bounds=(-1.0, 1.0), places=3),
        share("within_5", f"within 5 {unit}".rstrip()),
        Measure("bias", "bias", unit),
    )


def ordered(unit: str) -> Measures:
    """Of classes that are stretches of a scale in a unit, as age groups are: one beside the true one is less wrong."""
    return (ACCURACY, share("one_off", "one-off"), Measure("mae", "MAE", unit, False, (0.0, math.inf)), *CLASSES[1:])


PIXELS: Measures = (share("miou", "mIoU"), share("pixel_accuracy", "pixel accuracy"))
"""Of a task that asks for a class at every pixel."""


def depth(unit: str) -> Measures:
    """Of a task that asks for a depth in a unit at every pixel."""
    positive = (0.0, math.inf)
    return (
        Measure("rel_err", "relative error", "", False, positive, places=3),
        Measure("abs_err", "absolute error", unit, False, positive, places=3),
        Measure("rmse", "RMSE", unit, False, positive, places=3),
        share("delta_1", "δ < 1.25"), share("delta_2", "δ < 1.25²"), share("delta_3", "δ < 1.25³"),
    )  # fmt: skip


DIRECTIONS: Measures = (
    Measure("mean_angle", "mean angle", "°", False, (0.0, 180.0)),
    Measure("median_angle", "median angle", "°", False, (0.0, 180.0)),
    share("within_11", "within 11.25°"), share("within_22", "within 22.5°"), share("within_30", "within 30°"),
)  # fmt: skip
"""Of a task that asks for a direction at every pixel."""


def chief(told: Measures) -> Measures:
    """What stands where there is little room: the first two, of ordered classes three."""
    return told[: 3 if told[1].key == "one_off" else 2]


SURE: Measures = (
    Measure("mae_argmax", "MAE by argmax", higher=False),
    Measure("mae_expectation", "MAE by expectation", higher=False),
    share("coverage", "truths in 95 % interval"), Measure("width", "mean width", places=1),
    Measure("entropy", "entropy, nats"),
)  # fmt: skip
"""What is told of a distribution over bins, in the task's unit where no other is named."""


RELATIVE = Measure("relative", "mean log score", places=3)
"""What `run.mean_relative` makes of all tasks."""
FAMILIES: tuple[Measures, ...] = (PIXELS, depth(""), DIRECTIONS, CLASSES, values(""))
"""Without units. What tells them apart in plain scores is what the task is judged by."""


def by_key(key: str) -> Measure:
    """A measure by its key alone, where the unit is not known."""
    every = (*CLASSES, *values(""), *chain(*FAMILIES), RELATIVE)
    return next(measure for measure in every if measure.key == key)


def family(scores: Container[str], unit: str = "") -> Measures:
    """What plain scores are of, by their keys."""
    if "middles" in scores:
        return ordered(unit)
    found = next(each for each in FAMILIES if each[0].key in scores)
    return {"rel_err": depth, "mae": values}.get(found[0].key, lambda _: found)(unit)


def judge(scores: Container[str]) -> Measure:
    """What a task is judged by, from its plain scores."""
    return family(scores)[0]


def goodness(scores: Mapping[str, float]) -> float:
    """What a task is judged by as one number, higher is better, from its plain scores: a share, or the negative of an
    error. NaN where nothing was labelled."""
    first = judge(scores)
    return first.good(scores[first.key])


def brief(scores: Mapping[str, float]) -> str:
    """What a task is judged by in a word, from its plain scores: `71%`, `mIoU 42%` or `MAE 4.31`."""
    first = judge(scores)
    value = scores[first.key]
    told = f"{value:.0%}" if first.share else f"{value:.{first.places}f}"
    return told if first is ACCURACY else f"{first.name} {told}{first.unit if first.unit == '°' else ''}"


def alike(several: Iterable[Measures]) -> str:
    """The unit that all of the measures share; empty where they do not share one."""
    units = {one.unit for each in several for one in each}
    return units.pop() if len(units) == 1 else ""
