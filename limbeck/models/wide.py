"""Wide residual networks for windows and for images: one code, whose kernels are lines or squares."""

import math
from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from limbeck.models.heads import Model

STEM, GROUPS = 16, (1, 2, 2)
"""Channels before the first group, and the strides of the groups."""
PI = "pi"
"""The input that the two-dimensional ones read: persistence images `(B, M, R, R)`."""


class _Convolution(nn.Conv2d):
    """Without bias, drawn from N(0, 2 / (area of the kernel x channels out))."""

    def __init__(self, channels: int, width: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__(channels, width, kernel, stride, (kernel[0] // 2, kernel[1] // 2), bias=False)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=math.sqrt(2 / (math.prod(self.kernel_size) * self.out_channels)))


class _Block(nn.Module):
    """Two convolutions around a shortcut, which is a convolution of one sample where the block widens or shortens.

    `pre`: BatchNorm and ReLU before each convolution, and a shortcut that widens starts behind the first of them.
    `post`: BatchNorm behind each convolution, which folds into it, and ReLU behind the sum.
    """

    def __init__(self, channels: int, width: int, kernel: tuple[int, int], stride: tuple[int, int], pre: bool) -> None:
        super().__init__()
        self.pre = pre
        self.convolutions = nn.ModuleList(
            (_Convolution(channels, width, kernel, stride), _Convolution(width, width, kernel))
        )
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, (channels, width) if pre else (width, width)))
        widens = channels != width or stride != (1, 1)
        self.shortcut = _Convolution(channels, width, (1, 1), stride) if widens else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        (one, two), (first, second) = self.convolutions, self.norms
        mixed: Tensor
        if not self.pre:
            mixed = second(two(self.relu(first(one(x))))) + (x if self.shortcut is None else self.shortcut(x))
            return F.relu(mixed, inplace=True)
        ready = self.relu(first(x))
        mixed = two(self.relu(second(one(ready))))
        passed: Tensor = x if self.shortcut is None else self.shortcut(ready)
        return mixed + passed


class _Trunk(nn.Module):
    def __init__(self, channels: int, spec: "WideResNet", flat: bool) -> None:
        super().__init__()
        self.flat, pre = flat, spec.order == "pre"
        kernel = (1, 3) if flat else (3, 3)
        layers: list[nn.Module] = [_Convolution(channels, STEM, kernel)]
        if not pre:
            layers += [nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)]
        now = STEM
        for group, step in enumerate(GROUPS):
            wide = STEM * 2**group * spec.width
            for number in range((spec.depth - 4) // 6):
                stride = step if number == 0 else 1
                layers.append(_Block(now, wide, kernel, (1 if flat else stride, stride), pre))
                now = wide
        if pre:
            layers += [nn.BatchNorm2d(now), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.features = now

    def forward(self, x: Tensor) -> Tensor:
        # Channels last in memory, which the layers keep: a CPU answers and, in narrow networks, learns a fifth faster.
        x = x.unsqueeze(2) if self.flat else x
        feature: Tensor = self.layers(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
        return feature


class WideResNet(Model):
    """A wide residual network along time [Zagoruyko 2016, arXiv:1605.07146], WRN-depth-width."""

    kind: ClassVar[str] = "wrn"
    depth: int = Field(16, ge=10)
    """Of layers; 4 more than a multiple of 6."""
    width: int = Field(1, gt=0)
    """What multiplies the 16, 32 and 64 channels of its three groups."""
    order: Literal["pre", "post"] = "pre"
    """BatchNorm and ReLU before each convolution, as published; or behind it, where they fold into it, which makes
    better networks of 8-bit integers."""

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, depth: int) -> int:
        if depth % 6 != 4:
            raise ValueError("is 4 more than a multiple of 6, as 10, 16, 22 or 28")
        return depth

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        trunk = _Trunk(channels, self, self.kind == WideResNet.kind)
        return trunk, trunk.features


class ImageWideResNet(WideResNet):
    """The same on persistence images, a channel of the image for each of the signal."""

    kind: ClassVar[str] = "wrn2d"
    modality: ClassVar[str] = PI
