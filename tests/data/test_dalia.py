import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data import inspect
from limbeck.data.dalia import ACTIVITIES, DaLiA
from limbeck.errors import UserError

BPM = 90.0


def wave(seconds: float, rate: float = 64.0, bpm: float = BPM) -> np.ndarray:
    return np.asarray(50 * np.sin(2 * np.pi * bpm / 60 * np.arange(int(seconds * rate)) / rate))


def windows(seconds: float) -> int:
    return int((seconds - 8) // 2) + 1


def held(name: str, seconds: float = 120, bpm: float = BPM) -> dict[str, Any]:
    """What a participant's pickle holds; of the chest only one short trace."""
    ids = np.repeat([0, 1, 7], [int(seconds), int(seconds), int(4 * seconds) - 2 * int(seconds)])
    wrist = {
        "ACC": np.tile([0.0, 0.6, -0.8], (int(seconds * 32), 1)),
        "BVP": wave(seconds, bpm=bpm)[:, None],
        "EDA": np.zeros((int(seconds * 4), 1)),
        "TEMP": np.full((int(seconds * 4), 1), 33.0),
    }
    return {
        "rpeaks": np.arange(0, 5000, 500, dtype=np.int32),
        "signal": {"chest": {"ECG": np.zeros((700, 1))}, "wrist": wrist},
        "label": np.linspace(60, 100, windows(seconds)),
        "activity": ids.astype(float)[:, None],
        "questionnaire": {"AGE": 34, "Gender": " m", "WEIGHT": 78.0},
        "subject": name,
    }


def write(root: Path, name: str, what: dict[str, Any]) -> Path:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / f"{name}.pkl").write_bytes(pickle.dumps(what, protocol=2))
    return root


def e4(root: Path, name: str, seconds: float = 120, rate: float = 64.0) -> Path:
    """The E4's files, whose first line is a time and whose second is a rate; its HR starts 10 s later."""
    folder = root / name / f"{name}_E4"
    folder.mkdir(parents=True)
    begin = 1490000000.0
    values = {"BVP": ([rate], wave(seconds, rate)[:, None]), "HR": ([1.0], np.full((int(seconds) - 10, 1), 88.0))}
    values["ACC"] = ([32.0] * 3, np.tile([0, 38, -51], (int(seconds * 32), 1)))
    for sensor, (rates, rows) in values.items():
        first = ",".join([f"{begin + 10 * (sensor == 'HR'):.6f}"] * len(rates))
        lines = [first, ",".join(f"{r:.6f}" for r in rates), *(",".join(f"{v:g}" for v in row) for row in rows)]
        (folder / f"{sensor}.csv").write_text("\n".join(lines) + "\n")
    text = f"# SUBJECT_ID,{name}\n# NO_ACTIVITY,0\n# BASELINE,30\n# NO_ACTIVITY, 60\n# SOCCER,80\n"
    (root / name / f"{name}_activity.csv").write_text(text)
    return root


