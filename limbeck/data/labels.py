"""Generated labels in a folder, to be used with the data they were made for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from limbeck import checkpoint
from limbeck.config import digest
from limbeck.data.generated import Generated
from limbeck.data.source import Table, missing
from limbeck.errors import UserError
from limbeck.tasks import Task

MANIFEST, STORE = "generated.json", "generated.safetensors"
PARTS = ("shares", "confidence", "teacher")


def rows_of(table: Table) -> str:
    """Names the samples of a table by where each comes from, whatever their size or channels."""
    told = [
        values.tolist() for key, values in sorted(table.meta.items()) if key in ("subject", "session", "start", "file")
    ]
    return digest([len(table), told])


def write(folder: Path, table: Table, made: Mapping[str, Generated], about: Mapping[str, Any]) -> None:
    """Keeps labels of a table's samples, by task; `about` are plain values told beside them."""
    tensors = {f"{task}/{part}": getattr(each, part) for task, each in made.items() for part in PARTS}
    checkpoint.save_sealed(folder / STORE, tensors)
    tasks = {task.name: vars(task) for task in table.tasks if task.name in made}
    teachers = {task: list(each.teachers) for task, each in made.items()}
    told = {"rows": rows_of(table), "tasks": tasks, "teachers": teachers, **about}
    checkpoint.write_json(folder / MANIFEST, {**told, "sha256": checkpoint.sha256(folder / STORE)})


def named(folder: Path) -> str:
    """Names the labels of a folder. Raises `UserError` where there are none."""
    return digest(checkpoint.read_json(folder / MANIFEST))


def attached(table: Table, folder: Path) -> Table:
    """The table with the labels of a folder where it has none of its own, and with the tasks of those that it lacks.

    Raises `UserError` where they are of other samples or other classes.
    """
    about = checkpoint.read_json(folder / MANIFEST)
    if about["rows"] != rows_of(table):
        raise UserError(f"{folder} holds labels of other samples than {table.card.get('name')} has; label them again")
    tensors = checkpoint.load_sealed(folder / STORE)
    theirs = {name: Task.from_plain(plain) for name, plain in about["tasks"].items()}
    own = {task.name: task for task in table.tasks}
    targets, made = dict(table.targets), {}
    for name, task in theirs.items():
        if own.get(name, task).labels != task.labels:
            raise UserError(f"{folder} holds labels of {name!r} with other classes: {', '.join(task.labels)}")
        shares, confidence, teacher = (tensors[f"{name}/{part}"] for part in PARTS)
        targets.setdefault(name, missing(task, len(table)))
        free = ~task.present(targets[name])
        made[name] = Generated(
            torch.where(free.unsqueeze(1), shares, 0.0),
            confidence,
            torch.where(free, teacher, -1).short(),
            tuple(about["teachers"][name]),
        )
    return replace(
        table,
        tasks=tuple({**theirs, **own}.values()),
        targets=targets,
        generated={**table.generated, **made},
        digest=digest([table.digest, about]),
    )
