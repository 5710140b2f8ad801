"""Studies across data sets: each run is tested on all of every other set too, and what that comes to is a matrix.

    limbeck study ppg-transfer --sets ieee-spc:DIR,wildppg:DIR

A study asks for it by `across`, its axis of data sets: `"variants": {"spc": {"data": "ieee-spc", "data.root": DIR},
"wild": {"data": "wildppg", "data.root": DIR}}, "across": "variant"`. To test on a set nothing is trained on it. What
each run said of another set is kept as `transfer/CELL-on-SET.json`, and `transfer.json` holds the matrix.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import checkpoint
from limbeck.config import digest, dump
from limbeck.errors import UserError
from limbeck.finished import STUDENT, Model
from limbeck.grid import Cell, Labels, Study, in_words
from limbeck.measures import Measure
from limbeck.results import REPEATS, Run, counts, results
from limbeck.scoring import evaluate
from limbeck.statistics import Difference, Estimate, average, paired
from limbeck.tables import figures, page
from limbeck.workers import finished

if TYPE_CHECKING:
    from rich.console import Console

FOLDER = "transfer"
NOTE = (
    "Rows: trained on; columns: tested on: all of a set that was not trained on, the test subjects of one that was "
    "(and of each for what was not trained). Below, on the test subjects alone, the difference to what was trained on "
    "that set: what is lost for want of its data. Intervals are 95 %, over {over}."
)
Place = tuple[str, str]
"""The set trained on (or the name of what was not trained), and the set tested on."""
Runs = dict[tuple[str, ...], Run]


@dataclass(frozen=True)
class Matrix:
    """What runs that were trained on one set are worth on another, of one task.

    `gaps`: by how much the error lies above that of what was trained on the other set, on the subjects that test that.
    `refused`: why runs could not be tested.
    """

    group: str
    task: str
    measure: Measure
    sets: tuple[str, ...]
    scores: Mapping[Place, Estimate]
    gaps: Mapping[Place, Difference]
    refused: Mapping[Place, str]

    @property
    def rows(self) -> list[str]:
        """The sets, then what was not trained."""
        return [*self.sets, *dict.fromkeys(row for row, _ in self.scores if row not in self.sets)]


def examine(study: Study, out: Path, say: Callable[[str], None]) -> None:
    """Tests each finished run on the sets of the runs that differ from it in the set alone, where that is not done."""
    for cell, other in _pairs(study):
        at = out / FOLDER / f"{cell.name}-on-{digest(dump(other.recipe.data))}.json"
        done = at.is_file() and not checkpoint.read_json(at).get("error")
        if done or not finished(out / "cells" / cell.name):
            continue
        on = other.labels[str(study.across)]
        say(f"{in_words(cell.labels)}: tested on {on}")
        told: dict[str, Any] = {"cell": cell.name, "on": on}
        try:
            told |= evaluate(out / "cells" / cell.name, {"data": dump(other.recipe.data)})
        except UserError as error:
            told["error"] = str(error)
        checkpoint.write_json(at, told)


def _pairs(study: Study) -> Iterator[tuple[Cell, Cell]]:
    """A cell, and another that differs from it in the data set alone."""
    by_rest: dict[str, list[Cell]] = {}
    for cell in study.cells() if study.across else []:
        by_rest.setdefault(in_words(_without(cell.labels, str(study.across))), []).append(cell)
    for alike in by_rest.values():
        yield from ((one, two) for one in alike for two in alike if one is not two)


def _without(labels: Labels, *names: str) -> Labels:
    return {k: v for k, v in labels.items() if k not in names}


def matrices(out: Path) -> list[Matrix]:
    """A matrix for each task and whatever else is the same, of the cells that are finished; none where the study is not
    across data sets."""
    across = checkpoint.read_json(out / "study.json").get("across")
    if across is None:
        return []
    found: dict[tuple[str, str], dict[Place, Runs]] = {}
    refused: dict[str, dict[Place, str]] = {}
    cells = {result.cell: result for result in results(out)}
    for result in cells.values():
        own, group, repeat = _told(result.labels, across)
        for model, _, task, scores in result.each("test"):
            parameters = result.models[model].parameters
            if model == STUDENT or parameters is None:
                place = (own if model == STUDENT else model, own)
                runs = found.setdefault((group, task), {}).setdefault(place, {})
                runs[repeat] = Run(scores, parameters is not None, result.leaky)
    for path in sorted((out / FOLDER).glob("*.json")):
        told = checkpoint.read_json(path)
        if told["cell"] not in cells:
            continue
        own, group, repeat = _told(cells[told["cell"]].labels, across)
        if "error" in told:
            refused.setdefault(group, {})[own, told["on"]] = told["error"]
            continue
        student = Model.model_validate({"parts": {"all": told["models"][STUDENT]}})
        for task, scores in student.parts["all"].items():
            runs = found.setdefault((group, task), {}).setdefault((own, told["on"]), {})
            runs[repeat] = Run(scores, True, False)
    return [_matrix(group, task, places, refused.get(group, {})) for (group, task), places in found.items()]


def _told(labels: Labels, across: str) -> tuple[str, str, tuple[str, ...]]:
    """The set trained on, what else the runs of a matrix share, and what repeats them."""
    repeat = tuple(labels.get(k, "") for k in REPEATS)
    return labels[across], in_words(_without(labels, across, "data", *REPEATS)), repeat


def _matrix(group: str, task: str, places: Mapping[Place, Runs], refused: Mapping[Place, str]) -> Matrix:
    told = {place: runs for place, runs in places.items() if any(counts(runs).values())}
    measure = next(run.scores.measures[0] for runs in places.values() for run in runs.values())
    scores = {place: average(counts(runs), measure.bounds) for place, runs in told.items()}
    gaps = {}
    for (row, column), runs in told.items():
        own = told.get((column, column))
        gap = own and row != column and paired(counts(runs), counts(own), higher=measure.higher)
        if gap:
            gaps[row, column] = gap
    sets = tuple(dict.fromkeys(column for _, column in places))
    return Matrix(group, task, measure, sets, scores, gaps, refused)


def conclude(out: Path) -> list[str]:
    """Writes `transfer.json`, and gives the lines that `table.md` has of it; none for a study of one data set."""
    found = matrices(out)
    if not found:
        return []
    checkpoint.write_json(out / "transfer.json", [_plain(matrix) for matrix in found])
    lines = []
    for matrix in found:
        lines += [f"## Across data sets{matrix.group and f': {matrix.group}'}: {matrix.task}", ""]
        lines += [row for head, rows in _tables(matrix) for row in page(head, rows)]
        lines += [f"- {row} on {column}: {why}" for (row, column), why in matrix.refused.items()]
    return [*lines, _note(found), ""]


def print_transfer(out: Path, console: "Console") -> None:
    """Prints what `table.md` has of it; nothing for a study of one data set."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    found = matrices(out)
    for matrix in found:
        console.print(f"[bold]Across data sets: {escape(matrix.task)}[/] {escape(matrix.group)}", highlight=False)
        for head, rows in _tables(matrix):
            table = Table(*map(escape, head), box=box.SIMPLE_HEAD, padding=0)
            for row in rows:
                table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in row))
            console.print(table, highlight=False)
    if found:
        console.print(_note(found), highlight=False, markup=False)


