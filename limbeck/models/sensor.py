"""Networks for windows of sensor signals."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.heads import Model, Pooled


class _Convolutions(nn.Module):
    """MTL-net's trunk on `(B, M, L)`: two convolutions along time with a pool each, then two linear layers to 512.

    Kernels never mix channels. `stride` is the pool's along channels: 2 as released, 1 as corrected.
    """

    def __init__(self, channels: int, length: int, stride: int, reshape: bool) -> None:
        super().__init__()
        self.reshape = reshape
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, (1, 9)), nn.MaxPool2d((1, 2), (stride, 2)), nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, (1, 9)), nn.MaxPool2d((1, 2), (stride, 2)), nn.ReLU(inplace=True),
        )  # fmt: skip
        steps = ((length - 8) // 2 - 8) // 2
        rows = (channels + 1) // 2 if stride == 2 else channels
        rows = (rows + 1) // 2 if stride == 2 else rows
        if steps < 1:
            raise UserError(f"mtl-net needs windows of at least 28 samples, not {length}")
        self.flat = 64 * rows * steps
        self.linear = nn.Sequential(
            nn.Linear(self.flat, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 512), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.reshape:  # the published slip: time and channel interleaved, so a row holds a third of the window
            x = x.transpose(1, 2).reshape(x.shape)
        # `(B, 1, M, L)` with channels last in memory, which the layers keep: on a CPU the pools take a quarter of the
        # time. Weights stay as they are: a fused optimiser would mix them up with state that a checkpoint gave back.
        made = self.layers(x.unsqueeze(-1).movedim(-1, 1))
        if made.requires_grad:
            made.register_hook(_channels_last)
        feature: Tensor = self.linear(made.flatten(1))
        return feature


def _channels_last(x: Tensor) -> Tensor:
    """The same values with channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


class MTLNet(Model):
    """The network of Smooth-Distill [Vu 2025, arXiv:2507.00061], 1.8 million parameters as released.

    `as_released` reshapes `(L, M)` windows where it should transpose them and pools over channels as well, so that it
    sees the first third of a window; `corrected` transposes and pools along time only.
    """

    kind: ClassVar[str] = "mtl-net"
    variant: Literal["corrected", "as_released"] = "corrected"
    normalise: Literal["none", "channel", "scale"] = "none"

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        released = self.variant == "as_released"
        return _Convolutions(channels, length, 2 if released else 1, released), 512


class _Recurrent(nn.Module):
    def __init__(self, channels: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, layers, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):  # few CPUs have an LSTM of half precision
            with torch.autocast("cpu", enabled=False):
                steps, _ = self.lstm(x.float())
        else:
            steps, _ = self.lstm(x)
        mean: Tensor = steps.mean(dim=1)
        return mean


class BiLSTM(Model):
    """A bidirectional LSTM, averaged over time."""

    kind: ClassVar[str] = "bilstm"
    hidden: int = Field(64, gt=0)
    layers: int = Field(1, gt=0)

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        return _Recurrent(channels, self.hidden, self.layers), 2 * self.hidden


class Block(nn.Module):
    """Two convolutions with BatchNorm around a shortcut, `(B, M, L) -> (B, width, L / stride)`."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False), nn.BatchNorm1d(width),
        )  # fmt: skip
        same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv1d(channels, width, 1, stride, bias=False), nn.BatchNorm1d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet1D(Model):
    """A residual network along time with post-activation BatchNorm; every second block doubles width and halves
    length."""

    kind: ClassVar[str] = "resnet1d"
    blocks: int = Field(3, gt=0)
    width: int = Field(32, gt=0)
    kernel: int = Field(5, gt=0)
    """Samples; odd."""

    def trunk(self, channels: int, length: int) -> tuple[nn.Module, int]:
        if self.kernel % 2 == 0:
            raise UserError(f"resnet1d needs a kernel of an odd number of samples, not {self.kernel}")
        layers: list[nn.Module] = [
            nn.Conv1d(channels, self.width, self.kernel, padding=self.kernel // 2, bias=False),
            nn.BatchNorm1d(self.width), nn.ReLU(),
        ]  # fmt: skip
        now = self.width
        for number in range(self.blocks):
            wider = self.width * 2 ** ((number + 1) // 2)
            layers.append(Block(now, wider, self.kernel, 2 if wider != now else 1))
            now = wider
        return Pooled(*layers), now
