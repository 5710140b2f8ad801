from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from limbeck.config import parse
from limbeck.data.folder import Recordings, read_signal
from limbeck.data.recordings import Windowing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE


def frame(subject, activity="walk", rate=50.0, count=400, start=0.0):
    """A recording whose channel x counts the hundredths of a second."""
    seconds = start + np.arange(count) / rate
    values = {"time": seconds, "x": 100 * (seconds - start), "y": np.sin(seconds), "subject": subject}
    return pd.DataFrame(values | {"activity": activity})


def folder(root: Path, **files) -> Recordings:
    for name, content in files.items():
        content.to_csv(root / f"{name}.csv", index=False)
    return Recordings(root=root)


def test_a_folder_becomes_tasks_recordings_and_windows(tmp_path):
    spec = folder(tmp_path, a=frame(1), b=frame(2, "run"), c=frame(10))
    reading = spec.read()
    assert [(t.name, t.labels) for t in reading.tasks] == [("activity", ("run", "walk"))]
    assert reading.channels == ("x", "y")
    assert [(r.subject, r.session, r.rate, len(r.signal)) for r in reading.recordings] == [
        ("1", "a.csv", 50, 400),
        ("2", "b.csv", 50, 400),
        ("10", "c.csv", 50, 400),
    ]
    table = spec.load()
    assert len(table) == 3 * 6
    assert table.targets["activity"].tolist() == [1] * 6 + [0] * 6 + [1] * 6
    assert table.card["findings"]["columns taken as channels: x, y"] == 1


def test_it_is_built_from_command_line_words(tmp_path):
    folder(tmp_path, a=frame(1), b=frame(2, "run"))
    spec = parse(Recordings, {"root": str(tmp_path), "channels": "y,x", "labels": "activity", "rate": "none"})
    assert spec.read().channels == ("y", "x")


def test_several_subjects_and_sessions_share_a_file(tmp_path):
    one = pd.concat([frame("Zoë B"), frame("al", "run"), frame("Zoë B", "run", start=60)])
    one.insert(0, "day", ["mon"] * 800 + ["tue"] * 400)
    (tmp_path / "deep er").mkdir()
    one.to_csv(tmp_path / "deep er" / "übung 1.csv", index=False)
    made = Recordings(root=tmp_path, session="day").read().recordings
    assert [(r.subject, r.session, r.start, len(r.signal)) for r in made] == [
        ("Zoë B", "mon", 0.0, 400),
        ("Zoë B", "tue", 0.0, 400),
        ("al", "mon", 0.0, 400),
    ]


def test_alternating_lines_of_two_subjects_are_told_apart(tmp_path):
    both = pd.concat([frame("a"), frame("b", "run")]).sort_values("time", kind="stable")
    made = folder(tmp_path, both=both).read().recordings
    assert [(r.subject, len(r.signal), r.rate) for r in made] == [("a", 400, 50), ("b", 400, 50)]


def test_a_column_called_session_is_neither_signal_nor_label(tmp_path):
    for kind in (int, str):
        both = frame(1).assign(session=np.repeat(np.array([3, 4]).astype(kind), 200))
        reading = folder(tmp_path, a=both, b=frame(2, "run")).read()
        assert "session" not in (*reading.channels, *(t.name for t in reading.tasks))
        assert [r.session for r in reading.recordings] == ["3", "4", "b.csv"]


def test_several_files_of_one_session_start_where_they_were(tmp_path):
    spec = folder(tmp_path, b=frame(1, start=1000.0).assign(day=1), a=frame(1, "run", start=1500.0).assign(day=1))
    made = spec.changed(session="day", channels=("x",)).read().recordings
    assert [(r.session, r.start) for r in made] == [("1", 500.0), ("1", 0.0)]


@pytest.mark.parametrize(
    ("how", "subjects"), [("file", ["s1 left", "s2"]), ("folder", ["one", "two"]), (r"s(\d)", ["1", "2"])]
)
def test_the_subject_is_in_the_path(tmp_path, how, subjects):
    for place, name, what in (("one", "s1 left", "run"), ("two", "s2", "walk")):
        (tmp_path / place).mkdir()
        frame(0, what).drop(columns="subject").to_csv(tmp_path / place / f"{name}.csv", index=False)
    assert [r.subject for r in Recordings(root=tmp_path, subject_from=how).read().recordings] == subjects


def test_rates_are_measured_for_each_file_and_windows_have_the_most_common_one(tmp_path):
    spec = folder(tmp_path, a=frame(1), b=frame(2, "run"), c=frame(3, rate=100.0), d=frame(4, rate=19.87))
    reading = spec.read()
    assert [r.rate for r in reading.recordings] == [50, 50, 100, 20]
    assert reading.rate == 50
    table = spec.load()
    assert table.card["rate"] == 50
    first = table.rows(torch.from_numpy(np.flatnonzero(table.meta["subject"] == "3")[:1])).inputs["sensor"]
    assert np.allclose(first[0, 0, 20:60], 2 * np.arange(20, 60), atol=0.2)


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_files_of_different_time_units_are_the_same_recordings(tmp_path, unit, factor):
    seconds = frame(1, start=1.7e9)
    other = frame(2, "run").assign(time=np.round((1.7e9 + np.arange(400) / 50) * factor).astype("int64"))
    reading = folder(tmp_path, a=seconds, b=other).read()
    assert [(r.rate, len(r.signal), r.start) for r in reading.recordings] == [(50, 400, 0.0)] * 2
    assert reading.findings.counts["file with times in s"] == 1
    assert reading.findings.counts[f"file with times in {unit}"] == 1


