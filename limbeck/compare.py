"""Runs side by side: grouped by data and split, seeds of one method together, differences with their intervals."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from limbeck import words
from limbeck.errors import UserError
from limbeck.finished import STUDENT, Finished, Model, Scores, leaves, text
from limbeck.measures import Measure, Measures
from limbeck.statistics import Difference, Estimate, average, over_seeds, paired

LEAK = "leaky split: one subject is on both sides"


def distinct(scores: Sequence[Scores], trained: bool) -> list[Scores]:
    """As they are, but what was not trained (trees), and so is the same for each seed, once."""
    return list(scores) if trained else list({s.model_dump_json(): s for s in scores}.values())


def estimate(scores: Sequence[Scores], measure: Measure) -> Estimate:
    """The mean of a score over seeds, with an interval over all that can be drawn again: of what the task is judged by
    seeds and subjects, of another score the seeds alone, or its subjects where there is one seed."""
    if measure == scores[0].measures[0] and all(s.counts for s in scores):
        return average({seed: s.counts for seed, s in enumerate(scores)}, measure.bounds)
    values = [v for s in scores if (v := s.value(measure.key)) is not None]
    if len(values) > 1:
        return over_seeds(values, measure.bounds)
    # What is kept by subject cannot give this score again; its interval was made when the run was scored.
    bounds = (scores[0].interval or {}).get(measure.key)
    return Estimate(values[0], *bounds, "subjects") if bounds else Estimate(values[0])


@dataclass(frozen=True)
class Entry:
    """A row of the comparison: one model of one method, over its seeds. `style` numbers the method."""

    method: str
    model: str
    runs: tuple[Finished, ...]
    style: int
    _known: dict[tuple[str, str], Estimate | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def alone(self) -> bool:
        """Whether the method's name is its own: a student, what was not trained, a teacher that several methods
        share."""
        return self.model == STUDENT or (self.model == self.method != self.runs[0].method)

    @property
    def role(self) -> str:
        """What it is of its method: student, classical where nothing was trained, or which teacher."""
        if self.size.parameters is None:
            return "classical"
        return "teacher" if self.model == self.method else self.model

    @property
    def name(self) -> str:
        """As it is called in a legend."""
        return self.method if self.alone else f"{self.method}, {self.role}"

    @property
    def size(self) -> Model:
        """Its parameters or nodes."""
        return self.runs[0].scored.models[self.model]

    @property
    def seeds(self) -> set[Any]:
        """Those that it was run with."""
        return {run.seed for run in self.runs}

    def by_seed(self, task: str) -> dict[Any, Scores]:
        """The scores on the test; of runs that share a seed, as those of trees do, the last's."""
        tested = [(run.seed, run.scored.models[self.model].parts.get("test", {})) for run in self.runs]
        return {seed: tasks[task] for seed, tasks in tested if task in tasks}

    def scores(self, task: str) -> list[Scores]:
        """Those of each seed; once where all are the same because nothing was trained."""
        return distinct([*self.by_seed(task).values()], self.size.parameters is not None)

    def estimate(self, task: str, measure: Measure) -> Estimate | None:
        """Mean and interval of a score; None where no run has it."""
        if (task, measure.key) not in self._known:  # asked for often, and drawn from thousands of subjects
            scores = [s for s in self.scores(task) if s.value(measure.key) is not None]
            self._known[task, measure.key] = estimate(scores, measure) if scores else None
        return self._known[task, measure.key]

    def curve(self, read: Callable[[Finished], Mapping[float, float]]) -> list[tuple[float, float, float, float]]:
        """(epoch, mean, lowest, highest) over seeds of what `read` finds in a run by epoch, where all seeds have it."""
        found = [read(run) for run in self.runs]
        shared = sorted(set.intersection(*map(set, found)))
        return [(x, fmean(values), min(values), max(values)) for x in shared for values in [[f[x] for f in found]]]


