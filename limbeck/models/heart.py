"""Networks for windows of a pulse signal: a residual network of n blocks, and a perceptron of its size."""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.heads import Model

WIDER, SHORTER = 4, 2
"""Every so many blocks have twice the channels, and half the length."""
BINS = 180
"""Classes of the one head with which an MLP has as many parameters as a ResNet."""


class Dropout(nn.Module):
    """Dropout whose noise on a CPU is 16 bits a value: PyTorch's own takes a quarter of a training step here.

    A share is rounded to 1/65536; what is kept is scaled by the rounded one, so that means stay.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return F.dropout(x, self.share, self.training)
        lost, values = round(self.share * 65536), x.numel()
        noise = torch.empty(-(-values // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:values]
        kept = (noise >= lost - 32768).to(x.dtype).mul_(65536 / (65536 - lost))
        return x * kept.as_strided(x.shape, x.stride())


class _Block(nn.Module):
    """Two convolutions, BatchNorm and ReLU before each, around a shortcut: `(B, M, 1, L) -> (B, width, 1, L / stride)`.

    The shortcut is max-pooled where the block shortens, and padded with channels of zeros where it widens.
    """

    def __init__(self, channels: int, width: int, stride: int, first: bool, spec: "PPGResNet") -> None:
        super().__init__()
        self.stride, self.first, self.missing = stride, first, width - channels
        self.ready = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), Dropout(spec.dropout))
        # What reaches the first block is ready. Its own BatchNorm is held, for the published counts, but never used.
        self.ready.requires_grad_(not first)
        self.body = nn.Sequential(
            _convolution(channels, width, spec.kernel, stride), nn.BatchNorm2d(width), nn.ReLU(),
            Dropout(spec.dropout), _convolution(width, width, spec.kernel),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.body(x if self.first else self.ready(x))
        if self.stride > 1:
            x = F.max_pool2d(x, (1, self.stride), ceil_mode=True)
        before = self.missing // 2
        return mixed + (F.pad(x, (0, 0, 0, 0, before, self.missing - before)) if self.missing else x)


def _convolution(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(channels, width, (1, kernel), (1, stride), (0, kernel // 2))


class _Residual(nn.Module):
    """`(B, M, L) -> (B, F)`: a convolution, the blocks, and the mean over time of what they find."""

    def __init__(self, channels: int, spec: "PPGResNet") -> None:
        super().__init__()
        self.width = spec.width
        layers = [_convolution(channels, spec.width, spec.kernel), nn.BatchNorm2d(spec.width), nn.ReLU()]
        for number in range(spec.blocks):
            wider = spec.width * 2 ** (number // WIDER)
            stride = SHORTER if number % SHORTER == SHORTER - 1 else 1
            layers.append(_Block(self.width, wider, stride, number == 0, spec))
            self.width = wider
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(self.width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        # `(B, M, 1, L)` with channels last in memory, which the layers keep: on a CPU a step takes three quarters of
        # the time of one-dimensional layers. Flattening copies only where M > 1, and makes the strides unambiguous.
        rows = x.transpose(1, 2).flatten(1).unflatten(1, (1, x.shape[2], x.shape[1]))
        feature: Tensor = self.layers(rows.movedim(-1, 1)).mean(dim=(2, 3))
        return feature


class PPGResNet(Model):
    """A residual network for heart rate, 17 thousand parameters with 1 block and 838 thousand with 12 [Arora
    2025, arXiv:2511.18829].

    Every second block halves the length, every fourth after the first four doubles the channels.
    """

    kind: ClassVar[str] = "ppg-resnet"
    normalise: Literal["none", "channel", "scale", "window"] = "window"
    blocks: int = Field(6, gt=0)
    width: int = Field(32, gt=0)
    """Channels of the first four blocks."""
    kernel: int = Field(5, gt=0)
    """Samples; odd."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Before each convolution of a block."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        if self.kernel % 2 == 0:
            raise UserError(f"{self.kind} needs a kernel of an odd number of samples, not {self.kernel}")
        made = _Residual(channels, self)
        return made, made.width


class MLP(Model):
    """A perceptron with two hidden layers of one width, which knows nothing of time."""

    kind: ClassVar[str] = "mlp"
    normalise: Literal["none", "channel", "scale", "window"] = "window"
    blocks: int = Field(6, gt=0)
    """It has as many parameters as a `ppg-resnet` of so many blocks, each with one head of 180 classes, or as near as a
    whole number of units comes."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        hidden = self.hidden(channels, length)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(channels * length, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        ), hidden

    def hidden(self, channels: int, length: int) -> int:
        """Units of either hidden layer for windows `(B, channels, length)`."""
        with torch.device("meta"):
            twin, width = PPGResNet(blocks=self.blocks).trunk(channels, length)
        wanted = sum(p.numel() for p in twin.parameters()) + (width + 1) * BINS
        # h units make h^2 + (M L + 2 + 180) h + 180 parameters.
        half = (channels * length + 2 + BINS) / 2
        return max(1, round(math.sqrt(half**2 + wanted - BINS) - half))
