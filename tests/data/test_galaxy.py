from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from limbeck.data.galaxy import GalaxyPPG
from limbeck.errors import UserError

BEGIN = 1710826380494.0
"""ms since 1970 of the watch."""
ZONE = 32_400_000.0
BPM = 90.0
SESSIONS = (("adaptation", 0, 40), ("baseline", 45, 85), ("tsst-prep", 105, 150))
"""Sessions in seconds; the step between the first two is shorter than a window."""


def wave(seconds: np.ndarray) -> np.ndarray:
    return 100 * np.sin(2 * np.pi * BPM / 60 * seconds)


def write(root: Path, name: str, seconds: float = 170.0, rate: float = 25.0, bpm: float = BPM) -> Path:
    """A participant's folder; recordings begin 10 s before the first session."""
    folder = root / name
    for device in ("GalaxyWatch", "E4", "PolarH10"):
        (folder / device).mkdir(parents=True)
    at = np.round(-10 + np.arange(int(seconds * rate)) / rate, 3)
    stamps = (BEGIN + at * 1e3).astype(np.int64)
    ppg = {"dataReceived": BEGIN, "timestamp": stamps, "ppg": 1.9e6 - wave(at), "status": 0}
    pd.DataFrame(ppg).to_csv(folder / "GalaxyWatch" / "PPG.csv", index=False)
    acc = {"dataReceived": BEGIN, "timestamp": stamps + 7, "x": 1.4, "y": 9.7, "z": at}
    pd.DataFrame(acc).to_csv(folder / "GalaxyWatch" / "ACC.csv", index=False)
    fast = -10 + np.arange(int(seconds * 64)) / 64
    bvp = {"value": wave(fast), "timestamp": ((BEGIN + fast * 1e3) * 1e3).astype(np.int64)}
    pd.DataFrame(bvp).to_csv(folder / "E4" / "BVP.csv", index=False)
    slow = np.arange(-10, seconds - 10) + 0.3
    polar = {
        "phoneTimestamp": (BEGIN + ZONE + slow * 1e3).astype(np.int64),
        "hr": np.round(bpm + slow / 10),
        "hrv": 800,
    }
    pd.DataFrame(polar).to_csv(folder / "PolarH10" / "HR.csv", index=False)
    rows = [(BEGIN + t * 1e3, n, s) for n, a, b in SESSIONS for t, s in ((a, "ENTER"), (b, "EXIT"))]
    pd.DataFrame(rows, columns=["timestamp", "session", "status"]).to_csv(folder / "Event.csv", index=False)
    return root


def test_only_sessions_and_transitions_become_windows(tmp_path: Path) -> None:
    table = GalaxyPPG(root=write(tmp_path, "P02")).load()
    names = dict.fromkeys(table.meta["session"].tolist())
    assert list(names) == ["P02 adaptation", "P02 baseline", "P02 baseline to tsst-prep", "P02 tsst-prep"]
    counts = {n: int((table.meta["session"] == n).sum()) for n in names}
    assert list(counts.values()) == [17, 17, 7, 19], "of 40, 40, 20 and 45 s"
    assert set(table.meta["activity"].tolist()) == {"adaptation", "baseline", "transition", "tsst-prep"}
    assert set(table.meta["activity"][table.meta["session"] == "P02 baseline to tsst-prep"].tolist()) == {"transition"}
    assert set(table.meta["subject"].tolist()) == {"P02"}
    first = table.meta["start"][table.meta["session"] == "P02 baseline"]
    assert np.allclose(first, 2 * np.arange(17), atol=0.05)


def test_the_polar_s_clock_is_nine_hours_ahead_and_its_rates_are_averaged(tmp_path: Path) -> None:
    table = GalaxyPPG(root=write(tmp_path, "P02")).load()
    begins = {f"P02 {n}": a for n, a, _ in SESSIONS} | {"P02 baseline to tsst-prep": 85}
    for session, start, heart in zip(
        table.meta["session"], table.meta["start"], table.targets["heart rate"].tolist(), strict=True
    ):
        assert abs(heart - (BPM + (begins[str(session)] + start + 4) / 10)) < 0.5