def difference(one: Entry, two: Entry, task: str) -> Difference:
    """By how much one score on the test lies above another, over the seeds that both have and the subjects.

    Where they share no seed, they are paired in order: that is as valid, if less sharp. Raises `UserError` where they
    share no test subject.
    """
    higher = one.scores(task)[0].measures[0].higher
    ours, theirs = ({seed: s.counts for seed, s in e.by_seed(task).items()} for e in (one, two))
    if not ours.keys() & theirs.keys():
        ours, theirs = (dict(enumerate(counts.values())) for counts in (ours, theirs))
    found = paired(ours, theirs, higher=higher)
    if found is None:
        raise UserError(f"{one.name} and {two.name} have no test subject in common on {task}, so they do not compare")
    return found


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
    def audit(self) -> dict[str, Any]:
        """What is in the parts of the split, and what they share."""
        found: dict[str, Any] = self.runs[0].splits["audit"]
        return found

    @property
    def samples(self) -> str:
        """What the samples are called: windows, images."""
        return words.samples(self.runs[0].card)

    @property
    def people(self) -> str:
        """What is drawn again beside seeds: subjects, or samples where no subject of the test has two."""
        test = self.audit["test"]
        return self.samples if words.subjects(test) == test["windows"] else "subjects"

    @property
    def tasks(self) -> list[str]:
        """All tasks that any entry was tested on, in order."""
        return list(dict.fromkeys(t for e in self.entries for t in e.runs[0].scored.models[e.model].parts["test"]))

    def measures(self, task: str) -> Measures:
        """What is told of a task, the first being what it is judged by."""
        return next(s.measures for e in self.entries for s in e.scores(task))

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
    entries = _once(entries)
    # What has no parameters was not trained by a method: it is one row, whichever run scored it.
    classical = dict.fromkeys(m for run in runs for m, size in run.scored.models.items() if size.parameters is None)
    for style, model in enumerate(classical, len(ordered)):
        entries.append(Entry(model, model, tuple(r for r in runs if model in r.scored.models), style))
    return entries


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, but a teacher that several methods share, which is the same in all, by its own name and once."""
    alike: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        scores = (
            () if entry.model == STUDENT else (run.scored.models[entry.model].model_dump_json() for run in entry.runs)
        )
        key = (entry.method,) if entry.model == STUDENT else (entry.model, *scores)
        alike.setdefault(key, []).append(entry)
    return [each[0] if len(each) == 1 else replace(each[0], method=each[0].model) for each in alike.values()]


def _methods(runs: Sequence[Finished]) -> dict[str, list[Finished]]:
    """Runs by the name of their method; where two differ under one name, what they differ in joins the name."""
    variants: dict[str, dict[str, list[Finished]]] = {}
    for run in runs:
        variants.setdefault(run.method, {}).setdefault(json.dumps(_identity(run), sort_keys=True), []).append(run)
    named = {}
    for method, members in variants.items():
        values = [json.loads(key) for key in members]
        for value, group in zip(values, members.values(), strict=True):
            how = ", ".join(_differing(value, values))
            named[f"{method} ({how})" if how else method] = group
    return named


def _differing(value: Mapping[str, Any], values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a recipe's values differ in from those of others; of a spec, from those whose spec there is of its kind."""
    for path in dict.fromkeys(path for other in values for path in other):
        spec = path.rpartition(".")[0]
        alike = [other for other in values if other.get(spec) == value.get(spec)]
        if len({text(other.get(path)) for other in alike}) > 1:
            yield f"{path} {text(value[path])}" if path in value else f"no {path}"


def _identity(run: Finished) -> dict[str, Any]:
    """What makes two runs of one group the same method: all of the recipe but its seed, its machine and its data."""
    apart = ("plan.seed", "plan.device", "plan.threads", "data", "split")
    return {p: v for p, v in leaves(run.recipe) if p not in apart and not p.startswith(("data.", "split."))}
