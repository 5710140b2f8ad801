from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from limbeck.data.wildppg import WildPPG
from limbeck.errors import UserError

RATE = 128.0


def hearts(bpm: float, seconds: float, rate: float = RATE) -> np.ndarray:
    """An ECG of nothing but R waves and some noise."""
    at = np.arange(int(seconds * rate)) / rate
    phase = (at * bpm / 60) % 1
    return np.exp(-0.5 * ((phase - 0.5) * 60 / bpm / 0.012) ** 2) + np.random.default_rng(0).normal(0, 0.02, len(at))


def pulse(bpm: float, seconds: float, rate: float = RATE) -> np.ndarray:
    return np.asarray(5000 + 100 * np.sin(2 * np.pi * bpm / 60 * np.arange(int(seconds * rate)) / rate))


def sensor(values: Any, rate: float = RATE) -> dict[str, Any]:
    return {"fs": rate, "descr": "a sensor", "v": values}


def place(bpm: float, seconds: float, shift: float = 0.0) -> dict[str, Any]:
    axes = {f"acc_{a}": sensor(np.full(int(seconds * RATE), i + 0.5)) for i, a in enumerate("xyz")}
    colours = {f"ppg_{c}": sensor(pulse(bpm, seconds) + shift + i) for i, c in enumerate(("g", "ir", "r"))}
    slow = {"altitude": sensor(np.full(int(seconds / 2), 400.0), 0.5), "temperature": sensor(np.full(4, 30.0), 0.5)}
    return axes | colours | slow


def person(name: str, bpm: float = 90, seconds: float = 60) -> dict[str, Any]:
    """What a participant's file holds."""
    places = {site: place(bpm, seconds, 1000.0 * i) for i, site in enumerate(("head", "ankle", "sternum", "wrist"))}
    places["sternum"]["ecg"] = sensor(hearts(bpm, seconds))
    return {"id": name, "notes": "", **places}


def write(root: Path, name: str, held: dict[str, Any]) -> Path:
    savemat(root / f"WildPPG_Part_{name}.mat", held, do_compression=True)
    return root


