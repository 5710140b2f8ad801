"""JointDistill: several single-task teachers fused into one connector that teaches a multi-task student, by weights
that follow the student's progress and by the trajectories of what the connector looks at [Cheng 2025,
arXiv:2505.10057].

    L = sum_i L_i(student) + sum_i w_i (lam KL(student_i || connector_i) + L_i(connector)) + gamma L_trajectory
    w_i <- w_i (1 - rate (1 - a_i mean(a)^(alpha - 1) / N)),   scaled to sum N;   a_i = student / teacher on validation

    limbeck train joint-distill --out runs/a
    limbeck train joint-distill --data cityscapes --data.root DIR --out runs/b

What the paper leaves open, and what is done here: the code is not public, and of the method an abstract and a review
are known. `a_i` is turned so that more is better, of a segmentation from mIoU, of a depth from the relative error. The
weights multiply losses; `weight_on logit` multiplies the connector's class logits by them, as printed, and losses of
real values. The divergence is KL(student || connector), as printed; real values are pulled by their distance,
where they are labelled. The connector learns in the same steps, by losses that the student has no part in.
The places of highest attention have no gradient, so soft places around them are compared (`trajectory`); a visit is a
pass over the data. The weights of the three parts are 1, 1 and 0.1. Feedback comes at every evaluation; with as many
evaluations as epochs, once an epoch. Feedback and the choice of the step that is kept look at the same validation part
(of official splits 15 % of the training set), for every method alike. In `kd4mtl` the matrices learn as all else does,
by the plan's optimiser, and every task counts 1, where the published code has an Adam of its own for them and 1, 1, 2.
The presets begin from random weights unless `student.weights` and `teacher.weights` are given.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field

from limbeck import checkpoint, evaluate, measures, process, visits
from limbeck.balance import DWA, Balance, Uncertainty
from limbeck.connector import Connector, Fusion
from limbeck.data.cityscapes import Cityscapes
from limbeck.data.folder import Recordings
from limbeck.data.har import WISDM, MHealth, Sleep
from limbeck.data.nyuv2 import NYUv2
from limbeck.data.scenes import Scenes
from limbeck.data.split import BySubject, KFoldSubjects, LeaveOneSubjectOut, Official, RandomWindow, Split
from limbeck.data.synthetic import Wearable
from limbeck.data.watch import Watch
from limbeck.distiller import Distiller
from limbeck.errors import UserError
from limbeck.feedback import Feedback
from limbeck.likeness import Absolute, Spatial, aligned, valued
from limbeck.models import DeepLab, MultiTask, ResNet1D, SegNet, Several
from limbeck.objective import STUDENT, Objective
from limbeck.plan import Adam, Plan
from limbeck.recipe import Classical, Models, Place, Recipe
from limbeck.schedule import Cosine
from limbeck.tasks import Task
from limbeck.teachers import Frozen, Teacher
from limbeck.terms import Soft, kd, supervised
from limbeck.trajectory import Follow, Trajectory

CONNECTOR = "connector"
Network = DeepLab | SegNet | ResNet1D
Method = Literal["joint-distill", "single-task", "naive", "dwa", "uncertainty", "static-kd", "kd4mtl"]
BALANCES: Mapping[str, Balance] = {"dwa": DWA(), "uncertainty": Uncertainty()}
PUBLISHED = {
    "student": "deeplab", "student.layers": 50, "student.width": 64, "student.channels": 256, "student.stride": 8,
    "teacher": "deeplab", "teacher.layers": 101, "teacher.width": 64, "teacher.channels": 256, "teacher.stride": 8,
    "plan.epochs": 200, "plan.evaluations": 200, "plan.optimiser.lr": 1e-4, "plan.optimiser.weight_decay": 1e-5,
    "plan.schedule": "stairs", "plan.schedule.at": (0.5,), "plan.schedule.values": (0.5,),
}  # fmt: skip
"""The networks, and the plan of LibMTL's reference runs."""


