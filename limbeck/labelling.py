"""Labels for a pool that nobody labelled, from a finished run.

limbeck label runs/a --data images --data.root POOL --data.store lazy --out labels/pool
limbeck train distill-2md-mtl --data.sets utkface:DIR,images:POOL --data.sets.1.generated labels/pool ...
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from limbeck import checkpoint, models, pseudo, recipes
from limbeck.config import Spec, dump
from limbeck.data import labels
from limbeck.data.base import Data
from limbeck.data.cells import veiled
from limbeck.data.generated import Generated
from limbeck.data.image_sets import AnyImages
from limbeck.data.images import ImageData
from limbeck.data.sensor_sets import AnyRecordings
from limbeck.data.source import Table, missing
from limbeck.errors import UserError
from limbeck.models import MultiTask, Several
from limbeck.observers import Observer
from limbeck.scoring import fits
from limbeck.tasks import Task
from limbeck.teachers import fingerprint
from limbeck.transforms import ImageViews, NoViews, SignalViews, Views

CSV = "labels.csv"


class Labelling(Spec):
    """What is labelled, and how."""

    kind: ClassVar[str] = "label"
    data: AnyRecordings | AnyImages
    views: ImageViews | SignalViews | NoViews | None = None
    """What the model sees of each sample; where none are named, those of the data's kind."""
    rule: pseudo.Rate | pseudo.Precision | pseudo.Fixed = pseudo.Precision()
    """Which answers become labels."""
    labels: Literal["hard", "soft"] = "hard"


class Labelled(NamedTuple):
    """What came of it, by task: how many samples had no label, how many were given one, and from which confidence
    on."""

    asked: int
    given: int
    threshold: float | dict[str, float] | None


def label(run: Path, how: Labelling, out: Path, observers: Sequence[Observer] = ()) -> dict[str, Labelled]:
    """Writes what a run's student says of a pool, where it is sure, into a folder.

    `generated.safetensors` has the labels, for `--data.sets.N.generated`; `labels.csv` a line for each. What was cut
    goes on. Raises `UserError` where the samples do not fit the model, and for a task that is not of classes.
    """
    recipe, (student, tasks) = recipes.load(run), models.load(run / "best")
    if any(not task.classes or task.span for task in tasks):
        raise UserError(f"{run}: labels are generated for classes, and a task of it has real values")
    own = checkpoint.read_json(run / "data.json")
    pool = _alike(how.data, own).load()
    pool = _asked_for(pool, tasks, student)
    fits(run, pool, student)
    views: Views = how.views or (ImageViews() if "image" in pool.inputs else SignalViews())
    split = recipe.split.split(recipe.data.load())
    train, valid = (veiled(part, split.train.card.get("hidden", {})) for part in (split.train, split.valid))
    found = pseudo.ask(student, pool, tasks, views, out, observers)
    held = pseudo.ask(student, valid, tasks, views, out, observers) if how.rule.kind == "precision" else None
    made, told = dict[str, Generated](), dict[str, Labelled]()
    for task in tasks:
        shares, free = found.shares[task.name], ~task.present(pool.targets[task.name])
        known = train.targets[task.name]
        counts = known[task.present(known)].bincount(minlength=task.classes or 0)
        pair = (held.shares[task.name], valid.targets[task.name]) if held else (shares[:0], known[:0])
        kept, threshold = pseudo.keep(how.rule, task, shares, free, counts, pair)
        made[task.name] = pseudo.labels(task, shares, kept, how.labels == "hard", fingerprint(student))
        told[task.name] = Labelled(int(free.sum()), int(kept.sum()), threshold)
    about = {"run": str(run), "views": [v.name for v in views.views()], "rule": dump(how.rule), "labels": how.labels}
    labels.write(out, pool, made, {**about, "told": {name: each._asdict() for name, each in told.items()}})
    checkpoint.write(out / CSV, _lines(pool, tasks, found.shares, made).encode())
    return told


def _alike(data: Data, card: Mapping[str, Any]) -> Data:
    """Images of the size and colour that a model knows."""
    if not isinstance(data, ImageData) or card.get("modality") != "image":
        return data
    return data.changed(size=card["size"], colour="grey" if len(card["channels"]) == 1 else "rgb")


def _asked_for(pool: Table, tasks: Sequence[Task], student: torch.nn.Module) -> Table:
    """The pool with the model's tasks, and the labels it has of them."""
    theirs = {task.name: task for task in pool.tasks}
    targets = {}
    for task in tasks:
        own = theirs.get(task.name)
        if own is not None and own.labels != task.labels:
            raise UserError(f"{pool.card['name']} has other classes of {task.name!r} than the model: {own.labels}")
        targets[task.name] = pool.targets[task.name] if own else missing(task, len(pool))
    several = student.models if isinstance(student, Several) else [student]
    if any(isinstance(model, MultiTask) and model.sets > 1 for model in several):
        raise UserError("this model keeps data sets apart (--norms per-set), and the pool is of none of them")
    return replace(pool, tasks=tuple(tasks), targets=targets, generated={})


def _lines(pool: Table, tasks: Sequence[Task], shares: Mapping[str, Tensor], made: Mapping[str, Generated]) -> str:
    """A line for each sample and task that was asked: where it comes from, the label, its confidence, whether kept."""
    where = [key for key in ("file", "subject", "session", "start") if key in pool.meta]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*where, "task", "label", "confidence", "kept"])
    for task in tasks:
        free = (~task.present(pool.targets[task.name])).nonzero().squeeze(1).tolist()
        each, likeliest = made[task.name], shares[task.name].argmax(dim=1)
        confidence, given = each.confidence.tolist(), each.given.tolist()
        for row in free:
            number = int(likeliest[row])
            named = task.labels[number] if task.labels else number
            kept = str(given[row]).lower()
            writer.writerow([*(pool.meta[key][row] for key in where), task.name, named, f"{confidence[row]:.4f}", kept])
    return text.getvalue()
