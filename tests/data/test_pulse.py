"""The simulator of pulse waves: what it promises of its truth, and how hard it is."""

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from limbeck.config import parse
from limbeck.data.pulse import EFFORTS, Pulse
from limbeck.errors import UserError
from limbeck.spectral import spectra, track
from limbeck.tasks import Task

SMALL = Pulse(subjects=3, seconds=120)
HEART = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")


def test_it_has_the_shape_the_task_and_the_provenance_that_were_asked_for():
    reading = SMALL.raw()
    assert (reading.tasks, reading.channels, reading.rate) == ((HEART,), ("ppg",), 64.0)
    assert [(r.subject, r.signal.shape, r.signal.dtype.name) for r in reading.recordings] == [
        (subject, (120 * 64, 1), "float32") for subject in ("1", "2", "3")
    ]
    assert SMALL.changed(acceleration=True).raw().channels == ("ppg", "acc_x", "acc_y", "acc_z")
    assert {r.signal.shape[1] for r in SMALL.changed(acceleration=True).raw().recordings} == {4}
    table = SMALL.load()
    assert table.shape("sensor") == (1, 200)
    assert len(table) == 3 * ((120 - 8) // 2 + 1), "the first window and the last one have a label as well"
    assert set(table.meta["activity"]) == set(EFFORTS)
    assert set(table.meta["signal"]) == {"good"}


def test_a_windows_label_is_the_number_of_beats_in_it():
    for acceleration in (False, True):
        table = SMALL.changed(acceleration=acceleration).load()
        truth = {made.subject: made for made in SMALL.simulate()}
        for row in range(0, len(table), 7):
            made = truth[table.meta["subject"][row]]
            first = round(float(table.meta["start"][row]) * 64)
            ends = np.interp([first, first + 8 * 64], np.arange(len(made.beats)), made.beats)
            assert table.targets["heart rate"][row].item() == pytest.approx((ends[1] - ends[0]) * 7.5, abs=0.3)


def test_a_pulse_rises_at_each_beat_and_has_a_notch():
    for made in SMALL.changed(motion=0.0, noise=0.0, rate=100.0).simulate():
        assert np.abs(made.wave - made.clean - 50).max() < 1e-4
        quick = made.clean - np.convolve(np.pad(made.clean, 100, mode="edge"), np.hanning(201) / 100, mode="valid")
        tops, _ = find_peaks(quick, distance=20, prominence=0.8)
        assert len(tops) == pytest.approx(made.beats[-1], abs=3)
        assert np.diff(made.beats[tops]) == pytest.approx(1.0, abs=0.2), "one top a beat"
    resting = made.clean[(made.activity == 0) & (made.bpm < 80)]
    again, _ = find_peaks(resting, prominence=0.01)
    assert len(again) > 0
    beats = made.beats[(made.activity == 0) & (made.bpm < 80)]
    assert len(again) > 1.5 * (beats[-1] - beats[0]) * 0.9, "a second wave follows the first"


def test_the_heart_follows_effort_slowly_and_breath_quickly():
    for made in Pulse(subjects=4, seconds=600).simulate():
        means = [made.bpm[made.activity == effort].mean() for effort in range(3)]
        assert 40 < means[0] < means[1] < means[2] < 200
        by_second = made.bpm.reshape(-1, 64).mean(axis=1)
        assert np.abs(np.diff(by_second)).max() < 15
        assert (np.diff(made.beats) > 0).all()
        assert np.allclose(np.diff(made.beats) * 64 * 60, made.bpm[:-1])


def test_motion_is_in_the_wave_and_in_the_acceleration_at_one_cadence():
    shares = []
    for made in SMALL.changed(subjects=6, seconds=300.0, noise=0.0).simulate():
        shaken = made.wave - made.clean - 50
        frequency = np.fft.rfftfreq(4096, 1 / 64)
        for start in range(0, len(shaken) - 512, 512):
            part = slice(start, start + 512)
            if made.activity[part].min() != made.activity[part].max() or made.activity[start] == 0 or start < 512:
                continue
            step = made.cadence[part].mean() / 2
            for signal in (shaken, made.acceleration[:, made.acceleration[part].std(axis=0).argmax()]):
                power = np.abs(np.fft.rfft((signal[part] - signal[part].mean()) * np.hanning(512), 4096)) ** 2
                near = np.min([np.abs(frequency - k * step) for k in range(1, 9)], axis=0) < 0.2
                assert near.mean() < 0.2
                shares.append(power[near].sum() / power.sum())
    assert len(shares) > 100
    assert np.median(shares[::2]) > 0.6, "of the wave"
    assert np.median(shares[1::2]) > 0.8, "of the acceleration"
    still = next(iter(SMALL.changed(motion=0.0).simulate()))
    assert (still.wave - still.clean - 50).std() == pytest.approx(0.1, rel=0.05)


def test_at_rest_only_gravity_is_felt():
    for made in SMALL.simulate():
        rest = made.acceleration[: np.flatnonzero(made.activity)[0] - 64]
        assert np.linalg.norm(rest, axis=1).mean() == pytest.approx(9.81, abs=0.1)


def test_in_some_bouts_steps_come_at_the_pace_of_the_heart():
    near = []
    for made in Pulse(subjects=12).simulate():
        bouts = np.flatnonzero(np.diff(made.activity)) + 1
        for part in np.split(np.arange(len(made.activity)), bouts):
            if made.activity[part[0]]:
                ratio = made.cadence[part].mean() / (made.bpm[part].mean() / 60)
                near.append(min(abs(ratio - 1), abs(ratio - 2)) < 0.1)
    assert 0.2 < np.mean(near) < 0.8


def test_the_same_seed_gives_the_same_bits_and_a_subject_is_the_same_among_others():
    more = {made.subject: made for made in SMALL.changed(subjects=5, acceleration=True).simulate()}
    for made in SMALL.simulate():
        assert np.array_equal(made.wave, more[made.subject].wave)
        assert np.array_equal(made.bpm, more[made.subject].bpm)
    other = next(iter(SMALL.changed(seed=1).simulate()))
    assert np.abs(other.bpm - more["1"].bpm).mean() > 1
    assert len({round(float(made.bpm[:64].mean()), 3) for made in more.values()}) == 5, "people differ"


def test_strength_of_motion_and_noise_change_the_wave_and_not_the_heart():
    one, two = (next(iter(SMALL.changed(motion=m, noise=n).simulate())) for m, n in ((1.0, 0.1), (2.0, 0.0)))
    assert np.array_equal(one.bpm, two.bpm)
    assert np.array_equal(one.clean, two.clean)
    assert not np.allclose(one.wave, two.wave)


def test_the_asked_share_of_labels_is_missing():
    reading = Pulse(subjects=30, seconds=200, missing=0.3, rate=16.0).raw()
    known = [r.labels["heart rate"][64:-64] for r in reading.recordings]
    assert np.isnan(np.concatenate(known)).mean() == pytest.approx(0.3, abs=0.05)
    assert len(Pulse(subjects=3, seconds=120, missing=0.3).load()) < len(SMALL.load())


def test_a_tracker_reads_it_well_at_rest_and_badly_under_motion():
    errors = {}
    for motion in (0.0, 1.0):
        table = Pulse(motion=motion).load()
        truth, activity = table.targets["heart rate"], table.meta["activity"]
        for how in (spectra, track):
            apart = (how(table, HEART).argmax(dim=1) + 30 - truth).abs()
            errors[how.__name__, motion] = {a: apart[torch.from_numpy(activity == a)].mean().item() for a in EFFORTS}
    assert max(errors["track", 0.0].values()) < 1
    assert errors["track", 1.0]["rest"] < 2
    assert 8 < errors["track", 1.0]["run"] < 45
    assert sum(errors["track", 1.0].values()) < sum(errors["spectra", 1.0].values())


@pytest.mark.parametrize("values", [{"rate": 25.0}, {"rate": 128.0, "seconds": 10.0, "subjects": 1}, {"rate": 16.0}])
def test_any_rate_and_length_will_do(values):
    table = Pulse(**{"subjects": 2, "seconds": 30.0, **values}).load()
    assert table.shape("sensor") == (1, 200)
    assert table.rows(torch.arange(len(table))).inputs["sensor"].isfinite().all()
    assert table.card["rate"] == 25.0


@pytest.mark.parametrize(
    ("values", "said"), [({"missing": "1"}, "less than 1"), ({"rate": "8"}, "16"), ({"motoin": "1"}, "motion")]
)
def test_what_it_cannot_simulate_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        parse(Pulse, values)
