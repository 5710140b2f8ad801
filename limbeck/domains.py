"""Scores by the data set that a sample came from, where several are joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from limbeck.compare import Group
from limbeck.finished import ClassScores, Stats
from limbeck.measures import Measure


@dataclass(frozen=True)
class BySet:
    """What a task is judged by, on the test of each data set that labels it.

    - `counts`: labelled samples of each set.
    - `rows`: of each entry, in the order of the group's, the mean over its seeds; None where it was not tested there.
    """

    judge: Measure
    counts: Mapping[str, int]
    rows: Sequence[Sequence[float | None]]


def by_set(group: Group) -> dict[str, BySet]:
    """By task; without those that only one data set labels."""
    found = {}
    for task in group.tasks:
        each = [[s.domains for s in e.scores(task) if isinstance(s, ClassScores)] for e in group.entries]
        counts = {name: one.n for seeds in each for domains in seeds for name, one in domains.items()}
        if len(counts) > 1:
            judge = group.measures(task)[0]
            found[task] = BySet(judge, counts, [[_mean(seeds, name, judge) for name in counts] for seeds in each])
    return found


def _mean(seeds: Sequence[Mapping[str, Stats]], name: str, judge: Measure) -> float | None:
    values = [v for domains in seeds if name in domains and (v := getattr(domains[name], judge.key)) is not None]
    return fmean(values) if values else None
