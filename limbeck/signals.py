"""Sampled signals as arrays: rates, gaps, resampling, runs of labels, where windows start and what their labels are."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from limbeck.errors import UserError
from limbeck.tasks import IGNORE

Array = np.ndarray[Any, Any]

GAP = 2.5
"""Periods of the nominal rate between two samples from which on something is missing between them."""
DENOMINATORS = (400, 4_000, 40_000)
"""Largest ones of ratios of rates, the first that is sharp enough; filters are as long as the ratio needs."""
SHARP = 10_000


def rate_of(seconds: Array) -> float:
    """Hz of `(T,)` rising times, whatever gaps they have; NaN for fewer than two samples.

    The median difference says which differences are one period (within half of it); their mean is free of the rounding
    of the times.
    """
    steps = np.diff(seconds)
    steps = steps[steps > 0]
    if not len(steps):
        return float("nan")
    typical = np.median(steps)
    return float(1 / steps[(steps > typical / 2) & (steps < typical * 1.5)].mean())


def breaks(seconds: Array, nominal: float) -> Array:
    """The samples at which a signal with times `(T,)` starts anew: after a gap, a step backwards, a change of rate.

    A gap is longer than `GAP` periods of the `nominal` rate (Hz). The rate changes where the median of 9 differences
    doubles or halves for at least 10 samples: some watches record in bursts, with little pause between.
    """
    steps = np.diff(seconds)
    hard = np.flatnonzero((steps > GAP / nominal) | (steps < 0)) + 1
    bounds = np.concatenate([[0], hard, [len(seconds)]])
    soft = [b + _changes(np.diff(seconds[b:e])) for b, e in pairwise(bounds) if e - b > 20]
    return np.unique(np.concatenate([hard, *soft])).astype(np.int64)


def steady(seconds: Array, nominal: float) -> list[tuple[slice, float]]:
    """The stretches between `breaks` of times `(T,)`, each with its rate in Hz; of one sample the nominal one."""
    if not len(seconds):
        return []
    bounds = [0, *breaks(seconds, nominal).tolist(), len(seconds)]
    rates = [rate_of(seconds[a:b]) for a, b in pairwise(bounds)]
    return [(slice(a, b), nominal if r != r else r) for (a, b), r in zip(pairwise(bounds), rates, strict=True)]


def _changes(steps: Array) -> Array:
    """Where, in the samples between which `steps` lie, a lasting change of rate begins."""
    typical = np.median(steps)
    if ((steps > typical / 1.5) & (steps < typical * 1.5)).mean() > 1 - 10 / len(steps):
        return np.empty(0, np.int64)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steps, 4, mode="edge"), 9)
    level = np.round(2 * np.log2(np.maximum(np.median(around, axis=1), 1e-12))).astype(np.int64)
    starts, ends = label_runs([level])
    lasting = starts[ends - starts >= 10]
    kept = lasting[np.concatenate([[False], np.abs(np.diff(level[lasting])) > 1])] if len(lasting) else lasting
    return np.asarray(kept, np.int64)


def ratio(rate_in: float, rate_out: float) -> Fraction:
    """`rate_out / rate_in` with a denominator small enough to filter by: exact for usual rates, else off by at most one
    part in `SHARP`. Raises `UserError` where the rates are too far apart for that."""
    exact = Fraction(rate_out / rate_in)
    for largest in DENOMINATORS:
        near = exact.limit_denominator(largest)
        if abs(near - exact) * SHARP <= exact:
            return near
    raise UserError(f"a signal of {rate_in:g} Hz cannot be resampled to {rate_out:g} Hz: the rates are too far apart")


def resample(signal: Array, rate_in: float, rate_out: float) -> Array:
    """A signal `(T, M)` sampled at another rate, `(T', M)` float32: polyphase, anti-aliased, without a shift in time.

    Sample k is at k / `rate_out` seconds from the first. Levels and straight lines stay what they are, up to both ends.
    """
    from scipy.signal import resample_poly

    by = ratio(rate_in, rate_out)
    made = resample_poly(signal.astype(np.float32, copy=False), by.numerator, by.denominator, axis=0, padtype="line")
    return np.asarray(made, np.float32)


def fourier(windows: Array, length: int) -> Array:
    """Windows `(N, M, L)` at another rate, `(N, M, length)` float32 of the same seconds: each by its Fourier series.

    As `scipy.signal.resample` of each window, which takes a window to be one period of something periodic: where its
    two ends differ it rings there.
    """
    from scipy.signal import resample as by_fourier

    if windows.shape[-1] == length:
        return windows.astype(np.float32, copy=False)
    return np.asarray(by_fourier(windows.astype(np.float64), length, axis=-1), np.float32)


def bandpass(
    signal: Array, rate: float, band: tuple[float, float], how: Literal["zero-phase", "one-pass"] = "zero-phase"
) -> Array:
    """A signal `(T, M)` at `rate` Hz between two frequencies (Hz), float32: `scipy.signal.butter(4, band)`.

    zero-phase: forwards and backwards, without a delay. one-pass: forwards, as a device can; it starts as if the first
    value had always been there. The signal must be finite. Raises `UserError` where the rate cannot hold the band.
    """
    from scipy.signal import sosfilt, sosfilt_zi, sosfiltfilt

    if not 0 < band[0] < band[1] < rate / 2:
        raise UserError(
            f"band: from {band[0]:g} to {band[1]:g} Hz is not within 0 and {rate / 2:g} Hz, half the rate of the signal"
        )
    sos = _butterworth(rate, *band)
    if not len(signal):
        return signal.astype(np.float32)
    if how == "one-pass":
        state = sosfilt_zi(sos)[:, :, None] * signal[:1]
        return np.asarray(sosfilt(sos, signal, axis=0, zi=state)[0], np.float32)
    pad = min(3 * (2 * len(sos) + 1), len(signal) - 1)
    return np.asarray(sosfiltfilt(sos, signal, axis=0, padlen=pad), np.float32)


@cache
def _butterworth(rate: float, low: float, high: float) -> Array:
    """Second-order sections `(4, 6)`; to design them takes longer than to filter some minutes."""
    from scipy.signal import butter

    return np.asarray(butter(4, (low, high), btype="bandpass", fs=rate, output="sos"))


def plateaus(signal: Array, count: int) -> tuple[Array, Array]:
    """First samples and ends `(R,)` of the stretches of at least `count > 1` equal values in a signal `(T,)`."""
    same = np.zeros(len(signal) + 1, np.int8)
    same[1:-1] = signal[1:] == signal[:-1]
    edges = np.flatnonzero(same[1:] != same[:-1])
    starts, ends = edges[::2], edges[1::2] + 1
    long = ends - starts >= count
    return starts[long], ends[long]


def holding(starts: Array, ends: Array, count: int, before: int, length: int, total: int) -> Array:
    """Whether the window `[i - before, i - before + length)` holds `count` samples of a stretch, for each i of `total`.

    `starts`, `ends` `(R,)` are those of stretches of at least `count` samples.
    """
    changes = np.zeros(total + 1, np.int32)
    np.add.at(changes, np.clip(starts + count - length + before, 0, total), 1)
    np.add.at(changes, np.clip(ends - count + before + 1, 0, total), -1)
    return np.cumsum(changes[:-1], dtype=np.int32) > 0


def nearest(count: int, rate_in: float, rate_out: float) -> Array:
    """For each sample that `resample` makes of `count` samples, the index of the one nearest in time."""
    by = ratio(rate_in, rate_out)
    made = -(-count * by.numerator // by.denominator)
    return np.minimum((2 * np.arange(made) * by.denominator + by.numerator) // (2 * by.numerator), count - 1)


def label_runs(labels: Sequence[Array], also: Array | None = None) -> tuple[Array, Array]:
    """First samples and ends `(R,)` of the runs in which no `(T,)` label changes; `also` starts others."""
    count = len(labels[0]) if len(labels) else 0
    changed = np.zeros(count, dtype=bool)
    changed[:1] = True
    for values in labels:
        changed[1:] |= values[1:] != values[:-1]
    if also is not None:
        changed[also] = True
    starts = np.flatnonzero(changed)
    return starts, np.append(starts[1:], count)[: len(starts)]


def window_starts(begins: Array, ends: Array, length: int, stride: int) -> Array:
    """First samples of all windows that lie whole in one of the stretches `[begins, ends)` `(R,)`, in order.

    A stretch of n samples holds `(n - length) // stride + 1`, the first at its beginning.
    """
    counts = np.maximum((ends - begins - length) // stride + 1, 0)
    before = np.cumsum(counts) - counts
    starts = np.repeat(begins - before * stride, counts) + np.arange(counts.sum()) * stride
    return np.asarray(starts, np.int64)


def majority(labels: Array, starts: Array, length: int) -> Array:
    """The most frequent label `(N,)` of each window of `(T,)` class ids; the lowest of equals.

    A missing label has no vote; a window that has none but those is `IGNORE`.
    """
    made = labels[starts + length - 1].astype(np.int64)
    runs = np.cumsum(np.concatenate([[0], labels[1:] != labels[:-1]])) if len(labels) else labels
    mixed = np.flatnonzero(runs[starts] != runs[starts + length - 1])
    if len(mixed):
        within = labels[starts[mixed, None] + np.arange(length)].astype(np.int64)
        classes = np.unique(within[within != IGNORE])
        votes = (
            np.stack([(within == c).sum(axis=1) for c in classes], axis=1)
            if len(classes)
            else np.zeros((len(mixed), 0))
        )
        made[mixed] = classes[votes.argmax(axis=1)] if len(classes) else IGNORE
        made[mixed[votes.sum(axis=1) == 0]] = IGNORE
    return np.asarray(made, np.int64)


def mean(values: Array, starts: Array, length: int) -> Array:
    """The mean `(N,)` float32 of each window of `(T,)` reals; NaN, which is missing, does not count unless all are."""
    known = ~np.isnan(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0), dtype=np.float64)])
    count = np.concatenate([[0], np.cumsum(known)])
    sums, counts = total[starts + length] - total[starts], count[starts + length] - count[starts]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)


def pieces(keep: Array) -> list[slice]:
    """The unbroken stretches of a mask `(T,)` in which it is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
