"""All scores of the answers to one task, as `scores.json` has them: overall, by group, and with intervals."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from limbeck import groups, metrics, pixels
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


def dense(task: Task, sums: Array, size: int, meta: Mapping[str, Array], everyone: bool = True) -> dict[str, Any]:
    """Of the sums `(N, K)` that `pixels` made of answers for every pixel, to images of `size` pixels.

    `n` are labelled pixels. A subject's `leverage`, where classes are asked for, is what stands for its part in the
    mean IoU: that is no mean over subjects, but the mean of these.
    """
    names, number = groups.named(meta["subject"])
    each, images = np.zeros((len(names), sums.shape[1])), np.bincount(number, minlength=len(names))
    np.add.at(each, number, sums)
    known = pixels.pixels(task, each) > 0
    each, images = each[known], images[known]
    whole = pixels.scores(task, each.sum(axis=0))
    people = [pixels.scores(task, one) | {"images": int(count)} for one, count in zip(each, images, strict=True)]
    few = len(people) <= MANY
    kept = ("n", "images", *(pixels.NAMES[pixels.kind(task)][: None if few else 1]))
    rows = [_plain({k: one[k] for k in kept if k != "loss"}) for one in people]
    if pixels.kind(task) == "classes" and rows:
        for row, value in zip(rows, pixels.leverage(task, each, images).tolist(), strict=True):
            row["leverage"] = value
    named = [name for name, one in zip(names, known, strict=True) if one]
    return {
        **_plain(whole),
        **_about(task, each.sum(axis=0)),
        "size": size,
        "subjects": dict(zip(named, rows, strict=True)) if few or everyone else {},
        "interval": groups.pixel_intervals(task, each),
    }


def _about(task: Task, total: Array) -> dict[str, Any]:
    """What else is told of answers for every pixel."""
    if pixels.kind(task) != "classes":
        return {"unit": task.unit} if pixels.kind(task) == "depth" else {}
    matrix = pixels.confusion(task, total)
    return {
        "labels": list(task.labels) or [str(c) for c in range(task.classes or 0)],
        "confusion": matrix.astype(int).tolist(),
        "iou": [None if np.isnan(share) else float(share) for share in pixels.iou(matrix)],
    }
