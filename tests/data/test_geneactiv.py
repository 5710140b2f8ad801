import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from limbeck.data.geneactiv import GENEActiv
from limbeck.data.recordings import Windowing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE

from .fake_geneactiv import acceleration, page, samples, write


def window(root: Path, subject: int, label: int, number: int, length: int = 500, /, **variables: object) -> Path:
    """A window in a file of its own; its array is called `data` where no variables are given."""
    path = root / f"Window-size-{length}" / f"ID-{subject}_CLASS-{label}_Window-{number:04d}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables or {"data": signal(length, subject, label, number)})
    return path


def signal(length: int, *seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal((0, 0, 1), 0.2, (length, 3))


def dataset(root: Path) -> Path:
    """Three subjects; class 13 comes behind class 2."""
    for subject in (9, 101, 102):
        for label in (2, 13):
            for number in (1, 2):
                window(root, subject, label, number)
    return root


def recording(root: Path, name: str = "left", labels: str | None = None, subject: str = "") -> Path:
    """Half a minute of samples, and its label file."""
    file = write(root / f"{name}.bin", samples(3000), subject)
    if labels is not None:
        file.with_suffix(".csv").write_text(labels)
    return file


LABELS = "start,end,activity\n0,10,walk\n12,20,sit\n2020-01-30 09:17:31,2020-01-30 09:17:41:000,walk\n"


def test_a_folder_of_windows_is_read_with_the_classes_of_its_names(tmp_path: Path) -> None:
    table = GENEActiv(root=dataset(tmp_path)).load()
    assert table.tasks[0].labels == ("2", "13")
    assert table.shape("sensor") == (3, 500)
    assert len(table) == 12
    assert (table.card["unit"], table.card["rate"], table.card["channels"]) == ("g", 100, ["x", "y", "z"])
    assert list(dict.fromkeys(table.meta["subject"].tolist())) == ["9", "101", "102"]
    row = int(np.flatnonzero(table.meta["session"] == "ID-101_CLASS-13_Window-0002")[0])
    made = table.rows(torch.tensor([row]))
    assert made.inputs["sensor"][0].T.numpy() == pytest.approx(signal(500, 101, 13, 2).astype(np.float32))
    assert made.targets["activity"].tolist() == [1]
    assert table.card["findings"] == {}


def test_a_zip_of_windows_gives_the_same(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as out:
        for path in inner.rglob("*.mat"):
            out.write(path, path.relative_to(inner))
    one, two = (GENEActiv(root=root).load() for root in (inner, tmp_path / "windows.zip"))
    assert torch.equal(one.rows(one.ids).inputs["sensor"], two.rows(two.ids).inputs["sensor"])
    assert GENEActiv(root=tmp_path / "windows.zip").files() == [tmp_path / "windows.zip"]


def test_the_array_is_found_whatever_its_name_and_side(tmp_path: Path) -> None:
    whole = signal(500, 1)
    window(tmp_path, 1, 1, 1, 500, x=whole.T)
    window(tmp_path, 1, 2, 2, 500, s={"acc": whole, "rate": 100.0}, label=3, note="walk", t=np.arange(500.0))
    window(tmp_path, 1, 2, 3, 500, a=whole, b=whole)
    window(tmp_path, 1, 2, 4, 500, a=whole[:, :2])
    window(tmp_path, 1, 2, 5).write_bytes(b"broken")
    holes = whole.copy()
    holes[3] = np.nan
    window(tmp_path, 1, 2, 6, 500, a=holes)
    reading = GENEActiv(root=tmp_path).read()
    assert [r.session[-4:] for r in reading.recordings] == ["0001", "0002", "0006"]
    for made in reading.recordings[:2]:
        assert (made.signal == whole.astype(np.float32)).all()
    assert reading.findings.counts == {
        "files without one array with a side of 3, left out": 2,
        "files that cannot be read, left out": 1,
    }
    assert reading.findings.first["files without one array with a side of 3, left out"].endswith("2 such arrays")
    assert len(GENEActiv(root=tmp_path).load()) == 2


def test_two_sizes_of_windows_are_two_data_sets(tmp_path: Path) -> None:
    window(tmp_path, 1, 1, 1)
    window(tmp_path, 1, 1, 1, 1000)
    with pytest.raises(UserError, match="two files are named ID-1_CLASS-1_Window-0001"):
        GENEActiv(root=tmp_path).files()
    ten = Windowing(length=1000, stride=1000, rate=100)
    assert GENEActiv(root=tmp_path / "Window-size-1000", windows=ten).load().shape("sensor") == (3, 1000)
    with pytest.raises(UserError, match=r"a window of 1000 samples \(10 s at 100 Hz\) is longer than every recording"):
        GENEActiv(root=tmp_path / "Window-size-500", windows=ten).load()


def test_labels_that_are_not_among_the_classes_are_missing_and_counted(tmp_path: Path) -> None:
    table = GENEActiv(root=dataset(tmp_path), classes=("1", "2")).load()
    assert table.card["tasks"]["activity"] == {"1": 0, "2": 6}
    assert table.card["findings"] == {"unknown labels of the task activity, missing": 6}
    assert table.card["dropped"]["windows without a label"] == 6


def test_a_recording_is_read_where_its_label_file_speaks_of_it(tmp_path: Path) -> None:
    recording(tmp_path, labels=LABELS, subject="P07")
    spec = GENEActiv(root=tmp_path)
    reading = spec.read()
    assert [(len(r.signal), r.start) for r in reading.recordings] == [(1000, 0), (1800, 12)]
    assert np.abs(reading.recordings[1].signal - acceleration(samples(3000))[1200:]).max() < 1e-6
    assert {r.subject for r in reading.recordings} == {"P07"}
    assert reading.findings.counts == {"samples without a label, left out": 200}
    table = spec.load()
    assert table.meta["start"].tolist() == [0, 5, 12, 20, 25]
    assert [table.tasks[0].labels[i] for i in table.targets["activity"]] == ["walk", "walk", "sit", "walk", "walk"]
    assert set(spec.files()) == {tmp_path / "left.bin", tmp_path / "left.csv"}


def test_labels_fall_on_the_right_samples_across_a_gap(tmp_path: Path) -> None:
    raw = samples(3000)
    pages = [page(i, raw[300 * i : 300 * (i + 1)], later=60 * (i > 4)) for i in range(10)]
    file = write(tmp_path / "a.bin", raw, "1", pages)
    file.with_suffix(".csv").write_text("start,end,activity\n1.005,80,walk\n80,90,sit\n")
    before, after = GENEActiv(root=tmp_path).read().recordings
    assert (len(before.signal), before.start) == (1399, pytest.approx(1.01))
    assert np.abs(before.signal - acceleration(raw)[101:1500]).max() < 1e-6
    assert after.start == 75
    assert after.labels["activity"].tolist() == [1] * 500 + [0] * 1000


def test_each_column_of_a_label_file_is_a_task_and_an_empty_cell_says_nothing(tmp_path: Path) -> None:
    lines = "start;end; activity ;place\n0;30;sit;\n10;20;walk;out\n20;25;;in\n"
    recording(tmp_path, labels=lines)
    reading = GENEActiv(root=tmp_path).read()
    assert {t.name: t.labels for t in reading.tasks} == {"activity": ("sit", "walk"), "place": ("in", "out")}
    (made,) = reading.recordings
    seconds = {name: ids[::500].tolist() for name, ids in made.labels.items()}
    assert seconds == {"activity": [0, 0, 1, 1, 0, 0], "place": [IGNORE, IGNORE, 1, 1, 0, IGNORE]}


def test_label_lines_that_make_no_sense_or_speak_of_nothing_are_counted(tmp_path: Path) -> None:
    more = "10,5,walk\nnoon,13:00,sit\n100,200,sit\n2020-01-30 09:17:31+01:00,99,sit\n20,21\n"
    recording(tmp_path, labels=LABELS + more)
    findings = GENEActiv(root=tmp_path).read().findings
    assert findings.counts["label lines whose start and end make no sense, left out"] == 3
    assert findings.first["label lines whose start and end make no sense, left out"] == "left.csv line 5: 10, 5"
    assert findings.counts["label lines outside of the recording"] == 1


def test_recordings_without_labels_are_left_out_where_others_have_some_and_else_have_no_task(tmp_path: Path) -> None:
    recording(tmp_path, "one")
    recording(tmp_path, "two")
    table = GENEActiv(root=tmp_path).load()
    assert table.tasks == ()
    assert len(table) == 12
    (tmp_path / "two.csv").write_text(LABELS)
    reading = GENEActiv(root=tmp_path).read()
    assert {r.session for r in reading.recordings} == {"two.bin"}
    assert reading.findings.counts["recordings without a label file, left out"] == 1


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    recording(tmp_path, "one", LABELS)
    recording(tmp_path, "two", LABELS).write_bytes(b"no recording")
    reading = GENEActiv(root=tmp_path).read()
    assert {r.session for r in reading.recordings} == {"one.bin"}
    assert "two.bin: not a GENEActiv" in reading.findings.first["files that cannot be read, left out"]


def test_the_subject_is_that_of_the_header_the_name_or_a_part_of_it(tmp_path: Path) -> None:
    recording(tmp_path, "S01_left", LABELS, "P07")
    recording(tmp_path, "S02_left", LABELS)
    reading = GENEActiv(root=tmp_path).read()
    assert {r.session: r.subject for r in reading.recordings} == {"S01_left.bin": "P07", "S02_left.bin": "S02_left"}
    assert reading.findings.counts["recordings without a Subject Code, of the subject of their name"] == 1
    assert {r.subject for r in GENEActiv(root=tmp_path, subject=r"S(\d+)").read().recordings} == {"01", "02"}
    for wrong, said in (("(", "no regular expression"), ("X", r"'X' is not found in 'S01_left'")):
        with pytest.raises(UserError, match=said):
            GENEActiv(root=tmp_path, subject=wrong).read()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("start,stop,activity\n0,1,walk\n", "no column in .*left.csv: 'end'"),
        ("start,end\n0,1\n", "needs a column of labels beside start and end"),
        ("", r"left\.csv: this label file cannot be read"),
        ("start,end,activity\n0,1,walk,7,8\n0,1\n0,1,2,3,4,5,6\n", "this label file cannot be read"),
        ("start,end,activity\n0,10,walk\n", r"no column of the label files \(activity\) has two classes$"),
    ],
)
def test_a_wrong_label_file_is_an_error_of_one_line(tmp_path: Path, labels: str, said: str) -> None:
    recording(tmp_path, labels=labels)
    with pytest.raises(UserError, match=said) as error:
        GENEActiv(root=tmp_path).read()
    assert "\n" not in str(error.value)


def test_what_is_read_must_be_told_where_both_forms_are_there(tmp_path: Path) -> None:
    recording(tmp_path, labels=LABELS)
    dataset(tmp_path)
    with pytest.raises(UserError, match=r"both windows and \.bin files are here; say which with --data\.form"):
        GENEActiv(root=tmp_path).files()
    assert len(GENEActiv(root=tmp_path, form="bin").files()) == 2
    assert len(GENEActiv(root=tmp_path, form="windows").files()) == 12
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.write(tmp_path / "left.bin", "left.bin")
    with pytest.raises(UserError, match="not read from a zip; unpack it"):
        GENEActiv(root=tmp_path / "a.zip").files()
    with pytest.raises(UserError, match="no such data here; root is a folder"):
        GENEActiv(root=Path(__file__).parent).files()
