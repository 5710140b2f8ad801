"""Views of a sample that a model is asked for together: each changes what is seen, and not what it is
[Radosavovic 2018, arXiv:1712.04440].

A view is a function of the sample alone: it does not depend on what else is in the batch, nor on when it is asked.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from limbeck.augment import about, rotate
from limbeck.batch import IMAGE, MODALITY, Batch
from limbeck.config import Spec
from limbeck.process import generator


class Look(NamedTuple):
    """One view: its name, and what makes it of a batch."""

    name: str
    apply: Callable[[Batch], Batch]


class Views(Spec, ABC):
    """Which views of a sample are taken."""

    @abstractmethod
    def views(self) -> list[Look]:
        """The views, the sample as it is first. Inputs keep their shape and type."""


def _same(batch: Batch) -> Batch:
    return batch


IDENTITY = Look("identity", _same)


class NoViews(Views):
    """The sample as it is, and nothing else."""

    kind: ClassVar[str] = "no-views"

    def views(self) -> list[Look]:
        return [IDENTITY]


class ImageViews(Views):
    """Images of 8-bit pixels `(B, M, H, W)` mirrored, at other scales, and cut."""

    kind: ClassVar[str] = "image-views"
    flip: bool = True
    """Mirrored left to right."""
    scales: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = (0.9, 1.1)
    """Factors that an image is enlarged by about its middle; one that is made smaller is mirrored at its edges."""
    crops: int = 5
    """Parts that are enlarged to the whole: the middle (1), the four corners too (5), or none (0)."""
    crop_share: float = Field(0.875, gt=0, le=1)
    """Of a side, that is left of it."""

    @field_validator("crops")
    @classmethod
    def _known(cls, crops: int) -> int:
        if crops not in (0, 1, 5):
            raise ValueError("is 0, 1 or 5")
        return crops

    def views(self) -> list[Look]:
        looks = [Look("flip", partial(_on_images, change=_flipped))] if self.flip else []
        looks += [Look(f"scale {s:g}", partial(_on_images, change=partial(_scaled, scale=s))) for s in self.scales]
        corners = {"middle": (0.5, 0.5)} | (_CORNERS if self.crops == 5 else {})
        for name, at in corners.items() if self.crops else ():
            looks.append(Look(f"crop {name}", partial(_on_images, change=partial(_cut, share=self.crop_share, at=at))))
        return [IDENTITY, *looks]


_CORNERS = {"top left": (0.0, 0.0), "top right": (0.0, 1.0), "bottom left": (1.0, 0.0), "bottom right": (1.0, 1.0)}


def _on_images(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    x = batch.inputs[IMAGE]
    if x.device.type == "cpu":
        return batch.with_inputs({IMAGE: change(x)})
    # Elsewhere torch resizes and pads reals only.
    return batch.with_inputs({IMAGE: change(x.float()).round().clamp(0, 255).to(x.dtype)})


def _flipped(x: Tensor) -> Tensor:
    return x.flip(3)


def _cut(x: Tensor, share: float, at: tuple[float, float]) -> Tensor:
    """A part of images, enlarged to the whole; `at` says where it lies, from 0 (top, left) to 1."""
    sides = [max(1, round(share * side)) for side in x.shape[2:]]
    (top, left) = (round(where * (whole - side)) for where, whole, side in zip(at, x.shape[2:], sides, strict=True))
    return _resized(x[:, :, top : top + sides[0], left : left + sides[1]], x.shape[2], x.shape[3])


def _scaled(x: Tensor, scale: float) -> Tensor:
    if scale >= 1:
        return _cut(x, 1 / scale, (0.5, 0.5))
    height, width = x.shape[2:]
    small = _resized(x, max(2, round(scale * height)), max(2, round(scale * width)))
    down, right = height - small.shape[2], width - small.shape[3]
    return F.pad(small, (right // 2, right - right // 2, down // 2, down - down // 2), mode="reflect")


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, (height, width), mode="bilinear", antialias=True, align_corners=False)


class SignalViews(Views):
    """Windows `(B, M, L)` with noise, of other size, turned, and shifted: `count` views, whose draws are a function of
    the row's number."""

    kind: ClassVar[str] = "signal-views"
    count: int = Field(4, ge=0)
    """Views beside the window as it is."""
    jitter: float = Field(0.02, ge=0)
    """Standard deviation of added white noise, as a share of that of each channel of the window."""
    scaling: float = Field(0.05, ge=0, lt=1)
    """A window is multiplied by a factor from [1 - scaling, 1 + scaling]."""
    rotation: float = Field(0.0, ge=0, le=180)
    """Largest angle, in degrees, of a rotation about a random axis; one a window, for every sensor of three channels
    alike."""
    shift: int = Field(0, ge=0)
    """Samples by which a window is shifted at most, both ways; what leaves it at one end comes in at the other."""

    def views(self) -> list[Look]:
        """As for all views. One raises `UserError` where it is to turn windows whose M is no multiple of 3."""
        return [IDENTITY, *(Look(f"draw {n}", partial(self._drawn, number=n)) for n in range(1, self.count + 1))]

    def _drawn(self, batch: Batch, number: int) -> Batch:
        x = batch.inputs[MODALITY]
        generators = [generator(0, "view", number, row) for row in batch.ids.tolist()]

        def draw(*shape: int) -> Tensor:
            return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(x)

        def uniform() -> Tensor:
            return torch.cat([2 * torch.rand(1, generator=g) - 1 for g in generators]).to(x)

        if self.shift:
            by = (uniform() * (self.shift + 0.5)).round().long().clamp(-self.shift, self.shift)
            at = (torch.arange(x.shape[2], device=x.device) - by[:, None]).remainder(x.shape[2])
            x = x.gather(2, at[:, None].expand(x.shape))
        if self.rotation:
            x = rotate(x, about(draw(3), math.radians(self.rotation) * uniform()))
        if self.scaling:
            x = x * (1 + self.scaling * uniform())[:, None, None]
        if self.jitter:
            x = x + self.jitter * x.std(dim=2, keepdim=True, correction=0) * draw(*x.shape[1:])
        return batch.with_inputs({MODALITY: x})
