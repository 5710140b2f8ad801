"""Networks that answer for every pixel of an image."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from limbeck.batch import IMAGE
from limbeck.errors import UserError
from limbeck.models.adapt import Adapted, backbone
from limbeck.models.heads import Model, MultiTask
from limbeck.models.resnet import Layers, ResNet, convolution, load_weights
from limbeck.tasks import Task

Size = tuple[int, int]
RATES = (12, 24, 36)
"""DeepLab's dilations, as published."""


class DenseModel(Model, ABC):
    """A network for 8-bit pixels `(B, M, H, W)` of any size, with logits `(B, C, H, W)`. All heads read one map, which
    is the feature `shared` as well as `map`."""

    modality: ClassVar[str] = IMAGE
    normalise: Literal["channel"] = "channel"
    stitch: Literal[False] = False

    def build(self, tasks: Sequence[Task], shape: Sequence[int]) -> MultiTask:
        """As for every model. `shape` is (M, H, W); the model is for images of that size alone."""
        channels, height, width = shape
        trunk, features = self.trunk(channels, min(height, width))
        head = partial(self.head, features, (height, width))
        return MultiTask(trunk, features, tasks, self.normaliser(channels, 2), modality=self.modality, head=head)

    @abstractmethod
    def head(self, features: int, size: Size, task: Task) -> nn.Module:
        """A head from maps `(B, features, h, w)` to logits `(B, C, H, W)`, where `size` is (H, W)."""


class _SegNet(nn.Module):
    """SegNet's encoder and decoder: `(B, M, H, W) -> (B, F, H, W)`."""

    def __init__(self, channels: int, spec: "SegNet") -> None:
        super().__init__()
        widths = [spec.wide(block) for block in range(len(spec.blocks))]
        befores = zip([channels, *widths], widths, spec.blocks, strict=False)
        self.encoder = nn.ModuleList(_convolutions(before, width, count) for before, width, count in befores)
        afters = zip(widths, [widths[0], *widths], spec.blocks, strict=False)
        self.decoder = nn.ModuleList(_convolutions(width, after, count) for width, after, count in afters)

    def forward(self, x: Tensor) -> Tensor:
        places = []
        for block in self.encoder:
            x = block(x)
            size = x.shape[2:]
            x, where = F.max_pool2d(x, 2, return_indices=True)
            places.append((where, size))
        for block, (where, size) in zip(reversed(self.decoder), reversed(places), strict=True):
            x = block(F.max_unpool2d(x, where, [2, 2], output_size=size))
        return x


def _convolutions(channels: int, width: int, count: int) -> nn.Sequential:
    """So many convolutions of 3 x 3, each with BatchNorm and ReLU; the first one changes the width."""
    layers = [_normed(before, width, 3) for before in (channels, *[width] * (count - 1))]
    return nn.Sequential(*[layer for each in layers for layer in each])


class SegNet(DenseModel):
    """VGG's convolutions, and as many in mirrored order, which put each value back to where the pool took it from
    [Badrinarayanan 2015, arXiv:1511.00561]; the heads are a convolution of 3 x 3 and one of a pixel, as in
    [Liu 2018, arXiv:1803.10704].

    As small as it is, for a CPU. The published one has `width` 64 and `blocks` 2,2,3,3,3.
    """

    kind: ClassVar[str] = "segnet"
    width: int = Field(8, gt=0)
    """Channels of the first convolution, and of the map that the heads read."""
    blocks: tuple[PositiveInt, ...] = Field((1, 1, 1, 1), min_length=1)
    """Convolutions in each block, which ends by halving the image; each has twice the channels of the one before, up
    to 8 times the first one's."""

    def wide(self, block: int) -> int:
        """The channels of a block."""
        return int(self.width * min(8, 2**block))

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        smallest = 2 ** len(self.blocks)
        if length < smallest:
            raise UserError(
                f"segnet with {len(self.blocks)} blocks needs images of at least {smallest} pixels a side, not {length}"
            )
        return _SegNet(channels, self), self.width

    def head(self, features: int, size: Size, task: Task) -> nn.Module:
        return nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.Conv2d(features, task.width, 1))


