"""A trunk with one linear head a task, and what is common to all specs of models."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.batch import DOMAIN, Batch, Outputs
from limbeck.batch import MODALITY as MODALITY
from limbeck.config import Spec
from limbeck.data.source import Column
from limbeck.errors import UserError
from limbeck.models.sets import Norms, by_set
from limbeck.tasks import Task

SHARED = "shared"
"""The feature that all heads read: `(B, F)`, or `(B, F, H, W)` where they answer for every pixel."""
MAP = "map"
"""The feature `(B, F, *S)` along time or space, of which `shared` is the mean, or itself; not every model has one."""
How = Literal["channel", "scale", "within", "window"]
LARGEST = 1 << 24
"""Values that statistics are taken of at once."""


class Normalise(nn.Module):
    """`(x - mean) / std` of windows `(B, M, L)` or images `(B, M, H, W)`, whose `dims` are 1 or 2; the identity until
    `fit` has seen training windows. Images of 8-bit pixels come out as reals.

    `window`: each channel of each window has its own, so nothing is fitted; one that never changes becomes 0.
    `channel`: each channel has its own mean and standard deviation. `scale`: one factor for each triple of channels,
    their root mean square (for all of them where they are no triples), and no shift, so that what is a direction in
    space stays one and sensors of other units weigh alike. `within`: each channel by its mean, and by the mean of the
    standard deviations that the windows have by themselves.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, how: How = "channel", dims: int = 1) -> None:
        super().__init__()
        self.how = how
        if how == "window":
            return
        self.register_buffer("mean", torch.zeros(channels, *[1] * dims))
        self.register_buffer("std", torch.ones(channels, *[1] * dims))

    def fit(self, column: Column) -> None:
        """Takes the statistics of every window of a column, which must be the training part's."""
        if self.how == "window":
            return
        count = 0
        total, square, within = (torch.zeros(len(self.mean)).double() for _ in range(3))
        for at in torch.arange(len(column)).split(min(4096, max(1, LARGEST // math.prod(column.shape)))):
            x = column[at].flatten(2)
            count += x.shape[0] * x.shape[2]
            one, two = _sums(x)
            total += one
            square += two
            if self.how == "within":
                x = x.double()
                within += x.std(dim=2, correction=0).sum(dim=0)
        if self.how == "within":
            mean, std = total / count, within / len(column)
        elif self.how == "channel":
            mean = total / count
            std = (square / count - mean.square()).clamp(min=0).sqrt()
        else:
            sensor = 3 if len(square) % 3 == 0 else len(square)
            power = square.view(-1, sensor).mean(dim=1).repeat_interleave(sensor)
            mean, std = torch.zeros_like(total), (power / count).sqrt()
        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(torch.where(std > 0, std, 1.0).view_as(self.std))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.uint8 and x.ndim == 4:  # channels last in memory, which convolutions on a CPU like
            return x.to(self.mean.dtype, memory_format=torch.channels_last).sub_(self.mean).div_(self.std)
        if self.how != "window":
            return (x - self.mean) / self.std
        # The mean of equal values is not quite their value, so what is left of a flat window must not be divided.
        flat = x.amax(dim=2, keepdim=True) == x.amin(dim=2, keepdim=True)
        centred = torch.where(flat, 0.0, x - x.mean(dim=2, keepdim=True))
        # Made large first: the squares of what a filter leaves of silence are 0 in float32.
        largest = centred.abs().amax(dim=2, keepdim=True)
        scaled = centred / torch.where(largest > 0, largest, 1.0)
        return scaled / torch.where(largest > 0, scaled.square().mean(dim=2, keepdim=True).sqrt(), 1.0)


def _sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of each channel of `(B, M, P)`, and that of its squares: `(M,)` in float64; exact for 8-bit values."""
    if x.dtype != torch.uint8:
        x = x.double()
        return x.sum(dim=(0, 2)), x.square().sum(dim=(0, 2))
    values = torch.arange(256.0, dtype=torch.float64)
    counts = torch.stack([one.flatten().bincount(minlength=256) for one in x.unbind(1)]).double().cpu()
    return counts @ values, counts @ values.square()


class Pooled(nn.Sequential):
    """Layers that make a map `(B, F, L)` of windows, and its mean `(B, F)` over time."""

    def map(self, x: Tensor) -> Tensor:
        """What the mean is taken of."""
        for layer in self:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.map(x))

    @staticmethod
    def pool(made: Tensor) -> Tensor:
        """The mean over time."""
        return F.adaptive_avg_pool1d(made, 1).flatten(1)


class MultiTask(nn.Module):
    """A trunk `(B, M, L) -> (B, F)` and a head a task, on the input `modality`. Declares the feature `shared`, and
    `map` where there is one.

    With `stitch` each head reads the feature through a learnt vector of its own, and declares what it reads as
    `shared:<task>`. `reads` names the feature of each task's head. `head` makes the head of a task, a linear one if it
    is not given. With `sets` above 1 the trunk has norms for each of so many data sets, and the input `domain` says
    whose a sample is.
    """

    def __init__(
        self,
        trunk: nn.Module,
        width: int,
        tasks: Sequence[Task],
        normalise: Normalise | None,
        stitch: bool = False,
        modality: str = MODALITY,
        head: Callable[[Task], nn.Module] | None = None,
        sets: int = 1,
    ) -> None:
        super().__init__()
        self.modality, self.sets = modality, sets
        self.width, self.tasks, self.normalise, self.trunk = width, tuple(tasks), normalise, trunk
        # Lists, not dicts by name: a label column may have any name, an attribute of a module may not.
        self.heads = nn.ModuleList(map(head or partial(layered, width, 0), tasks))
        self.stitches = nn.ParameterList(torch.full((width,), 0.5) for _ in tasks if stitch)
        self.stitched = stitch
        self.reads = {task.name: f"{SHARED}:{task.name}" if stitch else SHARED for task in tasks}

    def head(self, task: str) -> nn.Module:
        """The head of a task: logits `(B, C, *S)` from the feature it reads."""
        return self.heads[[t.name for t in self.tasks].index(task)]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """`shared`, and `map` where there is one; without asking the heads."""
        x = batch.inputs[self.modality]
        x = x if self.normalise is None else self.normalise(x)
        if self.sets > 1:
            return {SHARED: by_set(self.trunk, x, self._domain(batch), self.sets)}
        if isinstance(self.trunk, Pooled):
            made = self.trunk.map(x)
            return {SHARED: self.trunk.pool(made), MAP: made}
        feature: Tensor = self.trunk(x)
        return {SHARED: feature} if feature.ndim == 2 else {SHARED: feature, MAP: feature}

    def forward(self, batch: Batch) -> Outputs:
        features = self.features(batch)
        if self.stitched:
            feature = features[SHARED]
            for task, vector in zip(self.tasks, self.stitches, strict=True):
                features[self.reads[task.name]] = feature * vector
        logits = {name: head(features[read]) for (name, read), head in zip(self.reads.items(), self.heads, strict=True)}
        return Outputs(logits, features)

    def _domain(self, batch: Batch) -> Tensor:
        if DOMAIN not in batch.inputs:
            raise UserError(
                f"the model keeps {self.sets} data sets apart, and these samples do not say whose they are: evaluate "
                "it on the sets that it was trained on"
            )
        return batch.inputs[DOMAIN]


def layered(width: int, hidden: int, task: Task) -> nn.Module:
    """A head that reads a feature `(B, width)`, through a layer of so many `hidden` units if there are any."""
    if not hidden:
        return nn.Linear(width, task.width)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, task.width))


class Several(nn.Module):
    """A model a task, as one: what single-task training comes to."""

    def __init__(self, models: Sequence[MultiTask]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.tasks = tuple(task for model in models for task in model.tasks)

    def forward(self, batch: Batch) -> Outputs:
        answers = [model(batch) for model in self.models]
        return Outputs({name: logits for a in answers for name, logits in a.logits.items()})


def fixed(model: nn.Module, which: int) -> nn.Module:
    """A copy of a model that answers as it does for one data set: its samples need not say whose they are. Raises
    `UserError` where it keeps sets apart and that one is not among them."""
    made = copy.deepcopy(model)
    apart = [module for module in made.modules() if isinstance(module, MultiTask) and module.sets > 1]
    for network in apart:
        network.sets = 1
        for norms in [module for module in network.modules() if isinstance(module, Norms)]:
            norms.keep(which)
    return made


class Model(Spec, ABC):
    """The spec of a model for sensor windows, or for what a batch has by the name `modality`."""

    modality: ClassVar[str] = MODALITY
    normalise: How | Literal["none"] = "channel"
    """Inside the model. With the statistics of the training windows: each channel for itself, each triple by one
    factor, or each channel by the mean of the windows' own deviations; or with its own: each window and channel for
    itself."""
    stitch: bool = False
    """Each head reads the shared feature through a learnt vector of its own."""

    @abstractmethod
    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        """The trunk for windows `(B, channels, length)` or squares of that side, and the width F of its feature."""

    def build(self, tasks: Sequence[Task], shape: Sequence[int]) -> MultiTask:
        """The model, with fresh weights from torch's generator. `shape` is (M, L) or (M, H, W). Raises `UserError`
        where it does not fit."""
        channels, *size = shape
        trunk, width = self.trunk(channels, size[0])
        return MultiTask(trunk, width, tasks, self.normaliser(channels, len(size)), self.stitch, self.modality)

    def normaliser(self, channels: int, dims: int) -> Normalise | None:
        """What makes the inputs of the trunk, whose samples are `(channels, ...)` with so many dimensions more."""
        return None if self.normalise == "none" else Normalise(channels, self.normalise, dims)
