"""Scores as sums: a tally of a batch adds to another's, and scores are read off the sum.

Classification and segmentation are both one confusion matrix. Everything here is NumPy on the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.tasks import IGNORE

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
    shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
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


def scores(sums: Tally) -> dict[str, float]:
    """accuracy, macro_f1, weighted_f1, ece and loss (cross-entropy, nats) of a tally, and n. NaN where nothing was
    labelled.

    Macro-F1 is the mean over classes that are true or predicted somewhere, as scikit-learn's is.
    """
    count = int(sums.confusion.sum())
    if not count:
        return {"n": 0} | dict.fromkeys(("accuracy", "macro_f1", "weighted_f1", "ece", "loss"), float("nan"))
    each, support = f1(sums.confusion), sums.confusion.sum(axis=1)
    _, confidence, hits = sums.calibration.T
    return {
        "n": count,
        "accuracy": float(np.diag(sums.confusion).sum() / count),
        "macro_f1": float(np.nanmean(each)),
        "weighted_f1": float(np.nansum(each * support) / count),
        "ece": float(np.abs(hits - confidence).sum() / count),
        "loss": sums.loss / count,
    }


def by_group(logits: Array, target: Array, groups: Array) -> dict[str, Tally]:
    """A tally for every group, as subjects, in order of their names."""
    names = sorted(set(map(str, groups)), key=lambda s: (len(s), s))
    return {name: tally(logits[at], target[at]) for name in names for at in [groups.astype(str) == name]}


def intervals(tallies: Mapping[str, Tally], draws: int = 1000, seed: int = 0) -> dict[str, list[float] | None]:
    """95 % intervals of accuracy and macro-F1 over groups (subjects); None where there are fewer than 2.

    By bootstrap: of n groups all but one are drawn again, which makes the variance unbiased, and the standard error is
    widened by Student's t with n - 1 degrees of freedom, as percentiles are far too narrow for a handful of subjects.
    """
    from scipy.stats import t

    sums = [one.confusion for one in tallies.values() if one.confusion.sum()]
    if len(sums) < 2:
        return {"accuracy": None, "macro_f1": None}
    stack, draw = np.stack(sums).astype(np.int64), np.random.default_rng(seed)
    counts = draw.multinomial(len(sums) - 1, [1 / len(sums)] * len(sums), size=draws)
    drawn = np.concatenate([stack.sum(axis=0)[None], np.tensordot(counts, stack, axes=1)])
    accuracy = np.trace(drawn, axis1=1, axis2=2) / drawn.sum(axis=(1, 2))
    found: dict[str, list[float] | None] = {}
    for name, values in (("accuracy", accuracy), ("macro_f1", np.nanmean(f1(drawn), axis=1))):
        half = t.ppf(0.975, len(sums) - 1) * values[1:].std()
        found[name] = [float(max(0.0, values[0] - half)), float(min(1.0, values[0] + half))]
    return found


def agreement(one: Array, two: Array) -> float:
    """The share of rows on which two models name the same class, from their logits `(N, C)`."""
    return float((one.argmax(axis=1) == two.argmax(axis=1)).mean()) if len(one) else float("nan")
