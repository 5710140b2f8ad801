"""A round of data distillation: what a model makes of the missing cells of a table, and how good that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck import pseudo
from limbeck.data.cells import labelled
from limbeck.data.generated import Generated
from limbeck.data.source import Table
from limbeck.data.split import Split
from limbeck.models import MultiTask
from limbeck.observers import Observer
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import fingerprint
from limbeck.transforms import Views


class Round(NamedTuple):
    """How labels are generated, and where the answers are kept; `near` as in `pseudo.close`."""

    views: Views
    rule: pseudo.Rule
    hard: bool
    near: float | None
    at: Path
    observers: Sequence[Observer] = ()


def generate(
    how: Round, model: MultiTask, tasks: Sequence[Task], known: Split, truth: Table, before: Mapping[str, Tensor]
) -> tuple[dict[str, Generated], dict[str, dict[str, Any]], dict[str, Tensor]]:
    """The labels that a model gives to what training has no label of, what is to be told of them, and all its answers,
    by task.

    `known` is the split as training sees it; `truth` has the labels of its training part that were taken away, by which
    the answers are judged; `before` are the answers of the round before. Labels that the table brought stay where none
    is given in their place.
    """
    train, name = known.train, fingerprint(model)
    usual = pseudo.usual(model, labelled(train, tasks), tasks) if how.near else None
    found = pseudo.ask(model, train, tasks, how.views, how.at, how.observers, usual)
    held = None
    if how.near or isinstance(how.rule, pseudo.Precision):
        held = pseudo.ask(model, known.valid, tasks, how.views, how.at, how.observers, usual)
    made, told = dict[str, Generated](), dict[str, dict[str, Any]]()
    for task in tasks:
        shares, target = found.shares[task.name], train.targets[task.name]
        free = ~task.present(target)
        counts = target[~free].bincount(minlength=task.classes or 0)
        pair = (held.shares[task.name], known.valid.targets[task.name]) if held else (shares[:0], target[:0])
        kept, threshold = pseudo.keep(how.rule, task, shares, free, counts, pair)
        if held and how.near:
            far = held.far[task.name][task.present(known.valid.targets[task.name])]
            kept = kept & pseudo.close(found.far[task.name], far, how.near)
        made[task.name] = over(pseudo.labels(task, shares, kept, how.hard, name), train.generated.get(task.name))
        told[task.name] = {
            "rule": how.rule.kind,
            "threshold": threshold,
            **asked(task, train, shares, free, kept),
            "held": pseudo.quality(
                task, shares, found.plain[task.name], kept, torch.where(free, truth.targets[task.name], IGNORE)
            ),
            "agreement": same(shares, before.get(task.name), free),
        }
    return made, told, dict(found.shares)


def over(new: Generated, old: Generated | None) -> Generated:
    """Labels laid over others, which stay where there is none."""
    if old is None:
        return new
    first, given = len(old.teachers), new.given
    return replace(
        new,
        shares=torch.where(given.unsqueeze(1), new.shares, old.shares),
        confidence=torch.where(given | ~old.given, new.confidence, old.confidence),
        teacher=torch.where(given, new.teacher + first, old.teacher).short(),
        teachers=(*old.teachers, *new.teachers),
    )


def asked(task: Task, table: Table, shares: Tensor, free: Tensor, kept: Tensor) -> dict[str, Any]:
    """How many cells were asked for and kept, in all and by data set, with the labels that came out."""

    def told(at: Tensor) -> dict[str, Any]:
        labels = shares.argmax(dim=1)[at & kept].bincount(minlength=task.classes or 0).tolist()
        names = task.labels or tuple(map(str, range(task.classes or 0)))
        return {
            "asked": int((at & free).sum()),
            "kept": int((at & kept).sum()),
            "labels": dict(zip(names, labels, strict=True)),
        }

    every = told(torch.ones_like(free))
    names = table.meta["domain"]
    by = {name: told(torch.from_numpy(names == name)) for name in dict.fromkeys(names.tolist())}
    share = every["kept"] / every["asked"] if every["asked"] else math.nan
    return {
        "asked": every["asked"],
        "kept": every["kept"],
        "coverage": None if math.isnan(share) else round(share, 6),
        "by_set": {name: each for name, each in by.items() if each["asked"]},
    }


def same(shares: Tensor, before: Tensor | None, free: Tensor) -> float | None:
    """On which share of the cells two rounds say the same; none in the first."""
    if before is None or not bool(free.any()):
        return None
    return round(float((shares.argmax(dim=1) == before.argmax(dim=1))[free].double().mean()), 6)
