"""Terms: the losses as parts of an objective, and the kinds of distillation as specs that make them."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from limbeck import losses
from limbeck.batch import Batch
from limbeck.config import Spec
from limbeck.errors import UserError, unknown
from limbeck.objective import STUDENT, Objective, Scene, Term
from limbeck.tasks import Task

BY_QUANTITY = {"": losses.squared_error, "depth": losses.absolute_error, "direction": losses.apart}
"""The losses of real values."""


def known(batch: Batch, task: Task) -> Tensor | None:
    """Where the labels of a task are given, bool `(B, *S)`; None where none is missing. Of samples that were mixed,
    where both are."""
    if task.name in batch.whole:
        return None
    given = task.present(batch.targets[task.name])
    if batch.mixed is None:
        return given
    alone = batch.mixed.share.view(-1, *[1] * (given.dim() - 1)) == 1
    return given & (alone | task.present(batch.mixed.targets[task.name]))


class Supervised(Term):
    """Cross-entropy with the labels, over the samples that have one; of a regression the squared error, of a depth the
    absolute one, of a direction 1 - cosine.

    `smoothing` spreads that share of a label over all classes, `spread` the label of a real value over the bins around
    it; `scaling` is that of the logits. A sample that was mixed has the losses of both its labels, by their shares.
    """

    def __init__(
        self, task: Task, who: str = STUDENT, smoothing: float = 0.0, spread: float = 0.0,
        scaling: losses.Scaling = "none",
    ) -> None:  # fmt: skip
        super().__init__(task.name if who == STUDENT else f"{task.name}({who})", (who,))
        self.task, self.who, self.smoothing, self.spread, self.scaling = task, who, smoothing, spread, scaling

    @property
    def detail(self) -> str:
        how = [f"{name} {value}" for name, value in (("smoothing", self.smoothing), ("spread", self.spread)) if value]
        how += [f"logits over {self.scaling}"] if self.scaling != "none" else []
        return f"{self.name} [{', '.join(how)}]" if how else self.name

    def forward(self, scene: Scene) -> Tensor:
        batch, name = scene.batch, self.task.name
        logits = losses.scaled(scene.outputs[self.who].logits[name], self.scaling)
        values = self._values(logits, batch.targets[name])
        if batch.mixed is not None:
            share = batch.mixed.share.view(-1, *[1] * (values.dim() - 1))
            values = share * values + (1 - share) * self._values(logits, batch.mixed.targets[name])
        return losses.masked_mean(values, known(batch, self.task))

    def _values(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.task.classes is None:
            return BY_QUANTITY[self.task.quantity](logits, target)
        if self.spread:
            return losses.ordinal(logits, target, self.task.centres().to(target.device), self.spread)
        return losses.cross_entropy(logits, self.task.ids(target), self.smoothing)


class FromGenerated(Term):
    """Cross-entropy with the labels that a model gave, hard or soft, over the samples that have one."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"generated({task.name})")
        self.task = task.name

    def forward(self, scene: Scene) -> Tensor:
        if scene.batch.mixed is not None:
            raise UserError("generated labels are of one sample each, and samples that were mixed are of two")
        shares = scene.batch.generated[self.task]
        values = losses.expected(scene.outputs[STUDENT].logits[self.task], shares)
        return losses.masked_mean(values, shares.sum(dim=1) > 0)


class Distilled(Term):
    """The student's logits against a teacher's, over every sample, labelled or not (but for the decoupled kind)."""

    def __init__(self, task: Task, teacher: str, how: "Soft | Hard | Decoupled") -> None:
        super().__init__(f"{how.kind}({task.name}, {teacher})", (STUDENT, teacher))
        self.task, self.teacher, self.how = task, teacher, how

    @property
    def detail(self) -> str:
        values = ", ".join(f"{k} {v}" for k, v in self.how if v not in ("none", False))
        return f"{self.name} [{values}]" if values else self.name

    def forward(self, scene: Scene) -> Tensor:
        if self.how.kind == "decoupled" and scene.batch.mixed is not None:
            raise UserError(
                "decoupled distillation needs one label a sample, which samples that were mixed do not have"
            )
        target = scene.batch.targets[self.task.name]
        one, two = (scene.outputs[who].logits[self.task.name] for who in self.reads)
        values = self.how.values(one, two, self.task.ids(target))
        return losses.masked_mean(values, known(scene.batch, self.task) if self.how.kind == "decoupled" else None)


