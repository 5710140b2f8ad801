"""Several data sets, each labelled for some of the tasks, into one model: multi-task learning over what labels there
are, and data distillation for those there are not [Hosseini 2019, arXiv:1907.03402].

    L = sum_k w_k (mean of CE over labelled cells + u r(p) mean of CE over generated cells)
    generated: mean over views (flip, scales, crops) of a teacher's answer, where it is sure; people's labels always win
    teacher: the same method without generated labels; the student learns from the beginning, on both

    limbeck train distill-2md-mtl --preset faces --data.sets utkface:DIR,fer2013:DIR --out runs/a
    limbeck study face-transfer --data.sets utkface:DIR,fer2013:DIR --out runs/faces

The paper's text was not to be had, only its claims; so most of this is a reading, and each choice is a field:

- Each batch has a share of every set (equal; `--shares`); an epoch is as many steps as all samples together fill.
- Each task's loss is the mean over its own labelled samples, wherever they are; tasks weigh the same (`--balance`).
- The rate of labels: as many are kept that the task's labels are as frequent in all, and by class, as people's (`--rule
  rate`; or a precision on held-out labels, or a threshold). Hard labels, one round, u = 1 with a ramp over a fifth.
- Learning rate "that tunes itself": a cycle between bounds of a range test, whose height shrinks where validation does
  not improve (`--plan.schedule adaptive-clr`). Not the default, for half a cosine did better (the page of the paper).
- BatchNorm's statistics are of all sets together (`--norms per-set` keeps them apart).
- What is compared is trained for one number of steps, also where a network sees one task or one set only. A batch then
  holds more labels of that task: `--longer 2` gives the joint network of two sets as many.
- A teacher has other initial weights than its student.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import checkpoint, process, pseudo
from limbeck.augment import Augment, ImageAugment
from limbeck.balance import DWA, Equal, GradNorm, Uncertainty
from limbeck.config import dump
from limbeck.data import cells
from limbeck.data.cells import labelled, veiled
from limbeck.data.image_sets import ImageSets
from limbeck.data.sensor_sets import SensorSet, SensorSets
from limbeck.data.source import Table
from limbeck.data.split import Split, audit
from limbeck.data.watch import Watch
from limbeck.distiller import Distiller, View
from limbeck.errors import UserError
from limbeck.models import VGG, BiLSTM, Hybrid, MTLNet, MultiTask, ResNet1D, ResNet18, Several
from limbeck.objective import STUDENT, Objective
from limbeck.plan import SGD, Plan
from limbeck.recipe import Classical, Models, Place, Recipe
from limbeck.rounds import Round, generate
from limbeck.schedule import Cosine, Ramp
from limbeck.tasks import Task
from limbeck.teachers import fingerprint
from limbeck.terms import generated, supervised
from limbeck.transforms import ImageViews, NoViews, SignalViews, Views

LABELS, TEACHER, UNRELATED = "labels.json", "teacher", "unrelated"
HALVES = (
    SensorSet(data=Watch(), subjects="even", tasks=("exercise",)),
    SensorSet(data=Watch(), subjects="odd", tasks=("side",), hidden=("exercise",)),
)
"""Two sets of one: people whose exercise is known, and others of whom the side is."""
SHARED_ACTIVITIES = (
    "walk forward=walking,walk left=walking,walk right=walking,run=jogging,upstairs=stairs,downstairs=stairs,"
    "sit=sitting,stand=standing"
)
"""USC-HAD's in the words of WISDM."""
READS = {"image": "images", "sensor": "windows"}
Method = Literal["single-task", "mtl", "mtl-domains", "single-dd", "mtl-dd"]
Network = VGG | ResNet18 | ResNet1D | MTLNet | BiLSTM | Hybrid


class Group(NamedTuple):
    """What one network is for: tasks, and the numbers of the data sets it learns from."""

    name: str
    tasks: tuple[Task, ...]
    sets: tuple[int, ...]
    alone: bool = False
    """Whether there is no other."""

    def stage(self, role: str) -> str:
        """The folder of its network in a role."""
        return role if self.alone else f"{role}-{self.name}"


