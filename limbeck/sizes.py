"""Errors measured at several sizes of a model, and how sure they are together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.errors import UserError
from limbeck.statistics import Counts, drawn

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Measured:
    """What was measured at each of n sizes, over the R seeds that all sizes have.

    `means` (n,) are over windows of all seeds, `each` (n, R) of one seed; `covariance` (n, n) is that of the means were
    seeds and subjects drawn again, with so many degrees of `freedom`, `over` what was drawn; None where nothing can be.
    """

    sizes: Array
    means: Array
    each: Array
    covariance: Array | None
    freedom: float
    over: str


def measured(by_size: Mapping[float, Counts], draws: int = 4000, seed: int = 0) -> Measured:
    """The errors by size, each from windows and mean error by seed and subject.

    Seeds and subjects are drawn again together, the same for every size, all but one of each: see `statistics.paired`.
    Raises `UserError` where the sizes share no seed, or a size has no window.
    """
    sizes = sorted(by_size)
    seeds = [s for s in by_size[sizes[0]] if all(s in by_size[size] for size in sizes)] if sizes else []
    if not seeds:
        raise UserError("no seed was run at every size, so errors cannot be held against each other along the sizes")
    names = list(dict.fromkeys(name for size in sizes for s in seeds for name in by_size[size][s]))
    cells = [[[by_size[size][s].get(name, (0, 0.0)) for name in names] for s in seeds] for size in sizes]
    windows = np.array([[[n for n, _ in row] for row in rows] for rows in cells], dtype=float)
    sums = windows * np.array([[[value for _, value in row] for row in rows] for rows in cells])
    if not windows.sum(axis=2).all():
        raise UserError("a size has no window with a label in one of its seeds, so it has no error")
    means, each = sums.sum(axis=(1, 2)) / windows.sum(axis=(1, 2)), sums.sum(axis=2) / windows.sum(axis=2)
    freedom = {"seeds": len(seeds) - 1, "subjects": len(names) - 1}
    over = [name for name, count in freedom.items() if count]
    if not over:
        return Measured(np.array(sizes), means, each, None, 0.0, "")
    draw = np.random.default_rng(seed)
    weights = {name: drawn(np.ones(count + 1), draws, draw) for name, count in freedom.items()}
    still = {name: np.ones_like(w) for name, w in weights.items()}
    covariance = _covariance(sums, windows, **weights)
    alone = {name: float(np.trace(_covariance(sums, windows, **{**still, name: weights[name]}))) for name in over}
    total = sum(v**2 / freedom[name] for name, v in alone.items())
    free = sum(alone.values()) ** 2 / total if total else float(min(freedom[name] for name in over))
    return Measured(np.array(sizes), means, each, covariance, free, " and ".join(over))


def _covariance(sums: Array, windows: Array, seeds: Array, subjects: Array) -> Array:
    """Of the means (n,) over the draws; a draw without a window at some size does not count."""
    totals = [np.einsum("nrs,dr,ds->dn", each, seeds, subjects, optimize=True) for each in (sums, windows)]
    whole = (totals[1] > 0).all(axis=1)
    covariance: Array = np.atleast_2d(np.cov(totals[0][whole] / totals[1][whole], rowvar=False))
    return covariance
