"""The networks that are timed: a wearable-sized pair (1k and 7k parameters), WRN16-1 and WRN16-3, and MTL-net."""

import torch.nn.functional as F
from torch import Tensor, nn

LAYERS: dict[int, tuple[type[nn.Conv1d | nn.Conv2d], type[nn.Module]]] = {
    1: (nn.Conv1d, nn.BatchNorm1d),
    2: (nn.Conv2d, nn.BatchNorm2d),
}
"""By dimensions."""


def tiny(widths: tuple[int, int]) -> tuple[nn.Module, int]:
    """Two convolutions with BatchNorm: 1k parameters for (8, 16), 7k for (24, 48); and its feature's width."""
    one, two = widths
    return nn.Sequential(
        nn.Conv1d(3, one, 5, padding=2), nn.BatchNorm1d(one), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(one, two, 5, padding=2), nn.BatchNorm1d(two), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
    ), two  # fmt: skip


class Block(nn.Module):
    """A pre-activation residual block, `(B, M, L) -> (B, width, L / stride)`, or with two `dims` the same of images."""

    def __init__(self, channels: int, width: int, stride: int, dims: int = 1) -> None:
        super().__init__()
        conv, norm = LAYERS[dims]
        self.first, self.second = norm(channels), norm(width)
        self.one = conv(channels, width, 3, stride, 1, bias=False)
        self.two = conv(width, width, 3, 1, 1, bias=False)
        self.skip = conv(channels, width, 1, stride, bias=False) if channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        ready = F.relu(self.first(x), inplace=True)
        shortcut = x if self.skip is None else self.skip(ready)
        mixed: Tensor = self.two(F.relu(self.second(self.one(ready)), inplace=True)) + shortcut
        return mixed


def wide(k: int, dims: int = 1) -> tuple[nn.Module, int]:
    """WRN16-k [Zagoruyko 2016, arXiv:1605.07146] along time, or of images, for 3 channels; and the width of its
    feature."""
    conv, norm = LAYERS[dims]
    layers: list[nn.Module] = [conv(3, 16, 3, padding=1, bias=False)]
    now = 16
    for stage, width in enumerate((16 * k, 32 * k, 64 * k)):
        for number in range(2):
            layers.append(Block(now, width, 2 if stage and not number else 1, dims))
            now = width
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[dims - 1](1)
    return nn.Sequential(*layers, norm(now), nn.ReLU(inplace=True), pool, nn.Flatten()), now


class MTL(nn.Module):
    """MTL-net as its paper's script feeds it, `(B, 1, 3, 100)` to the logits of two tasks [Vu 2025, arXiv:2507.00061].

    `stride` is the pools' along channels: 2 as released, 1 as corrected. Its parameters come in the order of Limbeck's.
    """

    def __init__(self, stride: int, classes: tuple[int, int]) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, (1, 9)), nn.ReLU(), nn.MaxPool2d((1, 2), (stride, 2)),
            nn.Conv2d(32, 64, (1, 9)), nn.ReLU(), nn.MaxPool2d((1, 2), (stride, 2)), nn.Flatten(),
        )  # fmt: skip
        width = 64 * 19 * (1 if stride == 2 else 3)
        self.linear = nn.Sequential(nn.Linear(width, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU())
        self.one, self.two = nn.Linear(512, classes[0]), nn.Linear(512, classes[1])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.linear(self.convolutions(x))
        return self.one(feature), self.two(feature)
