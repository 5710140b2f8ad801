"""Scores as sums: a tally of a batch adds to another's, and scores are read off the sum.

Classification and segmentation are both one confusion matrix; real values are means and centred products. Everything
here is NumPy on the host.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from limbeck.tasks import IGNORE, Task
from limbeck.values import answered, argmax, binned, expectation, log_probabilities

Array = np.ndarray[Any, Any]
BINS = 15
"""Of the expected calibration error, of equal width [Guo 2017, arXiv:1706.04599]."""


@dataclass(frozen=True)
class Tally:
    """Sums over predictions: `confusion` `(C, C)` (row true, column predicted), calibration `(BINS, 3)` of count,
    confidence and hits, and the summed cross-entropy."""

    confusion: Array
    calibration: Array
    loss: float

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.confusion + other.confusion, self.calibration + other.calibration, self.loss + other.loss)


def tally(logits: Array, target: Array) -> Tally:
    """Of logits `(N, C)` and class ids `(N,)`; rows whose label is missing do not count."""
    known = target != IGNORE
    logits, target = logits[known].astype(np.float64), target[known]
    classes = logits.shape[1]
    log_p, predicted = log_probabilities(logits), logits.argmax(axis=1)
    confusion = np.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes)
    confidence, hit = np.exp(log_p.max(axis=1, initial=-np.inf)), predicted == target
    # Bins are (low, high], as in the paper and in torchmetrics.
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    sums = [np.bincount(number, weights=w, minlength=BINS) for w in (np.ones_like(confidence), confidence, hit)]
    return Tally(confusion, np.stack(sums, axis=1), float(-log_p[np.arange(len(target)), target].sum()))


def f1(confusion: Array) -> Array:
    """F1 of each class `(..., C)` from confusions `(..., C, C)`; NaN for a class that is neither true nor predicted."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    both = confusion.sum(axis=-2) + confusion.sum(axis=-1)
    each: Array = np.divide(2 * hits, both, out=np.full(hits.shape, np.nan), where=both > 0)
    return each


def rate_names(middles: Sequence[float] = ()) -> tuple[str, ...]:
    """What `rates` tells of a task, whose classes may have middles."""
    return ("accuracy", "macro_f1", *(("one_off", "mae") if middles else ()))


UNBOUNDED = ("mae", "rmse", "rel_err", "abs_err", "mean_angle", "median_angle")
"""Scores that are no shares."""


def rates(confusion: Array, middles: Sequence[float] = ()) -> dict[str, Array]:
    """accuracy and macro_f1 `(...)` read off confusions `(..., C, C)`, each of which has a row.

    Macro-F1 is the mean over classes that are true or predicted somewhere, as scikit-learn's is. Of classes that are
    stretches of a scale with `middles` `(C,)` also one_off, the share that is in the true class or one beside it [Levi
    2015, doi:10.1109/CVPRW.2015.7301352], and mae, the mean distance of the middles of said and true class.
    """
    count = confusion.sum(axis=(-2, -1))
    found = {
        "accuracy": np.trace(confusion, axis1=-2, axis2=-1) / count,
        "macro_f1": np.nanmean(f1(confusion), axis=-1),
    }
    if middles:
        place, middle = np.arange(len(middles)), np.array(middles)
        near, apart = (np.abs(each[:, None] - each) for each in (place, middle))
        found["one_off"] = (confusion * (near <= 1)).sum(axis=(-2, -1)) / count
        found["mae"] = (confusion * apart).sum(axis=(-2, -1)) / count
    return found


def scores(sums: Tally, middles: Sequence[float] = ()) -> dict[str, float]:
    """n, what `rates` tells, weighted_f1, ece and loss (cross-entropy, nats) of a tally. NaN where nothing was
    labelled."""
    count = int(sums.confusion.sum())
    if not count:
        names = (*rate_names(middles), "weighted_f1", "ece", "loss")
        return {"n": 0} | dict.fromkeys(names, float("nan"))
    support = sums.confusion.sum(axis=1)
    _, confidence, hits = sums.calibration.T
    return {
        "n": count,
        **{name: float(value) for name, value in rates(sums.confusion, middles).items()},
        "weighted_f1": float(np.nansum(f1(sums.confusion) * support) / count),
        "ece": float(np.abs(hits - confidence).sum() / count),
        "loss": sums.loss / count,
    }


ROWS = 4096
"""Of bins that are decoded at once: a day of many people would fill a memory."""
NEAR = 5.0
"""In the task's unit: an error up to this size is a small one, and two models that are no further apart agree."""
MEANS = ("mae", "within_5", "loss", "mae_argmax", "mae_expectation", "coverage", "width", "entropy")
"""Scores of real values that are plain means over rows; all but the first three need a distribution over bins."""


