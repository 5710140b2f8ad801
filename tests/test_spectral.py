"""The tracker of spectral peaks: sines whose rate is known, what motion does, and sessions."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.concat import concat
from limbeck.data.source import Dense, Table
from limbeck.data.split import Split
from limbeck.spectral import PAUSE, peaks, spectra, track
from limbeck.tasks import Task

HEART = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")
REAL = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ieee_spc2015"


def table(
    waves: np.ndarray,
    session: list[str] | None = None,
    start: np.ndarray | None = None,
    rate: float = 25.0,
    stride: int = 50,
) -> Table:
    """Windows `(N, M, L)`, one session at every 2 s unless told otherwise."""
    count, channels = waves.shape[:2]
    names = ["ppg", "acc_x", "acc_y", "acc_z"][:channels]
    meta = {
        "subject": np.full(count, "a"),
        "session": np.array(session or ["a"] * count),
        "start": np.arange(count) * stride / rate if start is None else start,
    }
    card = {"name": "drawn", "rate": rate, "window": waves.shape[2], "stride": stride, "channels": names}
    targets = {HEART.name: torch.full((count,), float("nan"))}
    return Table((HEART,), {"sensor": Dense(torch.from_numpy(waves).float())}, targets, meta, card)


def sines(bpm: np.ndarray, phase: float = 0.3, rate: float = 25.0, length: int = 200) -> np.ndarray:
    return np.sin(2 * np.pi * bpm[:, None] / 60 * np.arange(length) / rate + phase)[:, None]


def values(answer: torch.Tensor) -> np.ndarray:
    return HEART.centres()[answer.argmax(dim=1)].numpy()


def test_the_peak_of_a_sine_is_its_rate() -> None:
    bpm = np.arange(42.0, 209.0)
    assert np.abs(values(spectra(table(5e3 * sines(bpm) + 77), HEART)) - bpm).max() <= 1
    padded = np.abs(np.fft.rfft(sines(bpm)[:, 0] - sines(bpm)[:, 0].mean(1, keepdims=True), 60_000)) ** 2
    at = np.rint((HEART.centres().numpy() / 60) * 60_000 / 25).astype(int)
    share = padded[:, at] / padded[:, at].max(axis=1, keepdims=True)
    assert np.allclose(spectra(table(sines(bpm)), HEART).numpy(), np.log(share + 0.01), atol=0.02)


def test_rate_and_length_are_those_of_the_card() -> None:
    bpm = np.linspace(60, 180, 20)
    drawn = table(sines(bpm, rate=64.0, length=512), rate=64.0, stride=128)
    assert np.abs(values(spectra(drawn, HEART)) - bpm).max() <= 1
    assert (
        np.abs(
            values(track(table(sines(np.full(30, 90.0), rate=64.0, length=512), rate=64.0, stride=128), HEART)) - 90
        ).max()
        <= 1
    )


def test_a_stretch_of_stronger_motion_is_passed_by_the_track_and_not_by_single_windows() -> None:
    bpm = 90 + 10 * np.sin(np.arange(60) / 10)
    waves = sines(bpm)
    disturbed = slice(25, 33)
    waves[disturbed] += 1.5 * sines(np.full(8, 170.0))
    drawn = table(waves)
    assert np.abs(values(spectra(drawn, HEART))[disturbed] - bpm[disturbed]).min() > 50
    assert np.abs(values(track(drawn, HEART)) - bpm).max() < 8


def test_what_the_accelerometer_feels_is_taken_away() -> None:
    random = np.random.default_rng(0)
    bpm, step = 80 + np.arange(40) / 4, np.full(40, 130.0)
    motion = np.concatenate([sines(step, phase) for phase in (0.0, 1.0, 2.5)], axis=1)
    motion = 3 * motion + 0.1 * random.normal(size=motion.shape)
    waves = sines(bpm) + 2 * np.roll(sines(step), 2, axis=2) + 0.1 * random.normal(size=(40, 1, 200))
    assert np.abs(values(track(table(waves), HEART)) - 130).max() < 3, "the pulse wave alone misleads"
    assert np.abs(values(track(table(np.concatenate([waves, motion], axis=1)), HEART)) - bpm).max() < 3
    still = np.concatenate([sines(bpm), np.full((40, 3, 200), 9.81)], axis=1)
    assert np.abs(values(track(table(still), HEART)) - bpm).max() < 3


def test_an_answer_is_a_distribution_and_a_flat_window_has_no_say() -> None:
    waves = sines(np.full(20, 75.0))
    waves[10:13] = 4.2
    answer = track(table(waves), HEART)
    assert answer.dtype == torch.float32
    assert torch.allclose(answer.exp().sum(dim=1), torch.ones(20), atol=1e-4)
    assert answer.isfinite().all()
    assert (values(answer) == 75).all()
    entropy = -(answer.exp() * answer).sum(dim=1)
    assert entropy[11] > entropy[5]
    alone = track(table(np.zeros((3, 4, 200))), HEART)
    assert (alone.amax(dim=1) - alone.amin(dim=1)).max() < 1


def test_sessions_do_not_touch_and_the_order_of_rows_does_not_matter() -> None:
    random = np.random.default_rng(0)
    bpm = np.concatenate([np.full(15, 70.0), np.full(25, 150.0)])
    waves = sines(bpm) + random.normal(size=(40, 1, 200))
    session, start = ["a"] * 15 + ["b"] * 25, np.concatenate([np.arange(15), np.arange(25)]) * 2.0
    whole = track(table(waves, session, start), HEART)
    for part in (slice(0, 15), slice(15, 40)):
        assert torch.allclose(track(table(waves[part], session[part], start[part]), HEART), whole[part], atol=1e-5)
    order = random.permutation(40)
    shuffled = track(table(waves[order], [session[i] for i in order], start[order]), HEART)
    assert torch.allclose(shuffled, whole[torch.from_numpy(order)], atol=1e-5)


def test_missing_windows_leave_time_and_a_long_pause_begins_anew() -> None:
    flat = np.where(np.arange(20)[:, None, None] < 10, sines(np.full(20, 70.0)), 0.0)
    near, entropy = np.arange(20) * 2.0, []
    for gap in (0.0, 10.0, 30.0):
        start = near + gap * (np.arange(20) >= 10)
        answer = track(table(flat, start=start), HEART)
        entropy.append(float(-(answer[10].exp() * answer[10]).sum()))
    assert entropy[0] < entropy[1] < entropy[2], "the longer unheard the less is known"
    anew = track(table(flat, start=near + (PAUSE + 1) * (near >= 20)), HEART)
    assert (anew[10].exp() - 1 / 180).abs().max() < 0.005


def test_each_part_of_a_split_has_its_answers_and_no_label_is_read() -> None:
    parts = [table(sines(np.full(n, bpm)), ["a"] * n) for n, bpm in ((12, 60.0), (5, 80.0), (7, 100.0))]
    split = Split(*parts, leaky=False, audit={})
    for tracked in (True, False):
        answers = peaks(split, HEART, tracked)
        assert all(torch.allclose(a.exp().sum(dim=1), torch.ones(len(a)), atol=1e-4) for a in answers.values())
        assert {name: tuple(a.shape) for name, a in answers.items()} == {
            "train": (12, 180),
            "valid": (5, 180),
            "test": (7, 180),
        }
        assert [values(a).mean() for a in answers.values()] == pytest.approx([60, 80, 100], abs=0.6)
    empty = parts[0].take(torch.arange(0))
    assert track(empty, HEART).shape == (0, 180)
    both = concat([parts[0], parts[1]])
    assert track(both, HEART).shape == (17, 180)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no IEEE Signal Processing Cup 2015 in {REAL}")
def test_on_real_recordings_it_does_what_the_paper_page_says() -> None:
    from limbeck.data.spc import IEEESPC

    found = {}
    for acceleration in (False, True):
        real = IEEESPC(root=REAL, part="training", acceleration=acceleration).load()
        for how in (spectra, track):
            apart = np.abs(values(how(real, HEART)) - real.targets[HEART.name].numpy())
            by_session = [apart[real.meta["session"] == s].mean() for s in sorted(set(real.meta["session"]))]
            found[how.__name__, acceleration] = float(np.mean(by_session))
    assert len(by_session) == 12
    assert found["spectra", False] == pytest.approx(14.0, abs=1.5)
    assert found["track", False] == pytest.approx(6.3, abs=1.5)
    assert found["track", True] == pytest.approx(0.9, abs=0.3)
