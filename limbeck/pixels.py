"""Scores of answers for every pixel: sums over the pixels of each image, which add up, and what is read off them.

The sums are made where the model is, since its answers for all images would not stay in memory. Classes are one
confusion matrix over the pixels of all images, never a mean over images.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck import losses
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]
LAYOUT = 1
"""Of the sums; another number where they mean something else."""
RATIOS = {"delta_1": 1.25, "delta_2": 1.25**2, "delta_3": 1.25**3}
"""A depth is near where neither it nor the truth is so many times the other [Eigen 2014, arXiv:1406.2283]."""
ANGLES = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
"""Degrees below which a direction is near [Fouhey 2013, doi:10.1109/ICCV.2013.421]."""
STEP = 0.1
"""Degrees: the width of the bins that the median of angles is read off."""


def kind(task: Task) -> str:
    """What a task asks for at a pixel: classes, a depth or a direction. Raises `UserError` for any other value."""
    if task.classes is not None and task.span is None:
        return "classes"
    if task.quantity:
        return task.quantity
    raise UserError(f"task {task.name!r} has a plain value at every pixel; only classes, depths and directions can be")


def sums(task: Task, logits: Tensor, target: Tensor) -> Tensor:
    """Of logits `(B, C, H, W)` and targets `(B, H, W)`, or directions `(B, 3, H, W)`: `(B, K)`, float64 on the CPU.

    - classes: the confusion matrix (row true, column predicted), C * C, and the summed cross-entropy.
    - depth: pixels, and the sums of |d - d*|, |d - d*| / d*, (d - d*)^2, and of what is within each of `RATIOS`. What
      has no depth above 0 does not count.
    - direction: pixels, and the sums of the angle in degrees, of 1 - cosine, of what is within each of `ANGLES`, and
      the histogram of angles in bins of `STEP` degrees.
    """
    made = MAKERS[kind(task)](task, logits.float(), target)
    return made.cpu().double()


def _wide(values: Tensor) -> Tensor:
    """In double precision where the device has it."""
    return values if values.device.type == "mps" else values.double()


def _classes(task: Task, logits: Tensor, target: Tensor) -> Tensor:
    known = (target != IGNORE).flatten(1)
    cells = _histogram(target.flatten(1) * logits.shape[1] + logits.argmax(dim=1).flatten(1), known,
                       logits.shape[1] ** 2)  # fmt: skip
    loss = _wide(losses.cross_entropy(logits, target)).flatten(1).sum(dim=1, keepdim=True)
    return torch.cat([cells.to(loss.dtype), loss], dim=1)


def _histogram(number: Tensor, known: Tensor, size: int) -> Tensor:
    """How often each number below `size` is in each row of `(B, P)` where `known` holds, `(B, size)`."""
    rows = torch.arange(len(number), device=number.device).unsqueeze(1) * size
    index = torch.where(known, number + rows, len(number) * size)
    return torch.bincount(index.flatten(), minlength=len(number) * size + 1)[:-1].view(-1, size)


def _depth(task: Task, answer: Tensor, target: Tensor) -> Tensor:
    known, d, truth = measured(target).flatten(1), _wide(answer).flatten(1), _wide(target).flatten(1)
    truth = torch.where(known, truth, 1.0)
    error, times = (d - truth).abs(), _times(d, truth)
    parts = [torch.ones_like(d), error, error / truth, error.square(), *(times < r for r in RATIOS.values())]
    return _summed(parts, known)


def _summed(parts: list[Tensor], known: Tensor) -> Tensor:
    """Sums of values `(B, P)` where `known` holds, `(B, len(parts))`."""
    return torch.stack([torch.where(known, _wide(part), 0.0).sum(dim=1) for part in parts], dim=1)


def _times(one: Tensor, two: Tensor) -> Tensor:
    """How many times the smaller the larger is; infinite where either is not above 0."""
    return torch.where((one > 0) & (two > 0), torch.maximum(one / two, two / one), torch.inf)


def _direction(task: Task, answer: Tensor, target: Tensor) -> Tensor:
    known, angle = directed(target).flatten(1), _angle(answer, target).flatten(1)
    parts = [torch.ones_like(angle), angle, 1 - angle.deg2rad().cos(), *(angle < a for a in ANGLES.values())]
    size = round(180 / STEP)
    number = (angle.nan_to_num(180.0) / STEP).long().clamp(0, size - 1)
    histogram = _histogram(number, known, size)
    found = _summed(parts, known)
    return torch.cat([found, histogram.to(found.dtype)], dim=1)


def _angle(one: Tensor, two: Tensor) -> Tensor:
    """Degrees between vectors `(B, 3, H, W)`, `(B, H, W)`; 90 where one has no length."""
    cosine = F.cosine_similarity(_wide(one), _wide(two.nan_to_num(0.0)), dim=1)
    return cosine.clamp(-1, 1).acos().rad2deg()


def measured(target: Tensor) -> Tensor:
    """Where a depth is known: finite and above 0, bool."""
    return (target > 0) & target.isfinite()


def directed(target: Tensor) -> Tensor:
    """Where a direction `(B, 3, H, W)` is known: no NaN, and not without length; bool `(B, H, W)`."""
    return target.square().sum(dim=1) > 0.25


MAKERS: dict[str, Callable[[Task, Tensor, Tensor], Tensor]] = {
    "classes": _classes, "depth": _depth, "direction": _direction,
}  # fmt: skip


def alike(task: Task, one: Tensor, two: Tensor, target: Tensor) -> Tensor:
    """Of the logits of two models: labelled pixels, and those on which they agree, `(2,)` float64 on the CPU. They name
    the same class, neither depth is 1.25 times the other, or the directions are less than 11.25 degrees apart."""
    asked = kind(task)
    if asked == "classes":
        known, same = target != IGNORE, one.argmax(dim=1) == two.argmax(dim=1)
    elif asked == "depth":
        known, same = measured(target.squeeze(1)), _times(one.squeeze(1), two.squeeze(1)) < RATIOS["delta_1"]
    else:
        known, same = directed(target), _angle(one, two) < ANGLES["within_11"]
    return torch.stack([known.sum(), (known & same).sum()]).cpu().double()


def pixels(task: Task, totals: Array) -> Array:
    """How many pixels sums `(..., K)` are of, `(...)`."""
    found: Array = totals[..., :-1].sum(axis=-1) if kind(task) == "classes" else totals[..., 0]
    return found


def confusion(task: Task, totals: Array) -> Array:
    """Of sums `(..., K)`, `(..., C, C)`."""
    size = task.classes or 0
    return totals[..., :-1].reshape(*totals.shape[:-1], size, size)


def iou(matrix: Array) -> Array:
    """Of each class `(..., C)` from confusions `(..., C, C)`: what is both true and predicted of what is either; NaN
    for a class that is neither anywhere."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(float)
    either = matrix.sum(axis=-2) + matrix.sum(axis=-1) - hits
    each: Array = np.divide(hits, either, out=np.full(hits.shape, np.nan), where=either > 0)
    return each


