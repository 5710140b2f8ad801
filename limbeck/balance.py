"""How much each of several tasks counts: all alike, or by weights that follow what comes of their losses.

A task whose loss is 0 in every process, which is what `masked_mean` makes of a batch without a label for it, has no say
in such a step: its weight is not moved by it, but for what momentum an optimiser has.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import process
from limbeck.config import Spec
from limbeck.errors import UserError
from limbeck.models.heads import MultiTask
from limbeck.objective import STUDENT, Balancing, Objective, Scene

LEAST = 1e-3
"""No weight of GradNorm falls below it before they are scaled: one of 0 or less would never come back."""


class Equal(Spec):
    """Each task weighs 1."""

    kind: ClassVar[str] = "equal"

    def over(self, parts: Mapping[str, Objective], epoch: int) -> Objective:
        """The sum of the tasks' parts."""
        first, *others = parts.values()
        return sum(others, start=first)


class Uncertainty(Spec):
    """exp(-s) L + s / 2 for each task, its s learnt with all else from 0 on [Kendall 2018, arXiv:1705.07115].

    That is the form for classes; s is the log of a variance. The form for real values, exp(-s) L / 2 + s / 2, is the
    same function of s + log 2, so that both come to rest at the weight 1 / (2 L). The optimiser of the plan moves s;
    weight decay, where it has that for all parameters, draws the weights to 1.
    """

    kind: ClassVar[str] = "uncertainty"

    def over(self, parts: Mapping[str, Objective], epoch: int) -> Objective:
        """The parts, so weighted, and the terms of s."""
        return _balanced(Uncertain(self, parts), parts)


class DWA(Spec):
    """Dynamic weight average: K softmax(r / T), with r the mean loss of an epoch over that of the epoch before
    [Liu 2019, arXiv:1803.10704].

    What falls slowly weighs more. The weights are 1 in the first two epochs, and sum to the number K of tasks. A task
    without a label in a whole epoch keeps its r.
    """

    kind: ClassVar[str] = "dwa"
    T: float = Field(2.0, gt=0)
    """Temperature: the higher, the more equal."""

    def over(self, parts: Mapping[str, Objective], epoch: int) -> Objective:
        """The parts, so weighted; `epoch` is its length in steps."""
        return _balanced(Averaged(self, parts, epoch), parts)


class GradNorm(Spec):
    """Weights that bring the tasks' gradients at the last shared layer to one norm, more for a task that learns more
    slowly [Chen 2018, arXiv:1711.02257].

        target_k = mean_j(w_j n_j) (pace_k / mean_j(pace_j))^alpha,   pace_k = L_k / L_k at first
        w_k <- w_k - rate sign(w_k n_k - target_k) n_k,   then scaled so that they sum to K

    n_k is the norm of the gradient of L_k at the last matrix (or kernel) of the student's trunk. A step costs one more
    backward pass a task, through its head and what the trunk has from that layer on: an eighth more of the step for two
    tasks of a ResNet1D of 32 channels. There is no gradient of a gradient, for a norm is linear in its weight. No
    weight falls below 0.001 before they are scaled, which is our own guard.
    """

    kind: ClassVar[str] = "gradnorm"
    alpha: float = Field(1.5, ge=0)
    """How much more a task counts that learns more slowly; at 0 all gradients are brought to one norm."""
    rate: float = Field(0.025, gt=0)
    """Learning rate of the weights."""

    def over(self, parts: Mapping[str, Objective], epoch: int) -> Objective:
        """The parts, so weighted."""
        return _balanced(Normed(self, parts), parts)


Balance = Equal | Uncertainty | DWA | GradNorm


def _label(spec: Spec) -> str:
    return f"{spec.kind}[{spec}]" if type(spec).model_fields else spec.kind


def _balanced(balancing: Balancing, parts: Mapping[str, Objective]) -> Objective:
    first, *others = (balancing[name] * part for name, part in parts.items())
    return sum(others, start=first)


