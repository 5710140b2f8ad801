"""Mixing the samples of a batch, each modality by a share of its own, and the changes that it is compared with.

Each is a spec that makes of a batch the one that is judged; student and teachers see the same one. Windows are `(B, M,
L)`, persistence images `(B, M, R, R)`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.special import betaincinv
from torch import Tensor

from limbeck.batch import MODALITY, Batch, Lazy, Mixed
from limbeck.config import Spec

SERIES = MODALITY
"""The modality that `alpha1` belongs to; `alpha2` belongs to all others."""


class Change(Spec, ABC):
    """What becomes of a batch before it is judged."""

    @property
    def pure(self) -> bool:
        """Whether inputs stay as they are, so that a teacher's answers can be stored."""
        return False

    @property
    def labels(self) -> float:
        """How much of a label is spread over all classes."""
        return 0.0

    @abstractmethod
    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        """The batch that is judged; its labels follow what becomes of the modality `whose`."""


class Plain(Change):
    """Batches stay as they are."""

    kind: ClassVar[str] = "none"

    @property
    def pure(self) -> bool:
        return True

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        return batch


class Smoothing(Change):
    """Label smoothing: a part of each label is spread over all classes [Szegedy 2016, arXiv:1512.00567]."""

    kind: ClassVar[str] = "smoothing"
    part: float = Field(0.1, gt=0, lt=1)

    @property
    def pure(self) -> bool:
        return True

    @property
    def labels(self) -> float:
        return self.part

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        return batch


class Noise(Change):
    """White noise on every input."""

    kind: ClassVar[str] = "noise"
    scale: float = Field(0.1, gt=0)
    """Its standard deviation, in that of the channel of the sample."""

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        def noisy(x: Tensor, modality: str) -> Tensor:
            return x + self.scale * x.std(dim=_inner(x), correction=0, keepdim=True) * torch.randn_like(x)

        return _each(batch, noisy)


class Cutout(Change):
    """A stretch of each window, and a square of each image, becomes its channel's mean [DeVries 2017,
    arXiv:1708.04552]."""

    kind: ClassVar[str] = "cutout"
    size: float = Field(0.2, gt=0, lt=1)
    """Its share of the samples or pixels."""

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        def cut(x: Tensor, modality: str) -> Tensor:
            inside, _ = boxes(torch.full((len(x),), self.size, device=x.device), x.shape[2:])
            return torch.where(inside.unsqueeze(1), x.mean(dim=_inner(x), keepdim=True), x)

        return _each(batch, cut)


class Pairing(Change):
    """A change that gives each chosen sample another of the batch as its partner."""

    alpha1: float = Field(0.1, gt=0)
    """Shares of a sample are drawn from Beta(alpha1, alpha1): of its series, which is what the student sees, and of its
    label."""
    alpha2: float = Field(0.1, gt=0)
    """The same of its persistence images."""
    share: float = Field(1.0, gt=0, le=1)
    """Part of a batch that is mixed: exactly that, rounded to samples."""

    def chosen(self, count: int) -> Tensor:
        """Which samples are mixed, bool `(count,)`."""
        chosen = torch.zeros(count, dtype=torch.bool)
        chosen[torch.randperm(count)[: round(self.share * count)]] = True
        return chosen

    def kept(self, modality: str, level: Tensor) -> Tensor:
        """What is kept of a sample in a modality, at levels `(B,)` of its distribution."""
        return quantile(self.alpha1 if modality == SERIES else self.alpha2, level)


class Mixup(Pairing):
    """Mixup: samples become weighted means of two, and so do their labels [Zhang 2018, arXiv:1710.09412]."""

    kind: ClassVar[str] = "mixup"
    coupling: Literal["independent", "shared", "quantile"] = "independent"
    """Of the shares of a sample's modalities: drawn apart; one for all, from alpha1; or both the same quantile of their
    own distribution."""
    published_share: bool = False
    """Whether samples that are not mixed are drawn with replacement, as in the published code: a `share` of 0.1 then
    mixes 41 % of a batch of 64."""
    plans: int = Field(0, ge=0)
    """So many mixings of the whole training part are drawn beforehand, and teachers answer for each once; 0: each batch
    is mixed anew, and teachers answer for it."""

    def chosen(self, count: int) -> Tensor:
        if not self.published_share:
            return super().chosen(count)
        chosen = torch.ones(count, dtype=torch.bool)
        chosen[torch.randint(count, (int((1 - self.share) * count),))] = False
        return chosen

    def drawn(self, count: int) -> tuple[Tensor, Callable[[str], Tensor]]:
        """Each sample's partner `(count,)`, and what is kept of it by modality."""
        chosen = self.chosen(count)
        one, two = levels(2, count)
        series = self.kept(SERIES, one)
        others = series if self.coupling == "shared" else self.kept("", one if self.coupling == "quantile" else two)
        series, others = (torch.where(chosen, kept, 1.0) for kept in (series, others))
        return partners(chosen), lambda modality: series if modality == SERIES else others

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        return mixed(batch, *self.drawn(len(batch)), whose)


