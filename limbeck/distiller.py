"""Student, teachers and what is judged on them, as one module: all that learns is inside its forward."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.errors import unknown
from limbeck.objective import STUDENT, Objective, Scene
from limbeck.teachers import Teacher

Transform = Callable[[Batch], Batch]


class Steered(nn.Module, ABC):
    """A transform of batches that changes with what comes of it; what it has learnt is in checkpoints."""

    @abstractmethod
    def forward(self, batch: Batch) -> Batch:
        """The batch that is judged."""

    @abstractmethod
    def learn(self, scene: Scene) -> dict[str, Tensor]:
        """Looks at what the models answered, in training; gives what it has come to, by name, for the log."""


@dataclass(frozen=True)
class View:
    """What becomes of the batch, and what is judged on it."""

    objective: Objective
    transform: Transform | None = None


class Losses(NamedTuple):
    """The loss that is minimised, and every term's unweighted value by name."""

    total: Tensor
    values: dict[str, Tensor]


class Distiller(nn.Module):
    """The one module that `fit` trains. Only teachers that an objective reads are run.

    Raises `UserError` where an objective reads a teacher that is not there.
    """

    def __init__(
        self, student: nn.Module, teachers: Mapping[str, Teacher], objective: Objective | Sequence[View]
    ) -> None:
        super().__init__()
        if STUDENT in teachers:
            raise ValueError(f"a teacher cannot be named {STUDENT!r}")
        self.student = student
        self.teachers, self._taught_by = nn.ModuleDict(teachers), dict(teachers)
        self.views = [View(objective)] if isinstance(objective, Objective) else list(objective)
        self.objectives = nn.ModuleList(view.objective for view in self.views)
        self.steered = nn.ModuleList(v.transform for v in self.views if isinstance(v.transform, Steered))
        for view in self.views:
            for name in view.objective.reads:
                if name != STUDENT and name not in self.teachers:
                    raise unknown("teacher", name, teachers)
        balancings = [balancing for view in self.views for balancing in view.objective.balancings]
        if len(set(balancings)) < len(balancings):
            raise ValueError("what balances tasks belongs to one view, whose losses it learns from")
        self._models: dict[str, nn.Module] = {STUDENT: student, **self.teachers}
        names = [name for view in self.views for name in view.objective.names]
        self._labels = [
            [n if names.count(n) == 1 else f"{n} view {i}" for n in view.objective.names]
            for i, view in enumerate(self.views)
        ]

    def forward(self, batch: Batch, progress: float) -> Losses:
        """The loss of a batch at a progress in [0, 1]."""
        total: Tensor | None = None
        values: dict[str, Tensor] = {}
        for view, labels in zip(self.views, self._labels, strict=True):
            seen = view.transform(batch) if view.transform else batch
            outputs = {name: self._models[name](seen) for name in view.objective.reads}
            scene = Scene(seen, outputs, self._models, progress)
            loss, parts = view.objective(scene)
            total = loss if total is None else total + loss
            values |= zip(labels, parts.values(), strict=True)
            if self.training and isinstance(view.transform, Steered):
                values |= view.transform.learn(scene)
        if total is None:
            raise ValueError("a distiller needs at least one view")
        return Losses(total, values)

    def after_step(self, progress: float) -> None:
        """Lets the teachers learn; called once after each optimiser step."""
        for teacher in self._taught_by.values():
            teacher.update(self.student, progress)

    def after_eval(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """Hands what each task is worth on validation to what adapts to it; gives what that has come to."""
        found: dict[str, Any] = {}
        for view in self.views:
            for balancing in view.objective.balancings:
                found |= balancing.after_eval(scores)
        return found

    def parts(self) -> list[list[nn.Parameter]]:
        """The parameters that learn: of the student with the terms', and of each teacher that has any, which no loss of
        the student's reaches."""
        teachers = [[p for p in teacher.parameters() if p.requires_grad] for teacher in self.teachers.values()]
        theirs = {p for part in teachers for p in part}
        own = [p for p in self.parameters() if p.requires_grad and p not in theirs]
        return [part for part in (own, *teachers) if part]

    def held(self) -> dict[str, int]:
        """Bytes that terms remember, by name; only of those that do."""
        terms = [term for view in self.views for _, term in view.objective.parts]
        return {term.name: term.held for term in terms if term.held}

    def fingerprints(self) -> dict[str, str]:
        """Of the teachers that never change: a checkpoint is only loaded beside the same ones."""
        prints = {name: teacher.fingerprint() for name, teacher in self._taught_by.items()}
        return {name: text for name, text in prints.items() if text}

    def described(self) -> dict[str, str]:
        """What every teacher's answers are fixed by: the weights of one that never changes, the settings of one that
        learns."""
        fixed = self.fingerprints()
        return {name: fixed.get(name, f"{type(t).__name__} {t.extra_repr()}") for name, t in self.teachers.items()}
