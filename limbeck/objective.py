"""The algebra of objectives: named terms, weighted and added as a paper writes its equation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.config import Spec

STUDENT = "student"
Weight = float | Callable[[float], float | Tensor]
"""A number, or a function of progress: a schedule, or a module that adapts."""


class Scene(NamedTuple):
    """All that a term may look at: the batch, what each model answered for it, the models, and progress in [0, 1]."""

    batch: Batch
    outputs: Mapping[str, Outputs]
    models: Mapping[str, nn.Module]
    progress: float


class Term(nn.Module, ABC):
    """One named loss. `reads` are the models whose answers it needs; it may hold parameters, which then learn too."""

    def __init__(self, name: str, reads: Iterable[str] = (STUDENT,)) -> None:
        super().__init__()
        self.name, self.reads = name, tuple(reads)

    @property
    def detail(self) -> str:
        """The name with all that changes its value."""
        return self.name

    @abstractmethod
    def forward(self, scene: Scene) -> Tensor:
        """The loss, a scalar."""

    def __add__(self, other: "Objective | Term") -> "Objective":
        return Objective.of(self) + other

    def __radd__(self, other: "Objective | Term | int") -> "Objective":
        return other + Objective.of(self)

    def __rmul__(self, weight: Weight) -> "Objective":
        return weight * Objective.of(self)


class Objective(nn.Module):
    """A linear combination of terms: closed under `+` and `weight *`, so `a + 0.5 * (b + c)` and `sum(...)` are
    objectives.

    `reads` are the models whose answers are needed, in the order of first use.
    Two terms of one name are refused, since their values could not be told apart in the log.
    """

    def __init__(self, parts: Iterable[tuple[tuple[Weight, ...], Term]]) -> None:
        super().__init__()
        self.parts = list(parts)
        names = [term.name for _, term in self.parts]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two terms are named {twice[0]!r}; give one of them another name")
        self.terms = nn.ModuleList(term for _, term in self.parts)
        self.reads = tuple(dict.fromkeys(name for _, term in self.parts for name in term.reads))
        # A weight of several terms is one module.
        adaptive = (w for ws, _ in self.parts for w in ws if isinstance(w, nn.Module))
        self.weights = nn.ModuleList(dict.fromkeys(adaptive))

    @classmethod
    def of(cls, term: Term) -> "Objective":
        """The objective that is this term alone."""
        return cls([((), term)])

    def __add__(self, other: "Objective | Term") -> "Objective":
        return Objective([*self.parts, *(Objective.of(other) if isinstance(other, Term) else other).parts])

    def __radd__(self, other: "Objective | Term | int") -> "Objective":
        if isinstance(other, int):
            if other != 0:
                raise TypeError(f"cannot add {other} to an objective")
            return self
        return (Objective.of(other) if isinstance(other, Term) else other) + self

    def __rmul__(self, weight: Weight) -> "Objective":
        return Objective([(_times(weight, weights), term) for weights, term in self.parts])

    def forward(self, scene: Scene) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term's own value (unweighted, detached) by name."""
        values: dict[str, Tensor] = {}
        weighted = []
        for weights, term in self.parts:
            value = term(scene)
            values[term.name] = value.detach()
            for weight in weights:
                value = value * (weight(scene.progress) if callable(weight) else weight)
            weighted.append(value)
        return sum(weighted[1:], start=weighted[0]), values

    def __str__(self) -> str:
        def factor(weight: Weight) -> str:
            if isinstance(weight, (int, float)):
                return f"{weight:.12g}"
            return f"{weight.kind}[{weight}]" if isinstance(weight, Spec) else str(weight)

        return " + ".join(" ".join([*map(factor, weights), term.detail]) for weights, term in self.parts)


def _times(weight: Weight, weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    if weights and isinstance(weight, (int, float)) and isinstance(weights[0], (int, float)):
        return (weight * weights[0], *weights[1:])
    return (weight, *weights)
