import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from limbeck.data import inspect
from limbeck.data.split import LeaveOneSubjectOut
from limbeck.data.usc_had import ACTIVITIES, USCHAD
from limbeck.errors import UserError

DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "usc_had"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no USC-HAD data at {DATA}")


NAMES = {(12, 2): "elevator-down", (3, 1): "walk-right", (3, 2): "walking-left"}


def readings(samples: int, seed: int) -> np.ndarray:
    """Gravity on x and a gait (g), and turns (degrees a second), as a MotionNode has them."""
    made = np.random.default_rng(seed).normal(0, 0.05, (samples, 6))
    made[:, 0] += 1 + 0.3 * np.sin(np.arange(samples) * seed / 20)
    made[:, 3:] *= 500
    return made


def write(root: Path, subject: int, activity: int, trial: int, samples: int = 1250, /, **changed: object) -> Path:
    """A trial as the makers gave it; a field that is None is left out."""
    fields = {
        "title": "USC Human Motion Dataset",
        "subject": str(subject),
        "height": "171cm",
        "activity": NAMES.get((activity, trial), "walking-forward"),
        "activity_number": str(activity),
        "trial": str(trial),
        "sensor_location": "front-right-hip",
        "sensor_readings": readings(samples, 100 * subject + 10 * activity + trial),
    } | changed
    path = root / f"Subject{subject}" / f"a{activity}t{trial}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {k: v for k, v in fields.items() if v is not None})
    return path


def dataset(root: Path) -> Path:
    """Three subjects (10 after 2) and a few activities in the official layout, with every quirk that is known of it."""
    for subject in (1, 2, 10):
        for activity in (1, 3, 8):
            write(root, subject, activity, 1)
    write(root, 1, 12, 2, activity_number=None, activity_numbr="12")
    write(root, 2, 3, 2, activity_number="2")
    write(root, 10, 8, 3, trial="2", comments="indoor")
    (root / "Readme.txt").write_text("not read")
    return root


def test_activities_are_those_of_the_file_names_and_what_files_say_otherwise_is_counted(tmp_path: Path) -> None:
    table = USCHAD(root=dataset(tmp_path)).load()
    assert [t.name for t in table.tasks] == ["activity"]
    assert table.tasks[0].labels == ACTIVITIES
    assert len(ACTIVITIES) == 12
    assert table.shape("sensor") == (3, 500)
    assert len(table) == 12 * 2
    assert {k: n for k, n in table.card["tasks"]["activity"].items() if n} == {
        "walk forward": 6,
        "walk right": 8,
        "sit": 8,
        "elevator down": 2,
    }
    assert table.card["findings"] == {
        "files that spell activity_number as activity_numbr": 1,
        "files of another activity inside than in the name, which is trusted": 1,
        "files with comments": 1,
        "files of another trial inside than in the name, which is trusted": 1,
        "activities that a subject has no file of": 8 + 9 + 9,
    }
    assert table.card["findings_first"]["files of another activity inside than in the name, which is trusted"] == (
        "Subject2/a3t2.mat: 2"
    )
    assert table.card["facts"] == ["files that spell activity_number as activity_numbr", "files with comments"]


def test_a_trial_is_a_session_whose_windows_do_not_overlap(tmp_path: Path) -> None:
    spec = USCHAD(root=dataset(tmp_path))
    table = spec.load()
    sessions = table.meta["session"]
    assert list(dict.fromkeys(sessions.tolist()))[-4:] == [
        *("Subject10 a1t1", "Subject10 a3t1", "Subject10 a8t1", "Subject10 a8t3")
    ]
    assert table.meta["start"][sessions == "Subject2 a3t2"].tolist() == [0.0, 5.0]
    assert set(table.meta["subject"]) == {"1", "2", "10"}
    rows = table.rows(torch.from_numpy(np.flatnonzero(sessions == "Subject2 a3t2"))).inputs["sensor"]
    signal = readings(1250, 232).astype(np.float32)
    assert torch.equal(rows[1], torch.from_numpy(signal[500:1000, :3].T))
    assert (table.card["rate"], table.card["unit"], table.card["channels"]) == (100, "g", ["acc_x", "acc_y", "acc_z"])


