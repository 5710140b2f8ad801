"""Smooth-Distill: two tasks learnt together, with the exponential mean of the student as its teacher [Vu 2025,
arXiv:2507.00061].

    L = alpha (CE_1 + lambda D_1) + (1 - alpha) (CE_2 + lambda D_2),   D_k = T^2 KL(teacher_k || student_k)
    teacher <- beta teacher + (1 - beta) student, after every step

    limbeck train smooth-distill --data wisdm --data.root DIR --out runs/a

What the paper leaves open, and what is done here: the seed summary omits the T^2 that the released code has (it is
kept); the split is by subject (`--split random-window` is the published, leaky one); the step that is kept is that of
the best mean validation accuracy over both tasks, for every method alike; floating buffers of the teacher follow as
parameters do. With another number of tasks than two, each weighs the same. In `sdd` the two directions of the symmetric
KL are averaged and the supervised part sees the feature without dropout.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import checkpoint, evaluate, losses, process
from limbeck.augment import Augment
from limbeck.config import dump
from limbeck.data.folder import Recordings
from limbeck.data.har import WISDM, MHealth, Sleep
from limbeck.data.split import Split
from limbeck.data.synthetic import Wearable
from limbeck.data.watch import Watch
from limbeck.distiller import Distiller, View
from limbeck.errors import UserError
from limbeck.models import BiLSTM, Hybrid, MTLNet, MultiTask, ResNet1D, Several
from limbeck.models.heads import SHARED
from limbeck.objective import STUDENT, Objective, Scene, Term
from limbeck.recipe import Models, Place, Recipe
from limbeck.run import Run
from limbeck.tasks import Task
from limbeck.teachers import EMA, Frozen, Teacher
from limbeck.terms import Decoupled, Feature, Hard, Soft, kd, supervised

EMA_NAME, ORACLE = "ema", "oracle"
RELEASED = {"student.variant": "as_released", "data.windows.borders": "cross", "data.windows.label": "last"}
"""What the released code does where the paper would have it otherwise."""
RECOMMENDED = {
    "student": "hybrid",
    "augment.rotation": 30,
    "smoothing": 0.1,
    "beta": 0.99,
    "plan.batch": 128,
    "plan.optimiser": "adamw",
    "plan.optimiser.lr": 2e-3,
    "plan.schedule": "cosine",
    "plan.schedule.warmup": 0.05,
}
"""What did best on people that it had not seen (docs/papers/smooth-distill.md)."""
Method = Literal["smooth-distill", "hard-sharing", "single-task", "cross-task", "sdd", "oracle"]


class SmoothDistill(Recipe):
    """Smooth-Distill and the baselines that its paper compares, under one rule."""

    kind: ClassVar[str] = "smooth-distill"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"released": RELEASED, "recommended": RECOMMENDED}
    data: Watch | WISDM | MHealth | Sleep | Recordings | Wearable = Watch()
    student: MTLNet | BiLSTM | ResNet1D | Hybrid = MTLNet()
    method: Method = "smooth-distill"
    """single-task: a network a task. hard-sharing: one trunk, no teacher. cross-task, sdd: the paper's other baselines.
    oracle: a separately trained teacher of the same kind. smooth-distill: the mean teacher."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Weight of the first task against the second."""
    lam: float = Field(0.5, ge=0)
    """Weight of distillation against the labels."""
    how: Soft | Hard | Decoupled | Feature = Soft(T=3.0)
    """Kind of distillation."""
    beta: float = Field(0.999, ge=0, le=1)
    """Decay of the mean teacher, a step."""
    augment: Augment = Augment()
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Of the labels."""

    def objective(self, tasks: tuple[Task, ...], teacher: str | None = None, width: int = 0) -> Objective:
        """The weighted sum over tasks of the supervised part and, with a teacher, of the distillation."""
        parts = []
        for weight, task in zip(self.weights(tasks), tasks, strict=True):
            part = supervised(task, smoothing=self.smoothing)
            parts.append(weight * (part + self.lam * kd(task, teacher, self.how, (width, width)) if teacher else part))
        return sum(parts[1:], start=parts[0])

    def weights(self, tasks: tuple[Task, ...]) -> list[float]:
        """alpha and 1 - alpha for two tasks, equal shares otherwise. Raises `UserError` for another alpha then."""
        if len(tasks) != 2 and self.alpha != 0.5:
            raise UserError(f"alpha weighs two tasks against each other, the data has {len(tasks)}; leave it at 0.5")
        return [self.alpha, 1 - self.alpha] if len(tasks) == 2 else [1 / len(tasks)] * len(tasks)

    def learn(self, split: Split, place: Place) -> Models:
        """The student of the chosen method, and its teacher."""
        tasks = split.train.tasks
        if self.method == "single-task":
            return self._apart(split, place)
        student = self.build(split, tasks)
        if self.method == "oracle":
            hard = self.objective(tasks)
            teacher = place.share(self.stage(split, tasks, Distiller(student, {}, self.views(hard))), ORACLE)[STUDENT]
            student = self.build(split, tasks)
            seen: Teacher = Frozen(teacher)
            if not self.augment and not isinstance(self.how, Feature):
                seen = evaluate.remember(seen, split.train)
            objective = self.objective(tasks, ORACLE, student.width)
            learnt = place.fit(self.stage(split, tasks, Distiller(student, {ORACLE: seen}, self.views(objective))))
            return {**learnt, ORACLE: teacher}
        if self.method == "smooth-distill":
            distiller = Distiller(student, {EMA_NAME: EMA(student, self.beta)},
                                  self.views(self.objective(tasks, EMA_NAME, student.width)))  # fmt: skip
        elif self.method == "hard-sharing":
            distiller = Distiller(student, {}, self.views(self.objective(tasks)))
        elif self.method == "cross-task":
            objective = sum((supervised(t) for t in tasks[1:]), start=supervised(tasks[0]))
            distiller = Distiller(student, {}, self.views(objective + 0.5 * Contrast(student) + 0.01 * Sparse(student)))
        else:
            between = [w * Objective.of(Dropped(t)) for w, t in zip(self.weights(tasks), tasks, strict=True)]
            distiller = Distiller(student, {}, self.views(sum(between, start=self.objective(tasks))))
        return place.fit(self.stage(split, tasks, distiller))

    def build(self, split: Split, tasks: tuple[Task, ...]) -> MultiTask:
        """A fresh student."""
        return self.fresh(self.spec(), tasks, split)

    def spec(self) -> MTLNet | BiLSTM | ResNet1D | Hybrid:
        """The student's spec; cross-task needs one whose heads read the feature through a vector each, but for the
        network as released, where that vector is learnt and not used."""
        released = isinstance(self.student, MTLNet) and self.student.variant == "as_released"
        return self.student.changed(stitch=True) if self.method == "cross-task" and not released else self.student

    def views(self, objective: Objective) -> list[View]:
        """One view, augmented if asked for: the teacher sees what the student sees."""
        return [View(objective, self.augment if self.augment else None)]

    def stage(self, split: Split, tasks: tuple[Task, ...], distiller: Distiller) -> Run:
        """What `fit` needs."""
        about = {"method": self.method, "augment": dump(self.augment)}
        return self.prepare(self.spec(), tasks, split, distiller, about)

    def _apart(self, split: Split, place: Place) -> Models:
        """A network a task, each chosen by its own validation accuracy."""
        alone: list[MultiTask] = []
        for task in split.train.tasks:
            student = self.build(split, (task,))
            distiller = Distiller(student, {}, self.views(supervised(task, smoothing=self.smoothing)))
            place.fit(self.stage(split, (task,), distiller), f"single-{task.name}")
            alone.append(student)
        if process.rank() == 0:
            checkpoint.write_json(
                place.at / "best" / "model.json", {"parts": [f"single-{task.name}" for task in split.train.tasks]}
            )
        return {STUDENT: Several(alone)}


class Contrast(Term):
    """InfoNCE between the features that the two heads read, temperature 0.7; one and the same feature as released."""

    def __init__(self, student: MultiTask) -> None:
        super().__init__("contrast")
        self.pair = list(student.reads.values())[:2]

    def forward(self, scene: Scene) -> Tensor:
        features = scene.outputs[STUDENT].features
        values = losses.info_nce(features[self.pair[0]], features[self.pair[-1]], 0.7)
        return losses.masked_mean(values)


class Sparse(Term):
    """The L1 norm of the vectors through which the heads read; of a vector that nothing reads, as released."""

    def __init__(self, student: MultiTask) -> None:
        super().__init__("sparse")
        self.unread = None if len(student.stitches) else nn.Parameter(torch.full((student.width,), 0.5))

    def forward(self, scene: Scene) -> Tensor:
        if self.unread is not None:
            return self.unread.abs().sum()
        student = scene.models[STUDENT]
        assert isinstance(student, MultiTask)
        return torch.stack([v.abs().sum() for v in student.stitches]).sum()


class Dropped(Term):
    """Self-distillation by dropout: the head's answers to two drawings (p = 0.5) of the feature against each other, T =
    2."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"dropped({task.name})")
        self.task = task.name

    def forward(self, scene: Scene) -> Tensor:
        feature = scene.outputs[STUDENT].features[SHARED]
        student = scene.models[STUDENT]
        assert isinstance(student, MultiTask)
        head = student.head(self.task)
        one, two = (head(nn.functional.dropout(feature, 0.5)) for _ in range(2))
        values = losses.symmetric(one, two, 2.0)
        return losses.masked_mean(values)
