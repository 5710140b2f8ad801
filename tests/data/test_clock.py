import numpy as np
import pytest

from limbeck.data.clock import nominal, stretches, unit_of
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


def cut(seconds, signal=None, rate=None, gap=5.0):
    seconds = np.asarray(seconds, float)
    signal = np.arange(len(seconds), dtype=np.float32)[:, None] if signal is None else signal
    findings = Findings()
    lines = np.arange(len(seconds)) + 2
    return stretches(seconds, signal, lines, rate, gap, "a.csv", findings), findings


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns")])
@pytest.mark.parametrize("rate", [4, 20, 99.7, 500])
def test_the_unit_of_times_is_told_from_their_step_whatever_their_origin(factor, unit, rate):
    times = np.arange(200) / rate * factor
    assert unit_of(times, "a.csv") == unit
    assert unit_of(times + 1.7e9 * factor, "a.csv") == unit


def test_times_that_count_by_one_are_refused():
    with pytest.raises(UserError, match=r"a\.csv: times go up by 1.*--data\.time_unit"):
        unit_of(np.arange(10.0), "a.csv")


def test_even_times_leave_the_signal_as_it_is():
    (made,), findings = cut(1.7e9 + np.arange(100) / 50)
    assert made.rate == 50
    assert made.start == 1.7e9
    assert np.array_equal(made.signal[:, 0], np.arange(100))
    assert findings.counts == {}


def test_a_measured_rate_is_rounded_and_times_are_put_on_its_grid():
    seconds = np.arange(2000) / 19.86
    (made,), findings = cut(seconds, (3 * seconds + 1)[:, None])
    assert made.rate == 20
    assert np.allclose(made.signal[:, 0], 3 * np.arange(len(made.signal)) / 20 + 1, atol=1e-4)
    assert len(made.signal) == int(seconds[-1] * 20) + 1
    assert findings.counts == {"stretch of uneven times, put on an even clock": 1}


def test_rows_of_an_uneven_stretch_are_the_nearest_in_time():
    seconds = np.array([0, 0.1, 0.2, 0.3, 0.8, 0.9, 1.0])
    (made,), findings = cut(seconds, gap=5.5)
    assert made.rows.tolist() == [0, 1, 2, 3, 3, 3, 4, 4, 4, 5, 6]
    assert findings.counts["hole bridged by straight lines"] == 1


def test_a_gap_ends_a_stretch_and_a_hole_does_not():
    keep = np.ones(300, bool)
    keep[100:103] = False
    keep[200:206] = False
    seconds = (np.arange(300) / 50)[keep]
    made, findings = cut(seconds, np.flatnonzero(keep)[:, None].astype(np.float32))
    assert [len(m.signal) for m in made] == [200, 94]
    assert np.allclose(made[0].signal[:, 0], np.arange(200))
    assert made[1].start == pytest.approx(206 / 50)
    assert findings.counts["gap"] == 1
    assert findings.counts["hole bridged by straight lines"] == 1
    assert findings.first["gap"] == "a.csv:199"


def test_repeated_and_late_times_are_dropped_and_counted():
    seconds = [0, 0.02, 0.04, 0.04, 0.06, 0.08, 0.05, 0.1, 0.12]
    (made,), findings = cut(seconds)
    assert made.signal[:, 0].tolist() == [0, 1, 2, 4, 5, 7, 8]
    assert findings.counts == {"repeated time": 1, "time before that of an earlier sample": 1}


def test_a_clock_set_back_starts_anew_and_loses_nothing():
    seconds = np.concatenate([3600 + np.arange(100) / 50, np.arange(100) / 50])
    made, findings = cut(seconds)
    assert [(len(m.signal), m.start) for m in made] == [(100, 3600.0), (100, 0.0)]
    assert findings.counts == {"step back in time": 1}


def test_values_that_are_not_finite_are_bridged_or_end_a_stretch():
    signal = np.arange(100, dtype=np.float32)[:, None].repeat(2, axis=1)
    signal[10, 0], signal[40:60, 1] = np.nan, np.inf
    made, findings = cut(np.arange(100) / 50, signal)
    assert [len(m.signal) for m in made] == [40, 40]
    assert np.allclose(made[0].signal[:, 0], np.arange(40))
    assert findings.counts["line with a missing or infinite value"] == 21


def test_one_sample_makes_no_stretch():
    made, findings = cut([1.0])
    assert made == []
    assert findings.counts == {"recording of fewer than two samples": 1}


def test_devices_that_share_a_clock_are_refused():
    with pytest.raises(UserError, match=r"50% of the times are the same.*--data\.session"):
        cut(np.repeat(np.arange(100) / 50, 2))


def test_a_rate_that_contradicts_the_times_is_refused():
    with pytest.raises(UserError, match="a rate of 50 Hz was given, but its samples come at 100 Hz"):
        cut(np.arange(100) / 100, rate=50)


def test_rates_are_rounded_to_what_they_stand_for():
    assert [nominal(r) for r in (19.86, 99.97, 32.6, 4.02, 1.0)] == [20, 100, 33, 4.0, 1.0]
