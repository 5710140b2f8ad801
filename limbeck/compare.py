"""Runs side by side: grouped by data and split, seeds of one method together, differences with their intervals."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import Any

from limbeck.finished import STUDENT, Finished, Model, Scores, leaves, text

LEAK = "leaky split: windows of one subject on both sides"


@dataclass(frozen=True)
class Estimate:
    """A mean score with a 95 % interval `over` seeds (Student's t) or subjects (bootstrap), if any."""

    mean: float
    low: float | None = None
    high: float | None = None
    over: str = ""


@dataclass(frozen=True)
class Entry:
    """A row of the comparison: one model of one method, over its seeds. `style` numbers the method."""

    method: str
    model: str
    runs: tuple[Finished, ...]
    style: int

    @property
    def name(self) -> str:
        """As it is called in a legend."""
        return self.method if self.model in (STUDENT, self.method) else f"{self.method}, {self.model}"

    @property
    def size(self) -> Model:
        """Its parameters or nodes."""
        return self.runs[0].scored.models[self.model]

    def scores(self, task: str, part: str = "test") -> list[Scores]:
        """One for each seed; seeds that agree in everything (trees are not drawn anew by each method) count once."""
        found = [
            tasks[task] for run in self.runs if task in (tasks := run.scored.models[self.model].parts.get(part, {}))
        ]
        return list({s.model_dump_json(): s for s in found}.values()) if self.size.parameters is None else found

    def estimate(self, task: str, metric: str, part: str = "test") -> Estimate | None:
        """Mean and interval of a score; None where no run has it."""
        scores = [s for s in self.scores(task, part) if getattr(s, metric) is not None]
        if not scores:
            return None
        values = [getattr(s, metric) for s in scores]
        mean, count = fmean(values), len(values)
        if count > 1:
            half = _t(count - 1) * stdev(values) / math.sqrt(count)
            return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), "seeds")
        bounds = (scores[0].interval or {}).get(metric)
        return Estimate(mean, *bounds, "subjects") if bounds else Estimate(mean)

    def curve(self, read: Callable[[Finished], Mapping[float, float]]) -> list[tuple[float, float, float, float]]:
        """(epoch, mean, lowest, highest) over seeds of what `read` finds in a run by epoch, where all seeds have it."""
        found = [read(run) for run in self.runs]
        shared = sorted(set.intersection(*map(set, found)))
        return [(x, fmean(values), min(values), max(values)) for x in shared for values in [[f[x] for f in found]]]