def test_dates_are_times(tmp_path):
    dates = frame(2, "run").assign(time=pd.date_range("2024-10-27", periods=400, freq="20ms").astype(str))
    reading = folder(tmp_path, a=frame(1), b=dates).read()
    assert [(r.rate, len(r.signal)) for r in reading.recordings] == [(50, 400)] * 2


def test_a_file_without_times_needs_a_rate(tmp_path):
    spec = folder(tmp_path, a=frame(1).drop(columns="time"), b=frame(2, "run").drop(columns="time"))
    with pytest.raises(UserError, match=r"a\.csv has no time column 'time'; its columns are 'x', .*--data\.rate"):
        spec.read()
    assert [(r.rate, len(r.signal)) for r in spec.changed(rate=25.0).read().recordings] == [(25, 400)] * 2


def test_without_times_a_bad_line_is_bridged_where_it_stood(tmp_path):
    text = frame(1).drop(columns="time").astype(object)
    text.loc[100, "x"], text.loc[200:220, "y"] = "err", np.nan
    reading = folder(tmp_path, a=text, b=frame(2, "run").drop(columns="time")).changed(rate=50.0).read()
    assert [len(r.signal) for r in reading.recordings] == [200, 179, 400]
    assert np.allclose(reading.recordings[0].signal[:, 0], 2 * np.arange(200))
    assert reading.findings.first["text in a numeric column"] == "a.csv:102, column 'x'"
    assert reading.findings.counts["line with a missing or infinite value"] == 21


def test_empty_label_cells_are_missing_labels(tmp_path):
    half = frame(1, "run").assign(label_arm=None)
    half.loc[:99, "activity"], half.loc[:49, "label_arm"] = "", 1
    whole = frame(2).assign(label_arm=2)
    reading = folder(tmp_path, a=half, b=whole, c=frame(3)).read()
    assert [t.labels for t in reading.tasks] == [("run", "walk"), ("1", "2")]
    first, _, third = reading.recordings
    assert np.array_equal(first.labels["activity"], [IGNORE] * 100 + [0] * 300)
    assert np.array_equal(first.labels["label_arm"], [0] * 50 + [IGNORE] * 350)
    assert "label_arm" not in third.labels
    assert reading.findings.counts["file without the label column 'label_arm'"] == 1


def test_numeric_classes_sort_as_numbers_and_do_not_depend_on_the_order_of_files(tmp_path):
    spec = folder(tmp_path, a=frame(1, 10), b=frame(2, 9.0), c=frame(3, -1))
    assert spec.read().tasks[0].labels == ("-1", "9", "10")
    for old, new in (("a", "z"), ("c", "0")):
        (tmp_path / f"{old}.csv").rename(tmp_path / f"{new}.csv")
    assert spec.read().tasks[0].labels == ("-1", "9", "10")


def test_a_header_that_comes_again_makes_no_class(tmp_path):
    text = frame(1).to_csv(index=False)
    (tmp_path / "a.csv").write_text(text + text.splitlines()[0] + "\n", "utf-8")
    assert folder(tmp_path, b=frame(2, "run")).read().tasks[0].labels == ("run", "walk")


def test_one_class_only_is_refused_where_it_was_asked_for_and_told_where_not(tmp_path):
    spec = folder(tmp_path, a=frame(1).assign(device="w"), b=frame(2, "run").assign(device="w"))
    reading = spec.read()
    assert [t.name for t in reading.tasks] == ["activity"]
    assert reading.findings.counts["column with less than two classes, no task: device"] == 1
    with pytest.raises(UserError, match="'device' has one class only, 'w', so there is nothing to learn"):
        spec.changed(labels=("device",)).read()


def test_a_folder_with_one_class_has_nothing_to_learn(tmp_path):
    with pytest.raises(UserError, match=r"no label column \(activity\) has two classes"):
        folder(tmp_path, a=frame(1), b=frame(2)).read()


def test_free_text_is_no_label(tmp_path):
    with pytest.raises(UserError, match=r"'note' has 400 different texts.*--data\.labels"):
        folder(tmp_path, a=frame(1).assign(note=[f"n{i}" for i in range(400)])).read()


def test_a_label_column_whose_name_cannot_name_a_task_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"'label\.arm' has a point in its name"):
        folder(tmp_path, a=frame(1).rename(columns={"activity": "label.arm"}), b=frame(2)).read()


