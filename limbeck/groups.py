"""Scores by group, as subjects are, and the intervals that are drawn over groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from limbeck import metrics, pixels
from limbeck.tasks import IGNORE, Task
from limbeck.words import MANY

Array = np.ndarray[Any, Any]
T = TypeVar("T")
Interval = list[float] | None
"""95 %; None where there are fewer than 2 groups."""


def named(groups: Array) -> tuple[list[str], Array]:
    """The names of groups in order (s2 before s10), and which of them each row is of, `(N,)`."""
    found, number = np.unique(groups.astype(str), return_inverse=True)
    order = sorted(range(len(found)), key=lambda i: (len(found[i]), found[i]))
    place = np.empty(len(found), int)
    place[order] = np.arange(len(found))
    return [str(found[i]) for i in order], place[number]


def by_group(logits: Array, target: Array, groups: Array, how: Callable[[Array, Array], T]) -> dict[str, T]:
    """A sum (of the kind that `how` makes) for every group, in order of their names."""
    names, number = named(groups)
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(number, minlength=len(names)))[:-1])
    return {name: how(logits[at], target[at]) for name, at in zip(names, parts, strict=True)}


@dataclass(frozen=True)
class Confusions:
    """The confusion matrices `(C, C)` of groups, without their zeros: there may be very many of a single row.

    - `names` of the groups, in order.
    - `group`, `cell`, `rows` `(K,)`: in the matrix of that group (in order) that cell (true * C + predicted) has so
      many rows.
    """

    names: list[str]
    classes: int
    group: Array
    cell: Array
    rows: Array

    @property
    def counts(self) -> Array:
        """Labelled rows of each group `(G,)`."""
        found: Array = np.bincount(self.group, self.rows, len(self.names)).astype(int)
        return found

    def accuracy(self) -> Array:
        """Of each group `(G,)`; NaN where nothing is labelled."""
        right = np.bincount(self.group, self.rows * (self.cell % (self.classes + 1) == 0), len(self.names))
        found: Array = np.divide(right, self.counts, out=np.full(len(right), np.nan), where=self.counts > 0)
        return found

    def matrices(self) -> dict[str, Array]:
        """The confusion matrix of each group that has a label, by name."""
        size, ends = self.classes, np.searchsorted(self.group, np.arange(len(self.names) + 1))
        return {
            name: np.bincount(self.cell[a:b], self.rows[a:b], size**2).astype(int).reshape(size, size)
            for name, (a, b) in zip(self.names, pairwise(ends), strict=True)
            if b > a
        }

    def kinds(self) -> tuple["Confusions", Array]:
        """One group for each different matrix, and how many groups have it; none without a label.

        Groups that are alike stand each by itself unless there are many.
        """
        ends = np.searchsorted(self.group, np.arange(len(self.names) + 1))
        first: dict[object, int] = {}
        times, many = np.zeros(len(self.names), int), len(self.names) > MANY
        for number, (a, b) in enumerate(pairwise(ends)):
            alike = self.cell[a:b].tobytes() + self.rows[a:b].tobytes() if many else number
            times[first.setdefault(alike, number)] += b > a
        kept = times > 0
        place, at = np.cumsum(kept) - 1, kept[self.group]
        names = [name for name, one in zip(self.names, kept, strict=True) if one]
        return Confusions(names, self.classes, place[self.group[at]], self.cell[at], self.rows[at]), times[kept]

    def sums(self, times: Array) -> Array:
        """The matrix `(D, C, C)` of all groups together, each as often as `times` `(D, G)` says."""
        size = self.classes
        drawn = [np.bincount(self.cell, self.rows * each[self.group], size**2) for each in times]
        return np.stack(drawn).reshape(-1, size, size)


def confusions(logits: Array, target: Array, groups: Array) -> Confusions:
    """Of logits `(N, C)` and class ids `(N,)`, by group `(N,)`; rows whose label is missing do not count."""
    names, number = named(groups)
    classes, known = logits.shape[1], target != IGNORE
    cells = target[known] * classes + logits[known].argmax(axis=1)
    found, rows = np.unique(number[known] * classes**2 + cells, return_counts=True)
    return Confusions(names, classes, found // classes**2, found % classes**2, rows)


def intervals(
    found: Confusions, middles: tuple[float, ...] = (), draws: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """95 % intervals over groups of what `metrics.rates` tells, by `bootstrap`."""
    kinds, times = found.kinds()
    return bootstrap(
        times, lambda drawn: metrics.rates(kinds.sums(drawn), middles), metrics.rate_names(middles), draws, seed
    )


def value_intervals(tallies: Mapping[str, metrics.Errors], draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """95 % intervals of MAE and RMSE over groups, by `bootstrap`."""
    sums = np.array(
        [
            (one.sums[0], one.spread[1, 1] + one.count * one.centre[1] ** 2, one.count)
            for one in tallies.values()
            if one.count
        ]
    )

    def read(times: Array) -> dict[str, Array]:
        drawn = times @ sums
        means = drawn[:, :2] / drawn[:, 2:]
        return {"mae": means[:, 0], "rmse": np.sqrt(means[:, 1])}

    return bootstrap(np.ones(len(sums), int), read, ("mae", "rmse"), draws, seed)


def pixel_intervals(task: Task, each: Array, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """95 % intervals over groups of what is told of every pixel, from the sums `(G, K)` of groups that have a label, by
    `bootstrap`."""
    names = tuple(name for name in pixels.NAMES[pixels.kind(task)] if name != "loss")
    return bootstrap(np.ones(len(each), int), lambda times: pixels.rates(task, times @ each), names, draws, seed)


def bootstrap(
    times: Array, read: Callable[[Array], Mapping[str, Array]], names: tuple[str, ...], draws: int, seed: int
) -> dict[str, Interval]:
    """95 % intervals of the scores `(D,)` that `read` makes of how often each kind of group is drawn, `(D, K)`.

    `times` `(K,)` are the groups of each kind. Of n groups all but one are drawn again, which makes the variance
    unbiased, and the standard error is widened by Student's t with n - 1 degrees of freedom, as percentiles are far too
    narrow for a handful of subjects. Nothing but errors in a unit goes beyond 1. None too of what is not a number.
    """
    from scipy.stats import t

    count = int(times.sum())
    if count < 2:
        return dict.fromkeys(names)
    drawn = np.random.default_rng(seed).multinomial(count - 1, times / count, size=draws)
    found: dict[str, Interval] = {}
    made = read(np.concatenate([times[None], drawn]))
    for name in names:
        values = made[name]
        half = t.ppf(0.975, count - 1) * values[1:].std()
        most = np.inf if name in metrics.UNBOUNDED else 1.0
        bounds = [float(max(0.0, values[0] - half)), float(min(most, values[0] + half))]
        found[name] = None if np.isnan(values).any() else bounds
    return found