@dataclass(frozen=True)
class Errors:
    """Sums over real values: how many, `centre` `(2,)` the means of truth and error (answer less truth), `spread`
    `(2, 2)` the summed products of both about their means, and the sums `(len(MEANS),)` of what `MEANS` names."""

    count: int
    centre: Array
    spread: Array
    sums: Array

    def __add__(self, other: "Errors") -> "Errors":
        # Products about the means: raw squares cancel where values are large and errors are small [Chan 1982].
        count = self.count + other.count
        apart = other.centre - self.centre
        share = other.count / count if count else 0.0
        spread = self.spread + other.spread + np.outer(apart, apart) * self.count * share
        return Errors(count, self.centre + apart * share, spread, self.sums + other.sums)


def errors(task: Task, logits: Array, target: Array) -> Errors:
    """Of logits `(N, C)`, or values `(N, 1)`, and real targets `(N,)`; rows whose label is missing do not count.

    The loss is cross-entropy in nats against the bin of the truth, of values their squared error.
    """
    parts = [_errors(task, logits[at : at + ROWS], target[at : at + ROWS]) for at in range(0, len(target) or 1, ROWS)]
    return sum(parts[1:], start=parts[0])


def _errors(task: Task, logits: Array, target: Array) -> Errors:
    known = ~np.isnan(target)
    logits, truth = logits[known].astype(np.float64), target[known].astype(np.float64)
    sums = np.full((len(MEANS), len(truth)), np.nan)
    answers = answered(task, logits)
    if task.span is not None and binned(task, logits):
        log_p, bins = log_probabilities(logits), task.bins(torch.from_numpy(truth)).numpy()
        sums[2] = -log_p[np.arange(len(truth)), bins]
        sums[3:5] = [np.abs(read(np.exp(log_p), task.span) - truth) for read in (argmax, expectation)]
        sums[5:] = (answers.low <= truth) & (truth <= answers.high), answers.high - answers.low, answers.entropy
    else:
        sums[2] = np.square(answers.value - truth)
    error = answers.value - truth
    sums[:2] = np.abs(error), np.abs(error) <= NEAR
    both = np.stack([truth, error])
    centre = both.mean(axis=1) if len(truth) else np.zeros(2)
    about = both - centre[:, None]
    return Errors(len(truth), centre, about @ about.T, sums.sum(axis=1))


def value_scores(sums: Errors) -> dict[str, Any]:
    """n, mae, rmse, r (Pearson), within_5, bias, limits, and all else that `MEANS` names; NaN where it cannot be told.

    `bias` is the mean of answer less truth, and `limits` are bias -+ 1.96 SD of it: the 95 % limits of agreement [Bland
    1986, doi:10.1016/S0140-6736(86)90837-8]. Windows of one person are repeated measures: the SD is over all windows,
    within and between subjects together, so subjects weigh by their windows, and the limits say where the error of
    another window of *these people* lies. With few subjects those of other people may lie wider, and an interval of the
    limits must be drawn over subjects [Bland 2007, doi:10.1080/10543400701329422]. Overlapping windows add no
    information, but do not move bias or limits.
    """
    if not sums.count:
        names = ("mae", "rmse", "r", "within_5", "bias")
        return {"n": 0} | dict.fromkeys((*names, *MEANS), np.nan) | {"limits": [np.nan, np.nan]}
    n, bias = sums.count, float(sums.centre[1])
    (true, mixed), (_, error) = sums.spread
    answer = true + 2 * mixed + error
    # Answers that are all alike differ by rounding.
    r = (true + mixed) / np.sqrt(true * answer) if answer > 1e-12 * true > 0 else np.nan
    half = 1.96 * np.sqrt(error / (n - 1)) if n > 1 else np.nan
    found = dict(zip(MEANS, (sums.sums / n).tolist(), strict=True))
    return {
        "n": n,
        "mae": found.pop("mae"),
        "rmse": float(np.sqrt(error / n + bias**2)),
        "r": float(r),
        "within_5": found.pop("within_5"),
        "bias": bias,
        "limits": [bias - float(half), bias + float(half)],
        **found,
    }


def agreement(one: Array, two: Array) -> float:
    """The share of rows on which two models name the same class, from their logits `(N, C)`."""
    return float((one.argmax(axis=1) == two.argmax(axis=1)).mean()) if len(one) else float("nan")


def close(task: Task, one: Array, two: Array) -> float:
    """The share of rows on which two models' values, from their logits `(N, C)`, are no more than `NEAR` apart."""
    apart = answered(task, one).value - answered(task, two).value
    return float((np.abs(apart) <= NEAR).mean()) if len(apart) else float("nan")
