"""Heart beats in an electrocardiogram, which of the intervals between them to trust, and a heart rate around a time."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SPAN = 8.0
"""Seconds that a heart rate is taken over."""


def beats(ecg: Array, rate: float) -> Array:
    """When the heart beat, `(N,)` rising seconds from the first sample, by an ECG `(T,)` at `rate` Hz.

    After [Pan 1985]: the energy of the slope of what lies in 5 to 15 Hz, and its peaks above a threshold that follows
    the height of the peaks around. Unlike there, it looks ahead too, and knocks on an electrode move it little. The R
    wave, which may point down, is the peak of that band. Samples that are not finite hold no beat; a line of less than
    four seconds, or below 40 Hz, has none.
    """
    from scipy import ndimage, signal

    ecg, known = np.asarray(ecg, np.float64), np.isfinite(ecg)
    if len(ecg) < 4 * rate or not known.any() or rate < 40:
        return np.empty(0)
    at = np.arange(len(ecg))
    filled = ecg if known.all() else np.interp(at, at[known], ecg[known])
    sos = signal.butter(2, (5.0, 15.0), "bandpass", fs=rate, output="sos")
    waves = signal.sosfiltfilt(sos, filled)
    energy = ndimage.uniform_filter1d(np.gradient(waves) ** 2, round(0.15 * rate))
    peaks = signal.find_peaks(energy, distance=round(0.25 * rate))[0]
    peaks = peaks[energy[peaks] > 0.3 * _height(energy, round(2 * rate))[peaks]]
    reach = round(0.1 * rate)
    peaks = peaks[(peaks >= reach) & (peaks < len(ecg) - reach)]
    near = peaks[:, None] + np.arange(-reach, reach + 1)
    near = near[known[near].all(axis=1)]
    if not len(near):
        return np.empty(0)
    around = waves[near]
    down = np.median(-around.min(axis=1)) > np.median(around.max(axis=1))
    found = near[np.arange(len(near)), (-around if down else around).argmax(axis=1)]
    return np.unique(found) / rate


def _height(energy: Array, block: int) -> Array:
    """The usual height of peaks `(T,)`: the highest of each of the 15 blocks around, of those the 30th percentile.

    Knocks are higher than beats, and may be in every other block.
    """
    from scipy import ndimage

    starts = np.arange(0, len(energy) - block + 1, block)
    highest = ndimage.percentile_filter(np.maximum.reduceat(energy, starts), 30, 15, mode="reflect")
    return np.repeat(highest, np.diff(np.append(starts, len(energy))))


def trusted(times: Array, count: int = 5, tolerance: float = 0.75, low: float = 35.0, high: float = 185.0) -> Array:
    """Which intervals between beats at `(N,)` seconds are to be trusted: bool `(N - 1,)`.

    The quotient filter of [Meier 2024] after [Piskorski 2005]: an interval is, where it lies among `count` successive
    beats of which the shortest interval is longer than `tolerance` of the longest, and whose mean rate is between `low`
    and `high` beats a minute.
    """
    gaps = np.diff(times)
    good = np.zeros(len(gaps), bool)
    if len(gaps) < count - 1:
        return good
    groups = np.lib.stride_tricks.sliding_window_view(gaps, count - 1)
    mean = 60 / groups.mean(axis=1)
    fine = (groups.min(axis=1) > tolerance * groups.max(axis=1)) & (mean > low) & (mean < high)
    for shift in range(count - 1):
        good[shift : shift + len(fine)] |= fine
    return good


def mean_around(times: Array, values: Array, at: Array, span: float = SPAN, least: int = 1) -> Array:
    """The mean `(T,)` of the values `(N,)` whose rising times lie within half a `span` of each time in `at` `(T,)`.

    NaN where there are fewer than `least`. Of one border the earlier counts, so that a value per second is not counted
    span + 1 times.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    first, last = (np.searchsorted(times, at + side * span / 2, side="left") for side in (-1, 1))
    count = last - first
    return np.where(count >= max(least, 1), (total[last] - total[first]) / np.maximum(count, 1), np.nan)


def heart_rate(times: Array, at: Array, span: float = SPAN) -> Array:
    """The heart rate in bpm `(T,)` float32 around each of the seconds `at` `(T,)`, by beats at `(N,)` rising seconds.

    60 over the mean of the trusted intervals whose middles lie within half a `span`; NaN where they are fewer than two.
    """
    good = trusted(times)
    middles, gaps = (times[1:] + times[:-1])[good] / 2, np.diff(times)[good]
    return (60 / mean_around(middles, gaps, at, span, least=2)).astype(np.float32)
