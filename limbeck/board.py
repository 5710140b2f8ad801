"""The progress of a study on the terminal: a bar over its cells, and one for each that runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from limbeck.grid import Cell, in_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


class Board:
    """Knows which cells run, and tells what became of them; silent without a console."""

    def __init__(self, name: str, cells: int, done: int, workers: int, console: "Console | None") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.cells, self.done, self.workers = cells, done, workers
        self.running: dict[str, float] = {}
        self.took: list[float] = []
        self.lines: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn("{task.fields[said]}"))  # fmt: skip
        self.progress = Progress(*columns, console=console or Console(quiet=True), disable=console is None)
        self.whole = self.progress.add_task(name, total=cells, completed=done, said="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draws while a `with` block lasts."""
        if self.done:
            self.progress.console.print(f"{self.done} of {self.cells} cells were finished before", highlight=False)
        with self.progress:
            yield

    def begins(self, cell: Cell) -> None:
        """A cell begins to run here."""
        from rich.markup import escape

        self.running[cell.name] = time.monotonic()
        self.lines[cell.name] = self.progress.add_task(f"  {escape(in_words(cell.labels))}", total=None, said="")

    def says(self, cell: Cell, step: int, steps: int) -> None:
        """A cell is at a step of so many; one that trains several models begins anew with each."""
        self.progress.update(self.lines[cell.name], completed=step, total=steps)

    def leaves(self, cell: Cell) -> float:
        """A cell runs here no longer; the seconds that it did."""
        self.progress.remove_task(self.lines.pop(cell.name))
        return time.monotonic() - self.running.pop(cell.name)

    def settled(self, cell: Cell, how: str) -> None:
        """A cell is finished or has failed, here or elsewhere."""
        if cell.name in self.running:
            seconds = self.leaves(cell)
            self.took.append(seconds)
            how = f"{how} after {span(seconds)}"
        self.done += 1
        self.progress.update(self.whole, completed=self.done, said=self.left())
        line = f"{self.done}/{self.cells} {in_words(cell.labels)}: {how}"
        self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def left(self) -> str:
        """About how long the rest takes, from the cells that ran here; cells elsewhere are not known of."""
        rest = self.cells - self.done
        if not self.took or not rest:
            return ""
        return f"about {span(sum(self.took) / len(self.took) * rest / min(self.workers, rest))} left"


def span(seconds: float) -> str:
    """As `41 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