class JointDistill(Recipe):
    """JointDistill and its rivals under one rule: depth and segmentation, or any other tasks."""

    kind: ClassVar[str] = "joint-distill"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "nyuv2": {**PUBLISHED, "data": "nyuv2", "plan.batch": 8},
        "cityscapes": {**PUBLISHED, "data": "cityscapes", "plan.batch": 64},
        "wearables": {"data": "wearable", "split": "subject", "student": "resnet1d"},
    }
    data: Scenes | NYUv2 | Cityscapes | Wearable | Watch | WISDM | MHealth | Sleep | Recordings = Scenes()
    split: Official | BySubject | LeaveOneSubjectOut | KFoldSubjects | RandomWindow = Official()
    select: Literal["accuracy", "macro_f1", "mae", "relative"] = "relative"
    """The mean of this over tasks, on validation, chooses the step that is kept; the same for every method. relative:
    of the logarithm of what each task is judged by, so that a change by one percent counts alike in all."""
    plan: Plan = Plan(epochs=30, evaluations=30, batch=16, optimiser=Adam(lr=5e-3), schedule=Cosine())
    student: Network | None = None
    """The network that is made; a small DeepLab for images and ResNet1D for windows, if none is named."""
    teacher: Network | None = None
    """That of each task's teacher; as the student, if none is named."""
    method: Method = "joint-distill"
    """single-task: a network a task. naive: one network, labels alone. dwa, uncertainty: so, balanced. static-kd: each
    task's teacher teaches its task. kd4mtl: the student's map follows each teacher's, through a matrix a task."""
    lam: float = Field(1.0, ge=0)
    """Weight of distillation from logits, or of features by kd4mtl; at 0 joint-distill has no adaptive part."""
    gamma: float = Field(0.1, ge=0)
    """Weight of the trajectories; at 0 joint-distill has none. With `lam` 0 too it is naive."""
    how: Soft = Soft(T=1.0, reverse=True)
    """Distillation of classes."""
    values: Absolute | Spatial = Absolute()
    """Distillation of real values."""
    feedback: Feedback = Feedback()
    weight_on: Literal["loss", "logit"] = "loss"
    """What a task's weight multiplies: its losses, or the connector's class logits."""
    trajectory: Trajectory = Trajectory()
    fusion: Fusion = Fusion()
    """The connector."""

    def learn(self, split: Split, place: Place) -> Models:
        """The student of the chosen method, and its teachers."""
        self.tried(split)
        if self.method == "single-task":
            return self._apart(split, place)
        teachers = self.teachers(split, place) if self.taught() else {}
        distiller = self.assembled(split, teachers, self.reference(split, teachers))
        for name, held in distiller.held().items():
            place.say(f"{name}: {held / 2**20:.1f} MB for {len(split.train)} samples are remembered")
        run = self.prepare(self.network(split), split.train.tasks, split, distiller, {"method": self.method})
        learnt = place.fit(run)
        if self.gamma and self.method == "joint-distill":
            visits.keep(run, place.at)
        return {**learnt, **{_single(name): teacher for name, teacher in teachers.items()}}

    def tried(self, split: Split) -> None:
        """One look at two samples by networks that know nothing. Raises `UserError` for what does not fit together,
        before anything is trained."""
        networks = {
            t.name: self.fresh(self.network(split, teacher=True), (t,), split)
            for t in split.train.tasks
            if self.taught()
        }
        distiller = self.assembled(split, networks, dict.fromkeys(networks, 1.0))
        rows = torch.arange(min(2, len(split.train)), device=split.train.ids.device)
        with torch.no_grad():
            distiller.eval()(split.train.rows(rows), 0.0)
        seen = split.valid.take(torch.arange(min(2, len(split.valid))))
        self.score(evaluate.brief(evaluate.answers(distiller.student, seen), seen, split.train.tasks))

    def assembled(self, split: Split, teachers: Mapping[str, MultiTask], reference: Mapping[str, float]) -> Distiller:
        """A fresh student with all that it learns from. `reference`: what each teacher is worth on validation."""
        student = self.fresh(self.network(split), split.train.tasks, split)
        if self.method == "joint-distill" and teachers:
            return self.joint(split, student, teachers, reference)
        return Distiller(student, self.frozen(teachers), self.objective(split, student, teachers))

    def taught(self) -> bool:
        """Whether there are teachers."""
        return self.method in ("static-kd", "kd4mtl") or (
            self.method == "joint-distill" and bool(self.lam or self.gamma)
        )

    def network(self, split: Split, teacher: bool = False) -> Network:
        """The spec of a network, for this kind of data. Raises `UserError` for one that cannot read it."""
        named = (self.teacher if teacher else None) or self.student
        usual: Network = DeepLab() if split.train.dense else ResNet1D()
        if named is not None and named.modality not in split.train.inputs:
            raise UserError(f"{named.kind} does not read {', '.join(split.train.inputs)}: take --student {usual.kind}")
        return named or usual

    def teachers(self, split: Split, place: Place) -> dict[str, MultiTask]:
        """A trained network for each task."""
        device = process.device(self.plan.device)
        return {t.name: self._trained(split, t, place, teacher=True).to(device) for t in split.train.tasks}

    def frozen(self, teachers: Mapping[str, MultiTask]) -> dict[str, Teacher]:
        """As those who answer."""
        return {_single(name): Frozen(teacher) for name, teacher in teachers.items()}

    def objective(self, split: Split, student: MultiTask, teachers: Mapping[str, MultiTask]) -> Objective:
        """Of all methods but the one with a connector."""
        tasks = split.train.tasks
        parts = {task.name: supervised(task) for task in tasks}
        if self.method in BALANCES:
            return BALANCES[self.method].over(parts, self.plan.epoch(len(split.train)))
        for task in tasks if teachers else ():
            name = _single(task.name)
            if self.method == "kd4mtl":
                taught = aligned(task, name, (student.width, teachers[task.name].width))
            else:
                taught = self.distilled(task, name)
            parts[task.name] = parts[task.name] + self.lam * taught
        return _sum(parts.values())

    def distilled(self, task: Task, teacher: str) -> Objective:
        """The student's answers to a task against a teacher's."""
        return kd(task, teacher, self.how) if task.classes else valued(task, teacher, self.values)

    def joint(
        self, split: Split, student: MultiTask, teachers: Mapping[str, MultiTask], reference: Mapping[str, float]
    ) -> Distiller:
        """Student, connector and what weighs the tasks."""
        tasks, logit = split.train.tasks, self.weight_on == "logit"
        on = [task.name for task in tasks if not (logit and task.classes)]
        follower = self.feedback.over([t.name for t in tasks], reference, on)
        torch.manual_seed(process.fold(self.plan.seed, "weights", CONNECTOR))
        connector = Connector(
            teachers,
            tasks,
            self.fusion.channels(student.width),
            self.fusion.kernel,
            {name: column.shape[-2:] for name, column in split.train.dense.items()},
            split.train.rows(torch.arange(min(2, len(split.train)))).to(_device(teachers)),
            follower if logit and self.lam else None,
        )
        objective = _sum([supervised(task) for task in tasks])
        for task in tasks:
            part = supervised(task, CONNECTOR)
            objective = objective + (
                follower[task.name] * (part + self.lam * self.distilled(task, CONNECTOR)) if self.lam else part
            )
        if self.gamma:
            objective = objective + self.gamma * Follow(self.trajectory, split.train.ids, CONNECTOR)
        return Distiller(student, {CONNECTOR: connector}, objective)

    def reference(self, split: Split, teachers: Mapping[str, MultiTask]) -> dict[str, float]:
        """What each teacher is worth on validation; higher is better."""
        found = {}
        for task in split.train.tasks if teachers else ():
            answers = evaluate.answers(teachers[task.name], split.valid)
            found[task.name] = measures.goodness(evaluate.brief(answers, split.valid, (task,))[task.name])
        return process.from_leader(found)

    def classical(self, split: Split) -> tuple[Classical, ...]:
        """The trees, where they can read the samples."""
        return () if split.train.dense else super().classical(split)

    def _trained(self, split: Split, task: Task, place: Place, teacher: bool) -> MultiTask:
        """A network for one task: a stage that other runs may share, or a part of this run's student."""
        spec = self.network(split, teacher)
        model = self.fresh(spec, (task,), split, _single(task.name))
        run = self.prepare(spec, (task,), split, Distiller(model, {}, supervised(task)), {"part": "single"})
        learnt = (place.share if teacher else place.fit)(run, _single(task.name))[STUDENT]
        assert isinstance(learnt, MultiTask)
        return learnt

    def _apart(self, split: Split, place: Place) -> Models:
        """A network a task, each chosen by its own validation score."""
        alone = [self._trained(split, task, place, teacher=False) for task in split.train.tasks]
        if process.rank() == 0:
            parts = [_single(task.name) for task in split.train.tasks]
            checkpoint.write_json(place.at / "best" / "model.json", {"parts": parts})
        return {STUDENT: Several(alone)}


def _device(teachers: Mapping[str, MultiTask]) -> torch.device:
    """Where they are."""
    return next(p.device for teacher in teachers.values() for p in teacher.parameters())


def _single(task: str) -> str:
    return f"single-{task}"


def _sum(parts: Iterable[Objective]) -> Objective:
    first, *others = parts
    return sum(others, start=first)
