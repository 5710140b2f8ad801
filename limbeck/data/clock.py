"""From the times of samples to stretches on an even clock: units, repeated and backward times, holes and gaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from limbeck import signals
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

Array = np.ndarray[Any, Any]
Unit = Literal["s", "ms", "us", "ns"]

APART = 10.0
"""Seconds between two values of something slow, such as a heart rate, over which it is known in between."""
PER_SECOND: Mapping[Unit, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True)
class Stretch:
    """Samples without a gap: `signal` `(T, M)` float32 at `rate` Hz from `start` seconds; `rows` `(T,)` are nearest."""

    signal: Array
    rate: float
    start: float
    rows: Array


def unit_of(times: Array, where: str) -> Unit:
    """The unit of `(T,)` times, by the median step forward: a sensor is faster than 1 Hz, and its ms are no fractions.

    A step below 1 is one of seconds, below 1,000 of ms, below 1,000,000 of us, else of ns. Raises `UserError` for a
    step of exactly 1, which may be a sample counter.
    """
    steps = np.diff(times)
    typical = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if typical == 1:
        raise UserError(
            f"{where}: times go up by 1, which may count samples, seconds or milliseconds; say --data.time_unit s, ms, "
            "us or ns, or pass the column over (--data.time none) and give --data.rate"
        )
    return "s" if typical < 1 else "ms" if typical < 1e3 else "us" if typical < 1e6 else "ns"


def nominal(rate: float) -> float:
    """The rate that a measured one (Hz) stands for: a whole number from 10 Hz on, else two digits."""
    return float(round(rate)) if rate >= 10 else float(f"{rate:.2g}")


def stretches(
    seconds: Array, signal: Array, lines: Array, rate: float | None, gap: float, where: str, findings: Findings
) -> list[Stretch]:
    """The stretches of samples `(T, M)` at `seconds` `(T,)`, which may be uneven, repeat and go back.

    Samples that are not finite are dropped, then those no later than one before them; a step back by more than a gap
    starts anew. A step of more than `gap` median steps ends a stretch; a shorter hole is bridged by straight lines. The
    rate is the one given, or `nominal` of the measured one; times that are off its grid by more than half a sample are
    put on it by linear interpolation. All of it is counted; `lines` `(T,)` say where a sample was. Raises `UserError`
    where most times repeat, and where they contradict the rate.
    """
    found = _Finder(where, lines, findings)
    finite = np.isfinite(signal).all(axis=1) & np.isfinite(seconds)
    found("line with a missing or infinite value", np.flatnonzero(~finite))
    rows = np.flatnonzero(finite)
    steps = np.diff(seconds[rows])
    if not (steps > 0).any():
        found("recording of fewer than two samples", rows[:1])
        return []
    if (steps == 0).mean() > 0.4:
        raise UserError(
            f"{where}: {(steps == 0).mean():.0%} of the times are the same as the one before; name the column that "
            "tells devices or recordings apart (--data.session), or give finer times"
        )
    period = float(np.median(steps[steps > 0]))
    _agrees(1 / period, rate, where)
    rate = rate or nominal(signals.rate_of(seconds[rows]))
    back = np.flatnonzero(steps < -gap * period) + 1
    found("step back in time", rows[back])
    made = []
    for part in np.split(rows, back):
        rising = _rising(part, seconds, found)
        steps = np.diff(seconds[rising])
        ends = np.flatnonzero(steps > gap * period) + 1
        found("gap", rising[ends])
        found("hole bridged by straight lines", rising[1:][(steps > signals.GAP * period) & (steps <= gap * period)])
        made += [_even(piece, seconds, signal, rate, found) for piece in np.split(rising, ends)]
    return made


def between(seconds: Array, values: Array, at: Array) -> Array:
    """Values `(N,)` at the times `at` `(T,)`, float32: on straight lines, NaN where two are more than `APART` apart.

    NaN too before the first and after the last. `seconds` `(N,)` are in any order; what is not finite is no value.
    """
    known = np.flatnonzero(np.isfinite(seconds) & np.isfinite(values))
    if not len(known):
        return np.full(len(at), np.nan, np.float32)
    known = known[np.argsort(seconds[known], kind="stable")]
    times = seconds[known]
    made = np.interp(at, times, values[known], left=np.nan, right=np.nan)
    after, later = np.searchsorted(times, at), np.searchsorted(times, at, side="right")
    far = np.concatenate([[False], np.diff(times) > APART, [False]])
    made[far[after] & (after == later)] = np.nan
    return made.astype(np.float32)


class _Finder:
    """Counts rows, the first by its line."""

    def __init__(self, where: str, lines: Array, findings: Findings) -> None:
        self.where, self.lines, self.findings = where, lines, findings

    def __call__(self, what: str, rows: Array) -> None:
        if len(rows):
            self.findings.add(what, f"{self.where}:{self.lines[rows[0]]}", len(rows))


def _agrees(measured: float, rate: float | None, where: str) -> None:
    if rate is not None and abs(measured / rate - 1) > 0.05:
        raise UserError(
            f"{where}: a rate of {rate:g} Hz was given, but its samples come at {measured:.4g} Hz; "
            "leave the rate out where there are times, or mend it"
        )


def _rising(rows: Array, seconds: Array, found: _Finder) -> Array:
    """The rows that are later than all before them."""
    times = seconds[rows]
    latest = np.maximum.accumulate(times)
    later = np.concatenate([[True], times[1:] > latest[:-1]])
    same = np.concatenate([[False], times[1:] == times[:-1]])
    found("repeated time", rows[same])
    found("time before that of an earlier sample", rows[~later & ~same])
    return np.asarray(rows[later])


def _even(rows: Array, seconds: Array, signal: Array, rate: float, found: _Finder) -> Stretch:
    start = float(seconds[rows[0]])
    times = (seconds[rows] - start) * rate
    values = signal[rows]
    if np.abs(times - np.arange(len(rows))).max() > 0.5:
        found("stretch of uneven times, put on an even clock", rows[:1])
        grid = np.arange(int(times[-1] + 1e-6) + 1)
        values = np.stack([np.interp(grid, times, channel) for channel in values.T], axis=1)
        rows = rows[np.searchsorted((times[1:] + times[:-1]) / 2, grid)]
    return Stretch(np.asarray(values, np.float32), rate, start, rows)
