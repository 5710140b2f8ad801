"""How an error falls with the size of a model: E(N) = a exp(-b N) + c and a N^-b + c, with what can be said of them.

Both are linear in a and c, and one is the other along ln N. So b is looked for along a grid that is made finer around
the best value, and a and c are solved for: the best fit there is, that no start can miss. On the number of parameters
the power law is the exponential law of their logarithm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from limbeck.sizes import Measured
from limbeck.statistics import Estimate

Array = np.ndarray[Any, Any]
LEAST = 4
"""Sizes below which a law of three parameters goes through the points whatever they are."""
FLATTEST, STEEPEST = 0.05, 6.0
"""Limits of b: exp(-b) between the smallest and the largest size, where the law is a straight line to the eye; and
between the two smallest, where nothing is left of the gain at the second."""
DRAWS, GRID, ZOOM, ZOOMS = 1000, 120, 21, 7
TOLD_APART = 2.0
"""A difference of AICc from which on the lower one is called better [Burnham 2002, doi:10.1007/b97636]."""
HALF, BAD = 0.5, "the law fits badly: it explains less than half of what the sizes differ in"
INSIDE = 0.025
"""Share of draws that lie outside a 95 % interval on each side."""


@dataclass(frozen=True)
class Law:
    """A form of E(N); exponential along `along(N)`."""

    name: Literal["exponential", "power"]
    formula: str

    def along(self, sizes: Array) -> Array:
        """Where sizes stand on the axis along which the law is exponential."""
        return sizes.astype(float) if self.name == "exponential" else np.log(sizes)

    def sizes(self, along: Array) -> Array:
        """The inverse of `along`."""
        with np.errstate(over="ignore"):  # beyond all numbers is infinite, as it should be
            return along if self.name == "exponential" else np.exp(along)


EXPONENTIAL, POWER = Law("exponential", "a exp(-b N) + c"), Law("power", "a N^-b + c")
LAWS = (EXPONENTIAL, POWER)


@dataclass(frozen=True)
class Fit:
    """A law fitted to errors; what cannot be told from them is None, an interval that does not end is infinite.

    - `a`, `b`, `c`: with 95 % intervals.
    - `saturation`: the smallest size from the smallest measured on at which the law lies within `within` (a share) of
      its asymptote c; infinite where c is 0.
    - `band`: size, value, low and high along the measured sizes.
    - `r2`: share of the variance of the means that the law explains. `aicc`, and `constant` for the mean of all as the
      law: of the single seeds' errors; None where these are too few.
    - `doubts`: what the reader must know before using it, in words.
    """

    law: Law
    a: Estimate | None = None
    b: Estimate | None = None
    c: Estimate | None = None
    r2: float | None = None
    aicc: float | None = None
    constant: float | None = None
    saturation: Estimate | None = None
    within: float = 0.05
    band: tuple[tuple[float, float, float, float], ...] = ()
    doubts: tuple[str, ...] = ()

    def __call__(self, sizes: Array) -> Array:
        """The error at some sizes; NaN where nothing could be fitted."""
        if self.a is None or self.b is None or self.c is None:
            return np.full(np.shape(sizes), np.nan)
        fitted: Array = self.a.mean * np.exp(-self.b.mean * self.law.along(np.asarray(sizes))) + self.c.mean
        return fitted


def fit(errors: Measured, law: Law, within: float = 0.05, draws: int = DRAWS, seed: int = 0) -> Fit:
    """The law that is closest to the means in squares, with b > 0, a >= 0 and c >= 0.

    Intervals and band are percentiles of fits to means that are drawn from Student's t distribution with the errors'
    covariance and freedom (a parametric bootstrap). They take the law for true, and what was not drawn again (one
    subject, one seed) as given. Never raises: what cannot be fitted says so in `doubts`.
    """
    refusal = _refusal(errors, law)
    if refusal:
        return Fit(law, within=within, doubts=(refusal,))
    along = law.along(errors.sizes)
    best = _parameters(along, errors.means[None])
    drawn = best if errors.covariance is None else _parameters(along, _draws(errors, draws, seed))
    over = errors.over
    grid = np.linspace(along[0], along[-1], 61)
    curve, curves = _curve(best, grid), _curve(drawn, grid)
    bounds = np.quantile(curves, (INSIDE, 1 - INSIDE), axis=0) if over else (curve[0], curve[0])
    fitted = _curve(best, along)[0]
    r2 = 1 - float(((errors.means - fitted) ** 2).sum() / ((errors.means - errors.means.mean()) ** 2).sum())
    return Fit(
        law,
        _told(_unshifted(best, along), _unshifted(drawn, along), over),
        _told(best[1], drawn[1], over),
        _told(best[2], drawn[2], over),
        r2,
        _aicc(errors, fitted, 4),
        _aicc(errors, np.full_like(fitted, errors.means.mean()), 2),
        _told(_saturation(best, law, along, within), _saturation(drawn, law, along, within), over),
        within,
        tuple(zip(*(v.tolist() for v in (law.sizes(grid), curve[0], *bounds)), strict=True)),
        (*_doubts(errors, along, best, drawn), *([BAD] if r2 < HALF else [])),
    )


def better(fits: Sequence[Fit]) -> Fit | None:
    """The fit whose law is better than all others by AICc; None where they cannot be told apart."""
    known = sorted((f for f in fits if f.aicc is not None), key=lambda f: f.aicc or 0.0)
    if not known or (len(known) > 1 and (known[1].aicc or 0.0) - (known[0].aicc or 0.0) < TOLD_APART):
        return None
    return known[0]


def _told(value: Array, each: Array, over: str) -> Estimate:
    """The value with the percentiles of its draws; a draw that leaves it open widens both ends."""
    if not over:
        return Estimate(float(value[0]))
    low = np.quantile(np.nan_to_num(each, nan=0.0, posinf=np.inf), INSIDE, method="inverted_cdf")
    high = np.quantile(np.nan_to_num(each, nan=np.inf, posinf=np.inf), 1 - INSIDE, method="inverted_cdf")
    return Estimate(float(value[0]), float(low), float(high), over)


def _unshifted(parameters: Sequence[Array], along: Array) -> Array:
    """a itself: the gain where `along` is 0."""
    gain, b, *_ = parameters
    return np.where(gain > 0, gain * np.exp(np.nan_to_num(b) * along[0]), 0.0)


def _draws(errors: Measured, draws: int, seed: int) -> Array:
    """Means `(draws, n)` as they might have been; an error is never below 0."""
    draw, n = np.random.default_rng(seed), len(errors.sizes)
    assert errors.covariance is not None
    value, vector = np.linalg.eigh(errors.covariance)
    normal = (draw.standard_normal((draws, n)) * np.sqrt(value.clip(min=0))) @ vector.T
    heavy = np.sqrt(errors.freedom / draw.chisquare(errors.freedom, draws))
    drawn: Array = (errors.means + heavy[:, None] * normal).clip(min=0)
    return drawn


def _parameters(along: Array, means: Array) -> tuple[Array, Array, Array, Array]:
    """The gain at the smallest size, b, and c of the best fit to each of D rows of means `(D, n)`; b is NaN where there
    is no gain, and the distance of b to its limits is told: -1 at the lower, 1 at the upper, else 0."""
    place = along - along[0]
    limits = np.log([FLATTEST / place[-1], STEEPEST / place[1]])
    centre, half = np.full(len(means), limits.mean()), (limits[1] - limits[0]) / 2
    for zoom in range(ZOOMS + 1):
        points = np.linspace(-half, half, ZOOM if zoom else GRID)
        logs = (centre[:, None] + points).clip(*limits)
        gain, asymptote, squares = _solved(np.exp(-np.exp(logs)[..., None] * place), means[:, None])
        index = squares.argmin(axis=1)
        centre = np.take_along_axis(logs, index[:, None], 1)[:, 0]
        half = 1.5 * (points[1] - points[0])
    a, c = (np.take_along_axis(v, index[:, None], 1)[:, 0] for v in (gain, asymptote))
    near = np.abs(centre[:, None] - limits) < 1e-3
    return a, np.where(a > 0, np.exp(centre), np.nan), c, near[:, 1].astype(int) - near[:, 0].astype(int)


def _solved(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The a >= 0 and c >= 0 with the least squares of `y - a x - c` over the last axis, and those squares."""
    xm, ym = x.mean(axis=-1), y.mean(axis=-1)
    a = ((x - xm[..., None]) * (y - ym[..., None])).sum(axis=-1) / ((x - xm[..., None]) ** 2).sum(axis=-1)
    c = ym - a * xm
    # Of two coefficients that must not be negative, one that would be is 0 in the best allowed fit.
    through = (x * y).sum(axis=-1) / (x * x).sum(axis=-1)
    a, c = np.where(c < 0, through, a), np.where(c < 0, 0.0, c)
    a, c = np.where(a < 0, 0.0, a), np.where(a < 0, ym + 0 * a, c)
    return a, c, ((y - a[..., None] * x - c[..., None]) ** 2).sum(axis=-1)


