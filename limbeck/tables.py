"""The tables of a study, for the terminal and as Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck import checkpoint
from limbeck.compare import LEAK
from limbeck.finished import STUDENT
from limbeck.grid import in_words
from limbeck.measures import Measure, chief
from limbeck.results import Row
from limbeck.statistics import Estimate
from limbeck.workers import failure, finished

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

INTERVALS = (
    "Intervals are 95 %, widened by Student's t: of {main} over seeds and {people} (bootstrap), of {other} over "
    "seeds, or over {people} where there is one seed; of a difference paired, over what is named (bootstrap). No "
    "correction is made for the number of comparisons"
)

PEOPLE = ("subjects", "samples")
"""What is drawn again beside seeds; samples where no subject has two."""


def print_table(rows: Sequence[Row], console: "Console") -> None:
    """Prints a table for each task, data set, split and whatever else is not compared."""
    from rich.markup import escape

    for heading, said, members in _groups(rows):
        longest = max(len(word) for row in members for word in _cells(row)[0].split())
        table = grid(_head(members), map(_cells, members), min(longest, 24))
        console.print(f"[bold]{escape(heading)}[/]", table, escape(said), sep="\n", highlight=False)
    for line in _notes(rows):
        console.print(line, highlight=False)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], least: int | None = None) -> "Table":
    """A table for the terminal, whose first column is at `least` so many letters wide."""
    from rich import box
    from rich.markup import escape
    from rich.table import Column, Table

    first, *others = map(escape, head)
    table = Table(Column(first, min_width=least), *others, box=box.SIMPLE_HEAD, padding=0)
    for row in rows:
        # Two short lines a cell keep a number in one piece on 80 columns.
        table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in row))
    return table


def markdown(out: Path, rows: Sequence[Row]) -> str:
    """The same as a page, with how many cells are finished and why others failed."""
    lines = [f"# {checkpoint.read_json(out / 'study.json')['name']}", "", *_standing(out), ""]
    for heading, said, members in _groups(rows):
        table = page(_head(members), map(_cells, members))
        lines += [f"## {heading}", "", *table, *([said + ".", ""] if said else [])]
    return "\n".join([*lines, *(f"{note}\n" for note in _notes(rows))])


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Heading, what the differences are, and rows of each table."""
    for group, task in dict.fromkeys((row.key.group, row.key.task) for row in rows):
        members = [row for row in rows if (row.key.group, row.key.task) == (group, task)]
        gaps = [row.difference for row in members if row.difference]
        over = " or ".join(dict.fromkeys(gap.over for gap in gaps if gap.over))
        main = members[0].measures[0]
        better = "" if main.higher else " (lower is better)"
        step = f", in {main.step}" if main.step else ""
        said = f"Difference: of {main.name} to {members[0].reference}{step}{better}"
        said += f", over {over}" if over else ""
        yield f"{in_words(dict(group))}: {task}", said if gaps else "", members


def _head(rows: Sequence[Row]) -> list[str]:
    head = ["", "runs", *(measure.head for measure in chief(rows[0].measures))]
    return head if rows[0].reference is None else [*head, "difference", "so it is"]


def _cells(row: Row) -> list[str]:
    key, gap = row.key, row.difference
    name = key.name if key.model == STUDENT else f"{key.name}: {key.model}" if key.name else key.model
    cells = [name, str(row.runs), *(figures(m, row.scores.get(m.key)) for m in chief(row.measures))]
    if row.reference is None:
        return cells
    return [*cells, figures(row.measures[0], gap, "+"), gap.verdict] if gap else [*cells, "", ""]


def figures(measure: Measure, estimate: Estimate | None, sign: str = "") -> str:
    """A score with its interval; empty where there is none."""
    if estimate is None:
        return ""
    values = (estimate.mean, estimate.low, estimate.high)
    mean, *bounds = [measure.number(v, sign) for v in values if v is not None]
    return f"{mean} [{', '.join(bounds)}]" if bounds else mean


def page(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    return [_line(head), "|---" * len(head) + "|", *map(_line, rows), ""]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _notes(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    compared = sum(row.difference is not None for row in rows)
    told = [chief(row.measures) for row in rows]
    main = " or ".join(dict.fromkeys(each[0].one for each in told))
    other = " or ".join(dict.fromkeys(one.name for each in told for one in each[1:]))
    over = {e.over for row in rows for e in (*row.scores.values(), row.difference) if e}
    people = " or ".join(p for p in PEOPLE if any(p in o for o in over)) or PEOPLE[0]
    notes = [f"{INTERVALS.format(main=main, other=other, people=people)}{f', {compared}' if compared else ''}."]
    alone = [p for p in PEOPLE if any(row.difference and row.difference.over == p for row in rows)]
    if alone:
        notes.append(f"Over {' or '.join(alone)} alone: there is one seed, and another may tell otherwise.")
    if any(row.difference and row.difference.over == "seeds" for row in rows):
        notes.append("Over seeds alone: there is one test subject, so a difference says nothing about other people.")
    if any(row.leaky for row in rows):
        notes.append(f"{LEAK.capitalize()}. Such scores flatter, and their intervals say nothing about new people.")
    return notes


def _standing(out: Path) -> list[str]:
    cells = checkpoint.read_json(out / "cells.json")
    done = sum(finished(out / "cells" / cell) for cell in cells)
    failed = [f"- failed: {in_words(labels)}: {why}" for cell, labels in cells.items()
              if (why := failure(out / "cells" / cell))]  # fmt: skip
    return [f"{done} of {len(cells)} cells are finished.", *failed]