class Hinted(Term):
    """A feature of the student, through a learnt linear map where asked for or where the widths differ, against the
    teacher's."""

    def __init__(self, task: Task, teacher: str, how: "Feature", widths: tuple[int, int]) -> None:
        super().__init__(f"feature({task.name}, {teacher})", (STUDENT, teacher))
        self.teacher, self.feature = teacher, how.name
        self.widths, self.mapped = widths, how.mapped or widths[0] != widths[1]
        self.adaptor = nn.Linear(*widths) if self.mapped else nn.Identity()

    @property
    def detail(self) -> str:
        return f"{self.name} [{self.feature}, {self.widths[0]} {'mapped ' if self.mapped else ''}to {self.widths[1]}]"

    def forward(self, scene: Scene) -> Tensor:
        features = [scene.outputs[who].features for who in self.reads]
        for declared in features:
            if self.feature not in declared:
                raise unknown("feature", self.feature, declared)
        one, two = (declared[self.feature] for declared in features)
        return losses.masked_mean(losses.hint(self.adaptor(one), two))


class Soft(Spec):
    """KL of softened logits, times T^2."""

    kind: ClassVar[str] = "soft"
    T: float = Field(3.0, gt=0)
    """Temperature."""
    reduction: losses.Reduction = "sum"
    """Over classes; `mean` is C times smaller, as PyTorch's default KL is."""
    scaling: losses.Scaling = "none"
    """std: of logits over half their own standard deviation, at temperature 1; `T` is then in the factor T^2 alone."""
    reverse: bool = False
    """KL(student || teacher), where the usual one is KL(teacher || student)."""

    def values(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """`(B, *S)`."""
        kl = losses.reverse if self.reverse else losses.soft
        if self.scaling == "none":
            return kl(student, teacher, self.T, self.reduction)
        one, two = (2 * losses.scaled(logits, self.scaling) for logits in (student, teacher))
        return self.T**2 * kl(one, two, 1.0, self.reduction)


class Hard(Spec):
    """The teacher's most likely class as the label."""

    kind: ClassVar[str] = "hard"

    def values(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """`(B, *S)`."""
        return losses.hard(student, teacher)


class Decoupled(Spec):
    """Target-class and non-target-class knowledge with a weight each (DKD); only where the label is known."""

    kind: ClassVar[str] = "decoupled"
    alpha: float = 1.0
    beta: float = 8.0
    T: float = Field(3.0, gt=0)

    def values(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """`(B, *S)`."""
        return losses.decoupled(student, teacher, target, self.alpha, self.beta, self.T)


class Feature(Spec):
    """Mean squared distance of a feature that both models declare."""

    kind: ClassVar[str] = "feature"
    name: str = "shared"
    mapped: bool = False
    """Through a learnt linear map even where the widths are the same."""


Kind = Soft | Hard | Decoupled | Feature


def supervised(
    task: Task, who: str = STUDENT, smoothing: float = 0.0, spread: float = 0.0, scaling: losses.Scaling = "none"
) -> Objective:
    """Cross-entropy (or squared error) of `who` with the labels of a task."""
    return Objective.of(Supervised(task, who, smoothing, spread, scaling))


def generated(task: Task) -> Objective:
    """Cross-entropy with the labels that a model gave to samples without one."""
    return Objective.of(FromGenerated(task))


def kd(task: Task, teacher: str, how: Kind, widths: tuple[int, int] | None = None) -> Objective:
    """The student against a teacher, for a task. `widths` (student's, teacher's) are those of the feature, if that is
    the kind."""
    if isinstance(how, Feature):
        if widths is None:
            raise ValueError("feature distillation needs the widths of the student's and the teacher's feature")
        return Objective.of(Hinted(task, teacher, how, widths))
    if task.classes is None:
        raise ValueError(f"task {task.name!r} has no classes, so there are no logits to soften; use the feature kind")
    return Objective.of(Distilled(task, teacher, how))
