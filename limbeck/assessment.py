"""All scores of the answers to one task, as `scores.json` has them: overall, by group, and with intervals."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from limbeck import groups, metrics
from limbeck.batch import DOMAIN
from limbeck.tasks import Task
from limbeck.values import is_real
from limbeck.words import MANY

Array = np.ndarray[Any, Any]
GROUPS = ("subject", "activity")
"""What real values are scored by, of what a table tells."""
EACH = ("n", "mae", "rmse", "r", "within_5", "bias")
"""Of each such group."""


def scores(
    task: Task, answer: Array, target: Array, meta: Mapping[str, Array], everyone: bool = True
) -> dict[str, Any]:
    """Of answers `(N, C)` to targets `(N,)`, by what `meta` tells of the rows.

    Of more than `words.MANY` subjects each has little more than what the task is judged by, and none without
    `everyone`.
    """
    return (_values if is_real(task) else _classes)(task, answer, target, meta, everyone)


def _classes(task: Task, answer: Array, target: Array, meta: Mapping[str, Array], everyone: bool) -> dict[str, Any]:
    subjects, whole = groups.confusions(answer, target, meta["subject"]), metrics.tally(answer, target)
    return {
        **metrics.scores(whole, task.middles),
        "labels": list(task.labels) or [str(c) for c in range(task.classes or 0)],
        **({"middles": list(task.middles), "unit": task.unit} if task.middles else {}),
        "confusion": whole.confusion.tolist(),
        "subjects": _people(subjects, task.middles, everyone),
        **({"domains": _rated(groups.confusions(answer, target, meta[DOMAIN]), task.middles)} if _joint(meta) else {}),
        "interval": groups.intervals(subjects, task.middles),
    }


def _joint(meta: Mapping[str, Array]) -> bool:
    """Whether rows are of several data sets."""
    return DOMAIN in meta and len(set(meta[DOMAIN].tolist())) > 1


def _people(subjects: groups.Confusions, middles: tuple[float, ...], everyone: bool) -> dict[str, dict[str, Any]]:
    """The scores of each subject that has a label."""
    if len(subjects.names) <= MANY:
        return _rated(subjects, middles)
    each = zip(subjects.names, subjects.counts.tolist(), subjects.accuracy().tolist(), strict=True)
    return {name: {"n": n, "accuracy": accuracy} for name, n, accuracy in each if n} if everyone else {}


def _rated(found: groups.Confusions, middles: tuple[float, ...]) -> dict[str, dict[str, Any]]:
    """What `metrics.rates` tells of each group that has a label."""
    return {
        name: {"n": int(matrix.sum())} | {k: float(v) for k, v in metrics.rates(matrix, middles).items()}
        for name, matrix in found.matrices().items()
    }


def _values(task: Task, answer: Array, target: Array, meta: Mapping[str, Array], everyone: bool) -> dict[str, Any]:
    known = {what: meta[what] for what in GROUPS if what in meta} | ({"data set": meta[DOMAIN]} if _joint(meta) else {})
    by = {what: groups.by_group(answer, target, of, partial(metrics.errors, task)) for what, of in known.items()}
    subjects = by.pop("subject")
    whole = metrics.value_scores(sum(list(subjects.values())[1:], start=next(iter(subjects.values()))))
    few = len(subjects) <= MANY
    return {
        **_plain(whole),
        "subjects": _each(subjects, EACH if few else EACH[:2]) if few or everyone else {},
        "groups": {what: _each(each, EACH) for what, each in by.items()},
        "interval": groups.value_intervals(subjects),
        "unit": task.unit,
    }


def _each(found: Mapping[str, metrics.Errors], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The scores of each group that is known and has a label."""
    scores = {name: metrics.value_scores(one) for name, one in found.items() if name and one.count}
    return {name: _plain({k: one[k] for k in keys}) for name, one in scores.items()}


def _plain(scores: Mapping[str, Any]) -> dict[str, Any]:
    """With None for what is not a number, and for limits that are none."""
    nothing = {k for k, v in scores.items() if np.isnan(v).any()}
    return {k: None if k in nothing else v for k, v in scores.items()}
