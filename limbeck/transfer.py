"""Studies across data sets: each run is tested on all of every other set too, and what that comes to is a matrix.

    limbeck study ppg-transfer --sets ieee-spc:DIR,wildppg:DIR

A study asks for it by `across`, its axis of data sets: `"variants": {"spc": {"data": "ieee-spc", "data.root": DIR},
"wild": {"data": "wildppg", "data.root": DIR}}, "across": "variant"`. To test on a set nothing is trained on it. What
each run said of another set is kept as `transfer/CELL-on-SET.json`, with the hashes of its student's weights and the
digest of what it was tested on, and is made again where these are others; `transfer.json` holds the matrix.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import permutations
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
from limbeck.tables import figures, grid, page
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
    """Tests each finished run on the sets of the runs that differ from it in the set alone, where that is not done.

    What is outdated goes first, so that no table has it should this be cut.
    """
    left = [(cell, other, at) for cell, other, at in _pairs(study, out) if not _done(cell, other, at, out)]
    for *_, at in left:
        at.unlink(missing_ok=True)
    for cell, other, at in left:
        run, on = out / "cells" / cell.name, other.labels[str(study.across)]
        say(f"{in_words(cell.labels)}: tested on {on}")
        told: dict[str, Any] = {"cell": cell.name, "on": on, "weights": _weights(run)}
        try:
            told["digest"] = other.recipe.data.digest()
            own = out / "cells" / other.name
            if finished(own) and checkpoint.read_json(own / "data.json")["digest"] != told["digest"]:
                raise UserError(f"the recordings have changed since {own} read them; delete that to train again")
            told |= evaluate(run, {"data": dump(other.recipe.data)})
        except UserError as error:
            told["error"] = str(error)
        checkpoint.write_json(at, told)


def _done(cell: Cell, other: Cell, at: Path, out: Path) -> bool:
    """Whether a file holds what these weights say of these recordings, or of some that are not there any more."""
    told = checkpoint.read_json(at) if at.is_file() else {"error": "not tested"}
    if "error" in told or told.get("weights") != _weights(out / "cells" / cell.name):
        return False
    try:
        return bool(told.get("digest") == other.recipe.data.digest())
    except UserError:
        return True  # what cannot be tested again is kept


def _weights(run: Path) -> list[str]:
    """The hash of the student's weights; of a network a task, of each."""
    parts = checkpoint.read_json(run / "best" / "model.json").get("parts")
    return [checkpoint.sha256(run / part / "best" / f"{STUDENT}.safetensors") for part in parts or ["."]]


def _pairs(study: Study, out: Path) -> Iterator[tuple[Cell, Cell, Path]]:
    """A finished cell, another that differs from it in the data set alone, and the file for what the one says of the
    other's data."""
    by_rest: dict[str, list[Cell]] = {}
    for cell in study.cells() if study.across else []:
        by_rest.setdefault(in_words(_without(cell.labels, str(study.across))), []).append(cell)
    for alike in by_rest.values():
        for one, two in permutations(alike, 2):
            if finished(out / "cells" / one.name):
                yield one, two, out / FOLDER / f"{one.name}-on-{digest(dump(two.recipe.data))}.json"


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
        gap = own and row != column and _gained(runs, own, measure)
        if gap:
            gaps[row, column] = gap
    sets = tuple(dict.fromkeys(column for _, column in places))
    return Matrix(group, task, measure, sets, scores, gaps, refused)


def _gained(runs: Runs, own: Runs, measure: Measure) -> Difference | None:
    """The difference of two on the subjects that test `own`: each fold against its own, before folds become one."""
    both = [key for key in runs if key in own]
    one, two = ({k: _on(a[k], b[k]) for k in both} for a, b in ((runs, own), (own, runs)))
    return paired(counts(one), counts(two), higher=measure.higher)


def _on(run: Run, other: Run) -> Run:
    """A run's scores with those subjects alone that another was tested on too."""
    both = {name: stats for name, stats in run.scores.subjects.items() if name in other.scores.counts}
    return replace(run, scores=run.scores.model_copy(update={"subjects": both}))


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
    from rich.markup import escape

    found = matrices(out)
    for matrix in found:
        console.print(f"[bold]Across data sets: {escape(matrix.task)}[/] {escape(matrix.group)}", highlight=False)
        for head, rows in _tables(matrix):
            console.print(grid(head, rows), highlight=False)
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
