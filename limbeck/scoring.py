"""Scores of a finished run on a part of its split or on other recordings: student, teachers, and the pair."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Grid
from torch import nn

from limbeck import evaluate as evaluation
from limbeck import models, recipes, words
from limbeck.checkpoint import read_json
from limbeck.compare import LEAK
from limbeck.config import override
from limbeck.data.source import Table
from limbeck.errors import UserError, unknown
from limbeck.measures import CLASSES, SURE, Measure, family, judge, ordered
from limbeck.metrics import NEAR
from limbeck.objective import STUDENT
from limbeck.recipe import shared_stages
from limbeck.renamed import translated


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
    table = translated(table, tasks)
    fits(run, table, student)
    table = recipe.extended(table, run)
    kept = _models(run, student)
    logits = {name: evaluation.answers(model, table) for name, model in kept.items()}
    flat = [task for task in tasks if task.name not in table.dense]
    return {
        "data": table.card.get("name", other.data.kind),
        "part": "all" if whole else part,
        "windows": len(table),
        "samples": words.samples(table.card),
        "subjects": len(set(table.meta["subject"].tolist())),
        "flatters": flatters,
        "models": {name: evaluation.assess(answer, table, tasks) for name, answer in logits.items()},
        "agreement": {
            name: evaluation.agreement(logits[STUDENT], logits[name], flat) | evaluation.agree(student, model, table)
            for name, model in kept.items()
            if name != STUDENT
        },
    }


def stages(run: Path) -> dict[str, Path]:
    """The folders of what was trained before the student, by name: the run's own, and what it shares with others."""
    parts = read_json(run / "best" / "model.json").get("parts", [])
    own = [path.parent for path in sorted(run.glob("*/finished.json")) if path.parent.name not in parts]
    return {path.name: path for path in own} | {name: run / path for name, path in shared_stages(run).items()}


def _models(run: Path, student: nn.Module) -> dict[str, nn.Module]:
    """The student and its teachers: those that learnt beside it, and those that were trained before, in stages."""
    learning = [path.stem for path in sorted((run / "best").glob("*.safetensors")) if path.stem != STUDENT]
    return {
        STUDENT: student,
        **{name: models.load(run / "best", name)[0] for name in learning},
        **{name: models.load(path / "best")[0] for name, path in stages(run).items()},
    }


def _unitless(model: nn.Module) -> bool:
    """Whether the model brings each window to mean 0 and deviation 1, so that no unit matters."""
    normalise = model.normalise if isinstance(model, models.MultiTask) else None
    return normalise is not None and normalise.how == "window"


def fits(run: Path, table: Table, student: nn.Module) -> None:
    """Raises `UserError` where samples are of another rate, length or kind than those that a run was trained on."""
    trained, given = read_json(run / "data.json"), table.card
    remedies = {
        "rate": "set --data.windows.rate alike",
        "window": "set --data.windows.length alike",
        "channels": "the model reads no others",
        "filter": "set --data.band and --data.filtering alike",
        "unit": "set --data.unit if it is known to be the same",
        "size": "set --data.size alike",
    }
    for name, remedy in remedies.items():
        if name == "unit" and _unitless(student):
            continue
        ours, theirs = _told(trained.get(name)), _told(given.get(name))
        if name in given and ours != theirs:
            raise UserError(
                f"{run} was trained on {words.samples(trained)} of {name} {ours}, these have {name} {theirs}; {remedy}"
            )


def _told(value: Any) -> str:
    """What a card says of windows, in words."""
    if isinstance(value, Mapping):
        low, high = value["band"]
        return f"{low:g} to {high:g} Hz, {value['how']}"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, np.atleast_1d(value))) if value else "none" if value is None else "unknown"