def rates(task: Task, totals: Array) -> dict[str, Array]:
    """All scores `(...)` of sums `(..., K)`, each of at least one pixel; what the task is judged by comes first.

    The mean IoU is over the classes that are true or predicted somewhere. RMSE is over the pixels of all images.
    """
    asked, count = kind(task), pixels(task, totals)
    if asked == "classes":
        matrix = confusion(task, totals)
        right = np.trace(matrix, axis1=-2, axis2=-1)
        return {
            "miou": np.nanmean(iou(matrix), axis=-1), "pixel_accuracy": right / count, "loss": totals[..., -1] / count,
        }  # fmt: skip
    means = np.moveaxis(totals[..., 1:6] if asked == "direction" else totals[..., 1:7], -1, 0) / count
    if asked == "depth":
        error, relative, square, *near = means
        found = {"rel_err": relative, "abs_err": error, "rmse": np.sqrt(square)}
        return found | dict(zip(RATIOS, near, strict=True)) | {"loss": error}
    angle, apart, *near = means
    found = {"mean_angle": angle, "median_angle": _median(totals[..., 6:], count)}
    return found | dict(zip(ANGLES, near, strict=True)) | {"loss": apart}


def _median(histogram: Array, count: Array) -> Array:
    """Degrees `(...)` below which half of a histogram `(..., bins)` lies; within a bin every angle is as likely."""
    half, below = np.asarray(count)[..., None] / 2, np.cumsum(histogram, axis=-1)
    at = (below < half).sum(axis=-1, keepdims=True)
    inside, upto = (np.take_along_axis(each, at, axis=-1) for each in (histogram, below))
    found: Array = ((at + 1 - (upto - half) / inside) * STEP)[..., 0]
    return found


def scores(task: Task, total: Array) -> dict[str, float]:
    """n (pixels) and all that `rates` tells of sums `(K,)`; NaN where nothing is labelled."""
    count = int(pixels(task, total))
    if not count:
        return {"n": 0} | dict.fromkeys(NAMES[kind(task)], math.nan)
    return {"n": count} | {name: float(value) for name, value in rates(task, total).items()}


NAMES = {
    "classes": ("miou", "pixel_accuracy", "loss"),
    "depth": ("rel_err", "abs_err", "rmse", *RATIOS, "loss"),
    "direction": ("mean_angle", "median_angle", *ANGLES, "loss"),
}
"""What `rates` tells, by kind."""


def leverage(task: Task, each: Array, images: Array) -> Array:
    """Values `(G,)` of groups whose mean, weighted by their `images` `(G,)`, is the mean IoU of sums `(G, K)` together,
    and varies as that does when groups are drawn again: infinitesimal jackknife [Efron 1982,
    doi:10.1137/1.9781611970319]. One of them alone is no score and may lie outside 0..1."""
    matrices = confusion(task, each)
    whole = matrices.sum(axis=0)
    shares, hits = iou(whole), np.diagonal(matrices, axis1=-2, axis2=-1)
    either = matrices.sum(axis=-2) + matrices.sum(axis=-1) - hits
    told = ~np.isnan(shares)
    moved = ((hits - shares * either)[:, told] / either.sum(axis=0)[told]).mean(axis=1)
    found: Array = np.nanmean(shares) + moved * images.sum() / images
    return found
