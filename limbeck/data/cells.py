"""The cells of a table, a sample's label of a task each: which there are, and taking some away."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import process
from limbeck.config import digest
from limbeck.data.generated import GENERATED, LABELLED, MISSING, Generated
from limbeck.data.source import Table, missing
from limbeck.tasks import Task


def counts(table: Table) -> dict[str, dict[str, dict[str, Any]]]:
    """How many cells of each set and task are labelled, generated and missing, with the mean confidence and the
    teachers of what was generated."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in dict.fromkeys(table.meta["domain"].tolist()):
        at = table.meta["domain"] == name
        for task in table.tasks:
            status = table.status(task.name)[at]
            told: dict[str, Any] = {what: int((status == what).sum()) for what in (LABELLED, GENERATED, MISSING)}
            if told[GENERATED]:
                made = table.generated[task.name].take(torch.from_numpy(np.flatnonzero(at)))
                told["confidence"] = round(float(made.confidence[made.given].mean()), 4)
                told["teachers"] = [made.teachers[i] for i in made.teacher[made.given].unique().tolist()]
            found.setdefault(name, {})[task.name] = told
    return found


def some(table: Table, tasks: Sequence[Task]) -> Tensor:
    """Which rows have a label of one of the tasks, from people or generated: bool `(N,)`."""
    found = torch.zeros(len(table), dtype=torch.bool)
    for task in tasks:
        found |= task.present(table.targets[task.name])
        if task.name in table.generated:
            found |= table.generated[task.name].given
    return found


def labelled(table: Table, tasks: Sequence[Task]) -> Table:
    """The rows with a label of one of the tasks."""
    at = some(table, tasks)
    return table if bool(at.all()) else table.take(at)


def relabelled(table: Table, lost: Mapping[str, Tensor]) -> Table:
    """The table without the labels of some rows, by task."""
    tasks = {task.name: task for task in table.tasks}
    targets = {n: torch.where(at, missing(tasks[n], len(table)), table.targets[n]) for n, at in lost.items()}
    return replace(table, targets={**table.targets, **targets})


def veiled(table: Table, hidden: Mapping[str, Sequence[str]]) -> Table:
    """The table without the labels that are hidden of each set."""
    of = {
        task: [name for name, tasks in hidden.items() if task in tasks] for tasks in hidden.values() for task in tasks
    }
    return relabelled(table, {t: torch.from_numpy(np.isin(table.meta["domain"], names)) for t, names in of.items()})


def without_share(table: Table, share: float) -> Table:
    """The table without the labels of that share of each set's subjects: the same subjects each time."""
    lost: set[str] = set()
    for name in dict.fromkeys(table.meta["domain"].tolist()):
        subjects = sorted(set(table.meta["subject"][table.meta["domain"] == name].tolist()))
        order = torch.randperm(len(subjects), generator=process.generator(0, "hide", name)).tolist()
        lost |= {subjects[i] for i in order[: round(share * len(subjects))]}
    at = torch.from_numpy(np.isin(table.meta["subject"], sorted(lost)))
    return relabelled(table, {task.name: at for task in table.tasks}) if lost else table


def with_lots(table: Table, name: str, classes: int, drawn: bool) -> Table:
    """The table with a task more, whose labels are `drawn` by lot where there is a label of another task, or are all
    missing."""
    task = Task.of(name, tuple(map(str, range(classes))))
    target = missing(task, len(table))
    if drawn:
        draw = process.generator(0, name)
        lots = torch.randint(classes, (int(table.ids.max()) + 1,), generator=draw)[table.ids]
        target = torch.where(some(table, table.tasks), lots, target)
    return replace(table, tasks=(*table.tasks, task), targets={**table.targets, name: target})


def generated_digest(table: Table) -> str:
    """Names the generated labels of a table."""

    def told(each: Generated) -> list[Any]:
        return [digest(part.contiguous().numpy().tobytes()) for part in (each.shares, each.teacher)] + [each.teachers]

    return digest({name: told(each) for name, each in table.generated.items() if bool(each.given.any())})