def print_scores(found: Mapping[str, Any], console: Console) -> None:
    """A table of models and tasks for each kind of task, one of subjects (and of activities), and the agreement."""
    flatters = f" [{found['flatters']}: scores flatter]" if found["flatters"] else ""
    said = f"{found['data']}, {found['part']}: {found['windows']} {found['samples']}{flatters}"
    console.print(said, highlight=False, markup=False)
    over = f"95 % over {found['samples'] if found['windows'] == found['subjects'] else 'subjects'}"
    scores = {(name, task): s for name, tasks in found["models"].items() for task, s in tasks.items()}
    classes = {key: s for key, s in scores.items() if CLASSES[0].key in s}
    if classes:
        _print_classes(classes, over, console)
    for task in dict.fromkeys(task for name, task in scores if (name, task) not in classes):
        _print_values(task, {name: s for (name, t), s in scores.items() if t == task}, over, console)
    student = found["models"][STUDENT]
    for what, each in _parts(student).items():
        names = list(dict.fromkeys(name for groups in each.values() for name in groups))
        if len(names) > words.LISTED:
            console.print(f"{words.counted(len(names), what + 's')}, too many to be listed", highlight=False)
            continue
        grid = _grid(what, *student)
        for name in names:
            grid.add_row(name, *(_judged(each[task].get(name)) if task in each else "" for task in student))
        console.print(grid)
    for name, shares in found["agreement"].items():
        told = ", ".join(f"{t} {v:.1%}{_near(student[t])}" for t, v in shares.items())
        if told:
            console.print(f"student and {name} agree: {told}", highlight=False)


def _grid(*heads: str) -> Grid:
    grid = Grid(box=None, pad_edge=False)
    for head in heads:
        grid.add_column(head)
    return grid


def _print_classes(scores: Mapping[tuple[str, str], Mapping[str, Any]], over: str, console: Console) -> None:
    """A row for each model and task, with the interval of the first measure."""
    units = {s["unit"] for s in scores.values() if "middles" in s}
    first, *others = CLASSES if not units else ordered(", ".join(sorted(units)))
    grid = _grid("model", "task", first.name, over, *(m.head if m.key == "mae" else m.name for m in others), "n")
    for (name, task), s in scores.items():
        told = (_shown(m, s.get(m.key)) for m in others)
        grid.add_row(name, task, _shown(first, s[first.key]), _span(first, s), *told, str(s["n"]))
    console.print(grid)


def _print_values(task: str, scores: Mapping[str, Mapping[str, Any]], over: str, console: Console) -> None:
    """A row for each measure, for they are many, and a column for each model; then the IoU of each class."""
    told = next(iter(scores.values()))
    first, *others = family(told, told.get("unit", ""))
    grid = _grid(task, *scores)
    grid.add_row(first.head, *(_shown(first, s[first.key]) for s in scores.values()))
    spans = [_span(first, s) for s in scores.values()]
    if any(spans):
        grid.add_row(over, *spans)
    for m in (*others, *(SURE if "coverage" in told else ())):
        if any(s.get(m.key) is not None for s in scores.values()):
            grid.add_row(
                m.head if "size" in told and not m.share else m.name,
                *(_shown(m, s.get(m.key)) for s in scores.values()),
            )
    for number, label in enumerate(told["labels"] if "iou" in told else ()):
        grid.add_row(f"IoU of {label}", *(_shown(first, s["iou"][number]) for s in scores.values()))
    grid.add_row("pixels" if "size" in told else "n", *(str(s["n"]) for s in scores.values()))
    console.print(grid)


def _span(measure: Measure, scores: Mapping[str, Any]) -> str:
    bounds = scores["interval"][measure.key]
    return f"{_shown(measure, bounds[0])} - {_shown(measure, bounds[1])}" if bounds else ""


def _shown(measure: Measure, value: float | None) -> str:
    """A value that stands below its name; empty where nothing was labelled."""
    if value is None:
        return ""
    if measure.key == "ece":
        return f"{value:.3f}"
    return measure.number(value) + ("%" if measure.share else "")


def _parts(student: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """By what tells windows apart (data set, subject, activity), by task: the scores of each."""
    parts: dict[str, dict[str, Mapping[str, Any]]] = {"subject": {t: s["subjects"] for t, s in student.items()}}
    for task, s in student.items():
        for what, groups in {**s.get("groups", {}), **({"data set": s["domains"]} if "domains" in s else {})}.items():
            parts.setdefault(what, {})[task] = groups
    return parts


def _judged(scores: Mapping[str, Any] | None) -> str:
    return "" if scores is None else _shown(judge(scores), scores[judge(scores).key])


def _near(scores: Mapping[str, Any]) -> str:
    """What agreement means where answers are values."""
    if "rel_err" in scores or "mean_angle" in scores:
        return " (within 1.25 times)" if "rel_err" in scores else " (within 11.25°)"
    return f" (within {NEAR:g} {scores['unit']})".replace(" )", ")") if "rmse" in scores else ""