@pytest.mark.parametrize("seconds", [8, 9.9, 60, 121, 137.3])
def test_there_are_as_many_windows_as_labels_and_each_has_its_own(tmp_path: Path, seconds: float) -> None:
    what = held("S1", seconds)
    table = DaLiA(root=write(tmp_path, "S1", what)).load()
    assert len(table) == len(what["label"]) == int((seconds - 8) // 2) + 1
    assert np.allclose(table.targets["heart rate"].numpy(), what["label"], atol=1e-3)
    assert table.meta["start"].tolist() == [2.0 * k for k in range(len(table))]


def test_windows_have_200_samples_and_keep_the_pulse(tmp_path: Path) -> None:
    table = DaLiA(root=write(tmp_path, "S1", held("S1"))).load()
    assert table.shape("sensor") == (1, 200)
    window = table.rows(torch.tensor([20])).inputs["sensor"][0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(window - window.mean(), 4000))
    assert abs(spectrum.argmax() * 25 / 4000 * 60 - BPM) < 1


def test_people_and_activities_come_along(tmp_path: Path) -> None:
    for name in ("S2", "S10", "S1"):
        write(tmp_path / "PPG_FieldStudy", name, held(name))
    spec = DaLiA(root=tmp_path)
    assert [p.name for p in spec.files()] == ["S1.pkl", "S2.pkl", "S10.pkl"]
    table = spec.load()
    assert list(dict.fromkeys(table.meta["subject"].tolist())) == ["S1", "S2", "S10"]
    first = table.meta["activity"][table.meta["subject"] == "S1"].tolist()
    middles = 4.0 + 2 * np.arange(len(first))
    assert first == ["transient" if t < 30 else "sitting" if t < 60 else "walking" for t in middles]
    assert len(ACTIVITIES) == 9
    assert [p.name for p in DaLiA(root=tmp_path / "PPG_FieldStudy" / "S2").files()] == ["S2.pkl"]


def test_acceleration_is_brought_to_the_rate_of_the_pulse_wave_in_g(tmp_path: Path) -> None:
    write(tmp_path, "S1", held("S1"))
    raw = held("S2")
    raw["signal"]["wrist"]["ACC"] = raw["signal"]["wrist"]["ACC"] * 64
    write(tmp_path, "S2", raw)
    reading = DaLiA(root=tmp_path, acceleration=True).raw()
    assert reading.channels == ("ppg", "acc_x", "acc_y", "acc_z")
    for recording in reading.recordings:
        assert recording.signal.shape == (120 * 64, 4)
        assert np.allclose(recording.signal[:, 1:], [0, 0.6, -0.8], atol=1e-3)


def test_labels_that_do_not_fit_are_counted_and_no_window_has_a_wrong_one(tmp_path: Path) -> None:
    few, many, odd = held("S1"), held("S2"), held("S3")
    few["label"] = few["label"][:-5]
    many["label"] = np.append(many["label"], [250.0, 99.0])
    odd["label"] = odd["label"].copy()
    odd["label"][:3] = [np.nan, 12.0, 300.0]
    odd["activity"] = np.append(odd["activity"][:-24], [[11.0]])[:, None]
    odd["subject"] = "S5"
    for name, what in (("S1", few), ("S2", many), ("S3", odd)):
        write(tmp_path, name, what)
    table = DaLiA(root=tmp_path).load()
    heart = {s: table.targets["heart rate"].numpy()[table.meta["subject"] == s] for s in ("S1", "S2", "S3")}
    assert np.allclose(heart["S1"], few["label"])
    assert len(heart["S1"]) == windows(120) - 5
    assert np.allclose(heart["S2"], many["label"][:-2])
    assert len(heart["S3"]) == windows(120) - 1
    assert heart["S3"][:2].tolist() == [30, 210]
    found = table.card["findings"]
    assert found["recordings with another number of heart rates than windows"] == 2
    assert found["heart rates that are no number above 0"] == 1
    assert found["unknown activities"] == 1
    assert found["files that name another participant inside"] == 1
    assert table.card["dropped"]["windows without a label"] == 6
    assert table.meta["activity"][-1] == ""


class Runs:
    """Pickles into a call of something."""

    def __init__(self, call: Any, *given: Any) -> None:
        self.call, self.given = call, given

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.given


def test_a_malicious_pickle_does_nothing_and_ends_in_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path, "S1", held("S1") | {"more": Runs(os.system, f"touch {tmp_path / 'done'}")})
    with pytest.raises(UserError, match=r"S1\.pkl: this pickle is not read, it may be unsafe") as error:
        DaLiA(root=tmp_path).load()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "done").exists()


def test_a_pickle_of_something_else_says_what_it_lacks(tmp_path: Path) -> None:
    for what, lacks in (
        ({"signal": {}}, "signal.wrist.BVP"),
        (held("S1") | {"label": None}, "label"),
        (["a", "list"], "signal.wrist.BVP"),
        (held("S1") | {"label": np.array(["fast"])}, "label"),
    ):
        (tmp_path / "S1").mkdir(exist_ok=True)
        (tmp_path / "S1" / "S1.pkl").write_bytes(pickle.dumps(what))
        with pytest.raises(UserError, match=rf"S1\.pkl: no numbers under {lacks}"):
            DaLiA(root=tmp_path).load()


