"""The scores of folds together, as if of one test."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck import metrics, pixels
from limbeck.finished import AreaScores, ClassScores, PixelScores, Scores, Stats, ValueScores

MEANS = ("bias", *metrics.MEANS)
"""Scores of real values that are means over windows, so that those of folds make that of all."""
AREA = ("rel_err", "abs_err", *pixels.RATIOS, "mean_angle", *pixels.ANGLES, "loss")
"""Those of every pixel that are means over pixels."""


def pooled(folds: Sequence[Scores]) -> Scores:
    """Without what cannot be told from the folds' confusions, means and subjects."""
    subjects = {name: stats for s in folds for name, stats in s.subjects.items()}
    first = folds[0]
    if len(folds) == 1:
        return first
    if isinstance(first, PixelScores):
        return _of_pixels([s for s in folds if isinstance(s, PixelScores)])
    if isinstance(first, AreaScores):
        told = {"subjects": subjects, "median_angle": None, "interval": None, **_means(folds, AREA)}
        return type(first).model_validate({**first.model_dump(), **told})
    if isinstance(first, ValueScores):
        return ValueScores(subjects=subjects, unit=first.unit, **_means(folds, MEANS))
    return _of_classes([s for s in folds if isinstance(s, ClassScores)], subjects)


def _of_classes(folds: Sequence[ClassScores], subjects: dict[str, Stats]) -> ClassScores:
    confusion, first = np.sum([s.confusion for s in folds], axis=0), folds[0]
    return ClassScores(
        n=int(confusion.sum()),
        **{name: float(rate) for name, rate in metrics.rates(confusion, first.middles).items()},
        confusion=confusion.tolist(),
        labels=first.labels,
        middles=first.middles,
        unit=first.unit,
        subjects=subjects,
    )


def _means(folds: Sequence[Scores], keys: Sequence[str]) -> dict[str, Any]:
    """n, what is a mean over windows or pixels, and the RMSE; NaN of what a fold does not tell."""
    weights = np.array([s.n for s in folds], dtype=float)
    known = {key: np.array([s.value(key) for s in folds], dtype=float) for key in (*keys, "rmse")}
    means = {key: float((each**2 if key == "rmse" else each) @ weights / weights.sum()) for key, each in known.items()}
    return {"n": int(weights.sum()), **means, "rmse": means["rmse"] ** 0.5}


def _of_pixels(folds: Sequence[PixelScores]) -> PixelScores:
    """What stands for a subject in the mean IoU moves by how far that of all lies from the mean over the folds'."""
    confusion = np.sum([s.confusion for s in folds], axis=0)
    shares = pixels.iou(confusion)
    miou, parts = float(np.nanmean(shares)), [each for s in folds for each in s.counts.values()]
    moved = miou - float(np.average([value for _, value in parts], weights=[n for n, _ in parts])) if parts else 0.0
    subjects = {
        name: one if one.leverage is None else one.model_copy(update={"leverage": one.leverage + moved})
        for s in folds
        for name, one in s.subjects.items()
    }
    return PixelScores(
        n=int(confusion.sum()),
        miou=miou,
        pixel_accuracy=float(np.trace(confusion) / confusion.sum()),
        loss=_means(folds, ["loss"])["loss"],
        confusion=confusion.tolist(),
        labels=folds[0].labels,
        iou=shares.tolist(),
        size=folds[0].size,
        subjects=subjects,
    )