def _curve(parameters: Sequence[Array], along: Array) -> Array:
    """Values `(D, len(along))`."""
    a, b, c = (p[:, None] for p in parameters[:3])
    values: Array = np.where(a > 0, a * np.exp(-np.nan_to_num(b) * (along - along[0])), 0.0) + c
    return values


def _saturation(parameters: Sequence[Array], law: Law, along: Array, within: float) -> Array:
    a, b, c, _ = parameters
    with np.errstate(divide="ignore", invalid="ignore"):
        later = np.log(a / (within * c)) / b
    return law.sizes(along[0] + np.where(a > within * c, later, 0.0))


def _aicc(errors: Measured, fitted: Array, k: int) -> float | None:
    """For k parameters, the variance among them."""
    m, squares = errors.each.size, float(((errors.each - fitted[:, None]) ** 2).sum())
    if m - k - 1 <= 0 or squares <= 0:
        return None
    return m * float(np.log(squares / m)) + 2 * k + 2 * k * (k + 1) / (m - k - 1)


def _refusal(errors: Measured, law: Law) -> str:
    """Why there can be no fit; empty where there can."""
    n = len(errors.sizes)
    if errors.sizes.min() <= 0:
        return "sizes must be above 0"
    if n < LEAST:
        return f"not identified: {n} size{'s' * (n > 1)} cannot tell a law of three parameters; measure {LEAST} or more"
    if np.ptp(errors.means) <= 1e-12 * abs(errors.means).max():
        return "not identified: the error is the same at every size"
    if not _parameters(law.along(errors.sizes), errors.means[None])[0][0] > 0:
        return "not identified: the error does not fall with size"
    return ""


def _doubts(errors: Measured, along: Array, best: Sequence[Array], drawn: Sequence[Array]) -> list[str]:
    doubts = [] if errors.over else ["no interval: one seed and one subject"]
    aicc, constant = (
        _aicc(errors, _curve(best, along)[0], 4),
        _aicc(errors, np.full(len(along), errors.means.mean()), 2),
    )
    flat = aicc is not None and constant is not None and constant <= aicc
    if flat or float((drawn[0] == 0).mean()) > INSIDE:
        return ["no effect of size is shown: a constant explains the errors as well", *doubts]
    if best[3][0] < 0 or best[2][0] == 0:
        doubts = ["no levelling off is seen: asymptote and saturation are not identified", *doubts]
    if best[3][0] > 0 or float((drawn[3] > 0).mean()) > INSIDE:
        doubts = ["all of the gain may lie between the two smallest sizes: its rate is not identified", *doubts]
    return doubts
