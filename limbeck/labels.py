"""What a study's `table.md` has of labels that its runs generated."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limbeck import checkpoint
from limbeck.grid import in_words
from limbeck.labelled import ABOUT, Labels, Summary, read, summaries, tellable
from limbeck.measures import Measures
from limbeck.results import Group, compared, results
from limbeck.tables import figures, page


def conclude(out: Path) -> list[str]:
    """The lines that a study's `table.md` has of generated labels; none where no cell generated any."""
    axis = compared(checkpoint.read_json(out / "study.json"))
    found: dict[Group, dict[str, list[Labels]]] = {}
    for result in results(out):
        if told := read(out / "cells" / result.cell):
            found.setdefault(result.group(axis), {}).setdefault(result.labels.get(axis, ""), []).append(told)
    lines = []
    for group, variants in found.items():
        made = {name: summaries(runs) for name, runs in variants.items()}
        measures = tellable([one for each in made.values() for one in each])
        several = any(one.round > 1 for each in made.values() for one in each)
        head = ["", "task", *(["round"] if several else []), "runs", *(measure.head for measure in measures)]
        table = page(head, _rows(made, measures, several))
        lines += [f"## Generated labels: {in_words(dict(group))}", "", *table, ABOUT, ""]
    return lines


def _rows(made: Mapping[str, Sequence[Summary]], measures: Measures, several: bool) -> Iterator[list[str]]:
    """A row for each task, round and variant, so that what is to be compared stands together."""
    order = {(one.task, one.round): None for each in made.values() for one in each}
    for task, number in order:
        for name, each in made.items():
            for one in each:
                if (one.task, one.round) == (task, number):
                    numbers = (figures(measure, one.estimate(measure)) for measure in measures)
                    yield [name, task, *([str(number)] if several else []), str(len(one.told)), *numbers]
