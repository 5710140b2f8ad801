import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from limbeck.data import inspect
from limbeck.data.recordings import Reading
from limbeck.data.spc import IEEESPC
from limbeck.errors import UserError

DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "ieee_spc2015"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no IEEE SPC 2015 data at {DATA}")


def windows(samples: int) -> int:
    return int((samples / 125 - 8) // 2) + 1


def signal(samples: int, rows: int, seed: int) -> np.ndarray:
    """ECG, two pulse waves of 1.5 Hz (the second is twice the first, and later), three accelerations."""
    t, draw = np.arange(samples) / 125, np.random.default_rng(seed)
    made = draw.normal(size=(6, samples)) * 0.1
    made[0] += 1000  # an ECG that nothing must read
    made[1] += 10 * np.sin(2 * np.pi * 1.5 * t)
    made[2] += 20 * np.sin(2 * np.pi * 1.5 * t - 1)
    made[3:] += 0.2 * np.sin(2 * np.pi * 2.5 * t)
    return made[6 - rows :]


def write(root: Path, data: str, trace: str, rows: int, samples: int = 30 * 125, bpm: np.ndarray | None = None) -> None:
    """A recording and its BPM trace (`folder/stem` each) as the organisers gave them."""
    known = np.linspace(80, 100, windows(samples)) if bpm is None else bpm
    for path in (root / f"{data}.mat", root / f"{trace}.mat"):
        path.parent.mkdir(parents=True, exist_ok=True)
    savemat(root / f"{data}.mat", {"sig": signal(samples, rows, len(data) + samples)})
    if trace != data:
        savemat(root / f"{trace}.mat", {"BPM0": known[:, None]})


def dataset(root: Path) -> Path:
    """The official layout with some of its people, all ways of naming a BPM trace, and files that are not read."""
    write(root, "Training_data/DATA_01_TYPE01", "Training_data/DATA_01_TYPE01_BPMtrace", 6)
    write(root, "Training_data/DATA_02_TYPE02", "Training_data/REF_02_TYPE02", 6, 31 * 125 + 77)
    write(root, "TestData/TEST_S01_T01", "TrueBPM/True_S01_T01", 5)
    write(root, "TestData/TEST_S04_T02", "TrueBPM/True_S04_T02", 5, 40 * 125)
    write(root, "Extra_TrainingData/DATA_S04_T01", "Extra_TrainingData/BPM_S04_T01", 6, 36 * 125)
    (root / "Training_data" / "Readme.pdf").write_bytes(b"not read")
    return root


def counts(reading: Reading) -> dict[str, int]:
    return reading.findings.counts


def test_all_recordings_are_read_whatever_their_bpm_traces_are_called(tmp_path: Path) -> None:
    table = IEEESPC(root=dataset(tmp_path)).load()
    assert {(str(a), str(b)) for a, b in zip(table.meta["subject"], table.meta["session"], strict=True)} == {
        ("train 01", "DATA_01_TYPE01"),
        ("train 02", "DATA_02_TYPE02"),
        ("test 1", "TEST_S01_T01"),
        ("test 4", "TEST_S04_T02"),
        ("test 4", "DATA_S04_T01"),
    }
    assert len(table) == 12 + 12 + 12 + 17 + 15
    assert table.shape("sensor") == (1, 200)
    assert table.card["channels"] == ["ppg"]
    assert table.card["findings"] == {"recordings resampled": 5}
    first = table.targets["heart rate"][table.meta["session"] == "DATA_01_TYPE01"]
    assert first.numpy() == pytest.approx(np.linspace(80, 100, 12))


def test_a_zip_of_it_gives_the_same(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "one")
    with zipfile.ZipFile(tmp_path / "spc.zip", "w") as out:
        for path in sorted(inner.rglob("*.*")):
            out.write(path, path.relative_to(tmp_path))
    one, two = IEEESPC(root=inner).load(), IEEESPC(root=tmp_path / "spc.zip").load()
    assert torch.equal(one.rows(one.ids).inputs["sensor"], two.rows(two.ids).inputs["sensor"])
    assert (one.meta["session"] == two.meta["session"]).all()
    assert IEEESPC(root=tmp_path / "spc.zip").files() == [tmp_path / "spc.zip"]


def test_the_sensor_asked_for_is_read_and_never_the_ecg(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    waves = {}
    for which in ("first", "second", "mean"):
        table = IEEESPC(root=root).changed(ppg=which).load()
        for session in ("DATA_01_TYPE01", "TEST_S01_T01"):  # with and without an ECG
            at = torch.from_numpy(np.flatnonzero(table.meta["session"] == session))
            waves[which, session] = table.rows(at).inputs["sensor"].numpy()[5, 0]
    for session in ("DATA_01_TYPE01", "TEST_S01_T01"):
        one, two, mean = (waves[which, session] for which in ("first", "second", "mean"))
        assert one.std() * 2**0.5 == pytest.approx(10, rel=0.05)
        assert two.std() == pytest.approx(2 * one.std(), rel=0.05)
        assert np.abs(mean - (one + two) / 2).max() < 1e-3
    whole = IEEESPC(root=root, acceleration=True).load()
    assert whole.card["channels"] == ["ppg", "acc_x", "acc_y", "acc_z"]
    assert whole.shape("sensor") == (4, 200)
    assert whole.rows(torch.arange(3)).inputs["sensor"][:, 1:].std() * 2**0.5 == pytest.approx(0.2, rel=0.3)


def test_a_mean_of_two_sensors_is_clipped_where_one_of_them_is(tmp_path: Path) -> None:
    write(tmp_path, "DATA_01_TYPE01", "REF_01_TYPE01", 6)
    cut = signal(3750, 6, 0)
    cut[2, 1000:1600] *= 2
    cut[2, 1000:1600] = np.minimum(cut[2, 1000:1600], 32)
    savemat(tmp_path / "DATA_01_TYPE01.mat", {"sig": cut})
    clipped = {
        w: (IEEESPC(root=tmp_path).changed(ppg=w).load().meta["signal"] == "clipped").sum()
        for w in ("first", "second", "mean")
    }
    assert clipped["first"] == 0
    assert clipped["second"] == clipped["mean"] > 3


def test_the_extra_training_recording_of_test_person_4_is_of_the_test_part(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    training, test = (IEEESPC(root=root).changed(part=p) for p in ("training", "test"))
    assert set(training.load().meta["subject"]) == {"train 01", "train 02"}
    assert set(test.load().meta["subject"]) == {"test 1", "test 4"}
    assert len(training.files()) == 4
    assert len(test.files()) == 6
    shutil.rmtree(root / "TestData")
    shutil.rmtree(root / "Extra_TrainingData")
    with pytest.raises(UserError, match="no recording of the part test"):
        test.load()


def test_what_is_wrong_with_a_file_is_a_finding_and_not_a_crash(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    (root / "Training_data" / "REF_02_TYPE02.mat").unlink()
    whole = (root / "TestData" / "TEST_S01_T01.mat").read_bytes()
    (root / "TestData" / "TEST_S01_T01.mat").write_bytes(whole[: len(whole) // 2])
    (root / "TrueBPM" / "True_S04_T02.mat").write_bytes(b"this is no such file")
    savemat(root / "Training_data" / "DATA_03_TYPE02.mat", {"sig": np.zeros((4, 3000))})
    savemat(root / "Training_data" / "REF_03_TYPE02.mat", {"BPM0": np.full(9, 70.0)})
    savemat(root / "Training_data" / "DATA_04_TYPE02.mat", {"other": np.zeros(3)})
    savemat(root / "Training_data" / "REF_04_TYPE02.mat", {"BPM0": np.full(9, 70.0)})
    savemat(root / "TrueBPM" / "True_S07_T02.mat", {"BPM0": np.full(9, 70.0)})
    reading = IEEESPC(root=root).read()
    assert [r.session for r in reading.recordings] == ["DATA_01_TYPE01", "DATA_S04_T01"]
    assert counts(reading) == {
        "recordings without a BPM trace, left out": 1,
        "files that cannot be read, left out": 2,
        "recordings without 5 or 6 channels, left out": 1,
        "files without their variable, left out": 1,
        "BPM traces without a recording": 1,
    }
    for told in reading.findings.first.values():
        assert "\n" not in told
    assert "DATA_02_TYPE02.mat" in reading.findings.first["recordings without a BPM trace, left out"]


def test_nothing_that_can_be_used_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file or folder; root is the folder with Training_data"):
        IEEESPC(root=tmp_path / "nowhere").load()
    with pytest.raises(UserError, match="no such data here"):
        IEEESPC(root=tmp_path).load()
    write(tmp_path, "DATA_01_TYPE01", "DATA_01_TYPE01", 6)
    with pytest.raises(UserError, match="no usable recording in the files: 1 recordings without a BPM trace"):
        IEEESPC(root=tmp_path).load()


def test_windows_beyond_the_bpm_trace_are_left_out_and_a_rate_it_denies_is_said(tmp_path: Path) -> None:
    write(tmp_path, "DATA_01_TYPE01", "REF_01_TYPE01", 6, 60 * 125, np.full(25, 80.0))
    write(tmp_path, "DATA_02_TYPE02", "REF_02_TYPE02", 6, 60 * 125, np.full(40, 90.0))
    write(tmp_path, "DATA_03_TYPE02", "REF_03_TYPE02", 6, 60 * 125, np.array([*[80.0] * 26, 212.0]))
    table = IEEESPC(root=tmp_path).load()
    subjects = table.meta["subject"]
    assert [int((subjects == f"train 0{k}").sum()) for k in (1, 2, 3)] == [25, 27, 27]
    assert table.targets["heart rate"].max() == 210
    found = table.card["findings"]
    assert found["recordings with another number of heart rates than windows"] == 2
    assert found["rate other than declared"] == 2
    assert table.card["findings_first"]["rate other than declared"].startswith("DATA_01_TYPE01: 25 heart rates are of")
    assert table.card["dropped"] == {"windows without a label": 2}
    assert any("clamped" in what for what in found)


@real
def test_the_official_files_give_3203_windows_of_20_people() -> None:
    table = IEEESPC(root=DATA).load()
    assert len(table) == 3203
    assert table.card["recordings"] == 23
    assert table.card["findings"] == {"recordings resampled": 23, "clipped windows": 12}
    assert table.card["dropped"] == {}
    rates = table.targets["heart rate"]
    assert (round(float(rates.min()), 2), round(float(rates.max()), 2)) == (59.06, 176.74)
    assert sorted(set(table.meta["subject"])) == sorted(
        [*(f"train {k:02}" for k in range(1, 13)), *(f"test {k}" for k in range(1, 9))]
    )
    report = inspect.check(IEEESPC(root=DATA))
    assert report["errors"] == []
    assert report["windows"] == 3203
    assert len(report["files"]) == 46


@real
@pytest.mark.parametrize("resampling", ["recording", "window"])
def test_the_pulse_of_the_official_files_is_where_their_labels_say_and_not_a_quarter_off(resampling: str) -> None:
    table = IEEESPC(root=DATA).changed(resampling=resampling, part="test").load()
    waves = table.rows(torch.arange(len(table))).inputs["sensor"].numpy()[:, 0]
    waves = (waves - waves.mean(axis=1, keepdims=True)) / waves.std(axis=1, keepdims=True) * np.hanning(200)
    hertz = table.targets["heart rate"].numpy()[:, None] / 60
    times = np.arange(200) / 25
    power = {
        factor: float((np.abs((waves * np.exp(-2j * np.pi * factor * hertz * times)).sum(axis=1)) ** 2).mean())
        for factor in (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25)
    }
    assert max(power, key=lambda factor: power[factor]) == 1.0
    assert power[1.0] > 2 * max(power[0.8], power[1.25])


@real
def test_the_heart_rate_is_that_of_its_own_window_and_not_of_another() -> None:
    table = IEEESPC(root=DATA).load()
    waves = table.rows(torch.arange(len(table))).inputs["sensor"].numpy()[:, 0]
    waves = (waves - waves.mean(axis=1, keepdims=True)) / waves.std(axis=1, keepdims=True) * np.hanning(200)
    hertz, times = table.targets["heart rate"].numpy() / 60, np.arange(200) / 25
    same = table.meta["session"]
    power = {}
    for shift in range(-8, 9, 4):
        at = np.arange(8, len(table) - 8)
        at = at[(same[at] == same[at - 8]) & (same[at] == same[at + 8])]
        power[shift] = float(
            np.abs((waves[at] * np.exp(-2j * np.pi * hertz[at + shift, None] * times)).sum(axis=1)).mean()
        )
    assert max(power, key=lambda shift: power[shift]) == 0
