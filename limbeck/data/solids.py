"""Solids that rays meet: planes, balls, upright cylinders and boxes, many at once.

The eye is at 0; x points right, y down and z ahead; metres. A ray `(3,)` is a direction, and meets a point at so many
times it: where directions have z = 1 along a camera's axis, that number is the depth.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]

TINY = 1e-9
"""Stands for 0 in what is divided by."""


@dataclass(frozen=True)
class Solids(ABC):
    """K solids of one sort, as arrays that have a row of each."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def meet(self, rays: Array) -> Array:
        """How far along each of the rays `(3, N)` each solid is met, `(K, N)`; infinite where it is not."""

    @abstractmethod
    def normals(self, points: Array, which: Array) -> Array:
        """The outward unit normals `(3, N)` at points `(3, N)` on the solids `which` `(N,)`."""

    def single(self) -> Self:
        """The same in numbers of single precision, which are quicker."""
        return type(self)(*(array.astype(np.float32) for array in vars(self).values()))


def nearest(solids: Sequence[Solids], rays: Array) -> tuple[Array, Array, Array]:
    """What each of the rays `(3, N)` meets first: how far `(N,)`, the number of the solid `(N,)` in the order given (-1
    for none), and its normal `(3, N)`."""
    far = np.concatenate([each.meet(rays) for each in solids])
    first = far.argmin(axis=0)
    distance = far[first, np.arange(rays.shape[1])]
    met = np.isfinite(distance)
    normals, begin = np.full_like(rays, np.nan), 0
    for each in solids:
        own = np.flatnonzero(met & (first >= begin) & (first < begin + len(each)))
        normals[:, own] = each.normals(rays[:, own] * distance[own], first[own] - begin)
        begin += len(each)
    return distance, np.where(met, first, -1), normals


@dataclass(frozen=True)
class Planes(Solids):
    """Points x with `normal` x = `offset`, no higher than `top`: `(K, 3)` unit vectors, `(K,)`, `(K,)`."""

    normal: Array
    offset: Array
    top: Array

    def __len__(self) -> int:
        return len(self.offset)

    @np.errstate(divide="ignore", invalid="ignore")
    def meet(self, rays: Array) -> Array:
        far = self.offset[:, None] / (self.normal @ rays)
        return np.where((far > 0) & (far * rays[1] >= self.top[:, None]), far, np.inf)

    def normals(self, points: Array, which: Array) -> Array:
        # The side that is seen.
        return (self.normal * -np.sign(self.offset)[:, None])[which].T


@dataclass(frozen=True)
class Balls(Solids):
    """Balls with `centre` `(K, 3)` and `radius` `(K,)`."""

    centre: Array
    radius: Array

    def __len__(self) -> int:
        return len(self.radius)

    @np.errstate(divide="ignore", invalid="ignore")
    def meet(self, rays: Array) -> Array:
        a, b = (rays * rays).sum(axis=0), self.centre @ rays
        inside = b * b - a * ((self.centre**2).sum(axis=1) - self.radius**2)[:, None]
        far = (b - np.sqrt(inside)) / a
        return np.where(far > 0, far, np.inf)  # of no root, NaN is not above 0 either

    def normals(self, points: Array, which: Array) -> Array:
        return (points - self.centre[which].T) / self.radius[which]


@dataclass(frozen=True)
class Cylinders(Solids):
    """Upright cylinders round (x, z) = `axis` `(K, 2)` with `radius` `(K,)`, from y = `top` down to `base` `(K,)`."""

    axis: Array
    radius: Array
    top: Array
    base: Array

    def __len__(self) -> int:
        return len(self.radius)

    @np.errstate(divide="ignore", invalid="ignore")
    def meet(self, rays: Array) -> Array:
        flat = rays[[0, 2]]
        a, b = (flat * flat).sum(axis=0) + TINY, self.axis @ flat
        gap = ((self.axis**2).sum(axis=1) - self.radius**2)[:, None]
        inside = b * b - a * gap
        side = (b - np.sqrt(inside)) / a
        high = side * rays[1]
        on = (side > 0) & (high >= self.top[:, None]) & (high <= self.base[:, None])
        lid = self.top[:, None] / rays[1]
        # |lid * flat - axis| <= radius, multiplied out.
        under = (lid > 0) & (rays[1] > 0) & (lid * (lid * a - 2 * b) + gap <= 0)
        return np.minimum(np.where(on, side, np.inf), np.where(under, lid, np.inf))

    def normals(self, points: Array, which: Array) -> Array:
        out = (points[[0, 2]] - self.axis[which].T) / self.radius[which]
        near = 1e-5 if points.dtype == np.float32 else 1e-9
        lid = np.abs(points[1] - self.top[which]) < near * (1 + np.abs(points[1]))
        lid &= (out * out).sum(axis=0) < 1 - 100 * near
        return np.stack([np.where(lid, 0, out[0]), np.where(lid, -1, 0), np.where(lid, 0, out[1])])


@dataclass(frozen=True)
class Boxes(Solids):
    """Upright boxes: `centre` `(K, 3)`, half their `sides` `(K, 3)`, turned round the vertical by `turn` `(K,)`."""

    centre: Array
    sides: Array
    turn: Array

    def __len__(self) -> int:
        return len(self.turn)

    def _own(self, vectors: Array, turn: Array) -> Array:
        """Vectors `(3, ...)` in a box's own axes."""
        c, s = np.cos(turn), np.sin(turn)
        return np.stack([c * vectors[0] + s * vectors[2], vectors[1] + 0 * c, c * vectors[2] - s * vectors[0]])

    @np.errstate(divide="ignore", invalid="ignore")
    def meet(self, rays: Array) -> Array:
        along = self._own(rays[:, None], self.turn[:, None])
        along = np.where(np.abs(along) < TINY, TINY, along)
        middle = self._own(self.centre.T, self.turn)[..., None] / along
        half = self.sides.T[..., None] / np.abs(along)
        enter, leave = (middle - half).max(axis=0), (middle + half).min(axis=0)
        return np.where((enter < leave) & (enter > 0), enter, np.inf)

    def normals(self, points: Array, which: Array) -> Array:
        own = self._own(points - self.centre[which].T, self.turn[which]) / self.sides[which].T
        face = np.abs(own).argmax(axis=0)
        flat = np.where(np.arange(3)[:, None] == face, np.sign(own), 0)
        return self._own(flat, -self.turn[which])
