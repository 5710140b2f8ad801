"""Splits into train, validation and test, by provenance; and the audit that looks for what they share."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field

from limbeck import process
from limbeck.config import Spec
from limbeck.data import maps
from limbeck.data.source import Table, Windows
from limbeck.errors import UserError, unknown
from limbeck.tasks import Task
from limbeck.words import MANY, samples

Names = np.ndarray[Any, Any]

TEST = "test"
"""How a data set's column `part` marks what its makers set aside for the test."""


@dataclass(frozen=True)
class Split:
    """Three parts of one table. `leaky`: a subject is in more than one of them, so scores flatter."""

    train: Table
    valid: Table
    test: Table
    leaky: bool
    audit: dict[str, Any]

    @property
    def parts(self) -> dict[str, Table]:
        """By name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def audit(train: Table, valid: Table, test: Table) -> dict[str, Any]:
    """Subjects and windows of each part, and what two parts share: subjects, and windows with samples in common.

    Windows are whatever the samples are. Of more than `words.MANY` subjects of a part only their number is told.
    """
    parts = {"train": train, "valid": valid, "test": test}
    names = {name: sorted(set(map(str, part.meta["subject"]))) for name, part in parts.items()}
    report: dict[str, Any] = {name: {"windows": len(part), **_named(names[name])} for name, part in parts.items()}
    pairs = [("train", "valid"), ("train", "test"), ("valid", "test")]
    report["shared subjects"] = {f"{a} and {b}": sorted(set(names[a]) & set(names[b])) for a, b in pairs}
    report["overlapping windows"] = {f"{a} and {b}": _overlaps(parts[a], parts[b]) for a, b in pairs}
    report["classes absent from training"] = {
        task.name: [
            task.labels[c] if task.labels else str(c)
            for c, (learnt, *asked) in enumerate(zip(*(_present(p, task) for p in (train, valid, test)), strict=True))
            if any(asked) and not learnt
        ]
        for task in train.tasks
        if task.classes and not task.span
    }
    return report


def _present(part: Table, task: Task) -> list[bool]:
    """Whether each class of a task is in a part."""
    if task.name in part.dense:
        return [bool(n) for n in maps.counted(part.dense[task.name]).sum(dim=0)]
    target = part.targets[task.name]
    return [bool((target == c).any()) for c in range(task.classes or 0)]


def _named(subjects: Sequence[str]) -> dict[str, Any]:
    """The names of subjects; their number alone where there are many."""
    return {"subjects": subjects} if len(subjects) <= MANY else {"subjects": [], "subjects in all": len(subjects)}


def _overlaps(one: Table, two: Table) -> int:
    """How many windows of `two` share samples with a window of `one`: by their place in one signal or, where windows
    are kept apart, by their times in the same session."""
    shared = np.zeros(len(two), bool)
    for modality, theirs in two.inputs.items():
        ours = one.inputs[modality]
        if isinstance(ours, Windows) and isinstance(theirs, Windows):
            if _same(ours.signal, theirs.signal):
                shared |= _near(ours.starts.numpy(), theirs.starts.numpy(), theirs.length)
        elif {"subject", "session", "start"} <= two.meta.keys() and {"rate", "window"} <= two.card.keys():
            seconds = two.card["window"] / two.card["rate"]
            sessions = [np.stack([t.meta["subject"], t.meta["session"]]).astype(str) for t in (one, two)]
            for session in np.unique(sessions[1], axis=1).T:
                at, of = ((names == session[:, None]).all(axis=0) for names in sessions)
                # Times are rounded: what begins as another ends shares nothing with it.
                shared[of] |= _near(one.meta["start"][at], two.meta["start"][of], seconds - 1e-6)
    return int(shared.sum())


def _near(known: Names, starts: Names, length: float) -> Names:
    """Whether a start lies less than a length before or after one of those known."""
    known = np.sort(known)
    after, before = starts - length, starts + length
    found: Names = np.searchsorted(known, after, side="right") < np.searchsorted(known, before, side="left")
    return found


def _same(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.data_ptr() == two.data_ptr() and one.shape == two.shape


def _made(table: Table, train: Names, valid: Names, test: Names) -> Split:
    parts = table.take(train), table.take(valid), table.take(test)
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            sample = samples(table.card)[:-1]
            raise UserError(
                f"the split leaves no {sample} for {name}; name other subjects or give that part a larger share"
            )
    report = audit(*parts)
    leaky = any(report["shared subjects"].values())
    return Split(*parts, leaky, report)


def _subjects(table: Table) -> list[str]:
    subjects = sorted(set(map(str, table.meta["subject"])), key=lambda s: (len(s), s))
    if len(subjects) < 3:
        raise UserError(
            f"a split by subject needs at least 3 subjects (train, validation, test), the data has {len(subjects)}: "
            f"{', '.join(subjects)}. Train with --split random-window, which is leaky and is labelled so"
        )
    return subjects


def _by_subject(table: Table, valid: Sequence[str], test: Sequence[str]) -> Split:
    names = table.meta["subject"].astype(str)
    in_valid, in_test = np.isin(names, list(valid)), np.isin(names, list(test))
    return _made(table, ~in_valid & ~in_test, in_valid, in_test)


def _shuffled(items: Sequence[str], seed: int) -> list[str]:
    return [items[i] for i in torch.randperm(len(items), generator=process.generator(seed, "split")).tolist()]


def _share(count: int, share: float) -> int:
    return min(max(1, round(count * share)), max(1, count - 2))


def _drawn(order: list[str], count: int) -> list[str]:
    """Takes so many from the end, or all there are; a part that is left empty is told of where the parts are made."""
    return [order.pop() for _ in range(min(count, len(order)))]


class Splitter(Spec, ABC):
    """How a table is split. Of a joined table each data set is split by itself, so that each is in every part."""

    @abstractmethod
    def alone(self, table: Table) -> Split:
        """The three parts of one data set."""

    def within(self, subjects: set[str]) -> Self:
        """The same for a set of these subjects."""
        return self

    def known(self, subjects: set[str]) -> None:
        """Raises `UserError` for a subject that is named and not there."""

    def split(self, table: Table) -> Split:
        """The three parts. Raises `UserError` where one would be empty."""
        self.known(set(table.meta["subject"].tolist()))
        names = table.meta.get("domain", np.full(len(table), ""))
        sets = list(dict.fromkeys(names.tolist()))
        if len(sets) < 2:
            return self.alone(table)
        made = []
        for name in sets:
            own = replace(table, ids=torch.empty(0, dtype=torch.long)).take(np.flatnonzero(names == name))
            try:
                made.append(self.within(set(own.meta["subject"].tolist())).alone(own))
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
        rows = [
            torch.cat([part.ids for part in parts])
            for parts in zip(*(each.parts.values() for each in made), strict=True)
        ]
        train, valid, test = (table.take(at) for at in rows)
        return Split(train, valid, test, any(each.leaky for each in made), audit(train, valid, test))


class BySubject(Splitter):
    """Whole subjects are held out, drawn by `seed` or named."""

    kind: ClassVar[str] = "subject"
    test: float = Field(0.2, gt=0, lt=1)
    """Share of subjects held out for the test."""
    valid: float = Field(0.2, gt=0, lt=1)
    """Share of the other subjects held out for validation."""
    seed: int = 0
    """Which subjects; other than the plan's seed, so that seeds of training share one split."""
    test_subjects: tuple[str, ...] = ()
    """These instead of a draw."""
    valid_subjects: tuple[str, ...] = ()

    def known(self, subjects: set[str]) -> None:
        for name in (*self.test_subjects, *self.valid_subjects):
            if name not in subjects:
                raise unknown("subject", name, sorted(subjects, key=lambda s: (len(s), s)))

    def within(self, subjects: set[str]) -> Self:
        """With those of the named subjects that are in this set."""
        own = {f: tuple(n for n in getattr(self, f) if n in subjects) for f in ("test_subjects", "valid_subjects")}
        return self.changed(**own)

    def alone(self, table: Table) -> Split:
        subjects = _subjects(table)
        for name in self.test_subjects:
            if name in self.valid_subjects:
                raise UserError(f"subject {name!r} is named for the test and for validation; name it in one of them")
        order = [s for s in _shuffled(subjects, self.seed) if s not in self.test_subjects + self.valid_subjects]
        test = list(self.test_subjects) or _drawn(order, _share(len(subjects), self.test))
        valid = list(self.valid_subjects) or _drawn(order, _share(len(subjects) - len(test), self.valid))
        return _by_subject(table, valid, test)


