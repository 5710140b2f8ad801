from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal as scipy_signal
from scipy import stats

from limbeck import signals
from limbeck.errors import UserError
from limbeck.tasks import IGNORE


def times(*stretches: tuple[int, float]) -> np.ndarray:
    """Times of samples: so many steps of so many seconds, one stretch after another."""
    return np.concatenate([[0.0], np.cumsum(np.concatenate([np.full(n, s) for n, s in stretches]))])


def test_the_rate_is_exact_though_times_are_rounded_to_milliseconds_and_have_gaps() -> None:
    seconds = np.round(np.arange(3000) / 32.6, 3)
    seconds[1500:] += 7.0
    assert signals.rate_of(seconds) == pytest.approx(32.6, rel=1e-4)
    assert np.isnan(signals.rate_of(np.array([1.0])))
    assert signals.rate_of(np.array([0.0, 0.0, 0.1, 0.1, 0.2])) == pytest.approx(10)


def test_a_signal_breaks_at_a_gap_and_where_time_goes_back() -> None:
    assert signals.breaks(times((100, 0.05), (1, 0.2), (50, 0.05), (1, -3.0), (10, 0.05)), 20).tolist() == [101, 152]
    assert signals.breaks(times((500, 0.05)), 20).tolist() == []


def test_a_lasting_change_of_rate_breaks_and_jitter_does_not() -> None:
    burst = times((300, 0.05), (1, 0.11), (200, 0.01), (300, 0.05))
    found = signals.steady(burst, 20)
    assert [round(rate) for _, rate in found] == [20, 100, 20]
    assert np.abs(np.array([s.start for s, _ in found]) - [0, 301, 501]).max() <= 3
    jitter = np.cumsum(np.random.default_rng(0).uniform(0.03, 0.07, 2000))
    assert len(signals.steady(jitter, 20)) == 1
    late = times((100, 0.05), (1, 0.09), (1, 0.01), (100, 0.05))
    assert len(signals.steady(late, 20)) == 1
    assert signals.steady(np.array([]), 20) == []
    assert signals.steady(np.array([3.0]), 20) == [(slice(0, 1), 20)]


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(50.0, 20.0), (25.06, 20.0), (32.6, 20.0), (100.4, 20.0), (20.0, 50.0)]
)
def test_resampling_keeps_a_tone_in_time_and_a_level_and_a_slope_to_the_ends(rate_in: float, rate_out: float) -> None:
    t = np.arange(int(60 * rate_in)) / rate_in
    made = signals.resample(np.stack([np.sin(2 * np.pi * 3 * t), 9.81 + 0.1 * t], axis=1), rate_in, rate_out)
    at = np.arange(len(made)) / rate_out
    assert len(made) == pytest.approx(60 * rate_out, abs=2)
    assert np.abs(made[40:-40, 0] - np.sin(2 * np.pi * 3 * at[40:-40])).max() < 0.02
    assert np.abs(made[:-1, 1] - (9.81 + 0.1 * at[:-1])).max() < 0.02


def test_resampling_lets_nothing_through_that_the_new_rate_cannot_hold() -> None:
    t = np.arange(5000) / 50
    assert np.abs(signals.resample(np.sin(2 * np.pi * 17 * t)[:, None], 50, 20)[50:-50]).max() < 0.02


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(10_000, 20), (8_000, 12.5), (48_000, 50), (1_003.7, 50), (0.01, 50)]
)
def test_rates_far_apart_are_met_to_one_part_in_ten_thousand(rate_in: float, rate_out: float) -> None:
    assert float(signals.ratio(rate_in, rate_out)) == pytest.approx(rate_out / rate_in, rel=1e-4)
    with pytest.raises(UserError, match=r"50 Hz cannot be resampled to 1e-06 Hz"):
        signals.ratio(50, 1e-6)


@pytest.mark.parametrize(("rate_in", "rate_out"), [(50.0, 20.0), (25.06, 20.0), (20.0, 64.0)])
def test_each_resampled_sample_has_the_label_nearest_in_time(rate_in: float, rate_out: float) -> None:
    count = 977
    by = signals.ratio(rate_in, rate_out)
    index = signals.nearest(count, rate_in, rate_out)
    assert len(index) == len(signals.resample(np.zeros((count, 1)), rate_in, rate_out))
    distance = np.abs(np.arange(len(index))[:, None] / float(by) - np.arange(count)[None])
    assert np.allclose(distance[np.arange(len(index)), index], distance.min(axis=1))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=40))
def test_runs_are_where_no_label_changes(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array([p[i] for p in pairs], int) for i in (0, 1))
    starts, ends = signals.label_runs([a, b])
    lengths = [e - s for s, e in zip(starts.tolist(), ends.tolist(), strict=True)]
    assert lengths == [len(list(g)) for _, g in groupby(pairs)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 20), st.integers(1, 20))
def test_windows_start_where_a_loop_says(lengths: list[int], length: int, stride: int) -> None:
    ends = np.cumsum(lengths)
    begins = ends - lengths
    expected = [s for b, e in zip(begins, ends, strict=True) for s in range(b, e - length + 1, stride)]
    assert signals.window_starts(begins, ends, length, stride).tolist() == expected


