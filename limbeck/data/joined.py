"""Several data sets as one, each labelled for some of the tasks: what all kinds of them share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from limbeck.config import Spec, choices, digest, dump
from limbeck.data import cells, labels
from limbeck.data.base import Data
from limbeck.data.concat import concat
from limbeck.data.recordings import counted
from limbeck.data.source import Table
from limbeck.errors import UserError, unknown
from limbeck.tasks import IGNORE, Task


class Member(Spec, ABC):
    """A data set of several, and what of it is used. In a word: `KIND:DIR`."""

    data: Data
    tasks: tuple[str, ...] = ()
    """Tasks whose labels are used; all where none are named."""
    hidden: tuple[str, ...] = ()
    """Of these, the tasks whose labels neither training nor validation may see: they judge on the test, and what was
    generated in their place."""
    rename: tuple[str, ...] = ()
    """Classes by other names, as `run=jogging,walk left=walking`; `sleep=` takes the label away. A class that several
    tasks have is named with its task, as `activity/run=jogging`."""
    subjects: Literal["all", "even", "odd"] = "all"
    """Every subject, or every second one: of one set two can be made."""
    generated: Path | None = None
    """Labels that `limbeck label` wrote for it."""

    @classmethod
    def worded(cls, word: str) -> dict[str, Any]:
        kind, _, root = word.partition(":")
        if word == cls.kind:
            return {"kind": word}
        known = [each.kind for each in choices(cls.model_fields["data"].annotation)]
        if kind not in known:
            error = unknown(f"data for a {cls.kind}", kind, known)
            raise UserError(f"{error}. Images are joined by --data image-sets, recordings by --data sensor-sets")
        return {"data": {"kind": kind, **({"root": root} if root else {})}}

    def table(self) -> Table:
        """The rows and labels that are used. Raises `UserError` for a name that the data do not have."""
        data = self.data
        table = data.load()
        if self.generated is not None:
            table = labels.attached(table, self.generated)
        if self.subjects != "all":
            names = sorted(set(table.meta["subject"].tolist()), key=lambda s: (len(s), s))
            kept = names[self.subjects == "odd" :: 2]
            table = table.take(np.isin(table.meta["subject"], kept))
        known = [task.name for task in table.tasks]
        for name in (*self.tasks, *self.hidden):
            if name not in known:
                raise unknown(f"task of {data.kind}:", name, known)
        used = self.tasks + tuple(t for t in self.hidden if self.tasks and t not in self.tasks)
        tasks = [task for task in table.tasks if task.name in used or not used]
        renamed = dict(_renaming(entry, tasks, data.kind) for entry in self.rename)
        targets, made = {}, []
        for task in tasks:
            new, target = _renamed(task, table.targets[task.name], renamed)
            made.append(new)
            targets[task.name] = target
        given = {n: g for n, g in table.generated.items() if any(t.name == n for t in tasks)}
        if renamed and given:
            raise UserError(f"{data.kind}: labels that were generated have the classes of old; leave rename away")
        return replace(
            table,
            tasks=tuple(made),
            targets=targets,
            generated=given,
            card={**table.card, **_counts(table)},
            digest=digest([table.digest, _nowhere(dump(self))]),
        )


class Joined(Data, ABC):
    """Several data sets as one table. What a set has no labels of is missing there: never wrong, and never counted."""

    kind: ClassVar[str]
    classes: Literal["same", "shared", "all"] = "same"
    """What of sets that disagree on the classes of a task: they are refused; only classes that all of them have are
    kept, other labels taken away; or the task has every class of any."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The sets."""

    def files(self) -> list[Path]:
        return [file for member in self._members() for file in member.data.files()]

    def digest(self) -> str:
        parts = [(m.data.digest(), m.generated and labels.named(m.generated)) for m in self._members()]
        return digest([_nowhere(dump(self)), parts])

    def load(self) -> Table:
        tables = _agreed([self.fitted(member.table()) for member in self._members()], self.classes)
        rates = {table.card["rate"] for table in tables if "rate" in table.card}
        if len(rates) > 1:
            told = " and ".join(f"{rate:g}" for rate in sorted(rates))
            raise UserError(
                f"the sets have rates of {told} Hz; say which one all are to have, as --data.windows.rate 50"
            )
        table = concat(tables)
        names = list(dict.fromkeys(table.meta["domain"].tolist()))
        people = np.char.add(np.char.add(table.meta["domain"].astype(str), " "), table.meta["subject"].astype(str))
        hidden = {name: list(m.hidden) for name, m in zip(names, self._members(), strict=True) if m.hidden}
        _labelled_somewhere(table, hidden)
        card = {
            **_shared(tables[0].card),
            **table.card,
            **_counts(replace(table, meta={"subject": people})),
            "tasks": {t.name: counted(t, table.targets[t.name]) for t in table.tasks},
            "hidden": hidden,
            "cells": cells.counts(table),
            "dropped": {},
            "findings": {},
            "findings_first": {},
            "facts": [],
        }
        return replace(table, card=card, meta={**table.meta, "subject": people}, digest=self.digest())

    def fitted(self, table: Table) -> Table:
        """A set's table, made to fit with the others."""
        return table

    def _members(self) -> Sequence[Member]:
        if not self.members:
            raise UserError("name the data sets, each with its folder, as --data.sets KIND:DIR,KIND:DIR")
        for i, one in enumerate(self.members):
            for two in self.members[:i]:
                if one.data == two.data and {one.subjects, two.subjects} != {"even", "odd"}:
                    raise UserError(
                        f"two of the sets are the same {one.data.kind}: a sample could be in training and in the test; "
                        "give one of them --data.sets.N.subjects even, the other odd"
                    )
        return self.members