class LeaveOneSubjectOut(Splitter):
    """One subject is the test; of the others a share validates."""

    kind: ClassVar[str] = "loso"
    fold: int = Field(0, ge=0)
    """Which subject, in order of their names."""
    valid: float = Field(0.2, gt=0, lt=1)
    seed: int = 0

    def alone(self, table: Table) -> Split:
        subjects = _subjects(table)
        if self.fold >= len(subjects):
            raise UserError(f"split.fold: {self.fold} is not below the number of subjects, {len(subjects)}")
        rest = _shuffled([s for s in subjects if s != subjects[self.fold]], self.seed)
        return _by_subject(table, rest[: _share(len(rest), self.valid)], [subjects[self.fold]])


class KFoldSubjects(Splitter):
    """Subjects are dealt into folds; one fold is the test, the next validates."""

    kind: ClassVar[str] = "kfold"
    folds: int = Field(5, ge=3)
    fold: int = Field(0, ge=0)
    """Which fold is the test."""
    seed: int = 0

    def alone(self, table: Table) -> Split:
        subjects = _shuffled(_subjects(table), self.seed)
        if self.folds > len(subjects):
            raise UserError(f"split.folds: {self.folds} folds need as many subjects, the data has {len(subjects)}")
        if self.fold >= self.folds:
            raise UserError(f"split.fold: {self.fold} is not below split.folds, {self.folds}")
        dealt = [subjects[i :: self.folds] for i in range(self.folds)]
        return _by_subject(table, dealt[(self.fold + 1) % self.folds], dealt[self.fold])