class CutMix(Pairing):
    """CutMix: a stretch of each window, and a box of each image, is its partner's; the label goes by the share that is
    kept [Yun 2019, arXiv:1905.04899]."""

    kind: ClassVar[str] = "cutmix"
    alpha1: float = Field(1.0, gt=0)
    """Of the share that is kept of a series, and of its label; 1 (any share as likely) as published for images."""
    alpha2: float = Field(1.0, gt=0)
    """The same of its persistence images."""

    def apply(self, batch: Batch, whose: str = SERIES) -> Batch:
        chosen = self.chosen(len(batch))
        partner = partners(chosen)
        drawn = dict(zip(batch.inputs, levels(len(batch.inputs), len(batch)), strict=True))
        lost = {name: torch.where(chosen, 1 - self.kept(name, level), 0.0) for name, level in drawn.items()}

        @cache
        def place(modality: str) -> tuple[Tensor, Tensor]:
            return boxes(lost[modality], batch.inputs[modality].shape[2:])

        def cut(x: Tensor, modality: str) -> Tensor:
            return torch.where(place(modality)[0].unsqueeze(1).to(x.device), x[partner.to(x.device)], x)

        return _with_partners(_each(batch, cut), partner, place(whose)[1])


def mixed(batch: Batch, partner: Tensor, kept: Callable[[str], Tensor], whose: str = SERIES) -> Batch:
    """Each sample as `kept` of itself and the rest of its `partner` `(B,)`, by modality; labels go by those of
    `whose`."""
    partner = partner.to(batch.ids.device)

    def blend(x: Tensor, modality: str) -> Tensor:
        return blended(x, x.index_select(0, partner), kept(modality))

    return _with_partners(_each(batch, blend), partner, kept(whose))


def blended(x: Tensor, other: Tensor, kept: Tensor) -> Tensor:
    """`kept x + (1 - kept) other`, which is exactly `x` where all is kept."""
    return torch.lerp(other, x, kept.to(x).view(-1, *[1] * (x.dim() - 1)))


def partners(chosen: Tensor) -> Tensor:
    """Another sample for each that is chosen, itself for the others: `(B,)`. Every sample is as likely as every
    other."""
    order = torch.randperm(len(chosen))
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return torch.where(chosen, partner, torch.arange(len(chosen)))


def levels(rows: int, count: int) -> Tensor:
    """Draws `(rows, count)` of which quantiles are taken."""
    return torch.rand(rows, count, dtype=torch.float64)


def quantile(alpha: float, level: Tensor) -> Tensor:
    """The quantiles of Beta(alpha, alpha) at levels in [0, 1]: at those of a uniform draw, a draw from it. (What
    PyTorch itself draws at an alpha of 0.001 is a half in a quarter of cases, where it should be 0 or 1.)"""
    return torch.from_numpy(np.asarray(betaincinv(alpha, alpha, level.numpy()))).float()


def boxes(lost: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """A stretch or box of each sample at random, of the share `lost` `(B,)`: where it is, bool `(B, *size)`, and the
    share that is really kept, `(B,)`. It may reach over the end, and then goes on at the beginning."""
    inside = torch.ones(len(lost), *[1] * len(size), dtype=torch.bool, device=lost.device)
    for axis, length in enumerate(size):
        side = (lost ** (1 / len(size)) * length).round()
        first = torch.rand(len(lost), device=lost.device) * length
        at = (torch.arange(length, device=lost.device) - first.floor().unsqueeze(1)) % length < side.unsqueeze(1)
        inside = inside & at.view(-1, *[1] * axis, length, *[1] * (len(size) - axis - 1))
    return inside, 1 - inside.sum(dim=tuple(range(1, inside.dim()))) / math.prod(size)


def _each(batch: Batch, change: Callable[[Tensor, str], Tensor]) -> Batch:
    """The batch with every input changed, once it is asked for."""

    def changed(modality: str) -> Tensor:
        return change(batch.inputs[modality], modality)

    return batch.with_inputs(Lazy({modality: partial(changed, modality) for modality in batch.inputs}))


def _with_partners(batch: Batch, partner: Tensor, kept: Tensor) -> Batch:
    partner = partner.to(batch.ids.device)
    targets: Mapping[str, Tensor] = {name: target.index_select(0, partner) for name, target in batch.targets.items()}
    return replace(batch, mixed=Mixed(kept.to(batch.ids.device), targets))


def _inner(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))
