"""Studies: a grid over fields, seeds and recipes, run by several processes, cut and gone on with at any time.

    limbeck study smooth-distill --data wisdm --data.root DIR --plan.epochs 4 --out runs/study --workers 2
    limbeck study ppg-scaling --data ieee-spc --data.root DIR --variant "scratch,dkd from 6" --seeds 0,1,2
    limbeck study topology-loso --data pamap2 --data.root DIR
    limbeck study ppg-transfer --sets ieee-spc:DIR,wildppg:DIR
    limbeck study mine.json --out runs/mine

A study file says which recipe, what is the same everywhere (`base`), what belongs together (`variants`), what is tried
with each other (`grid`), and what is held against what:

    {"recipe": "smooth-distill", "base": {"data": "watch", "plan.epochs": 20},
     "variants": {"mean teacher": {"method": "smooth-distill"}, "none": {"method": "hard-sharing"}},
     "grid": {"split": ["subject", "random-window"]}, "seeds": [0, 1, 2],
     "compare": "variant", "reference": "none"}

Ablations of one thing at a time are variants, as in "smooth-distill-ablation" below; of a thing at all its values, a
grid, as `"grid": {"beta": [0.9, 0.99, 0.999, 0.9999]}`. Another sampling rate is a variant of `data.windows.rate`,
`.length` and `.stride`. To judge the teacher instead of the student needs no run: each table has a row for each
learning teacher. Folds are `"base": {"split": "kfold"}, "grid": {"split.fold": [0, 1, 2, 3, 4]}`; they are averaged
over as seeds are. `topology-loso` leaves out each of nine subjects in turn; of a set of other size name all folds, as
`--split.fold 0,1,2,3,4`, or for 51 subjects `--split.fold $(seq -s, 0 50)`.

`"size": "student.blocks"` fits laws of the error by that axis of the grid and draws them (limbeck/laws.py), a panel for
each value of the field `"panel"`. `"across": "variant"`, where the variants are data sets, tests each run on the other
sets too (limbeck/transfer.py). On the command line what a study varies is narrowed by naming some of its values:
`--seeds 0,1 --variant none --split subject`. `--reference NAME` takes differences against another value, also of a
study that is finished: `limbeck study runs/topology --reference "two teachers"`.

A study's folder: `study.json` (the folder itself can be given as the study, to go on), `cells/` (a run folder each, by
the digest of its recipe), `stages/` (what several cells need), `cells.json` (the labels of each), `results.csv`,
`subjects.csv` (the test again, a line a subject), `table.md` (which ends in a table by subject); `scaling.json` and
`scaling.svg`, or `transfer/` and `transfer.json`, where these are asked for; `gains.json`, the mean improvements over
single-task networks, where tasks ask for every pixel.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import checkpoint, gains, labels, law_tables, people, transfer
from limbeck.board import Board
from limbeck.errors import Interrupted, UserError, unknown
from limbeck.grid import Cell, Study, claim, define, in_words, read_study
from limbeck.observers import Observer
from limbeck.results import results, summarise, write_csv
from limbeck.studies import NAMED
from limbeck.tables import markdown, print_table
from limbeck.workers import ELSEWHERE, Alone, Crew, Processes, failure, finished

if TYPE_CHECKING:
    from rich.console import Console

POLL = 1.0
"""Seconds after which a cell that is in use elsewhere is looked at again."""


@dataclass
class Outcome:
    """How a study stands. `failed`: the error in one line, by the cell's labels in words."""

    out: Path
    cells: int
    finished: int
    failed: dict[str, str]


def find(name: str, paths: Mapping[str, Any] | None = None) -> Study:
    """A named study, or that of a .json file or of a study's folder, with `paths` changed in its base.

    Raises `UserError` for an unknown name, field or value, and for a path that the study itself varies.
    """
    if name in NAMED:
        return define(NAMED[name], name, paths)
    path = Path(name)
    if path.suffix == ".json" or (path / "study.json").is_file():
        return read_study(path, paths)
    raise unknown("study (nor a .json file)", name, NAMED)