def test_the_e4_files_have_no_truth_unless_its_own_estimate_is_asked_for(tmp_path: Path) -> None:
    e4(tmp_path, "S1")
    with pytest.raises(UserError, match=r"hold no reference heart rate; that is in S1\.pkl.*--data\.truth device"):
        DaLiA(root=tmp_path).load()
    table = DaLiA(root=tmp_path, truth="device").load()
    assert table.card["findings"]["heart rates by the E4 itself"] == 1
    assert set(table.targets["heart rate"].tolist()) == {88.0}
    assert table.meta["start"][0] == 6, "half of the window from 6 s on has a heart rate"
    middles = table.meta["start"] + 4
    expected = ["transient" if t < 30 or 60 <= t < 80 else "sitting" if t < 60 else "table soccer" for t in middles]
    assert table.meta["activity"].tolist() == expected
    assert "activities timed from the E4's start, which their file does not say" in table.card["findings"]
    moved = DaLiA(root=tmp_path, truth="device", acceleration=True).raw().recordings[0].signal
    assert np.allclose(moved[:, 1:], np.array([0, 38, -51]) / 64, atol=1e-3)


def test_a_pickle_comes_before_the_e4_files_beside_it(tmp_path: Path) -> None:
    e4(write(tmp_path, "S1", held("S1")) / "x", "S2")
    shutil.move(tmp_path / "x" / "S2" / "S2_E4", tmp_path / "S1" / "S1_E4")
    assert [p.name for p in DaLiA(root=tmp_path).files()] == ["S1.pkl"]
    assert len(DaLiA(root=tmp_path).load()) == windows(120)
    names = [p.name for p in DaLiA(root=tmp_path, form="csv").files()]
    assert names == ["ACC.csv", "BVP.csv", "HR.csv"]


def test_the_e4_zip_is_read_as_it_is_and_a_declared_rate_is_taken(tmp_path: Path) -> None:
    folder = e4(tmp_path, "S3", rate=32.0) / "S3"
    with zipfile.ZipFile(folder / "S3_E4.zip", "w") as made:
        for path in (folder / "S3_E4").iterdir():
            made.write(path, path.name)
    shutil.rmtree(folder / "S3_E4")
    table = DaLiA(root=tmp_path, truth="device").load()
    assert table.card["findings"]["rates other than 64 Hz"] == 1
    assert len(table) == windows(114)
    window = table.rows(torch.tensor([20])).inputs["sensor"][0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(window - window.mean(), 4000))
    assert abs(spectrum.argmax() * 25 / 4000 * 60 - BPM) < 1


def test_broken_e4_files_are_clear_lines(tmp_path: Path) -> None:
    folder = e4(tmp_path, "S1") / "S1" / "S1_E4"
    content = (folder / "BVP.csv").read_text().splitlines()
    (folder / "BVP.csv").write_text("\n".join([*content[:50], "no number", *content[50:]]))
    spec = DaLiA(root=tmp_path, truth="device")
    assert spec.load().card["findings"]["broken lines"] == 1
    (folder / "BVP.csv").write_text("1490000000.0\n")
    with pytest.raises(UserError, match=r"BVP\.csv does not begin with a time and a rate"):
        spec.load()
    (folder / "HR.csv").unlink()
    (folder / "BVP.csv").write_text("\n".join(content))
    with pytest.raises(UserError, match=r"S1_E4: no such data here; the E4's HR\.csv should be there"):
        spec.load()


def test_what_check_and_describe_say_of_it(tmp_path: Path) -> None:
    for name in ("S1", "S2", "S3", "S4"):
        write(tmp_path, name, held(name, bpm=60 + 10 * int(name[1])))
    spec = DaLiA(root=tmp_path)
    checked = inspect.check(spec)
    assert checked["errors"] == []
    assert checked["windows"] == 4 * windows(120)
    assert list(checked["subjects"]) == ["S1", "S2", "S3", "S4"]
    described = inspect.describe(spec)
    assert described["tasks"]["heart rate"]["values"]["windows"] == 4 * windows(120)
    assert set(described["parts"]) == {"train", "valid", "test"}


def test_a_root_without_such_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder; root is the folder PPG_FieldStudy"):
        DaLiA(root=tmp_path / "nowhere").load()
    with pytest.raises(UserError, match="no such data here; root is the folder PPG_FieldStudy"):
        DaLiA(root=tmp_path).load()