def test_a_thousand_rows_give_sixteen_windows() -> None:
    assert len(signals.window_starts(np.array([0]), np.array([1000]), 100, 60)) == 16


def test_the_majority_is_scipys_mode_and_missing_labels_have_no_vote() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 5, 80), rng.integers(1, 30, 80))
    starts = np.arange(0, len(labels) - 50, 7)
    windows = labels[starts[:, None] + np.arange(50)]
    assert signals.majority(labels, starts, 50).tolist() == stats.mode(windows, axis=1).mode.tolist()
    holed = np.array([IGNORE] * 6 + [3] + [IGNORE] * 8)
    assert signals.majority(holed, np.array([0, 5, 10]), 5).tolist() == [IGNORE, 3, IGNORE]
    assert signals.majority(holed[:4], np.array([0]), 4).tolist() == [IGNORE]


def test_the_mean_is_numpys_nanmean() -> None:
    values = np.random.default_rng(0).normal(70, 9, 500)
    values[::3] = np.nan
    starts = np.arange(0, 450, 11)
    expected = np.nanmean(values[starts[:, None] + np.arange(50)], axis=1)
    assert np.allclose(signals.mean(values, starts, 50), expected, rtol=1e-6)
    assert np.isnan(signals.mean(np.full(9, np.nan), np.array([0, 4]), 5)).all()


def test_pieces_are_the_true_stretches() -> None:
    mask = np.array([1, 1, 0, 0, 1, 0, 1], bool)
    assert signals.pieces(mask) == [slice(0, 2), slice(4, 5), slice(6, 7)]
    assert signals.pieces(~mask[:2]) == []


@pytest.mark.parametrize("rate", [25.0, 64.0, 125.0, 128.0])
def test_the_band_pass_is_scipys_butterworth_of_order_4(rate: float) -> None:
    wave = np.random.default_rng(0).normal(size=(int(60 * rate), 2))
    sos = scipy_signal.butter(4, [0.5, 4.0], btype="band", fs=rate, output="sos")
    made = signals.bandpass(wave, rate, (0.5, 4.0))
    assert made.dtype == np.float32
    assert np.abs(made - scipy_signal.sosfiltfilt(sos, wave, axis=0)).max() < 1e-6
    once = signals.bandpass(wave, rate, (0.5, 4.0), "one-pass")
    assert np.abs(once - scipy_signal.sosfilt(sos, wave, axis=0))[int(20 * rate) :].max() < 1e-6


@pytest.mark.parametrize("how", ["zero-phase", "one-pass"])
def test_the_band_pass_takes_a_level_away_from_the_first_sample_on_and_keeps_90_bpm(how: str) -> None:
    t = np.arange(64 * 60) / 64
    assert np.abs(signals.bandpass(np.full((3840, 1), 1e6), 64.0, (0.5, 4.0), how)).max() < 1e-3
    kept = signals.bandpass(np.sin(2 * np.pi * 1.5 * t)[:, None], 64.0, (0.5, 4.0), how)[1280:2560]
    assert np.abs(kept).max() == pytest.approx(1, abs=0.01)
    for gone in (0.05, 12.0):
        lost = signals.bandpass(np.sin(2 * np.pi * gone * t)[:, None], 64.0, (0.5, 4.0), how)
        assert np.abs(lost[1280:2560]).max() < 0.05


def test_the_band_pass_takes_signals_of_any_length_and_says_which_rate_is_too_low() -> None:
    for count in (0, 1, 2, 20, 28):
        for how in ("zero-phase", "one-pass"):
            made = signals.bandpass(np.ones((count, 3), np.float32), 25.0, (0.5, 4.0), how)
            assert made.shape == (count, 3)
            assert np.isfinite(made).all()
    with pytest.raises(UserError, match=r"from 0\.5 to 4 Hz is not within 0 and 4 Hz, half the rate"):
        signals.bandpass(np.ones((100, 1)), 8.0, (0.5, 4.0))


def test_windows_are_resampled_as_scipy_does_one_by_one() -> None:
    windows = np.random.default_rng(0).normal(size=(7, 2, 1000)).astype(np.float32)
    made = signals.fourier(windows, 200)
    for window, found in zip(windows.reshape(-1, 1000), made.reshape(-1, 200), strict=True):
        assert np.abs(found - scipy_signal.resample(window.astype(np.float64), 200)).max() < 1e-6
    assert signals.fourier(windows, 1000) is windows


@given(st.lists(st.integers(0, 1), max_size=30), st.integers(2, 5), st.integers(0, 6), st.integers(1, 8))
def test_plateaus_and_the_windows_that_hold_them_are_those_of_a_loop(
    values: list[int], count: int, before: int, more: int
) -> None:
    starts, ends = signals.plateaus(np.array(values), count)
    lengths = [len(list(run)) for _, run in groupby(values)]
    runs = [(sum(lengths[:k]), sum(lengths[: k + 1])) for k, n in enumerate(lengths) if n >= count]
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == runs
    length = count + more
    held = signals.holding(starts, ends, count, before, length, len(values)).tolist()
    for i, answer in enumerate(held):
        low, high = i - before, i - before + length
        assert answer == any(min(b, high) - max(a, low) >= count for a, b in runs)
