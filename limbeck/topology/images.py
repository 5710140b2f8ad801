"""Persistence images: diagrams drawn as sums of normal distributions over bins of birth and persistence."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from limbeck.config import Spec
from limbeck.errors import UserError
from limbeck.topology.diagrams import Diagrams, cores, spread

if TYPE_CHECKING:
    from limbeck.topology.stamps import Axis

Array = np.ndarray[Any, Any]
WEIGHTS = ("relative", "persistence", "one")
CUT = 6.1
"""Standard deviations beyond which a point adds less than 1e-8 of its peak."""
FINE = 16
"""Cubics for each standard deviation, good to 2e-8 of the peak."""
PHASES, REACH = 1024, 1024
"""The largest table: more cubics or bins than this, and the error function is used for each bin."""
EACH = 128
"""Images that are worth a thread."""


class PersistenceImage(Spec):
    """How a diagram is drawn; `persim_legacy` bins are those of `persim.PersImage`, `exact` ones leave no gap.

    Legacy bins begin at `linspace(min(low, 0), high, R)` in birth and at `linspace(0, high, R)` in persistence, and
    all are `high / R` wide, so that with low = -high half of the birth axis is not covered: as published.
    [Adams et al. 2017, JMLR 18(8)]
    """

    kind: ClassVar[str] = "persistence-image"
    resolution: int = Field(64, ge=1)
    """Rows and columns, R."""
    sigma: float = Field(0.015, gt=0)
    """Standard deviation of a point, in the signal's unit."""
    low: float = -1.0
    """The least birth."""
    high: float = 1.0
    """The largest birth, and persistence."""
    top: float | None = Field(None, gt=0)
    """The largest persistence of `exact` bins; `high` where not given, as in `persim_legacy`."""
    layout: Literal["persim_legacy", "exact"] = "persim_legacy"
    """Where the bins lie."""
    weight: Literal["relative", "persistence", "one"] = "relative"
    """Of a point: its persistence by the largest of its diagram, its persistence, or one."""
    least: float = Field(0.01, ge=0)
    """Only pairs of persistence above this are drawn."""
    peak: bool = True
    """Whether an image is divided by its largest pixel, where that is above 0."""

    @model_validator(mode="after")
    def _in_order(self) -> "PersistenceImage":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}; low must be below high")
        if self.layout == "persim_legacy" and self.top is not None:
            raise ValueError("persim_legacy bins of persistence go from 0 to high: top is for layout exact")
        if self.top is None and self.high <= 0:
            raise ValueError(
                f"bins of persistence go from 0 to high, which is {self.high:g}: give layout exact and top"
            )
        return self

    @property
    def frame(self) -> tuple[float, float, float]:
        """The least and the largest birth, and the largest persistence, that are shown."""
        low = min(self.low, 0.0) if self.layout == "persim_legacy" else self.low
        return low, self.high, self.high if self.top is None else self.top

    def outside(self, pairs: Array) -> int:
        """How many of the pairs `(p, 2)` that are drawn lie beyond that."""
        low, high, top = self.frame
        births, deaths = pairs.T.astype(np.float64)
        lives = np.abs(deaths - births)
        return int(((lives > self.least) & ((births < low) | (births > high) | (lives > top))).sum())

    def render(
        self, diagrams: Diagrams, index: Any = None, out: Array | None = None, threads: int | None = None
    ) -> Array:
        """Images float32 `(B, M, R, R)` of windows by their numbers (all where none are given), into `out` if given.

        Rows are persistence, falling; columns are birth, rising. A diagram with nothing to draw gives zeros.
        """
        from limbeck.topology.stamps import images

        windows = diagrams.windows(index)
        shape = (len(windows), diagrams.shape[1], self.resolution, self.resolution)
        if out is None:
            out = np.empty(shape, np.float32)
        if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise UserError(f"out is {out.dtype} {out.shape}; expected float32 {shape}, one row after another")
        births, lives = _axes(self)
        weight = WEIGHTS.index(self.weight)

        def draw(part: slice) -> None:
            at = windows[part]
            images(diagrams.pairs, diagrams.offsets, at, births, lives, weight, self.least, self.peak, target[part])

        target, count = out, max(1, len(windows) * diagrams.shape[1] // EACH)
        # More parts than threads: one that is held up leaves its share to the others.
        step = -(-len(windows) // max(1, min(count, 4 * cores(threads)))) or 1
        spread(draw, [slice(i, i + step) for i in range(0, len(windows), step)], threads)
        return out


@lru_cache(maxsize=16)
def _axes(spec: PersistenceImage) -> "tuple[Axis, Axis]":
    """The bins of birth and of persistence."""
    size, (low, high, top) = spec.resolution, spec.frame
    if spec.layout == "persim_legacy":
        gaps = max(1, size - 1)
        return _axis(low, (high - low) / gaps, high / size, spec), _axis(0.0, high / gaps, high / size, spec)
    return _axis(low, (high - low) / size, (high - low) / size, spec), _axis(0.0, top / size, top / size, spec)


def _axis(first: float, pitch: float, width: float, spec: PersistenceImage) -> "Axis":
    """Bins from `first` on, with cubics that interpolate at Chebyshev's nodes of each phase."""
    from scipy.special import ndtr

    from limbeck.topology.lanes import WIDTH
    from limbeck.topology.stamps import Axis

    sigma = spec.sigma
    start = -int((CUT * sigma + width) // pitch)
    reach = int(CUT * sigma // pitch) + 2 - start
    phases = int(np.ceil(FINE * pitch / sigma))
    if phases > PHASES or reach > REACH:
        return Axis(np.empty(0, np.float32), 0, 0, first, pitch, 1 / pitch, width, sigma, 0, 0, 0.0)
    nodes = np.cos(np.pi * (2 * np.arange(4) + 1) / 8) / 2
    within = (np.arange(phases)[:, None] + 0.5 + nodes) / phases
    lower = (start + np.arange(reach) - within[..., None]) * pitch / sigma
    # Turned over where both ends are above 0, so that tails are differences of small numbers.
    upper, turned = lower + width / sigma, lower > 0
    shares = ndtr(np.where(turned, -lower, upper)) - ndtr(np.where(turned, -upper, lower))
    table = np.zeros((phases, 4, -(-reach // WIDTH) * WIDTH), np.float32)
    table[..., :reach] = np.linalg.inv(np.vander(nodes)) @ shares
    return Axis(
        table.ravel(), phases, table.shape[2], first, pitch, 1 / pitch, width, sigma, start, reach, float(shares.max())
    )
