"""Residual networks whose last map keeps its place [He 2015, arXiv:1512.03385], with the names of torchvision's."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from limbeck.errors import UserError

Layers = Literal[10, 18, 50, 101]
BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks in each of the four groups, by the layers in all; 10 is no published one, but small."""
LEFT_OUT = "fc."
"""Names of the classifier of ImageNet, which no trunk has."""


def convolution(channels: int, width: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Without bias, as a norm follows; drawn from N(0, 2 / (area of the kernel x channels out)). As large a map comes
    out as goes in, but for the stride."""
    made = nn.Conv2d(channels, width, kernel, stride, dilation * (kernel // 2), dilation, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made


class _Block(nn.Module):
    """What two kinds of block share: a shortcut, which is a convolution of one pixel where the block changes shape.

    `first` is the dilation of the convolution with the stride, `dilation` that of any after it.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        changes = channels != width or stride != 1
        self.downsample = nn.Sequential(convolution(channels, width, 1), nn.BatchNorm2d(width)) if changes else None

    def around(self, x: Tensor, made: Tensor) -> Tensor:
        """What the layers made of a map, and the map itself."""
        if self.downsample is not None:
            # Pixels are picked first: a strided convolution of one pixel and few channels writes beyond its memory
            # when it learns, with channels last (oneDNN's issue 6035).
            x = self.downsample(x[:, :, :: self.stride, :: self.stride])
        return F.relu(made + x, inplace=True)


class _Basic(_Block):
    """Two convolutions of 3 x 3, as ResNet-18's, the first of which has the stride."""

    widens = 1

    def __init__(self, channels: int, width: int, stride: int, first: int, dilation: int) -> None:
        super().__init__(channels, width, stride)
        self.conv1, self.bn1 = convolution(channels, width, 3, stride, first), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, 1, dilation), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        made = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.around(x, self.bn2(self.conv2(made)))


class _Bottleneck(_Block):
    """A convolution of 3 x 3 between two of one pixel; the one in the middle has the stride, as torchvision's does."""

    widens = 4

    def __init__(self, channels: int, width: int, stride: int, first: int, dilation: int) -> None:
        super().__init__(channels, 4 * width, stride)
        self.conv1, self.bn1 = convolution(channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride, first), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), nn.BatchNorm2d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        made = F.relu(self.bn1(self.conv1(x)), inplace=True)
        made = F.relu(self.bn2(self.conv2(made)), inplace=True)
        return self.around(x, self.bn3(self.conv3(made)))


class ResNet(nn.Module):
    """A trunk `(B, M, H, W) -> (B, F, h, w)`, where h = H / stride, rounded up.

    `layers` is 10, 18, 50 or 101; `width` the channels of the first convolution, 64 of the published ones; F is 8 times
    that, or 32 times of 50 layers and more. The `stride` of the whole is 4, 8, 16 or 32: groups that would go beyond it
    are dilated instead, as torchvision does with `replace_stride_with_dilation`. `channels` is M.
    """

    def __init__(self, channels: int, layers: Layers = 50, width: int = 64, stride: int = 32) -> None:
        super().__init__()
        block = _Basic if layers < 50 else _Bottleneck
        self.conv1, self.bn1 = convolution(channels, width, 7, 2), nn.BatchNorm2d(width)
        now, shrunk, dilation = width, 4, 1
        self.blocks = BLOCKS[layers]
        for group, count in enumerate(self.blocks):
            wide, made = width * 2**group, []
            for number in range(count):
                # The convolution that a stride is taken from still sees neighbours as those before it do.
                first, step = dilation, 1
                if group > 0 and number == 0 and shrunk < stride:
                    step = 2
                elif group > 0 and number == 0:
                    dilation *= 2
                made.append(block(now, wide, step, first, dilation))
                now, shrunk = wide * block.widens, shrunk * step
            self.add_module(f"layer{group + 1}", nn.Sequential(*made))
        self.width = now

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        for group in range(len(self.blocks)):
            x = self.get_submodule(f"layer{group + 1}")(x)
        return x


def load_weights(network: nn.Module, path: Path) -> None:
    """Puts the weights of a file into a network: a state dict as .safetensors, or as .pth that holds tensors alone.

    The classifier (`fc.`) is left out. Raises `UserError` where the file is not one, or is of another network.
    """
    given = {name: value for name, value in _read(path).items() if not name.startswith(LEFT_OUT)}
    ours = network.state_dict()
    counts = {name for name in ours if name.endswith("num_batches_tracked")}  # older files have none
    unlike = [
        f"{name} is {_shape(given, name)}, not {_shape(ours, name)}"
        for name in {**ours, **given}
        if _shape(given, name) != _shape(ours, name) and not (name in counts and name not in given)
    ]
    if unlike:
        more = f" (and {len(unlike) - 1} more)" if len(unlike) > 1 else ""
        raise UserError(
            f"the weights in {path} are of another network: {unlike[0]}{more}; layers and width must be theirs"
        )
    network.load_state_dict(given, strict=False)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"there is no file {path} to take weights from")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read as weights: give a state dict, as .safetensors, or as .pth with nothing but tensors"
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path} holds no state dict: its values must be tensors by name")
    return found


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    return str(tuple(state[name].shape)) if name in state else "missing"
