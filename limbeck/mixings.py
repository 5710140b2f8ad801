"""Mixings of a whole table that are drawn beforehand, so that a teacher answers for each of them only once.

A step then draws one of them for each of its samples. What is spared is the teacher's pass in every step; what is lost
is that a sample meets so many partners, and no more, in the whole run.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from limbeck import process
from limbeck.batch import Batch, Lazy, Mixed, Outputs
from limbeck.config import digest, dump
from limbeck.data.source import Column, Table
from limbeck.mixup import SERIES, Mixup, blended
from limbeck.teachers import Cached, Teacher, WeightsDigest


class Blended:
    """Samples of a column mixed with others of it: `kept` `(N,)` of each, and the rest of its `partner` `(N,)`."""

    def __init__(self, column: Column, partner: Tensor, kept: Tensor) -> None:
        self.column, self.partner, self.kept = column, partner, kept

    @property
    def shape(self) -> tuple[int, ...]:
        return self.column.shape

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, index: Tensor) -> Tensor:
        return blended(self.column[index], self.column[self.partner[index]], self.kept[index])

    def take(self, index: Tensor) -> "Column":
        raise NotImplementedError("a mixing belongs to a whole table; take rows before mixing it")

    def to(self, device: torch.device) -> "Blended":
        return Blended(self.column.to(device), self.partner.to(device), self.kept.to(device))


class Mixings:
    """As many mixings of a table as the spec has `plans`, as functions of a seed; a transform of batches of it.

    What is drawn for one modality does not depend on the alpha of another, nor the partners on either.
    """

    def __init__(self, table: Table, spec: Mixup, seed: int) -> None:
        self.table, self.spec, self.seed = table, spec, seed
        drawn = []
        for plan in range(spec.plans):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(process.fold(seed, "mixing", plan))
                drawn.append(spec.drawn(len(table)))
        self.partner = torch.stack([partner for partner, _ in drawn])
        self.kept = {name: torch.stack([kept(name) for _, kept in drawn]) for name in table.inputs}
        self.place = torch.full((int(table.ids.max()) + 1,), -1).index_put((table.ids,), torch.arange(len(table)))

    def tables(self, modality: str) -> list[Table]:
        """The table as each mixing has it, for a teacher that reads a modality."""
        # Without what no draw of that modality depends on, so that its answers serve other recipes as well.
        other = "alpha2" if modality == SERIES else "alpha1"
        named = {k: v for k, v in dump(self.spec).items() if k != other or self.spec.coupling == "shared"}
        made = []
        for plan, (partner, kept) in enumerate(zip(self.partner, self.kept[modality], strict=True)):
            column = Blended(self.table.inputs[modality], partner, kept)
            name = digest([self.table.digest, named, self.seed, plan, modality])
            made.append(replace(self.table, inputs={modality: column}, digest=name))
        return made

    def __call__(self, batch: Batch) -> Batch:
        device, at = batch.ids.device, self.place[batch.ids.cpu()]
        plan = torch.randint(len(self.partner), (len(batch),))
        partner = self.partner[plan, at]
        kept = {modality: each[plan, at].to(device) for modality, each in self.kept.items()}

        def mixed(modality: str) -> Tensor:
            other = self.table.inputs[modality][partner].to(device)
            return blended(batch.inputs[modality], other, kept[modality])

        targets = {name: target[partner].to(device) for name, target in self.table.targets.items()}
        made = batch.with_inputs(Lazy({modality: partial(mixed, modality) for modality in self.table.inputs}))
        return replace(made, mixed=Mixed(kept[SERIES], targets, plan.to(device)))


class Planned(Teacher):
    """A frozen teacher's answers for mixings that were drawn beforehand, looked up by mixing and row."""

    def __init__(self, answers: Sequence[Cached]) -> None:
        super().__init__()
        self.keys = [each.key for each in answers]
        self.logits = {task: torch.stack([each.logits[task] for each in answers]) for task in answers[0].logits}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Planned":
        self.logits = {task: fn(value) for task, value in self.logits.items()}
        return self

    def forward(self, batch: Batch) -> Outputs:
        if batch.mixed is None or batch.mixed.plan is None:
            raise ValueError("a teacher of mixings that were drawn beforehand was given another batch")
        at = batch.mixed.plan, batch.ids
        return Outputs({task: logits[at] for task, logits in self.logits.items()})

    def fingerprint(self) -> WeightsDigest:
        return digest(self.keys)
