"""Random changes of sensor windows that leave their labels as they are."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from limbeck.batch import Batch
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
    axis = torch.nn.functional.normalize(torch.randn(count, 3, device=like.device, dtype=like.dtype), dim=1)
    angle = largest * (2 * torch.rand(count, 1, 1, device=like.device, dtype=like.dtype) - 1)
    zero = torch.zeros(count, device=like.device, dtype=like.dtype)
    x, y, z = axis.unbind(1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(count, 3, 3)
    eye = torch.eye(3, device=like.device, dtype=like.dtype)
    return eye + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
