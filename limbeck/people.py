"""What each test subject scored in a study: `subjects.csv`, and tables by subject for `table.md`."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from limbeck import checkpoint
from limbeck.finished import STUDENT, Stats
from limbeck.grid import in_words
from limbeck.measures import Measure
from limbeck.results import REPEATS, Group, Result, columns, compared, pools, results, tested
from limbeck.tables import page
from limbeck.words import LISTED, MANY

REPEATED = ("seeds", "draws of the split", "folds")
"""`REPEATS` in words."""
FOOT = (
    "At the foot each subject counts once, however many windows it has; in the tables further up each window does. "
    "The standard deviation is that of subjects (by n − 1)."
)
Scored = Mapping[tuple[str, ...], Mapping[str, float]]
"""By what repeats a run, by subject: what the task is judged by."""


@dataclass(frozen=True)
class People:
    """What the student scored on each test subject, of one task and all else that is the same in one table.

    - `columns`: by the value of the compared axis.
    - `known`: how many subjects the data have, tested or not.
    """

    group: Group
    task: str
    measure: Measure
    columns: Mapping[str, Scored]
    known: int

    @property
    def subjects(self) -> list[str]:
        """All that were tested, in order of their names."""
        return _ordered({name for runs in self.columns.values() for each in runs.values() for name in each})

    @property
    def shared(self) -> list[str]:
        """Those that every column has: means over others would not compare."""
        return [name for name in self.subjects if all(self.scores(column, name) for column in self.columns)]

    def scores(self, column: str, subject: str) -> dict[tuple[str, ...], float]:
        """The subject's score in each run that tested it."""
        return {key: each[subject] for key, each in self.columns[column].items() if subject in each}


def people(found: Sequence[Result], axis: str) -> list[People]:
    """A table for each task and group, the values of `axis` being its columns; none of a task without subjects.

    Folds and other repeats are averaged over even where they are the axis: a subject has but one fold.
    """
    axis = "" if axis in REPEATS else axis
    known: dict[Group, int] = {}
    for result in found:
        group = result.group(axis)
        known[group] = max(result.subjects, known.get(group, 0))
    tables: dict[tuple[Group, str], dict[str, Scored]] = {}
    measures: dict[tuple[Group, str], Measure] = {}
    for key, runs in tested(found, axis).items():
        scored = {repeat: scores.own for repeat, scores in pools(runs).items()}
        if key.model == STUDENT and any(scored.values()):
            tables.setdefault((key.group, key.task), {})[key.name or STUDENT] = scored
            measures[key.group, key.task] = next(iter(runs.values())).scores.measures[0]
    return [
        People(group, task, measures[group, task], columns, known[group]) for (group, task), columns in tables.items()
    ]


def conclude(out: Path) -> list[str]:
    """Writes `subjects.csv`, and gives the lines that `table.md` has by subject; none where no subject was tested, and
    none where they are too many to be listed.

    They are for the page alone: a terminal has no room for a line a subject.
    """
    found = results(out)
    _write(found, out / "subjects.csv")
    lines = []
    for table in people(found, compared(checkpoint.read_json(out / "study.json"))):
        if len(table.subjects) > LISTED:
            continue
        lines += [f"## By subject: {in_words(dict(table.group))}: {table.task}", ""]
        lines += [*page(["subject", *table.columns], _rows(table)), _about(table), ""]
    return lines


def _write(found: Sequence[Result], path: Path) -> None:
    """A line for each cell, model, task and test subject; no file where there is none, nor for very many subjects."""
    tests = [(result, *each) for result in found for each in result.each("test") if 0 < len(each[-1].subjects) <= MANY]
    if not tests:
        return
    told = [column for column in columns(scores for *_, scores in tests) if column in Stats.model_fields]
    labels = list(found[0].labels)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", *labels, "leaky", "model", "task", "subject", *told])
    for result, model, _, task, scores in tests:
        own = [result.cell, *(result.labels[k] for k in labels), str(result.leaky).lower(), model, task]
        for name in _ordered(scores.subjects):
            writer.writerow([*own, name, *(getattr(scores.subjects[name], column) for column in told)])
    checkpoint.write(path, text.getvalue().encode())


def _ordered(names: Iterable[str]) -> list[str]:
    """As folds are numbered: s2 before s10."""
    return sorted(names, key=lambda name: (len(name), name))


def _rows(table: People) -> Iterator[list[str]]:
    """A row for each subject, then the foot: mean, standard deviation and range over those that every column has."""
    number = table.measure.number
    for name in table.subjects:
        scores = [table.scores(column, name) for column in table.columns]
        yield [name, *(number(fmean(each.values())) if each else "" for each in scores)]
    if len(table.shared) > 1:
        means = [[fmean(table.scores(column, name).values()) for name in table.shared] for column in table.columns]
        yield ["**mean**", *(number(fmean(each)) for each in means)]
        yield ["**standard deviation**", *(number(stdev(each)) for each in means)]
        yield ["**range**", *(table.measure.span(min(each), max(each)) for each in means)]


def _about(table: People) -> str:
    """What the figures are means of, and what they leave out."""
    measure, tests, shared = table.measure, len(table.subjects), len(table.shared)
    unit = f" in {measure.unit}" if measure.unit else ""
    name = measure.name if measure.name[1:2].isupper() else measure.name[0].upper() + measure.name[1:]
    said = [f"{name}{unit} over a test subject's windows, {_over(table)}."]
    said += [FOOT] if shared > 1 else []
    if shared < tests:
        said.append(
            f"The foot is of the {shared} subjects that all columns have."
            if shared > 1
            else "There is no foot: not even two subjects are in all columns."
        )
    said.append(f"{tests} of the data's {table.known} subjects {'is' if tests == 1 else 'are'} in the table.")
    return " ".join(said)


def _over(table: People) -> str:
    """Over what the mean is taken, as `mean over 3 runs of different seeds`."""
    runs = [list(scores) for c in table.columns for name in table.subjects if (scores := table.scores(c, name))]
    least, most = min(map(len, runs)), max(map(len, runs))
    if most == 1:
        return "of one run"
    places = {i for keys in runs for i, values in enumerate(zip(*keys, strict=True)) if len(set(values)) > 1}
    count = str(most) if least == most else f"{least} to {most}"
    return f"mean over {count} runs of different {' and '.join(REPEATED[i] for i in sorted(places))}"
