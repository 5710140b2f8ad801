"""The algebra of objectives: named terms, weighted and added as a paper writes its equation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Union

from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.config import Spec

STUDENT = "student"
Weight = Union[float, Callable[[float], float | Tensor], "Balanced"]
"""A number, a function of progress (a schedule, or a module that adapts), or one of several that are balanced."""


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

    @property
    def held(self) -> int:
        """Bytes of what it remembers."""
        return 0

    @abstractmethod
    def forward(self, scene: Scene) -> Tensor:
        """The loss, a scalar."""

    def __add__(self, other: "Objective | Term") -> "Objective":
        return Objective.of(self) + other

    def __radd__(self, other: "Objective | Term | int") -> "Objective":
        return other + Objective.of(self)

    def __rmul__(self, weight: Weight) -> "Objective":
        return weight * Objective.of(self)


class Balancing(nn.Module, ABC):
    """Makes one loss of several, by weights that may follow what comes of them: `balancing[name] * part` is one of
    them.

    The loss of a name is the sum of all parts of that weight, with what else they are weighted by. All that was learnt
    is in the state, and so in checkpoints. `label` names kind and settings.
    """

    def __init__(self, label: str, names: Iterable[str]) -> None:
        super().__init__()
        self.label, self.names = label, tuple(names)

    def __getitem__(self, name: str) -> "Balanced":
        return Balanced(self, name)

    @abstractmethod
    def weights(self) -> Tensor:
        """Of the names, `(K,)`, as they are now; without gradient."""

    @abstractmethod
    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        """One loss of those of the names; in training it learns from them."""

    def after_eval(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """Learns from what each task is worth on validation, higher being better; gives what it has come to, for the
        log."""
        return {}


@dataclass(frozen=True)
class Balanced:
    """The weight of a name."""

    by: Balancing
    name: str

    def __str__(self) -> str:
        return f"{self.by.label}({self.name})"


class Objective(nn.Module):
    """A linear combination of terms: closed under `+` and `weight *`, so `a + 0.5 * (b + c)` and `sum(...)` are
    objectives.

    `reads` are the models whose answers are needed, in the order of first use, `names` those of the values to log.
    Two terms of one name are refused, since their values could not be told apart in the log.
    """

    def __init__(self, parts: Iterable[tuple[tuple[Weight, ...], Term]]) -> None:
        super().__init__()
        self.parts = list(parts)
        self.balancings = list(dict.fromkeys(w.by for ws, _ in self.parts for w in ws if isinstance(w, Balanced)))
        self._terms = [(_fixed(weights), _balanced(weights), term) for weights, term in self.parts]
        names = [term.name for _, term in self.parts]
        names += [f"weight({name})" for balancing in self.balancings for name in balancing.names]
        self.names = names
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two terms are named {twice[0]!r}; give one of them another name")
        self.terms = nn.ModuleList(term for _, term in self.parts)
        self.reads = tuple(dict.fromkeys(name for _, term in self.parts for name in term.reads))
        # A weight of several terms is one module.
        adaptive = (w for ws, _ in self.parts for w in ws if isinstance(w, nn.Module))
        self.weights = nn.ModuleList(dict.fromkeys([*adaptive, *self.balancings]))

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
        """The weighted sum, and each term's own value (unweighted, detached) by name; so each balanced weight too."""
        values: dict[str, Tensor] = {}
        weighted = []
        balanced: dict[Balanced, Tensor] = {}
        for weights, by, term in self._terms:
            value = term(scene)
            values[term.name] = value.detach()
            for weight in weights:
                value = value * (weight(scene.progress) if callable(weight) else weight)
            if by is None:
                weighted.append(value)
            else:
                balanced[by] = balanced[by] + value if by in balanced else value
        for balancing in self.balancings:
            values |= {f"weight({n})": w for n, w in zip(balancing.names, balancing.weights(), strict=True)}
            weighted.append(balancing([balanced[balancing[name]] for name in balancing.names], scene))
        return sum(weighted[1:], start=weighted[0]), values

    def __str__(self) -> str:
        def factor(weight: Weight) -> str:
            if isinstance(weight, (int, float)):
                return f"{weight:.12g}"
            return f"{weight.kind}[{weight}]" if isinstance(weight, Spec) else str(weight)

        return " + ".join(" ".join([*map(factor, weights), term.detail]) for weights, term in self.parts)


def _fixed(weights: tuple[Weight, ...]) -> list[float | Callable[[float], float | Tensor]]:
    return [w for w in weights if not isinstance(w, Balanced)]


def _balanced(weights: tuple[Weight, ...]) -> Balanced | None:
    """The one weight that is balanced, if one is. Raises `ValueError` for two."""
    found = [w for w in weights if isinstance(w, Balanced)]
    if len(found) > 1:
        raise ValueError(f"a term is balanced once, not by {found[0]} and {found[1]}")
    return found[0] if found else None


def _times(weight: Weight, weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    if weights and isinstance(weight, (int, float)) and isinstance(weights[0], (int, float)):
        return (weight * weights[0], *weights[1:])
    return (weight, *weights)
