"""A network that reads a window twice: through convolutions, and through the statistics that forests do well with."""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.heads import Model
from limbeck.models.sensor import Block

SHORTEST = 32
"""Samples below which a window has too few frequencies for the bands."""


def with_norms(x: Tensor) -> Tensor:
    """`(B, M, L)` with the length of each triple of channels beside them; as they are where M is no multiple of 3."""
    if x.shape[1] % 3:
        return x
    triples = x.reshape(x.shape[0], x.shape[1] // 3, 3, x.shape[2])
    return torch.cat([x, triples.square().sum(dim=2).add(1e-6).sqrt()], dim=1)


class Statistics(nn.Module):
    """Moments, quantiles, changes and band energies of windows `(B, M, L)` about 1 in size, standardised: `(B, F)`.

    Made of matrix products, one sort and reductions, so that it can be exported with the network. While training, noise
    of standard deviation `noise` is added to what is standardised.
    """

    cosines: Tensor
    sines: Tensor
    bands: Tensor

    def __init__(self, channels: int, length: int, noise: float) -> None:
        super().__init__()
        self.noise = noise
        self.at = sorted({round(q * (length - 1)) for q in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)})
        time, bins = np.arange(length), np.arange(length // 2 + 1)
        taper = np.hanning(length)[:, None] / np.sqrt(length)
        edges = np.unique(np.geomspace(1, length // 2 + 1, 22).astype(int))
        member = (bins[:, None] >= edges[:-1]) & (bins[:, None] < edges[1:])
        phase = 2 * np.pi * np.outer(time, bins) / length
        # Functions of the length alone, so they need not be saved with the weights.
        for name, value in (("cosines", np.cos(phase) * taper), ("sines", np.sin(phase) * taper), ("bands", member)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.width = self.raw(torch.zeros(1, channels, length)).shape[1]
        self.standardise = nn.BatchNorm1d(self.width, affine=False)

    def raw(self, x: Tensor) -> Tensor:
        """The statistics before they are standardised."""
        channels = x.shape[1]
        x = with_norms(x)
        mean = x.mean(dim=2, keepdim=True)
        centred = x - mean
        std = centred.square().mean(dim=2, keepdim=True).add(1e-6).sqrt()
        unit = centred / std
        quantiles = x.sort(dim=2).values[:, :, self.at]
        steps = x[:, :, 1:] - x[:, :, :-1]
        power = (centred @ self.cosines).square() + (centred @ self.sines).square()
        energy = power @ self.bands
        share = power[:, :, 1:] / (power[:, :, 1:].sum(dim=2, keepdim=True) + 1e-6)
        pairs = [(unit[:, a] * unit[:, b]).mean(dim=1, keepdim=True) for a in range(channels) for b in range(a)]
        crossings = torch.sigmoid(-50 * centred[:, :, 1:] * centred[:, :, :-1] / std.square()).mean(dim=2)
        return torch.cat(
            [
                mean.squeeze(2), mean.squeeze(2).abs(), std.squeeze(2).log(), quantiles.flatten(1),
                ((quantiles - mean) / std).flatten(1).clamp(-6, 6), _compressed(unit.pow(3).mean(dim=2)),
                _compressed(unit.pow(4).mean(dim=2)), (steps.abs().mean(dim=2) + 1e-3).log(),
                (steps.square().mean(dim=2) + 1e-4).log(), crossings, (energy + 1e-5).log().flatten(1),
                (energy / (energy.sum(dim=2, keepdim=True) + 1e-4) + 1e-3).log().flatten(1),
                -(share * (share + 1e-6).log()).sum(dim=2), *pairs,
            ],
            dim=1,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.standardise(self.raw(x)).clamp(-5, 5)
        return features + self.noise * torch.randn_like(features) if self.training else features


def _compressed(x: Tensor) -> Tensor:
    return x.sign() * x.abs().log1p()


class _Twice(nn.Module):
    """The convolutions and the statistics of a window, joined: `(B, M, L) -> (B, width)`."""

    def __init__(self, channels: int, length: int, spec: "Hybrid") -> None:
        super().__init__()
        base, inputs = spec.base, 2 * with_norms(torch.zeros(1, channels, 1)).shape[1]
        self.convolutions = nn.Sequential(
            nn.Conv1d(inputs, base, 7, 2, 3, bias=False), nn.BatchNorm1d(base), nn.ReLU(),
            Block(base, base * 3 // 2, 5, 2), Block(base * 3 // 2, base * 2, 5, 2),
        )  # fmt: skip
        self.statistics = Statistics(channels, length, spec.noise)
        self.read = nn.Sequential(
            nn.Linear(self.statistics.width, spec.hidden, bias=False), nn.BatchNorm1d(spec.hidden), nn.ReLU()
        )
        self.join = nn.Sequential(
            nn.Dropout(spec.dropout), nn.Linear(base * 4 + spec.hidden, spec.width, bias=False),
            nn.BatchNorm1d(spec.width), nn.ReLU(), nn.Dropout(spec.dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        all_ = with_norms(x)
        # Posture is in the level of the signal, movement in what is left when it is taken away, and far smaller.
        maps = self.convolutions(torch.cat([all_, 4 * (all_ - all_.mean(dim=2, keepdim=True))], dim=1))
        joined: Tensor = self.join(
            torch.cat([maps.mean(dim=2), maps.amax(dim=2), self.read(self.statistics(x))], dim=1)
        )
        return joined


class Hybrid(Model):
    """Convolutions beside fixed statistics (moments, quantiles, spectrum) that are computed inside the network."""

    kind: ClassVar[str] = "hybrid"
    normalise: Literal["none", "channel", "scale"] = "scale"
    base: int = Field(32, gt=0, multiple_of=2)
    """Channels of the first convolution."""
    hidden: int = Field(512, gt=0)
    """Units that read the statistics."""
    width: int = Field(256, gt=0)
    """Of the shared feature."""
    dropout: float = Field(0.3, ge=0, lt=1)
    noise: float = Field(0.2, ge=0)
    """Standard deviation of the noise on the standardised statistics, while training."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        if length < SHORTEST:
            raise UserError(f"hybrid needs windows of at least {SHORTEST} samples, not {length}")
        return _Twice(channels, length, self), self.width
