"""Teachers: modules that answer for a batch, and may learn after each step."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.config import digest

WeightsDigest = str


def fingerprint(model: nn.Module) -> WeightsDigest:
    """16 hexadecimal digits that name a model's weights and buffers."""
    parts = [
        (name, digest(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()))
        for name, value in model.state_dict().items()
    ]
    return digest(parts)


class Teacher(nn.Module, ABC):
    """A model that the student learns from. Its answers carry no gradient."""

    @abstractmethod
    def forward(self, batch: Batch) -> Outputs:
        """What it answers for a batch."""

    def update(self, student: nn.Module, progress: float) -> None:
        """Learns from the student after an optimiser step; nothing by default."""

    def fingerprint(self) -> WeightsDigest | None:
        """What its answers are fixed by, for a teacher that never changes; a run is not resumed with another."""
        return None


class _Apart(Teacher):
    """Keeps a model out of `parameters()`, `state_dict()` and `train()`, while devices and dtypes still reach it."""

    model: nn.Module

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        model.requires_grad_(False).eval()
        object.__setattr__(self, "model", model)
        self._print = fingerprint(model)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_Apart":
        self.model._apply(fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def fingerprint(self) -> WeightsDigest:
        return self._print


class Frozen(_Apart):
    """A trained model that never changes: in evaluation mode for ever, without gradient, and not in checkpoints."""

    def forward(self, batch: Batch) -> Outputs:
        with torch.inference_mode():
            answer: Outputs = self.model(batch)
        # Copies, for what was made in inference mode may not stand in a loss.
        return Outputs(*({name: value.clone() for name, value in part.items()} for part in answer))


class EMA(Teacher):
    """The mean teacher: follows the student as `teacher = beta teacher + (1 - beta) student` [Tarvainen 2017,
    arXiv:1703.01780].

    Starts as a copy. Floating buffers (BatchNorm's statistics) follow as parameters do, counters are copied. Without
    bias correction; it forgets half in log 0.5 / log beta updates (693 at 0.999).
    """

    def __init__(self, student: nn.Module, beta: float = 0.999) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"the decay beta is in [0, 1], not {beta}")
        self.beta = beta
        self.model = copy.deepcopy(student).requires_grad_(False).eval()
        self._pairs: tuple[nn.Module, list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]] | None = None

    def extra_repr(self) -> str:
        return f"beta={self.beta}"

    def train(self, mode: bool = True) -> "EMA":
        super().train(mode)
        self.model.eval()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "EMA":
        self._pairs = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def forward(self, batch: Batch) -> Outputs:
        answer: Outputs = self.model(batch)
        return answer

    @torch.no_grad()
    def update(self, student: nn.Module, progress: float) -> None:
        if self._pairs is None or self._pairs[0] is not student:
            mine, theirs = _tensors(self.model), _tensors(student)
            floats = [k for k, v in mine.items() if v.is_floating_point()]
            counters = [(mine[k], theirs[k]) for k in mine if k not in set(floats)]
            self._pairs = student, [mine[k] for k in floats], [theirs[k] for k in floats], counters
        _, own, student_values, counters = self._pairs
        torch._foreach_lerp_(own, student_values, 1 - self.beta)
        for counter, value in counters:
            counter.copy_(value)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, one that has two names once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


class Ensemble(Teacher):
    """Several teachers as one: the log of their mean probability, weighted; features are the first teacher's."""

    log_shares: Tensor

    def __init__(self, teachers: Sequence[Teacher], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.teachers, self._each = nn.ModuleList(teachers), tuple(teachers)
        shares = torch.tensor(list(weights) if weights else [1.0] * len(teachers))
        if len(shares) != len(teachers) or not teachers:
            raise ValueError(f"{len(shares)} weights for {len(teachers)} teachers")
        if not (shares > 0).all():
            raise ValueError(f"the weights of an ensemble are positive, not {shares.tolist()}")
        self.register_buffer("log_shares", (shares / shares.sum()).log())

    @torch.no_grad()
    def forward(self, batch: Batch) -> Outputs:
        answers = [teacher(batch) for teacher in self.teachers]
        logits = {}
        for task in answers[0].logits:
            each = torch.stack([a.logits[task].log_softmax(dim=1) for a in answers])
            shares = self.log_shares.view(-1, *[1] * (each.dim() - 1))
            logits[task] = (each + shares).logsumexp(dim=0)
        return Outputs(logits, answers[0].features)

    def update(self, student: nn.Module, progress: float) -> None:
        for teacher in self._each:
            teacher.update(student, progress)

    def fingerprint(self) -> WeightsDigest | None:
        prints = [teacher.fingerprint() for teacher in self._each]
        return None if None in prints else digest([prints, self.log_shares.tolist()])


class Cached(Teacher):
    """A frozen teacher's answers for every row of a table, looked up by row.

    Refuses a batch whose inputs were augmented or mixed (the teacher would have answered otherwise). `key` names the
    weights and the data the answers were made of; make it with `evaluate.remember`, which checks the stored against
    fresh answers.
    """

    logits: dict[str, Tensor]
    features: dict[str, Tensor]

    def __init__(self, logits: Mapping[str, Tensor], key: str, features: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        object.__setattr__(self, "logits", dict(logits))
        object.__setattr__(self, "features", dict(features or {}))
        self.key = key

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Cached":
        for store in (self.logits, self.features):
            store.update({name: fn(value) for name, value in store.items()})
        return self

    def forward(self, batch: Batch) -> Outputs:
        if not batch.pure:
            raise ValueError("a cached teacher was given augmented or mixed inputs; use the teacher itself there")
        return Outputs(
            {name: value.index_select(0, batch.ids) for name, value in self.logits.items()},
            {name: value.index_select(0, batch.ids) for name, value in self.features.items()},
        )

    def fingerprint(self) -> str:
        return self.key
