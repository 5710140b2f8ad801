"""A table in the terms of a model that was trained on another: classes by their names."""

import torch
from torch import Tensor

from limbeck.data.source import Column, Table, missing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from limbeck.values import is_real


def translated(table: Table, tasks: tuple[Task, ...]) -> Table:
    """The table with the model's class ids, by the names of the classes; classes that the model does not know are
    missing. Real values are as they are."""
    theirs = {task.name: task for task in table.tasks}
    known = [t for t in tasks if t.name in theirs]
    if not known:
        raise UserError(
            f"the recordings have the tasks {', '.join(theirs)}, the model knows {', '.join(t.name for t in tasks)}"
        )
    dense = {t.name: _column(theirs[t.name], t, table.dense[t.name]) for t in known if t.name in table.dense}
    targets = {t.name: _target(theirs[t.name], t, table.targets[t.name]) for t in known if t.name in table.targets}
    if not dense and not any(bool(t.present(targets[t.name]).any()) for t in known):
        classes = ", ".join(tasks[0].labels) or tasks[0].name
        raise UserError(f"the recordings have no class that the model knows: {classes}")
    flat = [] if dense else [t for t in tasks if t.name not in theirs]
    targets |= {t.name: missing(t, len(table)) for t in flat}
    asked = tuple(t for t in tasks if t.name in targets or t.name in dense)
    return Table(asked, table.inputs, targets, table.meta, table.card, table.digest, table.ids, dense=dense)


class Renamed:
    """A column of class ids with other ids: `at` `(C + 1,)` by the old ones, the last for what is missing."""

    def __init__(self, column: Column, at: Tensor) -> None:
        self.column, self.at = column, at

    @property
    def shape(self) -> tuple[int, ...]:
        return self.column.shape

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, index: Tensor) -> Tensor:
        return _renamed(self.column[index], self.at)

    def take(self, index: Tensor) -> "Renamed":
        return Renamed(self.column.take(index), self.at)

    def to(self, device: torch.device) -> "Renamed":
        return Renamed(self.column.to(device), self.at.to(device))


def _renamed(target: Tensor, at: Tensor) -> Tensor:
    return at[torch.where(target == IGNORE, len(at) - 1, target)]


def _column(given: Task, task: Task, column: Column) -> Column:
    """Targets of every pixel in the terms of the model's task. Raises `UserError` where the model knows no class."""
    _same_kind(given, task)
    if is_real(task) or given.labels == task.labels:
        return column
    if not set(given.labels) & set(task.labels):
        raise UserError(f"the recordings have no class that the model knows: {', '.join(task.labels)}")
    return Renamed(column, _places(given, task))


def _places(given: Task, task: Task) -> Tensor:
    """The model's class ids by those given."""
    ids = {label: number for number, label in enumerate(task.labels)}
    return torch.tensor([ids.get(label, IGNORE) for label in given.labels] + [IGNORE])


def _same_kind(given: Task, task: Task) -> None:
    """Raises `UserError` where one means classes and the other values, or other values."""
    if (is_real(given), given.unit, given.quantity) != (is_real(task), task.unit, task.quantity):
        ours, theirs = (f"values{t.unit and f' in {t.unit}'}" if is_real(t) else "classes" for t in (task, given))
        raise UserError(f"{task.name!r} has {theirs} in the recordings, but {ours} in the model")


def _target(given: Task, task: Task, target: Tensor) -> Tensor:
    """A target in the terms of the model's task."""
    _same_kind(given, task)
    return target if is_real(task) else _renamed(target, _places(given, task))
