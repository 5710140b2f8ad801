"""Those who watch a run: progress on the terminal, TensorBoard. None of them can change it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from limbeck import measures
from limbeck.errors import UserError

CURVES = "tensorboard"
"""The folder of curves, in that of what is trained."""


class Observer:
    """Watches; every method may be left as it is."""

    def begins(self, at: Path, step: int, steps: int) -> None:
        """A model begins to be trained in a folder, at a step of so many (more than 0 when resumed)."""

    def stepped(self, step: int) -> None:
        """So many steps are done."""

    def logged(self, row: dict[str, Any]) -> None:
        """A row went into `metrics.jsonl`."""

    def ends(self) -> None:
        """The model is trained, or training was cut short."""

    def said(self, line: str) -> None:
        """A recipe tells what it does, and what that costs."""


class Bar(Observer):
    """A progress bar with the newest loss and validation scores."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._step, self._shown, self._text = 0, 0.0, {"loss": "", "valid": ""}

    def begins(self, at: Path, step: int, steps: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._text = {"loss": "", "valid": ""}
        self._progress = Progress(*columns, console=self.console)
        self._task = self._progress.add_task(at.name, total=steps, completed=step, said="")
        self._progress.start()

    def stepped(self, step: int) -> None:
        self._step = step
        # Drawing is far slower than a step of a small model.
        if self._progress and self._task is not None and time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            self._progress.update(self._task, completed=step, said=" ".join(self._text.values()))

    def logged(self, row: dict[str, Any]) -> None:
        if row["event"] == "train":
            self._text["loss"] = f"loss {row['loss']:.3f}"
        elif row["event"] == "eval" and row["model"] == "student" and row["part"] == "valid":
            self._text["valid"] = "valid " + " ".join(map(measures.brief, row["scores"].values()))
        self._shown = 0.0

    def ends(self) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=self._step, said=" ".join(self._text.values()))
            self._progress.stop()
        self._progress = None

    def said(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)


class TensorBoard(Observer):
    """Writes every row for TensorBoard too, into `CURVES` in the folder that is trained. Needs the extra
    `track`."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("TensorBoard needs the extra 'track': pip install 'limbeck[track]'") from error
        self._make = SummaryWriter
        self._writer: Any = None

    def begins(self, at: Path, step: int, steps: int) -> None:
        self._writer = self._make(str(at / CURVES), purge_step=step + 1)

    def logged(self, row: dict[str, Any]) -> None:
        if row["event"] == "train":
            values = {
                "train/loss": row["loss"],
                "train/lr": row["lr"],
                **{f"train/{k}": v for k, v in row["terms"].items()},
            }
        elif row["event"] == "cycle":
            values = {f"cycle/{k}": row[k] for k in ("loss", "high", "low") if row[k] is not None}
        else:
            values = {
                f"{row['part']}/{row['model']}/{t} {k}": v for t, s in row["scores"].items() for k, v in s.items()
            }
        for name, value in values.items():
            self._writer.add_scalar(name, value, row["step"])

    def ends(self) -> None:
        if self._writer:
            self._writer.close()


class Together(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def begins(self, at: Path, step: int, steps: int) -> None:
        for one in self.observers:
            one.begins(at, step, steps)

    def stepped(self, step: int) -> None:
        for one in self.observers:
            one.stepped(step)

    def logged(self, row: dict[str, Any]) -> None:
        for one in self.observers:
            one.logged(row)

    def ends(self) -> None:
        for one in self.observers:
            one.ends()

    def said(self, line: str) -> None:
        for one in self.observers:
            one.said(line)