def test_the_sensors_asked_for_are_read_in_that_order(tmp_path: Path) -> None:
    write(tmp_path, 1, 1, 1)
    signal = readings(1250, 111).astype(np.float32)
    both = USCHAD(root=tmp_path, sensors=("gyroscope", "acceleration")).read()
    assert (both.recordings[0].signal == signal[:, [3, 4, 5, 0, 1, 2]]).all()
    assert both.channels == ("gyro_x", "gyro_y", "gyro_z", "acc_x", "acc_y", "acc_z")
    assert both.unit == "deg/s, g"
    for sensors in ((), ("gyroscope", "gyroscope")):
        with pytest.raises(UserError, match=r"data\.sensors: name acceleration or gyroscope or both, each once"):
            USCHAD(root=tmp_path).changed(sensors=sensors).read()


def test_the_zip_and_every_level_of_the_folder_give_the_same(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "unpacked" / "USC-HAD")
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "USC-HAD.zip", "w") as out:
        for path in sorted(inner.rglob("*.*"), reverse=True):
            out.write(path, path.relative_to(inner.parent))
    roots = [inner, inner.parent, tmp_path / "zipped", tmp_path / "zipped" / "USC-HAD.zip"]
    first, *others = [USCHAD(root=root).load() for root in roots]
    for table in others:
        assert (table.meta["session"] == first.meta["session"]).all()
        assert torch.equal(table.rows(table.ids).inputs["sensor"], first.rows(first.ids).inputs["sensor"])
    one = USCHAD(root=inner / "Subject10")
    assert [e.name for e in one.entries()] == [f"Subject10/{f}.mat" for f in ("a1t1", "a3t1", "a8t1", "a8t3")]


def test_files_of_no_use_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path, 1, 1, 1)
    write(tmp_path, 1, 1, 2, sensor_readings=None)
    write(tmp_path, 1, 1, 3, sensor_readings=readings(1250, 1).T)
    write(tmp_path, 1, 13, 1)
    write(tmp_path, 1, 2, 1).write_bytes(write(tmp_path, 1, 2, 2).read_bytes()[:3000])
    holes = readings(1250, 1)
    holes[600:610, 1] = np.nan
    write(tmp_path, 1, 2, 2, sensor_readings=holes)
    write(tmp_path, 1, 2, 3, 0)
    table = USCHAD(root=tmp_path).load()
    assert table.meta["session"].tolist() == ["Subject1 a1t1"] * 2 + ["Subject1 a2t2"] * 2
    assert table.meta["start"].tolist() == [0, 5, 0, 6.1]
    counts = table.card["findings"]
    assert counts["files without sensor_readings of 6 columns, left out"] == 3
    assert counts["files of an unknown activity, left out"] == 1
    assert counts["files that cannot be read, left out"] == 1
    assert counts["samples that are not finite"] == 10
    assert (
        "Subject1/a2t1.mat: this MATLAB file is damaged"
        in (table.card["findings_first"]["files that cannot be read, left out"])
    )


def test_what_is_no_usc_had_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "a1t1.mat").touch()
    with pytest.raises(UserError, match=r"no such data here; root is USC-HAD\.zip, .*Subject<k>/a<activity>t<trial>"):
        USCHAD(root=tmp_path).files()
    with pytest.raises(UserError, match="no such file or folder"):
        USCHAD(root=tmp_path / "none").load()
    write(tmp_path / "one", 1, 1, 1)
    write(tmp_path / "two", 1, 1, 1)
    with pytest.raises(UserError, match=r"two files are named Subject1/a1t1\.mat"):
        USCHAD(root=tmp_path).files()
    write(tmp_path / "short", 1, 1, 1, 400)
    with pytest.raises(UserError, match=r"a window of 500 samples \(5 s at 100 Hz\) is longer than every recording"):
        USCHAD(root=tmp_path / "short").load()


@real
def test_the_real_files_are_read_with_their_oddities() -> None:
    spec = USCHAD(root=DATA)
    table = spec.load()
    assert table.card["subjects"] == 14
    assert table.card["recordings"] == 504
    assert len(table) == 3181
    assert min(table.card["tasks"]["activity"].values()) == 111
    assert table.card["findings"] == {
        "files with comments": 1,
        "files of another trial inside than in the name, which is trusted": 1,
        "files of another activity inside than in the name, which is trusted": 1,
    }
    report = inspect.check(spec)
    assert report["errors"] == []
    assert len(report["warnings"]) == 2
    folds = LeaveOneSubjectOut(fold=3).split(table)
    assert len(set(folds.test.meta["subject"])) == 1
    size = table.rows(table.ids).inputs["sensor"].norm(dim=1).mean(dim=1)
    assert size.quantile(0.1) > 0.9
    assert size.max() < 3
