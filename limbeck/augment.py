"""Random changes of sensor windows and of images that leave their labels as they are."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from limbeck.batch import IMAGE, Batch
from limbeck.config import Spec
from limbeck.errors import UserError


class Augment(Spec):
    """Rotation, scaling and jitter of tri-axial windows; drawn from torch's generator, so a function of (seed,
    step)."""

    kind: ClassVar[str] = "augment"
    rotation: float = Field(0.0, ge=0, le=180)
    """Largest angle, in degrees, of a rotation about a random axis; one a window, for every sensor of three channels
    alike."""
    scale: float = Field(0.0, ge=0, lt=1)
    """A window is multiplied by a factor from [1 - scale, 1 + scale]."""
    jitter: float = Field(0.0, ge=0)
    """Standard deviation of added white noise, in the signal's unit."""

    def __bool__(self) -> bool:
        return bool(self.rotation or self.scale or self.jitter)

    def __call__(self, batch: Batch) -> Batch:
        """A batch whose `imu` windows `(B, M, L)` are changed. Raises `UserError` where M is no multiple of 3 and they
        are to rotate."""
        x = batch.inputs["sensor"]
        if self.rotation:
            x = rotate(x, random_rotations(len(x), math.radians(self.rotation), x))
        if self.scale:
            x = x * (1 + self.scale * (2 * torch.rand(len(x), 1, 1, device=x.device) - 1))
        if self.jitter:
            x = x + self.jitter * torch.randn_like(x)
        return batch.with_inputs({"sensor": x})


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Windows `(B, M, L)` of M / 3 tri-axial sensors, turned by rotation matrices `(B, 3, 3)`."""
    if x.shape[1] % 3:
        raise UserError(
            f"augment.rotation turns tri-axial sensors, whose channels come in threes, not {x.shape[1]} channels; "
            "give --augment.rotation 0"
        )
    turned = rotations.unsqueeze(1) @ x.reshape(len(x), -1, 3, x.shape[2])
    return turned.reshape(x.shape)


def random_rotations(count: int, largest: float, like: Tensor) -> Tensor:
    """Rotation matrices `(count, 3, 3)` about uniformly random axes by angles uniform in [-largest, largest]
    (radians)."""
    axis = torch.randn(count, 3, device=like.device, dtype=like.dtype)
    return about(axis, largest * (2 * torch.rand(count, device=like.device, dtype=like.dtype) - 1))


def about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices `(N, 3, 3)` about axes `(N, 3)` of any length by angles `(N,)` (radians)."""
    x, y, z = torch.nn.functional.normalize(axis, dim=1).unbind(1)
    zero, angle = torch.zeros_like(x), angle.view(-1, 1, 1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    eye = torch.eye(3, device=axis.device, dtype=axis.dtype)
    return eye + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


class ImageAugment(Spec):
    """Mirroring, shifts, size and light of images of 8-bit pixels; drawn from torch's generator, so a function of
    (seed, step)."""

    kind: ClassVar[str] = "image-augment"
    flip: bool = False
    """Half of the images are mirrored, left to right."""
    crop: int = Field(0, ge=0)
    """An image is shifted by up to so many pixels both ways, as one padded by them and cut at random is; what comes in
    at the edges is mirrored."""
    scale: float = Field(0.0, ge=0, le=0.5)
    """An image is enlarged about its middle by a factor from [1 - scale, 1 + scale], by the nearest pixel."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Pixels are raised by up to this share of 255, or lowered."""
    contrast: float = Field(0.0, ge=0, le=1)
    """How far pixels are from the mean of their image is multiplied by a factor from [1 - contrast, 1 + contrast]."""

    def __bool__(self) -> bool:
        return bool(self.flip or self.crop or self.scale or self.brightness or self.contrast)

    def __call__(self, batch: Batch) -> Batch:
        """A batch whose images `(B, M, H, W)` are changed, and stay of 8 bits. Raises `UserError` where `crop` is not
        less than their side."""
        x = batch.inputs[IMAGE]
        if min(x.shape[2:]) <= self.crop:
            raise UserError(
                f"augment.crop is {self.crop}, and images have {min(x.shape[2:])} pixels a side: give fewer"
            )
        if self.flip or self.crop or self.scale:
            x = self._moved(x)
        if self.brightness or self.contrast:
            x = self._lit(x)
        return batch.with_inputs({IMAGE: x})

    def _moved(self, x: Tensor) -> Tensor:
        """Pixels from other places: rows first, whole ones, then columns."""
        count, channels, height, width = x.shape
        zoom = 1 + self.scale * (2 * torch.rand(count, 1, device=x.device) - 1)
        shifts = torch.randint(-self.crop, self.crop + 1, (2, count, 1), device=x.device)
        rows, columns = (_places(n, zoom, s) for n, s in zip((height, width), shifts, strict=True))
        if self.flip:
            mirrored = torch.rand(count, 1, device=x.device) < 0.5
            columns = torch.where(mirrored, width - 1 - columns, columns)
        if self.crop or self.scale:
            each = height * torch.arange(count * channels, device=x.device).view(count, channels, 1)
            x = x.reshape(-1, width).index_select(0, (each + rows.unsqueeze(1)).flatten())
        return x.view(count, channels, height, width).gather(
            3, columns[:, None, None].expand(count, channels, height, -1)
        )

    def _lit(self, x: Tensor) -> Tensor:
        """Pixels of other values."""
        gain, offset = 2 * torch.rand(2, len(x), 1, 1, 1, device=x.device) - 1
        mean = x.float().mean(dim=(1, 2, 3), keepdim=True)
        gain = 1 + self.contrast * gain
        lit: Tensor = x * gain + (mean * (1 - gain) + 255 * self.brightness * offset)
        return lit.round_().clamp_(0, 255).to(x.dtype)


def _places(side: int, zoom: Tensor, shift: Tensor) -> Tensor:
    """Which pixel along a side each is taken from: `(B, side)`, mirrored at the edges. `zoom` and `shift` `(B, 1)`."""
    middle, period = (side - 1) / 2, 2 * (side - 1)
    at = torch.arange(side, device=zoom.device) - middle
    places = ((at / zoom + middle).round().long() + shift).remainder(period)
    return torch.minimum(places, period - places)
