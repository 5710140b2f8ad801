import json
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from limbeck.batch import Batch
from limbeck.data import inspect, ppg
from limbeck.data.concat import concat
from limbeck.data.ppg import HEART_RATE, PPGData, per_window, quality, trace
from limbeck.data.recordings import Findings, Reading, Recording, Windowing, windowed
from limbeck.data.source import Dense, Table, Windows
from limbeck.errors import UserError
from limbeck.models.heads import Normalise
from limbeck.tasks import Task

MODES: tuple[Literal["recording", "window"], ...] = ("recording", "window")
both = pytest.mark.parametrize("resampling", MODES)


class Made(PPGData):
    """Arrays in a file: `wave` and `bpm` of one person each, as `{name}.npz`."""

    kind: ClassVar[str] = "made"
    root: Path
    rate: float = 64.0

    def files(self) -> list[Path]:
        return sorted(self.root.glob("*.npz"))

    def raw(self) -> Reading:
        findings, recordings = Findings(), []
        for path in self.files():
            held = np.load(path)
            bpm = per_window(held["bpm"], len(held["wave"]), self.rate, path.stem, findings)
            signal = held["wave"].reshape(len(held["wave"]), -1)
            recordings.append(Recording(signal, self.rate, {"heart rate": bpm}, path.stem, path.stem))
        return Reading(recordings, (HEART_RATE,), ("ppg",), "", findings, self.rate)


