"""Several tables as one, with what each does not label marked as missing."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from limbeck.batch import DOMAIN
from limbeck.config import digest
from limbeck.data.generated import Generated, no_labels
from limbeck.data.source import Chain, Dense, Table, missing
from limbeck.errors import UserError
from limbeck.tasks import Task


def concat(tables: Sequence[Table]) -> Table:
    """Several tables as one. A task that a table does not have is missing for its samples; `meta["domain"]` says whose
    a row is, and the input `domain` its number.

    Raises `UserError` where two tables mean different classes by one task, or differ in modality or shape.
    """
    names = [str(t.card.get("name", i)) for i, t in enumerate(tables)]
    names = [f"{name} {names[:i].count(name) + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]
    tasks: dict[str, Task] = {}
    owner: dict[str, str] = {}
    for of, table in zip(names, tables, strict=True):
        for task in table.tasks:
            if tasks.setdefault(task.name, task) != task:
                raise _disagree(task.name, (owner[task.name], tasks[task.name]), (of, task))
            owner.setdefault(task.name, of)
    modalities = list(tables[0].inputs)
    for of, table in zip(names, tables, strict=True):
        theirs, first = ({m: c.shape for m, c in t.inputs.items()} for t in (table, tables[0]))
        if theirs != first:
            raise UserError(f"{names[0]} has samples of {_shapes(first)}, {of} has {_shapes(theirs)}; make them alike")
    kept = [k for k in tables[0].meta if all(k in t.meta for t in tables)]
    sizes = [len(t) for t in tables]
    domains = torch.arange(len(tables)).repeat_interleave(torch.tensor(sizes))
    return Table(
        tasks=tuple(tasks.values()),
        inputs={**{m: Chain([t.inputs[m] for t in tables]) for m in modalities}, DOMAIN: Dense(domains)},
        targets={
            n: torch.cat([t.targets[n] if n in t.targets else missing(task, len(t)) for t in tables])
            for n, task in tasks.items()
        },
        meta={k: np.concatenate([t.meta[k] for t in tables]) for k in kept}
        | {"domain": np.repeat(np.array(names), sizes)},
        card={"name": " + ".join(names), "parts": [dict(t.card) for t in tables]},
        digest=digest([[t.digest, t.ids.tolist()] for t in tables]),
        generated={
            n: _joined([t.generated.get(n) or no_labels(task, len(t)) for t in tables])
            for n, task in tasks.items()
            if any(n in t.generated for t in tables)
        },
    )


def _disagree(name: str, one: tuple[str, Task], two: tuple[str, Task]) -> UserError:
    """Says how two data sets mean different things by one task."""
    (a, first), (b, second) = one, two
    unlike = sorted(set(first.labels) ^ set(second.labels))
    odd = f"only one of them has {', '.join(map(repr, unlike[:5]))}{' ...' if len(unlike) > 5 else ''}"
    return UserError(
        f"{a} and {b} disagree on the classes of {name!r}: "
        + (odd if unlike else f"{first.labels or first.classes} and {second.labels or second.classes}")
        + "; rename the classes or the task of one of them"
    )


def _shapes(inputs: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{' x '.join(map(str, shape))} ({modality})" for modality, shape in inputs.items())


def _joined(parts: Sequence[Generated]) -> Generated:
    """Labels of several tables, one after another."""
    teachers = tuple(dict.fromkeys(name for part in parts for name in part.teachers))
    numbers = [torch.tensor([*map(teachers.index, part.teachers), -1], dtype=torch.int16) for part in parts]
    return Generated(
        torch.cat([part.shares for part in parts]),
        torch.cat([part.confidence for part in parts]),
        torch.cat([number[part.teacher.long()] for number, part in zip(numbers, parts, strict=True)]),
        teachers,
    )
