"""Networks for images of faces and the like."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from limbeck.batch import IMAGE
from limbeck.errors import UserError
from limbeck.models.heads import Model, MultiTask, layered
from limbeck.models.sets import Norms
from limbeck.tasks import Task


def _convolution(channels: int, width: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without bias, as a norm follows; drawn from N(0, 2 / (area of the kernel x channels out))."""
    made = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made


class _Plain(nn.Module):
    """VGG's convolutions on `(B, M, H, W)`, with the mean over the last map as the feature."""

    def __init__(self, channels: int, spec: "VGG") -> None:
        super().__init__()
        widths = [spec.wide(block) for block, count in enumerate(spec.blocks) for _ in range(count)]
        self.convolutions = nn.ModuleList(map(_convolution, [channels, *widths], widths))
        self.norms = nn.ModuleList(Norms(width, spec.sets) for width in widths)
        self.lasts = {sum(spec.blocks[: block + 1]) - 1 for block in range(len(spec.blocks))}

    def forward(self, x: Tensor, which: int = 0) -> Tensor:
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = convolution(x)
            # Before the norm, which then has a quarter to do: where maps are large, a step takes a fifth less time.
            x = F.max_pool2d(x, 2) if number in self.lasts else x
            x = F.relu(norm(x, which), inplace=True)
        return x.mean(dim=(2, 3))


class _Block(nn.Module):
    """Two convolutions with norms around a shortcut, which is a convolution of one pixel where the block widens."""

    def __init__(self, channels: int, width: int, stride: int, sets: int) -> None:
        super().__init__()
        self.one, self.two = _convolution(channels, width, 3, stride), _convolution(width, width)
        self.first, self.second = Norms(width, sets), Norms(width, sets)
        self.stride, widens = stride, channels != width or stride != 1
        self.shortcut = _convolution(channels, width, 1) if widens else None
        self.third = Norms(width, sets) if widens else None

    def forward(self, x: Tensor, which: int) -> Tensor:
        mixed: Tensor = self.second(self.two(F.relu(self.first(self.one(x), which), inplace=True)), which)
        if self.shortcut is not None and self.third is not None:
            # Every second pixel is picked first: a strided convolution of one pixel and few channels writes beyond its
            # memory when it learns, with channels last (oneDNN's issue 6035).
            x = self.third(self.shortcut(x[:, :, :: self.stride, :: self.stride]), which)
        return F.relu(mixed + x, inplace=True)


class _Residual(nn.Module):
    """ResNet-18's layers on `(B, M, H, W)`, with the mean over the last map as the feature."""

    def __init__(self, channels: int, spec: "ResNet18") -> None:
        super().__init__()
        self.large = spec.stem == "imagenet"
        self.stem = _convolution(channels, spec.width, 7, 2) if self.large else _convolution(channels, spec.width)
        self.norm = Norms(spec.width, spec.sets)
        widths = [spec.width * 2**group for group in (0, 0, 1, 1, 2, 2, 3, 3)]
        befores = [spec.width, *widths]
        self.blocks = nn.ModuleList(
            _Block(before, width, 1 if before == width else 2, spec.sets)
            for before, width in zip(befores, widths, strict=False)
        )

    def forward(self, x: Tensor, which: int = 0) -> Tensor:
        x = F.relu(self.norm(self.stem(x), which), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1) if self.large else x
        for block in self.blocks:
            x = block(x, which)
        return x.mean(dim=(2, 3))


class ImageModel(Model):
    """A network for squares of 8-bit pixels, `(B, M, H, W)` with 1 or 3 channels."""

    modality: ClassVar[str] = IMAGE
    normalise: Literal["channel"] = "channel"
    width: int = Field(16, gt=0)
    """Channels of the first convolution."""
    head: int = Field(0, ge=0)
    """Units of a hidden layer in the head of each task; none at 0."""
    sets: int = Field(1, gt=0)
    """Data sets whose BatchNorm statistics and affine parameters are kept apart; each sample says whose it is."""

    def build(self, tasks: Sequence[Task], shape: Sequence[int]) -> MultiTask:
        """As for every model. `shape` is (M, H, W)."""
        channels, height, width = shape
        trunk, features = self.trunk(channels, min(height, width))
        normalise = self.normaliser(channels, 2)
        head = partial(layered, features, self.head)
        return MultiTask(trunk, features, tasks, normalise, self.stitch, self.modality, head, self.sets)


class VGG(ImageModel):
    """Plain 3 x 3 convolutions with BatchNorm, in blocks that each end by halving the image
    [Simonyan 2014, arXiv:1409.1556].

    As small as it is, for a CPU. VGG-16's own are `width` 64 and `blocks` 2,2,3,3,3.
    """

    kind: ClassVar[str] = "vgg"
    blocks: tuple[PositiveInt, ...] = Field((1, 1, 2, 2), min_length=1)
    """Convolutions in each block; each has twice the channels of the one before, up to 8 times the first one's."""

    def wide(self, block: int) -> int:
        """The channels of a block."""
        return int(self.width * min(8, 2**block))

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        smallest = 2 ** len(self.blocks)
        if length < smallest:
            raise UserError(
                f"vgg with {len(self.blocks)} blocks needs images of at least {smallest} pixels a side, not {length}"
            )
        return _Plain(channels, self), self.wide(len(self.blocks) - 1)


class ResNet18(ImageModel):
    """The residual network of 18 layers [He 2015, arXiv:1512.03385]."""

    kind: ClassVar[str] = "resnet18"
    width: int = Field(64, gt=0)
    """Channels of the first convolution."""
    stem: Literal["small", "imagenet"] = "small"
    """A convolution of 3 x 3 pixels; or of 7 x 7 and a pool, which leave a quarter of the pixels a side."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        smallest = 32 if self.stem == "imagenet" else 8
        if length < smallest:
            raise UserError(
                f"resnet18 with the {self.stem} stem needs images of at least {smallest} pixels a side, not {length}"
            )
        return _Residual(channels, self), self.width * 8