def test_windows_are_of_true_25_hz_with_the_rate_of_the_ecg(tmp_path: Path) -> None:
    for name, bpm in (("an0", 90.0), ("e61", 120.0)):
        write(tmp_path, name, person(name, bpm))
    table = WildPPG(root=tmp_path).load()
    assert table.shape("sensor") == (1, 200)
    assert len(table) == 2 * ((60 - 8) // 2 + 1)
    assert table.card["rate"] == 25
    assert table.card["licence"].startswith("CC BY-NC-SA")
    for name, bpm in (("an0", 90.0), ("e61", 120.0)):
        rows = table.take(table.meta["subject"] == name)
        assert np.allclose(rows.targets["heart rate"].numpy(), bpm, atol=0.5)
        window = rows.rows(torch.tensor([10])).inputs["sensor"][0, 0].numpy()
        spectrum = np.abs(np.fft.rfft(window - window.mean(), 4000))
        assert abs(spectrum.argmax() * 25 / 4000 * 60 - bpm) < 1


def test_the_heart_rate_follows_the_hearts_through_the_day(tmp_path: Path) -> None:
    held = person("an0", 70, 120)
    held["sternum"]["ecg"]["v"] = np.concatenate([hearts(70, 60), hearts(110, 60)])
    reading = WildPPG(root=write(tmp_path, "an0", held)).raw()
    trace = reading.recordings[0].labels["heart rate"]
    assert len(trace) == len(reading.recordings[0].signal)
    assert abs(trace[int(30 * RATE)] - 70) < 0.5
    assert abs(trace[int(90 * RATE)] - 110) < 0.5
    assert abs(np.flatnonzero(trace > 90)[0] / RATE - 60) < 0.5


def test_the_site_and_the_colour_choose_the_trace(tmp_path: Path) -> None:
    write(tmp_path, "an0", person("an0"))
    seen = {
        (site, colour): float(WildPPG(root=tmp_path, site=site, colour=colour).raw().recordings[0].signal[0, 0])
        for site in ("wrist", "sternum", "head", "ankle")
        for colour in ("green", "red", "infrared")
    }
    assert seen["head", "green"] == 5000
    assert seen["wrist", "green"] == 8000
    assert seen["ankle", "red"] == 6002
    assert seen["ankle", "infrared"] == 6001
    assert len(set(seen.values())) == 12


def test_acceleration_becomes_channels(tmp_path: Path) -> None:
    reading = WildPPG(root=write(tmp_path, "an0", person("an0")), acceleration=True).raw()
    assert reading.channels == ("ppg", "acc_x", "acc_y", "acc_z")
    assert reading.recordings[0].signal[5].tolist()[1:] == [0.5, 1.5, 2.5]


def test_an_interruption_ends_a_recording_and_is_counted(tmp_path: Path) -> None:
    held = person("an0")
    held["wrist"]["ppg_g"]["v"][int(20 * RATE) : int(25 * RATE)] = np.nan
    spec = WildPPG(root=write(tmp_path, "an0", held))
    reading = spec.read()
    assert [len(r.signal) for r in reading.recordings] == [20 * 128, 35 * 128]
    assert [r.start for r in reading.recordings] == [0, 25]
    assert reading.findings.counts["samples that are not finite"] == 5 * 128
    assert all(np.isfinite(r.signal).all() for r in reading.recordings)
    assert len(spec.load()) == 7 + 14


def test_what_a_participant_lacks_is_counted_and_leaves_only_them_out(tmp_path: Path) -> None:
    write(tmp_path, "an0", person("an0"))
    silent = person("e61")
    silent["sternum"]["ecg"]["v"] = np.zeros(int(60 * RATE))
    write(tmp_path, "e61", silent)
    broken = person("fex")
    del broken["wrist"]["ppg_g"]
    write(tmp_path, "fex", broken)
    bare = person("k2s")
    del bare["sternum"]
    write(tmp_path, "k2s", bare)
    odd = person("l38")
    odd["wrist"]["ppg_g"] = sensor("no numbers")
    write(tmp_path, "l38", odd)
    short = person("another")
    short["wrist"]["ppg_g"]["v"] = short["wrist"]["ppg_g"]["v"][: 40 * 128]
    write(tmp_path, "n31", short)
    table = WildPPG(root=tmp_path).load()
    found = table.card["findings"]
    assert set(table.meta["subject"].tolist()) == {"an0", "n31"}
    assert found["participants left out, for what they lack"] == 3
    assert "fex.mat: wrist.ppg_g" in table.card["findings_first"]["participants left out, for what they lack"]
    assert found["participants with too few beats for any heart rate"] == 1
    assert found["participants whose traces differ in length"] == 1
    assert found["files that name another participant inside"] == 1
    assert table.card["dropped"]["windows without a label"] == 27
    assert (table.meta["subject"] == "n31").sum() == 17


def test_a_wrong_root_and_a_damaged_file_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder; root is the folder"):
        WildPPG(root=tmp_path / "nowhere").load()
    with pytest.raises(UserError, match=r"WildPPG_Part_<id>\.mat"):
        WildPPG(root=tmp_path).load()
    path = write(tmp_path, "an0", person("an0", seconds=10)) / "WildPPG_Part_an0.mat"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 3000] + bytes(3000))
    with pytest.raises(UserError, match=r"^WildPPG_Part_an0\.mat: this MATLAB file is damaged"):
        WildPPG(root=tmp_path).load()
    write(tmp_path, "an1", person("an1", seconds=60))
    card = WildPPG(root=tmp_path).load().card
    assert card["subjects"] == 1
    assert card["findings"]["participants left out, whose files cannot be read"] == 1
    assert "WildPPG_Part_an0.mat" in card["findings_first"]["participants left out, whose files cannot be read"]