def _counts(table: Table) -> dict[str, int]:
    """How many samples a card speaks of, and of how many subjects."""
    images = {"images": len(table)} if "image" in table.inputs else {}
    return {**images, "subjects": len(set(table.meta["subject"].tolist()))}


def _nowhere(plain: Any) -> Any:
    """Plain values of a spec without its data, which have digests of their own."""
    if isinstance(plain, Mapping):
        return {k: _nowhere(v) for k, v in plain.items() if k not in ("data", "generated")}
    return [_nowhere(v) for v in plain] if isinstance(plain, list) else plain


def _shared(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of a set's card holds for all of them."""
    own = ("licence", "citation", "recordings", "seconds", "rates")
    return {key: value for key, value in card.items() if key not in own}


def _renaming(entry: str, tasks: Sequence[Task], of: str) -> tuple[tuple[str, str], str]:
    """Task and class of old, and the new name."""
    old, equals, new = (part.strip() for part in entry.partition("="))
    if not equals:
        raise UserError(f"rename: expected OLD=NEW, not {entry!r}")
    within, _, label = old.rpartition("/")
    owners = [t.name for t in tasks if label in t.labels and within in ("", t.name)]
    if not owners:
        raise unknown(f"class of {of}:", old, [label for task in tasks for label in task.labels])
    if len(owners) > 1:
        raise UserError(f"rename: {of} has {old!r} as a class of {' and '.join(owners)}; say {owners[0]}/{old}")
    return (owners[0], label), new


def _renamed(task: Task, target: torch.Tensor, names: Mapping[tuple[str, str], str]) -> tuple[Task, torch.Tensor]:
    """A task with classes of other names, and its targets; classes of one name become one."""
    if not any(of == task.name for of, _ in names):
        return task, target
    new = [names.get((task.name, label), label) for label in task.labels]
    return _numbered(task, target, new, tuple(dict.fromkeys(filter(None, new))))


def _numbered(
    task: Task, target: torch.Tensor, new: Sequence[str], labels: tuple[str, ...]
) -> tuple[Task, torch.Tensor]:
    """The task with these labels, and its targets; `new` are the names of its old classes, "" or another for none."""
    ids = torch.tensor([*(labels.index(n) if n in labels else IGNORE for n in new), IGNORE])
    place = torch.where(target == IGNORE, len(new), target)
    return replace(task, classes=len(labels), labels=labels, middles=()), ids[place]


def _agreed(tables: Sequence[Table], how: Literal["same", "shared", "all"]) -> list[Table]:
    """The tables with the same classes in each task, if that is asked for."""
    if how == "same":
        return list(tables)
    made = list(tables)
    for name in dict.fromkeys(t.name for table in tables for t in table.tasks):
        owners = [(i, t) for i, table in enumerate(made) for t in table.tasks if t.name == name and t.labels]
        lists = [task.labels for _, task in owners]
        if len(set(lists)) < 2:
            continue
        if any(name in made[i].generated for i, _ in owners):
            raise UserError(f"labels of {name!r} that were generated have the classes of old; leave classes at same")
        union = tuple(dict.fromkeys(label for labels in lists for label in labels))
        kept = union if how == "all" else tuple(label for label in union if all(label in labels for labels in lists))
        if len(kept) < 2:
            raise UserError(f"the sets share {len(kept)} classes of {name!r}: {', '.join(kept) or 'none'}")
        for i, task in owners:
            new, target = _numbered(task, made[i].targets[name], task.labels, kept)
            tasks = tuple(new if t.name == name else t for t in made[i].tasks)
            made[i] = replace(made[i], tasks=tasks, targets={**made[i].targets, name: target})
    return made


def _labelled_somewhere(table: Table, hidden: Mapping[str, Sequence[str]]) -> None:
    """Raises `UserError` for a task that no set has a label of that training may see, and where there is no task."""
    if not table.tasks:
        raise UserError("no set has a label of anything; say where labels are, as --data.sets.0.data.labels FILE")
    for task in table.tasks:
        hides = [name for name, tasks in hidden.items() if task.name in tasks]
        if not bool(
            task.present(table.targets[task.name])[torch.from_numpy(~np.isin(table.meta["domain"], hides))].any()
        ):
            raise UserError(
                f"no set has a label of {task.name!r}"
                + (f" but {', '.join(hides)}, where it is hidden" if hides else "")
                + "; leave the task away, or add a set that has"
            )