def windows(seconds: float) -> int:
    """How many windows of 8 s, 2 s apart, so many seconds hold."""
    return max(int((seconds - 8) // 2) + 1, 0)


def write(root: Path, wave: np.ndarray, rate: float = 64.0, bpm: np.ndarray | None = None, name: str = "a") -> None:
    known = np.full(windows(len(wave) / rate), 90.0) if bpm is None else bpm
    np.savez(root / f"{name}.npz", wave=wave, bpm=known)


def sine(seconds: float, rate: float = 64.0, hz: float = 1.5) -> np.ndarray:
    return 300 + 5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def inputs(table: Table) -> np.ndarray:
    return table.rows(torch.arange(len(table))).inputs["sensor"].numpy()


def bpm_of(window: np.ndarray, rate: float = 25.0) -> float:
    """Where the spectrum of a window `(L,)` is highest, in bpm."""
    tapered = (window - window.mean()) * np.hanning(len(window))
    return float(np.abs(np.fft.rfft(tapered, 2**14)).argmax() * 60 * rate / 2**14)


def test_a_class_is_the_rounded_heart_rate_less_30() -> None:
    assert HEART_RATE.bins(torch.tensor([30.4, 75.6, 212.0, 29.0, float("nan")])).tolist() == [0, 46, 179, 0, -100]
    rates = torch.linspace(30, 209, 1000)
    assert (HEART_RATE.centres()[HEART_RATE.bins(rates)] - rates).abs().max() <= 0.5 + 1e-4
    assert HEART_RATE.centres()[[0, 46]].tolist() == [30, 76]


@both
def test_a_sine_of_64_hz_keeps_its_pulse_and_becomes_windows_of_200_samples_of_mean_0_and_deviation_1(
    tmp_path: Path, resampling: Literal["recording", "window"]
) -> None:
    write(tmp_path, sine(61.7))
    table = Made(root=tmp_path, resampling=resampling).load()
    assert table.shape("sensor") == (1, 200)
    assert len(table) == 27 == windows(61.7)
    assert table.card["rate"] * 8 == table.card["window"] == 200
    assert table.meta["start"].tolist() == [2.0 * k for k in range(27)]
    assert [round(bpm_of(w[0]), 1) for w in inputs(table)] == pytest.approx([90] * 27, abs=0.5)
    for window in Normalise(1, "window")(torch.from_numpy(inputs(table))).numpy():
        assert window.mean() == pytest.approx(0, abs=1e-5)
        assert window.std() == pytest.approx(1, abs=1e-4)


@both
@pytest.mark.parametrize("rate", [25.0, 32.0, 64.0, 100.0, 125.0, 128.0])
def test_each_sample_of_a_window_is_at_its_time(
    tmp_path: Path, rate: float, resampling: Literal["recording", "window"]
) -> None:
    write(tmp_path, sine(120, rate, 1.5), rate)
    table = Made(root=tmp_path, rate=rate, resampling=resampling).load()
    middle = inputs(table)[10:45, 0]
    times = table.meta["start"][10:45, None] + np.arange(200) / 25
    wave = np.sin(2 * np.pi * 1.5 * times)
    share = (middle * wave).sum() / (wave * wave).sum()
    assert share == pytest.approx(5, rel=0.01)  # the filter passes 90 bpm
    assert np.abs(middle - 5 * wave).max() < 0.05  # 1 % of the amplitude is 0.001 s


def test_the_measure_of_the_test_above_sees_the_published_time_base() -> None:
    """The defect: of a 10 s crop meant to be resampled to 250 samples, 8 s are taken, and 1 s cut from both ends."""
    view = scipy_signal.resample(sine(8, 128.0) - 300, 250)[25:-25]
    assert len(view) == 200
    assert bpm_of(view) == pytest.approx(72, abs=1)
    assert np.abs(view - 5 * np.sin(2 * np.pi * 1.5 * np.arange(200) / 25)).max() > 5


@both
def test_a_heart_rate_that_walks_is_that_of_its_window(
    tmp_path: Path, resampling: Literal["recording", "window"]
) -> None:
    seconds, rate = 300.0, 128.0
    t = np.arange(int(seconds * rate)) / rate
    true = 100 + 40 * np.sin(2 * np.pi * t / 200)
    wave = np.sin(2 * np.pi * np.cumsum(true / 60) / rate)
    bpm = np.array([true[int(k * 2 * rate) :][: int(8 * rate)].mean() for k in range(windows(seconds))])
    write(tmp_path, wave, rate, bpm)
    table = Made(root=tmp_path, rate=rate, resampling=resampling).load()
    assert table.targets["heart rate"].numpy() == pytest.approx(bpm, abs=1e-4)
    found = np.array([bpm_of(w[0]) for w in inputs(table)])
    assert np.abs(found - bpm).mean() < 2.5


@both
@pytest.mark.parametrize("samples", [511, 512, 513, 639, 640, 641, 8 * 64 + 127, 8 * 64 + 128, 64 * 60 - 1])
def test_there_are_as_many_windows_as_the_formula_says_whatever_the_length(
    tmp_path: Path, samples: int, resampling: Literal["recording", "window"]
) -> None:
    write(tmp_path, sine(100, 64)[:samples], bpm=np.full(60, 80.0))
    data = Made(root=tmp_path, resampling=resampling)
    if samples < 512:
        with pytest.raises(UserError, match="longer than every recording"):
            data.load()
    else:
        assert len(data.load()) == (samples - 512) // 128 + 1


def test_both_ways_of_resampling_give_the_same_but_for_the_ends_of_windows(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    write(tmp_path, np.cumsum(draw.normal(size=64 * 120)) + 50)
    one, two = (Made(root=tmp_path, resampling=r).load() for r in MODES)
    assert isinstance(one.inputs["sensor"], Windows)
    assert isinstance(two.inputs["sensor"], Dense)
    a, b = inputs(one)[..., 40:160], inputs(two)[..., 40:160]
    assert np.abs(a - b).max() < 0.05 * a.std()
    assert torch.equal(one.targets["heart rate"], two.targets["heart rate"])
    assert one.meta.keys() == two.meta.keys()


@pytest.mark.parametrize("filtering", ["zero-phase", "one-pass"])
def test_windows_are_those_of_scipy_window_by_window(
    tmp_path: Path, filtering: Literal["zero-phase", "one-pass"]
) -> None:
    wave = np.random.default_rng(1).normal(size=128 * 60)
    write(tmp_path, wave, 128.0)
    table = Made(root=tmp_path, rate=128.0, resampling="window", filtering=filtering).load()
    sos = scipy_signal.butter(4, [0.5, 4], btype="band", fs=128, output="sos")
    filtered = {"zero-phase": scipy_signal.sosfiltfilt, "one-pass": scipy_signal.sosfilt}[filtering](sos, wave)
    late = 10 if filtering == "one-pass" else 0  # one pass starts at the first value, not at 0
    for k in range(late, windows(60)):
        expected = scipy_signal.resample(filtered[k * 256 : k * 256 + 1024], 200)
        assert np.abs(inputs(table)[k, 0] - expected).max() < (1e-4 if late else 1e-6)


def test_a_table_of_resampled_windows_comes_from_the_cache_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, sine(60))
    first = Made(root=tmp_path, resampling="window").load()
    monkeypatch.setattr(ppg.signals, "fourier", None)
    again = Made(root=tmp_path, resampling="window").load()
    assert isinstance(again.inputs["sensor"], Dense)
    assert (inputs(again) == inputs(first)).all()
    assert again.card == first.card
    assert torch.equal(again.targets["heart rate"], first.targets["heart rate"])
    assert (again.meta["signal"] == first.meta["signal"]).all()


def test_the_card_says_what_was_done_to_the_signal(tmp_path: Path) -> None:
    write(tmp_path, sine(60))
    card = Made(root=tmp_path).load().card
    assert card["filter"] == {"band": [0.5, 4.0], "order": 4, "how": "zero-phase"}
    assert card["resampling"] == "recording"
    other = Made(root=tmp_path, band=None, resampling="window").load()
    assert other.card["filter"] is None
    assert other.card["resampling"] == "window"
    assert (other.card["rate"], other.card["window"], other.card["stride"]) == (25, 200, 50)
    assert inputs(other).mean() == pytest.approx(300, abs=0.1)
    json.dumps(other.card)


def broken(seed: int = 0) -> np.ndarray:
    """60 s, flat from 10.5 s to 11.1 s, for a moment too short at 30 s, and cut off above from 40 to 42 s."""
    wave = sine(60) + np.random.default_rng(seed).normal(size=60 * 64) * 0.01
    wave[672:711] = wave[672]
    wave[1920:1945] = wave[1920]
    wave[2560:2688] += 5
    wave[2560:2688] = np.minimum(wave[2560:2688], 307)
    return wave


def test_windows_of_a_flat_or_clipped_signal_are_marked_and_counted(tmp_path: Path) -> None:
    write(tmp_path, broken())
    table = Made(root=tmp_path).load()
    marked = dict(zip(table.meta["start"].tolist(), table.meta["signal"].tolist(), strict=True))
    assert [s for s, what in marked.items() if what == "flat"] == [4.0, 6.0, 8.0, 10.0]
    assert [s for s, what in marked.items() if what == "clipped"] == [34.0, 36.0, 38.0, 40.0]
    assert table.card["findings"]["flat windows"] == 4
    assert table.card["findings_first"]["clipped windows"] == "a at 34 s"


def test_marked_windows_are_left_out_where_drop_says_so(tmp_path: Path) -> None:
    write(tmp_path, broken())
    whole = Made(root=tmp_path).load()
    for resampling in MODES:
        table = Made(root=tmp_path, drop=("flat", "clipped"), resampling=resampling).load()
        assert table.card["dropped"] == {"flat windows": 4, "clipped windows": 4}
        assert table.card["tasks"] == {"heart rate": {"values": 19}}
        assert len(table) == 19
        assert set(table.meta["signal"]) == {"good"}
        assert table.ids.tolist() == list(range(19))
    kept = Made(root=tmp_path, drop=("flat",)).load()
    assert set(kept.meta["start"]) == set(whole.meta["start"]) - {4.0, 6.0, 8.0, 10.0}
    assert kept.card["findings"]["clipped windows"] == 4
    write(tmp_path, np.ones(640))
    with pytest.raises(UserError, match="every window is flat"):
        Made(root=tmp_path, drop=("flat",)).load()


def test_quality_is_that_of_the_window_around_a_sample_by_brute_force() -> None:
    draw = np.random.default_rng(3)
    waves = draw.integers(0, 6, (400, 2)).astype(np.float32)
    waves[100:112, 0] = waves[300:312, 1] = 3
    waves[105:108, 1] = waves[305:308, 0] = 5
    made = quality(waves, 20.0, 2.0)
    for i in range(20, 380):
        windows = waves[i - 20 : i + 20].T
        flat = any(len(set(w[j : j + 10])) == 1 for w in windows for j in range(31))
        cut = any(set(w[j : j + 3]) in ({0.0}, {5.0}) for w in windows for j in range(38))
        assert made[i] == (1 if flat else 2 if cut else 0)
    assert set(made.tolist()) == {0, 1, 2}


def test_heart_rates_out_of_range_are_clamped_and_counted_and_those_that_are_none_are_missing(tmp_path: Path) -> None:
    bpm = np.full(27, 90.0)
    bpm[[3, 10, 20, 23]] = [260, 20, 0, np.nan]
    write(tmp_path, sine(60), bpm=bpm)
    table = Made(root=tmp_path).load()
    found = dict(zip(table.meta["start"].tolist(), table.targets["heart rate"].tolist(), strict=True))
    assert len(table) == 25
    assert 40.0 not in found
    assert 46.0 not in found
    assert (found[6.0], found[20.0]) == (210, 30)
    assert found[38.0] == found[42.0] == 90
    assert table.card["findings"]["heart rates that are no number above 0"] == 2
    (clamped,) = (n for what, n in table.card["findings"].items() if "clamped" in what)
    assert 64 < clamped < 4 * 64
    assert table.card["dropped"]["windows without a label"] == 2


def test_samples_that_are_not_finite_end_a_recording_and_do_not_spread(tmp_path: Path) -> None:
    wave = sine(60)
    wave[1600:1603] = np.nan
    wave[1700] = np.inf
    write(tmp_path, wave)
    table = Made(root=tmp_path).load()
    assert table.card["findings"]["samples that are not finite"] == 4
    assert np.isfinite(inputs(table)).all()
    assert (np.abs(table.meta["start"] + 4 - 25.5) > 4).all()
    assert table.card["dropped"]["stretches shorter than a window"] == 1
    late = table.meta["start"] > 26
    assert late.sum() == windows((3840 - 1701) / 64)
    assert table.meta["start"][late][0] == pytest.approx(1701 / 64)


def test_a_rate_that_the_number_of_heart_rates_denies_is_said() -> None:
    for seconds, rate, denied in ((300, 125.0, False), (300, 100.0, True), (301.9, 126.0, False), (300, 130.0, True)):
        findings = Findings()
        per_window(np.full(windows(seconds), 80.0), round(seconds * rate), 125.0, "x", findings)
        assert ("rate other than declared" in findings.counts) == denied, (seconds, rate)
    assert findings.first["rate other than declared"].startswith("x: 147 heart rates are of 13")


def test_a_trace_keeps_values_beside_missing_ones_and_ends_with_them() -> None:
    made = trace(np.array([60, 70, np.nan, 90]), 64 * 14, 64.0, 4.0, 2.0)
    assert made[[256, 320, 384, 512 + 128]].tolist() == [60, 65, 70, 90]
    assert np.isnan(made[[0, 254, 385, 512, 639, 642]]).all()
    assert np.isnan(trace(np.array([]), 5, 64.0, 4.0, 2.0)).all()
    odd = trace(np.full(40, 80.0), 3000, 31.97, 4.0, 2.0)  # no sample stands at 4 s
    assert (odd[[128, 128 + 32]] == 80).all()
    odd = trace(np.array([80.0, np.nan, 90.0]), 3000, 31.97, 4.0, 2.0)
    assert odd[[round(4 * 31.97), round(8 * 31.97)]].tolist() == [80, 90]


def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path, sine(60))
    with pytest.raises(UserError, match="no whole numbers of samples at 64 Hz; say resampling recording"):
        Made(root=tmp_path, resampling="window").changed(windows={"length": 201}).load()
    with pytest.raises(UserError, match=r"band: from 0\.5 to 40 Hz is not within 0 and 32 Hz"):
        Made(root=tmp_path, band=(0.5, 40)).load()
    with pytest.raises(UserError, match="band: two rising frequencies"):
        Made(root=tmp_path).changed(band="4,0.5")
    assert Made(root=tmp_path).changed(band="0.7,3.5").band == (0.7, 3.5)
    assert Made(root=tmp_path).changed(band="none").band is None


def test_check_and_describe_know_real_values(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        write(tmp_path, broken(number), bpm=np.linspace(60, 100, 27), name=name)
    report = inspect.check(Made(root=tmp_path, drop=("flat",)))
    assert report["errors"] == []
    assert report["windows"] == 3 * 23
    assert report["subjects"]["a"]["labels"]["heart rate"] == {"values": 52 * 64 + 1, "missing": 8 * 64 - 1}
    assert not [w for w in report["warnings"] if "no window of" in w or "too few" in w]
    assert "12 flat windows, left out" in report["warnings"]
    told = inspect.describe(Made(root=tmp_path))
    assert told["values"] == {"heart rate": {"lowest": 60, "median": 80, "highest": 100, "unit": "bpm"}}
    assert told["tasks"]["heart rate"]["values"] == {"windows": 81, "subjects": {"a": 27, "b": 27, "c": 27}}


def test_acceleration_is_filtered_like_the_pulse(tmp_path: Path) -> None:
    wave = np.stack([sine(60)] * 4, axis=1)
    write(tmp_path, wave)
    for resampling in MODES:
        made = inputs(Made(root=tmp_path, resampling=resampling).load())
        assert made.shape[1:] == (4, 200)
        assert (made == made[:, :1]).all()


def test_a_batch_of_it_holds_real_targets(tmp_path: Path) -> None:
    write(tmp_path, sine(60))
    batch: Batch = Made(root=tmp_path).load().rows(torch.arange(3))
    assert batch.targets["heart rate"].dtype == torch.float32
    assert HEART_RATE.ids(batch.targets["heart rate"]).tolist() == [60, 60, 60]


def test_a_heart_rate_that_nobody_measured_is_missing_and_no_number(tmp_path: Path) -> None:
    write(tmp_path, sine(60))
    activity = Task.of("activity", ("still", "walk"))
    wave = np.ones((1000, 1), np.float32)
    ones = Recording(wave, 25.0, {"activity": np.ones(1000, np.int16)}, "b", "b")
    other = Reading([ones], (activity,), ("ppg",), "", Findings(), 25.0)
    joined = concat([Made(root=tmp_path).load(), windowed(other, Windowing(length=200, stride=50), "other")])
    assert joined.targets["heart rate"].isnan().tolist() == [False] * 27 + [True] * 17
    beside = Reading([ones], (activity, HEART_RATE), ("ppg",), "", Findings(), 25.0)
    assert windowed(beside, Windowing(length=200, stride=50), "beside").targets["heart rate"].isnan().all()