class Distill2MDMTL(Recipe):
    """One model of several half-labelled data sets, by multi-task learning and data distillation."""

    kind: ClassVar[str] = "distill-2md-mtl"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "faces": {"data": "image-sets", "data.size": 48, "data.colour": "grey"},
        "wearables": {
            "data": "sensor-sets",
            "data.windows.rate": 20,
            "data.classes": "shared",
            "data.sets.0.data": "wisdm",
            "data.sets.0.hidden": "activity",
            "data.sets.1.data": "usc-had",
            "data.sets.1.rename": SHARED_ACTIVITIES,
        },
    }
    data: SensorSets | ImageSets = SensorSets(sets=HALVES)
    plan: Plan = Plan(epochs=40, batch=128, optimiser=SGD(lr=0.05, weight_decay=5e-4), schedule=Cosine())
    method: Method = "mtl-dd"
    """single-task: a network a task. mtl: a network a data set, for the tasks it has labels of. mtl-domains: one
    network for all. single-dd, mtl-dd: a network a task, or one for all, that also learns from generated labels."""
    student: Network | None = None
    """Where none is named, a small VGG for images and a residual network for sensors."""
    teacher: Network | None = None
    """What generates labels; of the student's kind where none is named."""
    norms: Literal["shared", "per-set"] = "shared"
    """BatchNorm of all sets together, or of each by itself."""
    balance: Equal | Uncertainty | DWA | GradNorm = Equal()
    """How tasks are weighed."""
    shares: tuple[float, ...] = ()
    """Of every batch, by data set; equal where not given."""
    augment: Augment | ImageAugment | None = None
    """Where none is named, images are flipped and cropped, and windows left as they are."""
    views: ImageViews | SignalViews | NoViews | None = None
    """What a teacher sees of each sample; where none are named, those of the data's kind."""
    rule: pseudo.Rate | pseudo.Precision | pseudo.Fixed = pseudo.Rate()
    """Which answers become labels."""
    labels: Literal["hard", "soft"] = "hard"
    near: float | None = Field(None, gt=0, lt=1)
    """Keep only samples whose feature is no further from its class than this share of labelled ones."""
    u: float = Field(1.0, ge=0)
    """Weight of generated labels against people's."""
    ramp: Ramp = Ramp(over=0.2)
    """How that weight begins."""
    rounds: int = Field(1, ge=1)
    """Of data distillation; the student of one is the teacher of the next."""
    hide: float = Field(0.0, ge=0, lt=1)
    """Share of each set's training subjects whose labels no method sees, to measure generated labels by."""
    longer: float = Field(1.0, gt=0)
    """What multiplies the steps. A network of two sets sees half as many labels of a task in a batch as one of that
    task alone; at 2 it sees as many in all."""
    unrelated: int = Field(0, ge=0)
    """Classes of a task more, whose labels are drawn by lot: what a task that has nothing to do with the others costs
    them."""

    def learn(self, split: Split, place: Place) -> Models:
        """The student, and the teacher of data distillation."""
        known = self.known(split)
        groups = self.groups(known)
        self.sensible(known, groups)
        steps = self.longer * self.plan.total_steps(len(labelled(known.train, split.train.tasks)))
        plan = self.plan.changed(steps=round(steps))
        if not self.method.endswith("-dd"):
            students = {g: self.trained(g, known, plan, place, self.final(g)) for g in groups}
            self.tell(known.train, [], place)
            return {STUDENT: self.whole(students, place)}
        teachers = {g: self.trained(g, known, plan, place, g.stage(TEACHER), teacher=True) for g in groups}
        rounds: list[dict[str, Any]] = []
        answering, before = teachers, dict[str, Tensor]()
        for number in range(1, self.rounds + 1):
            how = Round(self.seen_views(), self.rule, self.labels == "hard", self.near,
                        place.at / f"labels-{number}", place.observers)  # fmt: skip
            told: dict[str, Any] = {"round": number, "teachers": {}, "views": [v.name for v in how.views.views()]}
            made, about = dict(known.train.generated), dict[str, Any]()
            for group, model in answering.items():
                tasks = [task for task in group.tasks if task.name != UNRELATED]
                labels, said, answers = generate(how, model, tasks, known, split.train, before)
                made |= labels
                about |= said
                before |= answers
                told["teachers"] |= dict.fromkeys(labels, fingerprint(model))
            rounds.append({**told, "tasks": about})
            last = number == self.rounds
            table = replace(known.train, generated=made)
            taught = replace(known, train=table)
            students = {
                g: self.trained(g, taught, plan, place, self.final(g) if last else g.stage(f"round{number}"))
                for g in groups
            }
            answering = students
        self.tell(table, rounds, place)
        return {STUDENT: self.whole(students, place), TEACHER: joined(teachers)}

    def known(self, split: Split) -> Split:
        """The split as training may see it: without what is hidden, and with the unrelated task if there is one."""
        hidden = split.train.card.get("hidden", {})
        train, valid = cells.without_share(veiled(split.train, hidden), self.hide), veiled(split.valid, hidden)
        self._complete(replace(split, audit=audit(train, valid, split.test)))
        if self.unrelated:
            train, valid = (
                cells.with_lots(part, UNRELATED, self.unrelated, drawn=part is train) for part in (train, valid)
            )
        return replace(split, train=train, valid=valid)

    def sensible(self, known: Split, groups: Sequence[Group]) -> None:
        """Raises `UserError` for what would go wrong after much was trained."""
        sets = list(dict.fromkeys(known.train.meta["domain"].tolist()))
        if self.shares and len(self.shares) != len(sets):
            raise UserError(f"shares: {len(self.shares)} for {len(sets)} data sets, {', '.join(sets)}")
        for group in groups:
            rows = self.rows(known.train, group)
            if not len(labelled(known.valid, group.tasks)):
                raise UserError(f"no sample for validation has a label of {', '.join(t.name for t in group.tasks)}")
            lost = [name for name in sets if name not in rows.meta["domain"]]
            if self.norms == "per-set" and lost:
                raise UserError(
                    f"norms per-set: the network of {group.name} would learn nothing of {', '.join(lost)}, and could "
                    "not answer for it; use mtl-domains or mtl-dd, and sets that have labels"
                )
            self.network(rows, teacher=True)
        self.augmentation(known.train)
        if self.method.endswith("-dd"):
            batch = known.train.rows(torch.arange(min(2, len(known.train))))
            if isinstance(self.seen_views(), SignalViews if "image" in batch.inputs else ImageViews):
                raise UserError(f"views {self.seen_views().kind} are not for this data; leave --views away")
            for view in self.seen_views().views():
                view.apply(batch)

    def rows(self, table: Table, group: Group) -> Table:
        """What the network of a group learns from."""
        domains = table.inputs["domain"][torch.arange(len(table))]
        return labelled(table.take(torch.isin(domains, torch.tensor(group.sets))), group.tasks)

    def groups(self, known: Split) -> tuple[Group, ...]:
        """A network's tasks and sets, for each network of the method."""
        tasks, names = known.train.tasks, list(dict.fromkeys(known.train.meta["domain"].tolist()))
        every = tuple(range(len(names)))
        if self.method in ("mtl-domains", "mtl-dd"):
            return (Group("all", tasks, every, alone=True),)
        if self.method in ("single-task", "single-dd"):
            single = [t for t in tasks if t.name != UNRELATED]
            return tuple(Group(t.name, (t,), every, len(single) == 1) for t in single)
        domain = torch.from_numpy(np.searchsorted(sorted(names), known.train.meta["domain"]))
        place = [names.index(name) for name in sorted(names)]
        owner = {}
        for task in tasks:
            given = domain[task.present(known.train.targets[task.name])]
            owner[task.name] = place[int(given.bincount(minlength=len(names)).argmax())]
        owned = [(n, tuple(t for t in tasks if owner[t.name] == i)) for i, n in enumerate(names)]
        groups = [Group(n, own, (i,)) for i, (n, own) in enumerate(owned) if own]
        return tuple(group._replace(alone=len(groups) == 1) for group in groups)

    def final(self, group: Group) -> str:
        """The stage that a group's student is trained in; the run's own folder where there is one group."""
        return "" if group.alone else f"part-{group.name}"

    def trained(
        self, group: Group, known: Split, plan: Plan, place: Place, stage: str, teacher: bool = False
    ) -> MultiTask:
        """The network of a group, trained on what labels there are."""
        train, valid = self.rows(known.train, group), labelled(known.valid, group.tasks)
        part = replace(known, train=train, valid=valid)
        spec = self.network(train, teacher)
        epoch = plan.epoch(len(train))
        objective = self.objective(group.tasks, [n for n, g in train.generated.items() if bool(g.given.any())], epoch)
        # Not the student's own beginning: one who is to be taught by it would start as a copy of its teacher.
        model = self.fresh(spec, group.tasks, part, "" if stage == self.final(group) else stage)
        augment = self.augmentation(train)
        distiller = Distiller(model, {}, [View(objective, augment if augment else None)])
        about = {"group": group.name, "sets": list(group.sets), "augment": dump(augment), "hide": self.hide}
        about["generated"] = cells.generated_digest(train)
        run = replace(self.prepare(spec, group.tasks, part, distiller, about), plan=plan, shares=self.share(train))
        learnt = (place.share(run, stage) if teacher else place.fit(run, stage))[STUDENT]
        assert isinstance(learnt, MultiTask)
        return learnt

    def objective(self, tasks: Sequence[Task], distilled: Sequence[str], epoch: int) -> Objective:
        """The tasks' losses, weighed against each other; with the generated labels of those that have any."""
        parts = {}
        for task in tasks:
            parts[task.name] = supervised(task)
            if task.name in distilled and self.u:
                parts[task.name] = parts[task.name] + self.u * (self.ramp * generated(task))
        return self.balance.over(parts, epoch)

    def tell(self, table: Table, rounds: list[dict[str, Any]], place: Place) -> None:
        """Keeps what became of every cell, and what was generated."""
        if process.rank() == 0:
            checkpoint.write_json(place.at / LABELS, {"rounds": rounds, "cells": cells.counts(table)})

    def whole(self, models: Mapping[Group, MultiTask], place: Place) -> nn.Module:
        """The networks of all groups as one."""
        if len(models) == 1:
            return next(iter(models.values()))
        if process.rank() == 0:
            parts = [self.final(group) for group in models]
            checkpoint.write_json(place.at / "best" / "model.json", {"parts": parts})
        return Several(list(models.values()))

    def network(self, table: Table, teacher: bool) -> Network:
        """The spec of a network, for this kind of data."""
        named = (self.teacher if teacher else None) or self.student
        usual = VGG() if "image" in table.inputs else ResNet1D()
        spec = named or usual
        if spec.modality not in table.inputs:
            raise UserError(
                f"{spec.kind} reads {READS[spec.modality]}; name a network for this data, as --student {usual.kind}"
            )
        if self.norms == "shared":
            return spec
        if not isinstance(spec, VGG | ResNet18):
            raise UserError(
                f"norms per-set: {spec.kind} cannot keep the statistics of data sets apart; vgg, resnet18 can"
            )
        return spec.changed(sets=len(set(table.meta["domain"].tolist())))

    def augmentation(self, table: Table) -> Augment | ImageAugment:
        """What becomes of training batches."""
        usual = ImageAugment(flip=True, crop=4) if "image" in table.inputs else Augment()
        made = usual if self.augment is None else self.augment
        if isinstance(made, ImageAugment) is not ("image" in table.inputs):
            raise UserError(f"augment {made.kind} is not for this data, which has {', '.join(table.inputs)}")
        return made

    def seen_views(self) -> Views:
        """What a teacher sees of each sample."""
        usual = ImageViews() if isinstance(self.data, ImageSets) else SignalViews()
        return usual if self.views is None else self.views

    def share(self, table: Table) -> tuple[float, ...]:
        """Of every batch, by data set."""
        sets = int(table.inputs["domain"][torch.arange(len(table))].max()) + 1
        return self.shares[:sets] or (1.0,) * sets

    def classical(self, split: Split) -> tuple[Classical, ...]:
        """None: trees read windows."""
        return ()


def joined(models: Mapping[Group, MultiTask]) -> nn.Module:
    """The networks of all groups as one."""
    first, *others = models.values()
    return Several([first, *others]) if others else first