class DeepLab(DenseModel):
    """A dilated ResNet, and for each task pyramid pooling: DeepLabV3 [Chen 2017, arXiv:1706.05587].

    As small as it is, for a CPU. The published one has `layers` 50 or 101, `width` 64, `stride` 8, `channels` 256, and
    `weights` that were trained on ImageNet.
    """

    kind: ClassVar[str] = "deeplab"
    layers: Layers = 10
    """Of the ResNet."""
    width: int = Field(8, gt=0)
    """Channels of its first convolution."""
    stride: Literal[4, 8, 16, 32] = 4
    """Pixels of the image, a side, for one of the map that the heads read."""
    channels: int = Field(16, gt=0)
    """Of each branch of the pyramid, and of the layer after it."""
    rates: tuple[PositiveInt, ...] = ()
    """Dilations of the pyramid's branches. Of none, 12, 24 and 36, which are published; on a map of less than 37 pixels
    on its longer side in proportion, so that the last reaches from end to end."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of the pyramid's channels that are dropped in training."""
    weights: Path | None = None
    """File of the ResNet's weights to begin with, by torchvision's names (timm's where that is the backbone)."""
    backbone: Literal["own", "torchvision", "timm"] = "own"
    """Whose ResNet; others have a `width` of 64."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        if length < self.stride:
            raise UserError(
                f"deeplab of stride {self.stride} needs images of at least {self.stride} pixels a side, not {length}"
            )
        if self.backbone == "own":
            own = ResNet(channels, self.layers, self.width, self.stride)
            if self.weights:
                load_weights(own, self.weights)
            return own, own.width
        if self.width != 64:
            raise UserError(f"{self.backbone}'s ResNets have a width of 64, not {self.width}: give --width 64")
        if self.stride == 4:
            raise UserError(f"{self.backbone}'s ResNets have a stride of 8, 16 or 32, not 4")
        made = backbone(self.backbone, self.layers, self.stride, channels)
        if self.weights:
            load_weights(made, self.weights)
        adapted = Adapted(made, "layer4", (channels, 64, 64))
        return adapted, adapted.width

    def head(self, features: int, size: Size, task: Task) -> nn.Module:
        rates = self.rates or spread(math.ceil(max(size) / self.stride))
        return nn.Sequential(
            _Pyramid(features, self.channels, rates, self.dropout),
            *_normed(self.channels, self.channels, 3),
            nn.Conv2d(self.channels, task.width, 1),
            Resized(size),
        )


def spread(longer: int) -> tuple[int, ...]:
    """Dilations for a map of so many pixels on its longer side."""
    share = min(1.0, (longer - 1) / max(RATES))
    return tuple(max(1, round(rate * share)) for rate in RATES)


class _Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: convolutions of several reaches, and the mean over the map, side by side."""

    def __init__(self, channels: int, width: int, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Sequential(*_normed(channels, width, 3, rate)) for rate in rates)
        self.convs.insert(0, nn.Sequential(*_normed(channels, width, 1)))
        self.convs.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *_normed(channels, width, 1)))
        self.project = nn.Sequential(*_normed((len(rates) + 2) * width, width, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        made = [branch(x) for branch in self.convs]
        made[-1] = made[-1].expand(-1, -1, *x.shape[2:])
        answer: Tensor = self.project(torch.cat(made, dim=1))
        return answer


def _normed(channels: int, width: int, kernel: int, dilation: int = 1) -> tuple[nn.Module, ...]:
    return convolution(channels, width, kernel, 1, dilation), nn.BatchNorm2d(width), nn.ReLU(inplace=True)


class Resized(nn.Module):
    """Maps at another size, between pixels linearly; corners stay where they are."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, mode="bilinear", align_corners=True)
