"""By how much one model is better than another over several tasks: Delta_m, in percent, under its two definitions.

Both are means over tasks of relative changes, signed so that more is better; 0 for the same scores. They differ in how
many scores of a task count, and are not to be compared with each other.

- `average_gain`: the mean over the `COUNTED` first scores of each task, as in LibMTL [Lin 2023, JMLR 24(209)]: mean IoU
  and pixel accuracy, relative and absolute error, mean and median angle, accuracy and macro-F1, MAE and RMSE.
- `headline_gain`: only what the task is judged by, as in [Vandenhende 2021, arXiv:2004.13379].
"""

import math
from collections.abc import Mapping
from typing import Any

from limbeck.errors import UserError
from limbeck.finished import Scores
from limbeck.measures import Measures, family

COUNTED = 2
"""Scores of a task that `average_gain` takes."""
Told = Mapping[str, Any] | Scores
"""The scores of a task: plain as `scores.json` has them, or read."""


def average_gain(new: Mapping[str, Told], base: Mapping[str, Told]) -> float:
    """Delta_m over the first scores of each task, by task. NaN where a score is missing, or 0 in `base`. Raises
    `UserError` where the tasks are not the same."""
    return _gain(new, base, COUNTED)


def headline_gain(new: Mapping[str, Told], base: Mapping[str, Told]) -> float:
    """Delta_m over one score a task, that which it is judged by; else as `average_gain`."""
    return _gain(new, base, 1)


def _gain(new: Mapping[str, Told], base: Mapping[str, Told], count: int) -> float:
    if set(new) != set(base) or not new:
        one, two = (", ".join(each) or "none" for each in (new, base))
        raise UserError(f"a gain is over the same tasks: one model has {one}, the other {two}")
    each = [_of_task(new[task], base[task], count) for task in new]
    return 100 * sum(each) / len(each)


def _of_task(new: Told, base: Told, count: int) -> float:
    """The mean relative change of the first scores of a task."""
    told = _measures(base)[:count]
    changes = [measure.good(_relative(_value(new, measure.key), _value(base, measure.key))) for measure in told]
    return sum(changes) / len(changes)


def _relative(new: float, base: float) -> float:
    return (new - base) / base if base else math.nan


def _measures(told: Told) -> Measures:
    return told.measures if isinstance(told, Scores) else family(told)


def _value(told: Told, key: str) -> float:
    """A score by its key; NaN where it is missing."""
    value = told.value(key) if isinstance(told, Scores) else told.get(key)
    return math.nan if value is None else float(value)