def test_csv_of_every_dialect_and_parquet_hold_the_same(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    plain = frame(1).assign(activity=["walk"] * 200 + ["run"] * 200)
    plain.to_csv(tmp_path / "a.csv", index=False)
    plain.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    plain.to_csv(tmp_path / "c.TSV", sep="\t", lineterminator="\r\n")
    plain.to_parquet(tmp_path / "d.parquet")
    reading = Recordings(root=tmp_path).read()
    assert [r.session for r in reading.recordings] == ["a.csv", "b.csv", "c.TSV", "d.parquet"]
    for made in reading.recordings[1:]:
        assert np.array_equal(made.signal, reading.recordings[0].signal)
        assert np.array_equal(made.labels["activity"], reading.recordings[0].labels["activity"])
    assert reading.findings.counts["file with decimal commas"] == 1


def test_empty_files_hidden_files_and_other_files_are_passed_over(tmp_path):
    spec = folder(tmp_path, a=frame(1), b=frame(2, "run"))
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("time,x,y,subject,activity\n")
    (tmp_path / "._a.csv").write_bytes(b"\0\0")
    (tmp_path / "readme.txt").write_text("hello")
    reading = spec.read()
    assert [r.session for r in reading.recordings] == ["a.csv", "b.csv"]
    assert reading.findings.counts["empty file"] == reading.findings.counts["file with a header only"] == 1


def test_lines_without_a_subject_are_dropped_and_counted(tmp_path):
    holes = frame(1).astype({"subject": object})
    holes.loc[390:, "subject"] = None
    reading = folder(tmp_path, a=holes, b=frame(2, "run")).read()
    assert [len(r.signal) for r in reading.recordings] == [390, 400]
    assert reading.findings.counts["line without a subject"] == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": ("x", "yy")}, r"no channel column in a\.csv: 'yy'; did you mean 'y'\?"),
        ({"labels": ("activty",)}, r"no label column in a\.csv: 'activty'; did you mean 'activity'\?"),
        ({"subject": "person"}, r"a\.csv has no column 'person'; its columns are .*--data\.subject_from"),
        ({"session": "day"}, r"a\.csv has no column 'day'"),
        ({"subject_from": "p(\\d+)"}, r"'p\(\\\\d\+\)' is not found in 'a\.csv'"),
        ({"subject_from": "("}, "no regular expression"),
        ({"rate": 20.0}, "a rate of 20 Hz was given, but its samples come at 50 Hz"),
    ],
)
def test_a_wrong_name_is_an_error_that_says_what_there_is(tmp_path, change, said):
    spec = folder(tmp_path, a=frame(1), b=frame(2, "run"))
    with pytest.raises(UserError, match=said):
        spec.changed(**change).read()


def test_a_folder_that_is_missing_empty_or_of_other_files_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        Recordings(root=tmp_path / "none").files()
    with pytest.raises(UserError, match=r"holds no \.csv or \.tsv or \.parquet file, but nothing"):
        Recordings(root=tmp_path).files()
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(UserError, match=r"file, but \.xlsx"):
        Recordings(root=tmp_path).files()
    (tmp_path / "a.csv").touch()
    with pytest.raises(UserError, match="none of the 1 files"):
        Recordings(root=tmp_path).read()


def test_files_come_in_natural_order(tmp_path):
    spec = folder(tmp_path, **{f"s{i}": frame(i) for i in (10, 9, 1)})
    assert [f.name for f in spec.files()] == ["s1.csv", "s9.csv", "s10.csv"]


def test_one_signal_is_read_without_labels_or_subject(tmp_path):
    keep = np.ones(400, bool)
    keep[100:150] = False
    frame(1)[keep][["y", "time", "x"]].to_csv(tmp_path / "a b.csv", index=False)
    parts, findings = read_signal(tmp_path / "a b.csv", ("x", "y"), None)
    assert [(s.shape, s.dtype, rate, start) for s, rate, start in parts] == [
        ((100, 2), np.float32, 50, 0.0),
        ((250, 2), np.float32, 50, 3.0),
    ]
    assert np.allclose(parts[1][0][:, 0], 300 + 2 * np.arange(250))
    assert findings.counts["gap"] == 1
    with pytest.raises(UserError, match=r"no channel column in a b\.csv: 'z'"):
        read_signal(tmp_path / "a b.csv", ("z",), None)
    with pytest.raises(UserError, match="there is no file"):
        read_signal(tmp_path / "none.csv", ("x",), None)


def test_short_recordings_and_windows_keep_their_provenance(tmp_path):
    spec = folder(tmp_path, a=frame(1), b=frame(2, "run", count=1), c=frame(3, "run", count=120))
    table = spec.changed(windows=Windowing(length=100, stride=100)).load()
    assert table.meta["subject"].tolist() == ["1"] * 4 + ["3"]
    assert table.meta["start"].tolist() == [0, 2, 4, 6, 0]
    assert table.card["findings"]["recording of fewer than two samples"] == 1


@pytest.mark.parametrize("rate", [0.0, -5.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused_in_a_line(tmp_path: Path, rate: float) -> None:
    (tmp_path / "me.csv").write_text("x,y,z\n" + "1,2,3\n" * 9)
    with pytest.raises(UserError, match="rate: "):
        read_signal(tmp_path / "me.csv", ("x", "y", "z"), rate)
