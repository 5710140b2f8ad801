"""Terms that hold real values and maps of a student against a teacher's, and the kinds of the former as specs."""

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck import losses
from limbeck.config import Spec
from limbeck.errors import UserError, unknown
from limbeck.models.heads import MAP
from limbeck.objective import STUDENT, Objective, Scene, Term
from limbeck.tasks import Task
from limbeck.terms import known


class Valued(Term):
    """The student's real values against a teacher's, over the samples that have a label."""

    def __init__(self, task: Task, teacher: str, how: "Absolute | Spatial") -> None:
        super().__init__(f"{how.kind}({task.name}, {teacher})", (STUDENT, teacher))
        self.task, self.teacher, self.how = task, teacher, how

    @property
    def detail(self) -> str:
        values = ", ".join(f"{k} {v}" for k, v in self.how)
        return f"{self.name} [{values}]" if values else self.name

    def forward(self, scene: Scene) -> Tensor:
        one, two = (scene.outputs[who].logits[self.task.name] for who in self.reads)
        given = known(scene.batch, self.task)
        if isinstance(self.how, Absolute):
            apart = losses.apart if self.task.quantity == "direction" else losses.absolute_error
            target = two.detach() if self.task.quantity == "direction" else two.detach().squeeze(1)
            return losses.masked_mean(apart(one, target), given)
        if one.ndim == 2:
            raise UserError(
                f"spatial distillation needs a value for every pixel, and {self.task.name} has one a sample"
            )
        flat = [logits.flatten(2).transpose(1, 2).reshape(len(logits), -1) for logits in (one, two)]
        hidden = None if given is None else given.flatten(1).repeat_interleave(one.shape[1], dim=1).logical_not()
        if hidden is not None:
            # What is left out in both has no probability in either; a sample with nothing left counts for nothing.
            flat = [logits.masked_fill(hidden, -1e4) for logits in flat]
        some = None if hidden is None else ~hidden.all(dim=1)
        return losses.masked_mean(losses.soft(flat[0], flat[1], self.how.T), some)


class Aligned(Term):
    """A map of the student, through a learnt matrix over its channels, against a teacher's: the mean over places of the
    squared distance of their unit vectors [Li 2020, arXiv:2007.06889]."""

    def __init__(self, task: Task, teacher: str, widths: tuple[int, int]) -> None:
        super().__init__(f"aligned({task.name}, {teacher})", (STUDENT, teacher))
        self.widths, self.adaptor = widths, nn.Linear(*widths, bias=False)

    @property
    def detail(self) -> str:
        return f"{self.name} [{self.widths[0]} to {self.widths[1]}]"

    def forward(self, scene: Scene) -> Tensor:
        one, two = (scene.outputs[who].features[self._feature(scene, who)] for who in self.reads)
        if one.shape[2:] != two.shape[2:]:
            raise UserError(
                f"{self.name}: the student's map is of {_size(one)} cells, the teacher's of {_size(two)}; give both "
                "the same stride"
            )
        ours = F.normalize(self.adaptor(one.flatten(2).transpose(1, 2)).float(), dim=2)
        theirs = F.normalize(two.detach().flatten(2).transpose(1, 2).float(), dim=2)
        return losses.masked_mean((ours - theirs).square().sum(dim=2))

    @staticmethod
    def _feature(scene: Scene, who: str) -> str:
        declared = scene.outputs[who].features
        if MAP not in declared:
            raise unknown("feature", MAP, declared)
        return MAP


def _size(made: Tensor) -> str:
    return " x ".join(map(str, made.shape[2:]))


class Absolute(Spec):
    """The distance of real values, of directions 1 - cosine."""

    kind: ClassVar[str] = "absolute"


class Spatial(Spec):
    """KL(teacher || student) of softmaxes over pixels of a sample, times T^2: which of them are far, not how far."""

    kind: ClassVar[str] = "spatial"
    T: float = Field(1.0, gt=0)
    """Temperature, in the unit of the values."""


def valued(task: Task, teacher: str, how: Absolute | Spatial) -> Objective:
    """The student's real values against a teacher's, for a task."""
    return Objective.of(Valued(task, teacher, how))


def aligned(task: Task, teacher: str, widths: tuple[int, int]) -> Objective:
    """The student's map against that of a task's teacher. `widths` are their channels, the student's first."""
    return Objective.of(Aligned(task, teacher, widths))
