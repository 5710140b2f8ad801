"""Heart rate from a pulse wave: a regression as 180 classes, and four ways to distil it into a small network [Arora
2025, arXiv:2511.18829].

    L = labels CE(s, y) + D
    hard     D = CE(s, argmax t)                          soft     D = T^2 KL(t || s)
    dkd      D = T^2 (alpha TCKD + beta NCKD)             feature  D = hint |r(f_s) - f_t|^2,  r linear and learnt

    limbeck train ppg-heart-rate --data ieee-spc --data.root DIR --out runs/a
    limbeck study ppg-scaling --data ieee-spc --data.root DIR --out runs/scaling

What the paper leaves open, and what is done here: the filters of the network (those of the public pipeline that has its
180 classes and 200 samples); the temperature of soft distillation (that of DKD); the feature (the vector before the
classifier, through a linear map that only training has; its weight is 1 and wants tuning on validation); the weights of
hard distillation (1 and 1); which step is kept (that of the smallest validation error, for every strategy alike). The
paper trains for 300 epochs; the default here is 60. The teacher learns from labels alone, by the same
plan. DKD needs the label of every window it is used on, whatever `labels` is. Without labels, feature distillation
reaches the trunk only: the head then learns the teacher's softened answers from what the trunk finds.
"""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from limbeck import evaluate, losses, spectral
from limbeck.data.dalia import DaLiA
from limbeck.data.galaxy import GalaxyPPG
from limbeck.data.own_pulse import PulseRecordings
from limbeck.data.pulse import Pulse
from limbeck.data.spc import IEEESPC
from limbeck.data.split import Split
from limbeck.data.wildppg import WildPPG
from limbeck.distiller import Distiller
from limbeck.models import MLP, MultiTask, PPGResNet
from limbeck.models.heads import SHARED, Model
from limbeck.objective import STUDENT, Objective, Scene, Term
from limbeck.plan import Adam, Plan
from limbeck.recipe import Classical, Models, Place, Recipe
from limbeck.run import Run
from limbeck.tasks import Task
from limbeck.teachers import Frozen
from limbeck.terms import Decoupled, Feature, Hard, Kind, Soft, kd, supervised

TEACHER = "teacher"


class PPGHeartRate(Recipe):
    """Distillation of heart rate, by the strategies that the paper compares and from scratch, under one rule."""

    kind: ClassVar[str] = "ppg-heart-rate"
    data: Pulse | IEEESPC | WildPPG | DaLiA | GalaxyPPG | PulseRecordings = Pulse()
    plan: Plan = Plan(epochs=60, batch=128, optimiser=Adam(lr=5e-4))
    select: Literal["mae"] = "mae"
    student: PPGResNet | MLP = PPGResNet(blocks=1)
    teacher: PPGResNet | MLP = PPGResNet(blocks=6)
    strategy: Literal["scratch", "hard", "soft", "dkd", "feature"] = "dkd"
    """What the student learns from the teacher; scratch: nothing, and there is none."""
    labels: float = Field(1.0, ge=0)
    """Weight of the labels; at 0 the student learns from the teacher alone. From scratch there is nothing else."""
    alpha: float = Field(1.0, ge=0)
    """Weight in dkd of the target class against all others."""
    beta: float = Field(8.0, ge=0)
    """Weight in dkd of the others among themselves."""
    T: float = Field(2.0, gt=0)
    """Temperature of soft and dkd."""
    hint: float = Field(1.0, gt=0)
    """Weight of the feature."""
    ordinal: float = Field(0.0, ge=0)
    """bpm: a label counts for the bins around it too, by a normal distribution of this standard deviation; 0: for its
    own bin alone."""
    decoder: Literal["argmax", "expectation"] = "argmax"
    """The heart rate that the bins say: the middle of the likeliest (as published), or the expectation."""

    def asked(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        return tuple(replace(task, decoder=self.decoder) for task in tasks)

    def objective(self, task: Task, widths: tuple[int, int]) -> Objective:
        """The labels and what the strategy adds; `widths` are those of the student's and the teacher's feature."""
        truth = supervised(task, spread=self.ordinal)
        if self.strategy == "scratch":
            return truth
        kinds: dict[str, Kind] = {
            "hard": Hard(), "soft": Soft(T=self.T), "dkd": Decoupled(alpha=self.alpha, beta=self.beta, T=self.T),
            "feature": Feature(mapped=True),
        }  # fmt: skip
        taught = kd(task, TEACHER, kinds[self.strategy], widths)
        if self.strategy == "feature":
            taught = self.hint * taught if self.labels else self.hint * taught + HeadAlone(task, self.T)
        return self.labels * truth + taught if self.labels else taught

    def learn(self, split: Split, place: Place) -> Models:
        """The student, and the teacher if there is one."""
        (task,) = split.train.tasks
        if self.strategy == "scratch":
            return place.fit(self.alone(self.student, task, split, STUDENT))
        taught = self.alone(self.teacher, task, split, TEACHER)
        teacher = place.share(taught, TEACHER)[STUDENT]
        assert isinstance(teacher, MultiTask)
        features = [SHARED] if self.strategy == "feature" else []
        answers = evaluate.remember(Frozen(teacher), split.train, features=features, at=place.folder(taught, TEACHER))
        student = self.fresh(self.student, (task,), split)
        distiller = Distiller(student, {TEACHER: answers}, self.objective(task, (student.width, teacher.width)))
        learnt = place.fit(self.prepare(self.student, (task,), split, distiller, {"role": STUDENT}))
        return {**learnt, TEACHER: teacher}

    def alone(self, spec: Model, task: Task, split: Split, role: str) -> Run:
        """The training of a network by labels alone."""
        distiller = Distiller(self.fresh(spec, (task,), split), {}, supervised(task, spread=self.ordinal))
        return self.prepare(spec, (task,), split, distiller, {"role": role})

    def classical(self, split: Split) -> tuple[Classical, ...]:
        """The peak of the spectrum: of each window by itself, as the networks see it, and followed along a session."""
        (task,) = split.train.tasks
        rows = []
        for name, tracked in (("peaks", True), ("peaks alone", False)):
            found = {part: {task.name: p} for part, p in spectral.peaks(split, task, tracked).items()}
            row = {"parameters": None, "parts": evaluate.parts(found, split)}
            rows.append(Classical(name, row, found["test"]))
        return tuple(rows)


class HeadAlone(Term):
    """Soft distillation of the student's head, whose gradient stops at the feature."""

    def __init__(self, task: Task, T: float) -> None:
        super().__init__(f"head({task.name}, {TEACHER})", (STUDENT, TEACHER))
        self.task, self.T = task.name, T

    @property
    def detail(self) -> str:
        return f"{self.name} [T {self.T}]"

    def forward(self, scene: Scene) -> Tensor:
        student = scene.models[STUDENT]
        assert isinstance(student, MultiTask)
        logits = student.head(self.task)(scene.outputs[STUDENT].features[SHARED].detach())
        return losses.masked_mean(losses.soft(logits, scene.outputs[TEACHER].logits[self.task], self.T))