def _over_all(losses: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The losses of the whole batch `(K,)`, and which of them are not 0."""
    mean = process.total(torch.stack([loss.detach() for loss in losses])) / process.world()
    return mean, mean != 0


class Uncertain(Balancing):
    """What `Uncertainty` says."""

    def __init__(self, spec: Uncertainty, names: Iterable[str]) -> None:
        super().__init__(_label(spec), names)
        self.s = nn.Parameter(torch.zeros(len(self.names)))

    def weights(self) -> Tensor:
        return (-self.s.detach()).exp()

    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        _, seen = _over_all(losses)
        return ((-self.s).exp() * torch.stack(list(losses)) + torch.where(seen, self.s / 2, 0.0)).sum()


class Averaged(Balancing):
    """What `DWA` says. `means` are those of the last two epochs, 0 before there are any."""

    step: Tensor
    sums: Tensor
    counts: Tensor
    means: Tensor

    def __init__(self, spec: DWA, names: Iterable[str], epoch: int) -> None:
        super().__init__(_label(spec), names)
        self.T, self.epoch = spec.T, epoch
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        for name, shape in (("sums", ()), ("counts", ()), ("means", (2,))):
            self.register_buffer(name, torch.zeros(*shape, len(self.names)))

    def weights(self) -> Tensor:
        before, last = self.means
        ratio = torch.where(before > 0, last / before, 1.0)
        return len(self.names) * (ratio / self.T).softmax(dim=0)

    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        weighted = (self.weights() * torch.stack(list(losses))).sum()
        if self.training:
            self._learn(losses)
        return weighted

    @torch.no_grad()
    def _learn(self, losses: Sequence[Tensor]) -> None:
        mean, seen = _over_all(losses)
        self.sums += torch.where(seen, mean, 0.0)
        self.counts += seen
        self.step += 1
        # Without a look at the step, for which a GPU would have to be waited for.
        ended = self.step % self.epoch == 0
        newer = torch.stack([self.means[1], self.sums / self.counts.clamp(min=1)])
        self.means.copy_(torch.where(ended & (self.counts > 0), newer, self.means))
        self.sums *= ~ended
        self.counts *= ~ended


class Normed(Balancing):
    """What `GradNorm` says. `first` are the losses of the first batch that had a label, 0 until there was one."""

    now: Tensor
    first: Tensor

    def __init__(self, spec: GradNorm, names: Iterable[str]) -> None:
        super().__init__(_label(spec), names)
        self.alpha, self.rate = spec.alpha, spec.rate
        self.register_buffer("now", torch.ones(len(self.names)))
        self.register_buffer("first", torch.zeros(len(self.names)))

    def weights(self) -> Tensor:
        return self.now.clone()

    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        weighted = (self.weights() * torch.stack(list(losses))).sum()
        if self.training:
            self._learn(losses, _norms(losses, _last_shared(scene.models[STUDENT])))
        return weighted

    @torch.no_grad()
    def _learn(self, losses: Sequence[Tensor], norms: Tensor) -> None:
        mean, seen = _over_all(losses)

        def average(x: Tensor) -> Tensor:
            return torch.where(seen, x, 0.0).sum() / seen.sum()

        self.first.copy_(torch.where(self.first == 0, mean, self.first))
        pace = mean / self.first
        target = average(self.now * norms) * (pace / average(pace)) ** self.alpha
        moved = (self.now - self.rate * (self.now * norms - target).sign() * norms).clamp(min=LEAST)
        # Those that had a label are scaled among themselves: the others stay, and all still sum to K.
        self.now.copy_(torch.where(seen, moved * average(self.now) / average(moved), self.now))


def _last_shared(student: nn.Module) -> nn.Parameter:
    """The last matrix or kernel of a trunk. Raises `UserError` where there is none that learns."""
    trunk = student.trunk.parameters() if isinstance(student, MultiTask) else ()
    learnt = [p for p in trunk if p.ndim > 1 and p.requires_grad]
    if not learnt:
        raise UserError("gradnorm needs a student whose tasks share a trunk that learns; choose another balance")
    return learnt[-1]


def _norms(losses: Sequence[Tensor], shared: nn.Parameter) -> Tensor:
    """Of the gradient of each loss of the whole batch at a parameter, `(K,)`."""
    each = [torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)[0] for loss in losses]
    whole = torch.stack([torch.zeros_like(shared) if g is None else g for g in each]).flatten(1)
    norms: Tensor = (process.total(whole) / process.world()).norm(dim=1)
    return norms
