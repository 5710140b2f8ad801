"""Persistence images as the input of a model: diagrams in memory, rendered for the samples that are asked for."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck.config import Spec, digest
from limbeck.data.source import Column
from limbeck.errors import UserError
from limbeck.topology.diagrams import Diagrams, Filtration, joined, persistence
from limbeck.topology.images import PersistenceImage

CHUNK = 4096
CODE = ("diagrams", "images", "kernels", "lanes", "stamps")
"""The files whose answers are kept."""
INNER = 0.995
"""Share of all pairs that a fitted range holds."""


class Images:
    """A column of persistence images `(M, R, R)`."""

    def __init__(self, diagrams: Diagrams, spec: PersistenceImage, device: torch.device | None = None) -> None:
        self.diagrams, self.spec, self.device = diagrams, spec, device or torch.device("cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.diagrams.shape[1], self.spec.resolution, self.spec.resolution)

    def __len__(self) -> int:
        return len(self.diagrams)

    def __getitem__(self, index: Tensor) -> Tensor:
        made = self.spec.render(self.diagrams, index.cpu().numpy(), threads=torch.get_num_threads())
        return torch.from_numpy(made).to(self.device)

    def take(self, index: Tensor) -> "Images":
        return Images(self.diagrams.take(index.cpu().numpy()), self.spec, self.device)

    def to(self, device: torch.device) -> "Images":
        return Images(self.diagrams, self.spec, device)


def code() -> str:
    """Names the files that make diagrams and images: another version of them makes others."""
    return digest([(Path(__file__).parent / f"{name}.py").read_text() for name in CODE])


def diagrams_of(windows: Column, filtration: Filtration = "sublevel") -> Diagrams:
    """The diagrams of every window of a column. Raises `UserError` where one holds a value that is not finite."""
    return joined([persistence(windows[at].numpy(), filtration) for at in torch.arange(len(windows)).split(CHUNK)])


class FittedImage(Spec):
    """A persistence image whose range and smoothing follow the training windows, whatever their unit."""

    kind: ClassVar[str] = "fitted"
    resolution: int = Field(64, gt=0)
    """Pixels along each axis."""
    layout: Literal["exact", "persim_legacy"] = "exact"
    """exact: births from the least to the largest. persim_legacy: from -high to high, where anything is below 0."""
    pixels: float = Field(1.0, gt=0)
    """Standard deviation of the smoothing, in pixels of the axis that is coarser."""
    least: float = Field(0.0025, ge=0, lt=1)
    """Classes of less persistence are left out; a share of the largest."""

    def fit(self, diagrams: Diagrams, unit: str = "") -> PersistenceImage:
        """The image that holds nearly all that the diagrams have. Raises `UserError` where they have nothing, and where
        the `unit` names several: no range suits channels of both."""
        if "," in unit:
            raise UserError(
                f"the channels have several units ({unit}), which no one range of images suits: read one sensor, or "
                "give --images persistence-image with .low, .high and .sigma"
            )
        if not len(diagrams.pairs):
            raise UserError(
                "no training window has a pair of birth and death, so no range can be fitted: give --images "
                "persistence-image"
            )
        births, deaths = np.asarray(diagrams.pairs, np.float64).T
        top = _told(np.quantile(np.abs(deaths - births), INNER))
        low, high = (_told(np.quantile(births, q)) for q in (1 - INNER, INNER))
        if self.layout == "persim_legacy":
            high = max(top, abs(low), abs(high))
            low = 0.0 if low >= 0 else -high
        high = high if high > low else low + top
        spread = max(top, high - low) if self.layout == "exact" else high
        return PersistenceImage(
            resolution=self.resolution, layout=self.layout, low=low, high=high,
            top=top if self.layout == "exact" else None,
            sigma=self.pixels * spread / self.resolution, least=self.least * top,
        )  # fmt: skip


def _told(value: float) -> float:
    """To three digits, which say it as well."""
    return float(f"{value:.3g}")