def test_the_watch_s_wave_is_turned_over_at_its_native_25_hz(tmp_path: Path) -> None:
    reading = GalaxyPPG(root=write(tmp_path, "P02")).raw()
    first = reading.recordings[0]
    assert first.rate == 25
    assert reading.rate == 25
    at = first.start + np.arange(len(first.signal)) / 25
    assert np.abs(first.signal[:, 0] + 1.9e6 - wave(at)).max() < 2
    table = GalaxyPPG(root=tmp_path).load()
    assert "recordings resampled" not in table.card["findings"]
    window = table.rows(torch.tensor([20])).inputs["sensor"][0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(window - window.mean(), 4000))
    assert window.shape == (200,)
    assert abs(spectrum.argmax() * 25 / 4000 * 60 - BPM) < 1


def test_the_e4_s_wave_has_times_in_microseconds_and_its_own_sign(tmp_path: Path) -> None:
    spec = GalaxyPPG(root=write(tmp_path, "P02"), device="e4")
    reading = spec.raw()
    first = reading.recordings[0]
    assert first.rate == 64 == reading.rate
    at = first.start + np.arange(len(first.signal)) / 64
    assert np.abs(first.signal[:, 0] - wave(at)).max() < 2
    table = spec.load()
    assert len(table) == 17 + 17 + 7 + 19
    assert [p.name for p in spec.files()] == ["BVP.csv", "HR.csv", "Event.csv"]


def test_acceleration_is_read_at_the_times_of_the_pulse_wave(tmp_path: Path) -> None:
    reading = GalaxyPPG(root=write(tmp_path, "P02"), acceleration=True).raw()
    assert reading.channels == ("ppg", "acc_x", "acc_y", "acc_z")
    first = reading.recordings[0]
    at = first.start + np.arange(len(first.signal)) / 25
    assert np.allclose(first.signal[:, 1:3], [1.4, 9.7])
    assert np.abs(first.signal[:, 3] - at + 0.007).max() < 0.01


def test_a_participant_without_a_file_is_left_out_and_counted(tmp_path: Path) -> None:
    for name in ("P10", "P02", "P03"):
        write(tmp_path / "Dataset", name)
    (tmp_path / "Dataset" / "P03" / "PolarH10" / "HR.csv").unlink()
    (tmp_path / "Dataset" / "P10" / "Event.csv").rename(tmp_path / "Dataset" / "P10" / "event.csv")
    spec = GalaxyPPG(root=tmp_path)
    table = spec.load()
    assert list(dict.fromkeys(table.meta["subject"].tolist())) == ["P02", "P10"]
    assert table.card["findings"]["participants left out, for a file they lack"] == 1
    assert "HR.csv" in table.card["findings_first"]["participants left out, for a file they lack"]
    assert len(spec.files()) == 3 + 2 + 3


def test_gaps_bad_samples_and_a_silent_polar_are_counted_and_cost_their_windows(tmp_path: Path) -> None:
    write(tmp_path, "P02")
    path = tmp_path / "P02" / "GalaxyWatch" / "PPG.csv"
    ppg = pd.read_csv(path)
    seconds = (ppg["timestamp"] - BEGIN) / 1e3
    ppg.loc[(seconds > 50) & (seconds < 50.2), "status"] = -999
    ppg.loc[ppg.index[(seconds > 60) & (seconds < 60.1)], "ppg"] = np.nan
    ppg[~((seconds > 110) & (seconds < 130))].to_csv(path, index=False)
    path = tmp_path / "P02" / "PolarH10" / "HR.csv"
    polar = pd.read_csv(path)
    polar.assign(hr=polar["hr"].where(np.arange(len(polar)) > 30, 0)).to_csv(path, index=False)
    table = GalaxyPPG(root=tmp_path).load()
    found = table.card["findings"]
    assert found["samples of a bad status"] == 4
    assert found["broken lines"] == 2
    assert found["gap"] == 1
    assert found["hole bridged by straight lines"] == 2
    assert found["heart rates of 0"] == 31
    counts = {n: int((table.meta["session"] == n).sum()) for n in dict.fromkeys(table.meta["session"].tolist())}
    assert counts["P02 baseline"] == 17
    assert counts["P02 tsst-prep"] == 7, "of the 20 s after the gap; before it are 5 s"
    assert counts["P02 adaptation"] == 8, "windows from 18 s on hold four heart rates"
    assert table.meta["start"][table.meta["session"] == "P02 tsst-prep"][0] == pytest.approx(25, abs=0.05)


