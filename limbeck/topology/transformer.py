"""Windows to persistence images as a step of a scikit-learn pipeline."""

from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from limbeck.config import parse
from limbeck.errors import UserError
from limbeck.topology.diagrams import Filtration, persistence
from limbeck.topology.images import PersistenceImage

Array = np.ndarray[Any, Any]


class PersistenceImages(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn tells no types
    """Images float32 `(N, M, R, R)` of windows `(N, M, L)`; `both` gives 2 M channels.

    Parameters are those of `PersistenceImage` and of `persistence`. Nothing is learned from the windows.
    """

    def __init__(
        self,
        resolution: int = 64,
        sigma: float = 0.015,
        low: float = -1.0,
        high: float = 1.0,
        top: float | None = None,
        layout: Literal["persim_legacy", "exact"] = "persim_legacy",
        weight: Literal["relative", "persistence", "one"] = "relative",
        least: float = 0.01,
        peak: bool = True,
        filtration: Filtration = "sublevel",
        threads: int | None = None,
    ) -> None:
        self.resolution = resolution
        self.sigma = sigma
        self.low = low
        self.high = high
        self.top = top
        self.layout = layout
        self.weight = weight
        self.least = least
        self.peak = peak
        self.filtration = filtration
        self.threads = threads

    def fit(self, windows: Any, target: Any = None) -> "PersistenceImages":
        """Checks the parameters, and remembers the number of channels. Raises `UserError` for what is not right."""
        self.image_ = parse(PersistenceImage, {name: getattr(self, name) for name in PersistenceImage.model_fields})
        self.channels_ = persistence(windows[:1], self.filtration).shape[1]
        return self

    def transform(self, windows: Any) -> Array:
        """The images. Raises `UserError` for a value that is not finite, and for other channels than were fitted."""
        check_is_fitted(self)
        diagrams = persistence(windows, self.filtration, threads=self.threads)
        if diagrams.shape[1] != self.channels_:
            raise UserError(f"windows give {diagrams.shape[1]} channels of diagrams; {self.channels_} were fitted")
        return self.image_.render(diagrams, threads=self.threads)