@dataclass(frozen=True)
class Difference:
    """How far one entry's accuracy lies above another's, with a 95 % interval where one can be given."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval excludes 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


def difference(one: Entry, two: Entry, task: str) -> Difference:
    """Of accuracy on the test. Paired by subject, as both answered for the same windows.

    The variance adds what subjects contribute (cluster-robust, of the seeds' mean) and what each method's seeds do; the
    degrees of freedom of the t interval are Satterthwaite's. With few subjects or seeds it is wide, as it should be.
    """
    ours, theirs = one.scores(task), two.scores(task)
    mean = fmean(s.accuracy or 0.0 for s in ours) - fmean(s.accuracy or 0.0 for s in theirs)
    parts = [
        (variance(v) / len(v), len(v) - 1) for side in (ours, theirs) if len(v := [s.accuracy or 0.0 for s in side]) > 1
    ]
    subjects = [name for name in ours[0].subjects if all(name in s.subjects for s in (*ours, *theirs))]
    if len(subjects) > 1:
        weights = [ours[0].subjects[name].n for name in subjects]
        gaps = [_of_subject(ours, name) - _of_subject(theirs, name) for name in subjects]
        centre = sum(w * g for w, g in zip(weights, gaps, strict=True)) / sum(weights)
        spread = sum((w * (g - centre)) ** 2 for w, g in zip(weights, gaps, strict=True)) / sum(weights) ** 2
        parts.append((spread * len(subjects) / (len(subjects) - 1), len(subjects) - 1))
    if not parts:
        return Difference(mean)
    total = sum(v for v, _ in parts)
    if not total:
        return Difference(mean, mean, mean)
    half = _t(total**2 / sum(v**2 / df for v, df in parts)) * math.sqrt(total)
    return Difference(mean, mean - half, mean + half)


def _of_subject(scores: Sequence[Scores], name: str) -> float:
    return fmean(s.subjects[name].accuracy or 0.0 for s in scores)


def _t(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


@dataclass(frozen=True)
class Group:
    """Runs of one data set and one split, which may be compared. The first entry is the student that is reported on."""

    runs: tuple[Finished, ...]
    entries: tuple[Entry, ...]

    @property
    def data(self) -> str:
        """The name of the data."""
        return str(self.runs[0].card["name"])

    @property
    def split(self) -> str:
        """The split in words."""
        kind, *rest = leaves(self.runs[0].splits["split"])
        return f"{kind[1]}" + (f" ({', '.join(f'{k} {text(v)}' for k, v in rest if v != [])})" if rest else "")

    @property
    def leaky(self) -> bool:
        """Whether a subject is on both sides of the split."""
        return any(run.splits["leaky"] for run in self.runs)

    @property
    def tasks(self) -> list[str]:
        """All tasks that any entry was tested on, in order."""
        return list(dict.fromkeys(t for e in self.entries for t in e.runs[0].scored.models[e.model].parts["test"]))

    @property
    def students(self) -> list[Entry]:
        """The entries that are students."""
        return [e for e in self.entries if e.model == STUDENT]


def groups(runs: Sequence[Finished]) -> list[Group]:
    """Runs that share data and split, together; in order of first mention."""
    found: dict[str, list[Finished]] = {}
    for run in runs:
        key = json.dumps([run.card.get("digest"), run.card["name"], run.splits["split"]], sort_keys=True)
        found.setdefault(key, []).append(run)
    return [Group(tuple(members), tuple(_entries(members))) for members in found.values()]


def plain(entry: Entry) -> bool:
    """Whether it learnt from labels alone: every loss term is named as a task is."""
    run = entry.runs[0]
    return set(run.terms) <= set(run.scored.models[entry.model].parts["test"])


def _entries(runs: Sequence[Finished]) -> list[Entry]:
    methods = _methods(runs)
    # The method that the recipe is named for leads, else the first that does more than learn from labels.
    students = [Entry(name, STUDENT, tuple(members), 0) for name, members in methods.items()]
    lead = min(students, key=lambda e: (e.runs[0].method != e.runs[0].recipe["kind"], plain(e)))
    ordered = [lead, *(e for e in students if e is not lead)]
    entries = [
        Entry(student.method, model, student.runs, style)
        for style, student in enumerate(ordered)
        for model, size in sorted(student.runs[0].scored.models.items(), key=lambda item: item[0] != STUDENT)
        if size.parameters is not None
    ]
    # What has no parameters was not trained by a method: it is one row, whichever run scored it.
    classical = dict.fromkeys(m for run in runs for m, size in run.scored.models.items() if size.parameters is None)
    for style, model in enumerate(classical, len(ordered)):
        entries.append(Entry(model, model, tuple(r for r in runs if model in r.scored.models), style))
    return entries


def _methods(runs: Sequence[Finished]) -> dict[str, list[Finished]]:
    """Runs by the name of their method; where two differ under one name, what they differ in joins the name."""
    variants: dict[str, dict[str, list[Finished]]] = {}
    for run in runs:
        variants.setdefault(run.method, {}).setdefault(json.dumps(_identity(run), sort_keys=True), []).append(run)
    named = {}
    for method, members in variants.items():
        values = [json.loads(key) for key in members]
        differing = [
            path for path in dict.fromkeys(p for v in values for p in v) if len({text(v.get(path)) for v in values}) > 1
        ]
        for value, group in zip(values, members.values(), strict=True):
            how = ", ".join(f"{path} {text(value[path])}" if path in value else f"no {path}" for path in differing)
            named[f"{method} ({how})" if how else method] = group
    return named


def _identity(run: Finished) -> dict[str, Any]:
    """What makes two runs of one group the same method: all of the recipe but its seed, its machine and its data."""
    apart = ("plan.seed", "plan.device", "plan.threads", "data", "split")
    return {p: v for p, v in leaves(run.recipe) if p not in apart and not p.startswith(("data.", "split."))}
