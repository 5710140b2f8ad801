"""Scores of a finished run on a part of its split or on other recordings: student, teachers, and the pair."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Grid
from torch import nn

from limbeck import evaluate as evaluation
from limbeck import models, recipes
from limbeck.checkpoint import read_json
from limbeck.compare import LEAK
from limbeck.config import override
from limbeck.data.source import Table
from limbeck.errors import UserError, unknown
from limbeck.objective import STUDENT
from limbeck.recipe import STAGES
from limbeck.tasks import IGNORE, Task


def evaluate(run: Path, paths: Mapping[str, Any], part: str = "test") -> dict[str, Any]:
    """Scores of every kept model by task, and the agreement of teachers with the student.

    `paths` are field paths of the recipe's data, as `{"data": "recordings", "data.root": "DIR"}`: other recordings,
    taken whole. `flatters` says why scores do, if they do. Raises `UserError` for another field, and where recordings
    have no task or no class in common with the model, or windows of another shape.
    """
    for path in paths:
        if path.split(".")[0] != "data":
            raise UserError(f"--{path} cannot be given: a run is scored by its own split; only --data can be another")
    recipe = recipes.load(run)
    student, tasks = models.load(run / "best")
    other = override(recipe, dict(paths))
    table = other.data.load()
    whole = other.data != recipe.data
    flatters = "with windows that it was trained on" if part in ("train", "all") and not whole else ""
    if whole and set(other.data.files()) & set(recipe.data.files()):
        flatters = "other windows of recordings that it was trained on"
    if not whole and part != "all":
        split = recipe.split.split(table)
        flatters = flatters or (LEAK if split.leaky else "")
        parts = {"train": split.train, "valid": split.valid, "test": split.test}
        if part not in parts:
            raise unknown("part", part, [*parts, "all"])
        table = parts[part]
    table = _translated(table, tasks)
    _fits(run, table)
    logits = {name: evaluation.answers(model, table) for name, model in _models(run, student).items()}
    return {
        "data": table.card.get("name", other.data.kind),
        "part": "all" if whole else part,
        "windows": len(table),
        "flatters": flatters,
        "models": {name: evaluation.assess(answer, table, tasks) for name, answer in logits.items()},
        "agreement": {n: evaluation.agreement(logits[STUDENT], a) for n, a in logits.items() if n != STUDENT},
    }


def _models(run: Path, student: nn.Module) -> dict[str, nn.Module]:
    """The student and its teachers: those that learnt beside it, and those that were trained before, in stages."""
    parts = read_json(run / "best" / "model.json").get("parts", [])
    own = [path.parent for path in sorted(run.glob("*/finished.json")) if path.parent.name not in parts]
    stages = {path.name: path for path in own}
    if (run / STAGES).is_file():
        stages |= {name: run / path for name, path in read_json(run / STAGES).items()}
    learning = [path.stem for path in sorted((run / "best").glob("*.safetensors")) if path.stem != STUDENT]
    return {
        STUDENT: student,
        **{name: models.load(run / "best", name)[0] for name in learning},
        **{name: models.load(path / "best")[0] for name, path in stages.items()},
    }


def _fits(run: Path, table: Table) -> None:
    trained, given = read_json(run / "data.json"), table.card
    remedies = {
        "rate": "set --data.windows.rate alike",
        "window": "set --data.windows.length alike",
        "channels": "the model reads no others",
        "unit": "set --data.unit if it is known to be the same",
    }
    for name, remedy in remedies.items():
        if name in given and list(np.atleast_1d(trained[name])) != list(np.atleast_1d(given[name])):
            raise UserError(
                f"{run} was trained on windows of {name} {trained[name] or 'unknown'}, the recordings give {name} "
                f"{given[name] or 'unknown'}; {remedy}"
            )


def _translated(table: Table, tasks: tuple[Task, ...]) -> Table:
    """The table with the model's class ids, by the names of the classes; classes that the model does not know are
    missing."""
    targets = {}
    theirs = {task.name: task for task in table.tasks}
    for task in tasks:
        if task.name not in theirs:
            continue
        ids = {label: number for number, label in enumerate(task.labels)}
        at = torch.tensor([ids.get(label, IGNORE) for label in theirs[task.name].labels] + [IGNORE])
        given = table.targets[task.name]
        targets[task.name] = at[torch.where(given == IGNORE, len(at) - 1, given)]
    if not targets:
        raise UserError(
            f"the recordings have the tasks {', '.join(theirs)}, the model knows {', '.join(t.name for t in tasks)}"
        )
    if all(bool((t == IGNORE).all()) for t in targets.values()):
        raise UserError("the recordings have no class that the model knows: " + ", ".join(tasks[0].labels))
    everything = {t.name: targets.get(t.name, torch.full((len(table),), IGNORE)) for t in tasks}
    return Table(tasks, table.inputs, everything, table.meta, table.card, table.digest, table.ids)


def print_scores(found: Mapping[str, Any], console: Console) -> None:
    """A table of models and tasks, one of subjects, and the agreement."""
    flatters = f" [{found['flatters']}: scores flatter]" if found["flatters"] else ""
    said = f"{found['data']}, {found['part']}: {found['windows']} windows{flatters}"
    console.print(said, highlight=False, markup=False)
    grid = Grid(box=None, pad_edge=False)
    for head in ("model", "task", "accuracy", "95 % over subjects", "macro-F1", "weighted-F1", "ECE", "n"):
        grid.add_column(head)
    for name, tasks in found["models"].items():
        for task, s in tasks.items():
            bounds = s["interval"]["accuracy"]
            interval = f"{bounds[0]:.1%} - {bounds[1]:.1%}" if bounds else ""
            f1s = (f"{s[metric]:.1%}" for metric in ("macro_f1", "weighted_f1"))
            grid.add_row(name, task, f"{s['accuracy']:.1%}", interval, *f1s, f"{s['ece']:.3f}", str(s["n"]))
    console.print(grid)
    student = found["models"][STUDENT]
    subjects = list(dict.fromkeys(name for scores in student.values() for name in scores["subjects"]))
    each = Grid(box=None, pad_edge=False)
    for head in ("subject", *student):
        each.add_column(head)
    for name in subjects:
        each.add_row(
            name, *(f"{s['subjects'][name]['accuracy']:.1%}" if name in s["subjects"] else "" for s in student.values())
        )
    console.print(each)
    for name, shares in found["agreement"].items():
        console.print(
            f"student and {name} agree: " + ", ".join(f"{t} {v:.1%}" for t, v in shares.items()), highlight=False
        )
