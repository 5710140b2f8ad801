"""Real values read off a model's answers: decoders of bins, the interval that a distribution holds, its entropy.

All of it is NumPy on the host, in float64. `p` are probabilities `(N, C)` of bins of equal width over a span.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.tasks import Task

Array = np.ndarray[Any, Any]
HELD = 0.95
"""The probability that an interval holds."""


def is_real(task: Task) -> bool:
    """Whether a task's answers are real values, as bins over a span or directly, rather than classes."""
    return task.classes is None or task.span is not None


def log_probabilities(logits: Array) -> Array:
    """Of logits `(N, C)`, float64."""
    shifted = logits.astype(np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def argmax(p: Array, span: tuple[float, float]) -> Array:
    """The middle of the likeliest bin `(N,)`, the lowest of equals."""
    found: Array = _edges(p, span)[:-1][p.argmax(axis=1)] + (span[1] - span[0]) / p.shape[1] / 2
    return found


def expectation(p: Array, span: tuple[float, float]) -> Array:
    """The mean of the distribution `(N,)`."""
    edges = _edges(p, span)
    found: Array = (p / p.sum(axis=1, keepdims=True)) @ ((edges[:-1] + edges[1:]) / 2)
    return found


DECODERS: dict[str, Callable[[Array, tuple[float, float]], Array]] = {"argmax": argmax, "expectation": expectation}
"""By `Task.decoder`."""


def quantile(p: Array, span: tuple[float, float], share: float) -> Array:
    """The value `(N,)` below which a `share` in (0, 1) of the probability lies; within a bin every value is as
    likely."""
    rows = np.arange(len(p))
    below = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p, axis=1, dtype=np.float64)], axis=1)
    below /= below[:, -1:]
    at = (below[:, 1:-1] < share).sum(axis=1)
    left, right = below[rows, at], below[rows, at + 1]
    found: Array = _edges(p, span)[at] + (share - left) / (right - left) * (span[1] - span[0]) / p.shape[1]
    return found


def interval(p: Array, span: tuple[float, float], held: float = HELD) -> tuple[Array, Array]:
    """Low and high ends `(N,)` of the interval with as much probability below it as above."""
    return quantile(p, span, (1 - held) / 2), quantile(p, span, (1 + held) / 2)


def entropy(p: Array) -> Array:
    """Of each distribution `(N,)`, in nats: 0 where one bin has it all, log C where all are as likely."""
    found: Array = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    return np.maximum(found, 0.0)


def _edges(p: Array, span: tuple[float, float]) -> Array:
    return np.linspace(*span, p.shape[1] + 1)


@dataclass(frozen=True)
class Answers:
    """What a model says in a task's unit, `(N,)` each: `value` by the task's decoder, the ends of the interval that
    holds 95 % of its probability, and its entropy in nats; these three NaN where it gives no distribution."""

    value: Array
    low: Array
    high: Array
    entropy: Array


def binned(task: Task, answers: Array) -> bool:
    """Whether answers `(N, C)` are over the bins of a task; else they are values `(N, 1)`: of a plain regression, or of
    a model that gives no distribution."""
    return task.span is not None and answers.shape[1] == task.classes


def decoded(task: Task, p: Array) -> Answers:
    """Answers from probabilities `(N, C)` of a task's bins, or from values `(N, 1)`."""
    if task.span is None or not binned(task, p):
        value = p[:, 0].astype(np.float64)
        return Answers(value, *(np.full_like(value, np.nan) for _ in range(3)))
    return Answers(DECODERS[task.decoder](p, task.span), *interval(p, task.span), entropy(p))


def answered(task: Task, logits: Array) -> Answers:
    """Answers from logits `(N, C)` of a task's bins, or from values `(N, 1)`."""
    return decoded(task, np.exp(log_probabilities(logits)) if binned(task, logits) else logits)
