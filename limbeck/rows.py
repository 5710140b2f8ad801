"""A model's answers as rows, and these as CSV, as JSON or as a table in the terminal.

A row names the sample that it is about, by the second at which it begins and ends or by its file, and then under
`tasks` what the model says of each: a label with its probabilities, or a value with its interval.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.timeline import Row
from limbeck.values import binned, decoded, is_real

Array = np.ndarray[Any, Any]


def answers(task: Task, given: Array) -> list[dict[str, Any]]:
    """Probabilities `(N, C)`, or values `(N, 1)`, as a `Row` has them."""
    if is_real(task):
        read = decoded(task, given)
        columns = {"value": read.value}
        if binned(task, given):
            columns |= {"low": read.low, "high": read.high, "entropy": read.entropy}
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [{k: round(v, 4) for k, v in zip(columns, row, strict=True)} | {"unit": task.unit} for row in rows]
    labels = task.labels or tuple(map(str, range(task.classes or 0)))
    return [
        {
            "label": labels[int(row.argmax())],
            "probability": round(float(row.max()), 6),
            "probabilities": {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)},
        }
        for row in given
    ]


def show(rows: Sequence[Row], tasks: Sequence[Task], console: Console) -> None:
    """The rows as a table in the terminal."""
    header, *lines = _cells(rows, tasks)
    table = Table()
    for name in header:
        table.add_column(name, overflow="fold")
    for cells in lines:
        table.add_row(*map(str, cells))
    console.print(table, markup=False)


def write(rows: Sequence[Row], tasks: Sequence[Task], path: Path) -> None:
    """The rows as `.csv` (label and probability, or value with its interval) or `.json` (with all probabilities)."""
    if path.suffix == ".json":
        checkpoint.write_json(path, list(rows))
    elif path.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_cells(rows, tasks))
        checkpoint.write(path, text.getvalue().encode())
    else:
        raise UserError(f"predictions are written as .csv or .json, not {path.name!r}")


def _cells(rows: Sequence[Row], tasks: Sequence[Task]) -> list[list[Any]]:
    """A flat table with its header; the first of a task's columns (its label or value) has the task's own name."""
    kept = {task.name: [k for k in rows[0]["tasks"][task.name] if k not in ("probabilities", "unit")] for task in tasks}
    names = [name if not place else f"{name} {key}" for name, keys in kept.items() for place, key in enumerate(keys)]
    told = ([row["tasks"][name][key] for name, keys in kept.items() for key in keys] for row in rows)
    about = [key for key in rows[0] if key != "tasks"]
    return [[*about, *names], *([*(row[k] for k in about), *cells] for row, cells in zip(rows, told, strict=True))]