class Official(Splitter):
    """The test is what the makers of the data set named so; of the rest, whole subjects validate.

    They are drawn by `seed`, one after another, passing over those that would be too many, until they hold the share;
    where every subject is too many, the smallest validates.
    """

    kind: ClassVar[str] = "official"
    valid: float = Field(0.15, gt=0, lt=1)
    """Share of the other samples that validates."""
    seed: int = 0
    """Which subjects; other than the plan's seed, so that seeds of training share one split."""

    def alone(self, table: Table) -> Split:
        parts = table.meta.get("part", np.full(len(table), ""))
        test: Names = parts == TEST
        if not test.any():
            raise UserError("no official test part is named in this data; use --split subject")
        names = table.meta["subject"].astype(str)
        sizes = Counter(names[~test].tolist())
        order, valid = _shuffled(sorted(sizes), self.seed), list[str]()
        wanted = max(1, round(sizes.total() * self.valid))
        for name in order:
            if sizes[name] <= wanted:
                wanted -= sizes[name]
                valid.append(name)
        if not valid and len(order) > 1:
            valid = [min(order, key=lambda name: sizes[name])]
        in_valid: Names = np.isin(names, valid) & ~test
        return _made(table, ~test & ~in_valid, in_valid, test)


class RandomWindow(Splitter):
    """LEAKY: windows are dealt at random, so a subject, and with overlap nearly a window, is on both sides.

    As published: 20 % of the windows are the test; the others are dealt into `folds`, one of which validates.
    """

    kind: ClassVar[str] = "random-window"
    test: float = Field(0.2, gt=0, lt=1)
    folds: int = Field(5, ge=2)
    fold: int = Field(0, ge=0)
    """Which fold validates."""
    seed: int = 42

    def alone(self, table: Table) -> Split:
        if self.fold >= self.folds:
            raise UserError(f"split.fold: {self.fold} is not below split.folds, {self.folds}")
        order = torch.randperm(len(table), generator=process.generator(self.seed, "split")).numpy()
        tests = round(len(table) * self.test)
        part = np.empty(len(table), dtype=int)
        part[order[:tests]] = -1
        part[order[tests:]] = np.arange(len(table) - tests) % self.folds
        made = _made(table, (part >= 0) & (part != self.fold), part == self.fold, part == -1)
        return Split(made.train, made.valid, made.test, True, made.audit)


Splitting = BySubject | LeaveOneSubjectOut | KFoldSubjects | Official | RandomWindow