def test_times_that_say_another_rate_are_believed(tmp_path: Path) -> None:
    table = GalaxyPPG(root=write(tmp_path, "P02", rate=50.0)).load()
    assert len(table) == 17 + 17 + 7 + 19
    assert table.card["rates"] == {"50 Hz": 5}, "the short transition too"
    assert table.card["findings"]["recordings resampled"] == 5
    window = table.rows(torch.tensor([20])).inputs["sensor"][0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(window - window.mean(), 4000))
    assert abs(spectrum.argmax() * 25 / 4000 * 60 - BPM) < 1


def test_heart_rates_out_of_range_are_clamped_and_counted(tmp_path: Path) -> None:
    table = GalaxyPPG(root=write(tmp_path, "P02", bpm=225)).load()
    assert table.targets["heart rate"].max() == 210
    assert any("clamped" in what for what in table.card["findings"])


def test_odd_events_are_counted_and_make_no_windows_twice(tmp_path: Path) -> None:
    write(tmp_path, "P02")
    rows = [(0, "a", "ENTER"), (5, "a", "ENTER"), (30, "a", "exit"), (40, "a", "ENTER"), (60, "a", "EXIT")]
    rows += [(70, "b", "ENTER"), (400, "c", "ENTER"), (420, "c", "EXIT")]
    frame = pd.DataFrame([(BEGIN + t * 1e3, n, s) for t, n, s in rows], columns=["timestamp", "session", "status"])
    frame = pd.concat([frame, pd.DataFrame([("soon", "d", "ENTER")], columns=frame.columns)])
    frame.iloc[::-1].to_csv(tmp_path / "P02" / "Event.csv", index=False)
    table = GalaxyPPG(root=tmp_path).load()
    assert list(dict.fromkeys(table.meta["session"].tolist())) == ["P02 a 2", "P02 a to a", "P02 a 3", "P02 a to b"]
    found = table.card["findings"]
    assert found["sessions without an end"] == 2
    assert found["sessions without PPG"] == 1
    assert found["broken lines"] == 1


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder; root holds the folders P<k>"):
        GalaxyPPG(root=tmp_path / "nowhere").load()
    with pytest.raises(UserError, match=r"no such data here; root holds the folders P<k>"):
        GalaxyPPG(root=tmp_path).load()
    path = write(tmp_path, "P02") / "P02" / "PolarH10" / "HR.csv"
    pd.read_csv(path).rename(columns={"hr": "bpm"}).to_csv(path, index=False)
    with pytest.raises(UserError, match=r"HR\.csv: no column hr; it has phoneTimestamp, bpm, hrv"):
        GalaxyPPG(root=tmp_path).load()
    path.write_text("")
    with pytest.raises(UserError, match=r"HR\.csv: cannot be read: No columns"):
        GalaxyPPG(root=tmp_path).load()


def test_the_card_says_that_the_watchs_wave_was_turned_over_and_the_e4s_was_not(tmp_path: Path) -> None:
    write(tmp_path, "P02")
    assert [GalaxyPPG(root=tmp_path, device=d).load().card["turned"] for d in ("galaxy", "e4")] == [True, False]