def _tables(matrix: Matrix) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The scores, and the differences to what was trained on the set itself."""
    measure, sets = matrix.measure, matrix.sets
    yield [measure.head, *sets], [
        [row, *(_score(matrix, row, column) for column in sets)] for row in matrix.rows
    ]  # fmt: skip
    yield [f"difference, {measure.step}", *sets], [
        [row, *(_gap(matrix, row, column) for column in sets)] for row in matrix.rows
    ]  # fmt: skip


def _score(matrix: Matrix, row: str, column: str) -> str:
    own = " (own)" if row == column else ""
    refused = "not tested" if (row, column) in matrix.refused else ""
    return figures(matrix.measure, matrix.scores.get((row, column))) + own or refused


def _gap(matrix: Matrix, row: str, column: str) -> str:
    gap = matrix.gaps.get((row, column))
    return "" if gap is None else f"{figures(matrix.measure, gap, '+')} {gap.verdict}"


def _plain(matrix: Matrix) -> dict[str, Any]:
    def listed(cells: Mapping[Place, Estimate]) -> list[dict[str, Any]]:
        return [{"trained": row, "tested": column, **asdict(cell)} for (row, column), cell in cells.items()]

    return {
        **{name: getattr(matrix, name) for name in ("group", "task", "sets")},
        "measure": matrix.measure.key,
        "scores": listed(matrix.scores),
        "differences": listed(matrix.gaps),
        "refused": [{"trained": row, "tested": column, "error": why} for (row, column), why in matrix.refused.items()],
    }


def _note(found: Sequence[Matrix]) -> str:
    over = dict.fromkeys(e.over for matrix in found for e in matrix.scores.values() if e.over)
    return NOTE.format(over=" or ".join(over) or "nothing (there is one seed and one subject)")