def run_named(
    name: str, paths: Mapping[str, Any], out: Path | None, workers: int = 1, console: "Console | None" = None
) -> Outcome:
    """Runs a study by name or file, into `runs/NAME` if no folder is given, and prints its tables.

    Raises `UserError` as `run_study` does, and at the end where cells failed.
    """
    study = find(name, paths)
    own = Path(name) if name not in NAMED and Path(name).is_dir() else Path("runs") / study.name
    outcome = run_study(study, out or own, workers, console=console)
    if console:
        print_table(summarise(outcome.out), console)
        law_tables.print_laws(outcome.out, console)
        transfer.print_transfer(outcome.out, console)
        gains.print_gains(outcome.out, console)
        written = (outcome.out / name for name in ("table.md", "results.csv", "subjects.csv"))
        console.print("  ".join(str(at) for at in written if at.is_file()), highlight=False, soft_wrap=True)
    if outcome.failed:
        words, error = next(iter(outcome.failed.items()))
        raise UserError(f"{len(outcome.failed)} of {outcome.cells} cells failed, the first ({words}) with: {error}. "
                        "The same command tries them again, and leaves the finished ones as they are")  # fmt: skip
    return outcome


def run_study(
    study: Study, out: Path, workers: int = 1, observers: Sequence[Observer] = (), console: "Console | None" = None
) -> Outcome:
    """Runs all cells that are not finished; one that fails is recorded in its folder and does not stop the others.

    May be killed and started again at any time, and run from several terminals at once: they share the work.
    `observers` watch the training, which they can only with one worker; `console` shows the progress over cells. With
    more workers, a script must call this under `if __name__ == "__main__":`. Raises `UserError` where the folder holds
    another study or cells of other recordings, and `Interrupted` when told to stop (by Ctrl-C or SIGTERM), after all
    is saved.
    """
    if workers < 1:
        raise UserError(f"workers must be 1 or more, not {workers}")
    if observers and workers > 1:
        raise UserError("observers watch the training of one process; use workers=1, or none of them")
    cells = study.cells()
    claim(study, cells, out)
    results(out)  # what does not belong together is refused before anything is trained
    places = {cell.name: out / "cells" / cell.name for cell in cells}
    left = [cell for cell in cells if not finished(places[cell.name])]
    board = Board(study.name, len(cells), len(cells) - len(left), workers, console)
    crew: Crew = Processes(workers, out / "log.txt", board.says) if workers > 1 else Alone(observers, board.says)
    try:
        with board.shown(), _terminable():
            _work(left, places, crew, board)
        with _terminable():
            transfer.examine(study, out, _saying(console))
    except (KeyboardInterrupt, Interrupted):
        crew.stop()
        done = sum(map(finished, places.values()))
        raise Interrupted(f"stopped with {done} of {len(cells)} cells finished; all is saved. "
                          f"To go on: limbeck study {out} --workers {workers}") from None  # fmt: skip
    finally:
        crew.stop()
        write_csv(results(out), out / "results.csv")
        page = [
            markdown(out, summarise(out)),
            *law_tables.conclude(out),
            *transfer.conclude(out),
            *labels.conclude(out),
            *gains.conclude(out),
            *people.conclude(out),
        ]
        checkpoint.write(out / "table.md", "\n".join(page).encode())
    why = {in_words(cell.labels): failure(places[cell.name]) for cell in cells}
    failed = {words: error for words, error in why.items() if error is not None}
    return Outcome(out, len(cells), sum(map(finished, places.values())), failed)


def _saying(console: "Console | None") -> Callable[[str], None]:
    """Prints a line, where there is somebody to read it."""

    def say(line: str) -> None:
        if console:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    return say


def _work(cells: Sequence[Cell], places: Mapping[str, Path], crew: Crew, board: Board) -> None:
    """Gives cells to the crew until each is finished or has failed since this began, here or elsewhere."""
    for cell in cells:
        (places[cell.name] / "failed.json").unlink(missing_ok=True)
    left = [(cell, 0.0) for cell in cells]
    while left or board.running:
        later = []
        for cell, ready in left:
            at = places[cell.name]
            if finished(at) or failure(at):
                board.settled(cell, _fate(at))
            elif crew.free() and ready <= time.monotonic():
                board.begins(cell)
                crew.give(cell, at)
            else:
                later.append((cell, ready))
        for cell, outcome in crew.wait(POLL):
            if outcome == ELSEWHERE:
                board.leaves(cell)
                later.append((cell, time.monotonic() + POLL))
            else:
                board.settled(cell, _fate(places[cell.name]))
        left = later


def _fate(at: Path) -> str:
    error = failure(at)
    return "finished" if error is None else f"failed: {error}"


@contextmanager
def _terminable() -> Iterator[None]:
    """Turns SIGTERM into what Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # whoever started the thread has the signals
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


__all__ = ["NAMED", "Outcome", "Study", "find", "print_table", "read_study", "run_named", "run_study", "summarise"]
