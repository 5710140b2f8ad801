"""The tables of a study, for the terminal and as Markdown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck import checkpoint
from limbeck.compare import LEAK
from limbeck.finished import STUDENT
from limbeck.grid import in_words
from limbeck.results import LEAKY, Row
from limbeck.statistics import Estimate
from limbeck.workers import failure, finished

if TYPE_CHECKING:
    from rich.console import Console

INTERVALS = (
    "Intervals are 95 %: of a mean over seeds (Student's t), or over subjects (bootstrap) where there is one seed; "
    "of a difference paired, over what is named (bootstrap). No correction is made for the number of comparisons"
)


def print_table(rows: Sequence[Row], console: "Console") -> None:
    """Prints a table for each data set, split and whatever else is not compared."""
    from rich.markup import escape
    from rich.table import Table

    for heading, members in _groups(rows):
        table = Table(*map(escape, _head(members)), title=escape(heading), title_justify="left")
        for row in members:
            table.add_row(*map(escape, _cells(row)))
        console.print(table)
    for line in _notes(rows):
        console.print(line, highlight=False)


def markdown(out: Path, rows: Sequence[Row]) -> str:
    """The same as a page, with how many cells are finished and why others failed."""
    lines = [f"# {checkpoint.read_json(out / 'study.json')['name']}", "", *_standing(out), ""]
    for heading, members in _groups(rows):
        head = _head(members)
        lines += [f"## {heading}", "", _line(head), "|---" * len(head) + "|", *(_line(_cells(r)) for r in members), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in _notes(rows))])


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for group in dict.fromkeys(row.key.group for row in rows):
        yield in_words(dict(group)), [row for row in rows if row.key.group == group]


def _head(rows: Sequence[Row]) -> list[str]:
    head = ["task", "", "runs", "accuracy %", "macro-F1 %"]
    reference = rows[0].reference
    return head if reference is None else [*head, f"accuracy against {reference}, points", "so it is"]


def _cells(row: Row) -> list[str]:
    key, gap = row.key, row.difference
    name = key.name if key.model == STUDENT else f"{key.name}: {key.model}" if key.name else key.model
    cells = [key.task, name, str(row.runs), _percent(row.accuracy), _percent(row.macro_f1)]
    if row.reference is None:
        return cells
    if gap is None:
        return [*cells, "", ""]
    return [*cells, _percent(gap, "+"), f"{gap.verdict} (over {gap.over})" if gap.over else gap.verdict]


def _percent(estimate: Estimate, sign: str = "") -> str:
    values = (estimate.mean, estimate.low, estimate.high)
    mean, *bounds = [f"{100 * v:{sign}.1f}".replace("-", "−") for v in values if v is not None]
    return f"{mean} [{', '.join(bounds)}]" if bounds else mean


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _notes(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    compared = sum(row.difference is not None for row in rows)
    notes = [f"{INTERVALS}{f', {compared}' if compared else ''}."]
    if any(row.leaky for row in rows):
        mark = LEAKY.strip(" ()")
        notes.append(f"{mark}: {LEAK}. Such scores flatter, and their intervals say nothing about new people.")
    return notes


def _standing(out: Path) -> list[str]:
    cells = checkpoint.read_json(out / "cells.json")
    done = sum(finished(out / "cells" / cell) for cell in cells)
    failed = [f"- failed: {in_words(labels)}: {why}" for cell, labels in cells.items()
              if (why := failure(out / "cells" / cell))]  # fmt: skip
    return [f"{done} of {len(cells)} cells are finished.", *failed]
