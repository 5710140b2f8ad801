"""Columns of targets that are asked for every pixel: kept small, on disk, and given as a loss reads them."""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]

FEW = 255
"""Classes up to which a label is kept in a byte."""


class Maps(ABC):
    """Maps `(N, *S)` of one task, of which `index` `(n,)` are the samples; parts of one column share what is stored.

    `counts` `(N, C)` tells how many pixels of each class (C = 1 of a quantity: pixels with a value) each stored map
    has, so that nobody needs to read the pixels for it.
    """

    def __init__(self, stored: Tensor, counts: Tensor, index: Tensor | None = None) -> None:
        self.stored, self._counts = stored, counts
        self.index = torch.arange(len(stored)) if index is None else index

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.shape[1:])

    @property
    def counts(self) -> Tensor:
        """Pixels of each class (or with a value) of each sample, `(n, C)`."""
        return self._counts.index_select(0, self.index)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.given(self.stored.index_select(0, self.index[index]))

    def take(self, index: Tensor) -> Self:
        return type(self)(self.stored, self._counts, self.index[index])

    def to(self, device: torch.device) -> Self:
        """The same on another device, where only the samples of this column go."""
        if self.stored.device == device:
            return self
        return type(self)(self.stored.index_select(0, self.index).to(device), self.counts.to(device), self._all(device))

    def _all(self, device: torch.device) -> Tensor:
        return torch.arange(len(self.index), device=device)

    @staticmethod
    @abstractmethod
    def given(stored: Tensor) -> Tensor:
        """What is stored as a loss reads it."""


class Labels(Maps):
    """Class ids `(N, H, W)`: uint8 with 255 where no label is, or int16 with -1; given as int64 with `IGNORE`."""

    @staticmethod
    def given(stored: Tensor) -> Tensor:
        labels = stored.long()
        return labels.masked_fill_(labels == void(stored.dtype), IGNORE)


class Reals(Maps):
    """Real values `(N, H, W)`, or directions `(N, 3, H, W)`; NaN where there is none; given as float32."""

    @staticmethod
    def given(stored: Tensor) -> Tensor:
        return stored.float()


def column(task: Task, stored: Tensor, counts: Tensor) -> Maps:
    """The column of a task's maps."""
    return Labels(stored, counts) if task.classes else Reals(stored, counts)


def counted(column: object) -> Tensor:
    """Pixels of each class (or with a value) of each sample of a column, `(n, C)`."""
    if not isinstance(column, Maps):
        raise TypeError(f"the pixels of a {type(column).__name__} are not counted")
    return column.counts


def told(task: Task, counts: Tensor, area: int) -> dict[str, int]:
    """How many pixels have each label, or a value, and how many nothing: of `counts` `(n, C)` of maps of so many pixels
    each."""
    each = counts.sum(dim=0).tolist()
    names = (task.labels or tuple(map(str, range(task.classes)))) if task.classes else ("values",)
    return dict(zip(names, each, strict=True)) | {"missing": area * len(counts) - sum(each)}


def void(dtype: torch.dtype) -> int:
    """What stands for no label among labels of that type."""
    return 255 if dtype == torch.uint8 else -1


def storage(task: Task) -> np.dtype[Any]:
    """The type that a task's maps are stored in."""
    if task.classes:
        return _labels(task.classes)
    return np.dtype(np.float16 if task.quantity == "direction" else np.float32)


def _labels(classes: int) -> np.dtype[Any]:
    return np.dtype(np.uint8 if classes <= FEW else np.int16)


def stored(ids: Array, classes: int) -> Array:
    """Class ids, below 0 where there is no label, as they are stored."""
    dtype = _labels(classes)
    return np.where(ids < 0, 255 if dtype == np.uint8 else -1, ids).astype(dtype)


def pixels(task: Task, made: Array) -> Array:
    """How many pixels of a stored map have each class `(C,)`, or a value `(1,)`."""
    if task.classes:
        known = made[(made >= 0) & (made < task.classes)]
        return np.bincount(known, minlength=task.classes).astype(np.int64)
    return np.array([np.isfinite(made[:1]).sum() if task.quantity == "direction" else np.isfinite(made).sum()])
