import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.har import WISDM, MHealth, Sleep
from limbeck.data.recordings import Reading, Windowing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE

DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def lines(subject: int, code: str, count: int, rate: float = 20.0, start: int = 10**15, seed: int = 0) -> list[str]:
    """Lines of one activity, as a device writes them."""
    values = np.random.default_rng([seed, subject, ord(code)]).normal(0, 3, (count, 3)).astype(np.float32)
    stamps = start + np.round(np.arange(count) * 1e9 / rate).astype(np.int64)
    return [f"{subject},{code},{t},{x},{y},{z};" for t, (x, y, z) in zip(stamps, values, strict=True)]


def write(root: Path, subject: int, device: str, rows: list[str]) -> Path:
    path = root / "raw" / device / "accel" / f"data_{subject}_accel_{device}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def one(tmp_path: Path, rows: list[str]) -> Reading:
    write(tmp_path, 1600, "phone", rows)
    return WISDM(root=tmp_path).read()


def odd(reading: Reading) -> dict[str, int]:
    """What was found, but for the activities that a small fixture leaves out."""
    return {k: v for k, v in reading.findings.counts.items() if k != "activities absent from a file"}


def dataset(root: Path) -> Path:
    """The official layout, 3 subjects with both devices."""
    for subject in (1600, 1601, 1610):
        for device in ("phone", "watch"):
            rows = [row for i, code in enumerate("ACB") for row in lines(subject, code, 250, start=10**15 * (i + 1))]
            write(root / "wisdm-dataset", subject, device, rows)
            gyro = root / "wisdm-dataset" / "raw" / device / "gyro" / f"data_{subject}_gyro_{device}.txt"
            gyro.parent.mkdir(exist_ok=True)
            gyro.write_text("not read")
    (root / "wisdm-dataset" / "activity_key.txt").write_text("walking = A\n")
    return root / "wisdm-dataset"


def test_wisdm_is_read_at_every_level_and_in_its_zip_with_the_same_result(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "unpacked")
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "wisdm-dataset.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(inner.rglob("*.txt"), reverse=True):
            out.write(path, path.relative_to(inner.parent))
    roots = [inner.parent, inner, inner / "raw", tmp_path / "zipped", tmp_path / "zipped" / "wisdm-dataset.zip"]
    tables = [WISDM(root=root).load() for root in roots]
    assert [len(t) for t in tables] == [3 * 2 * 3 * 3] * 5
    for table in tables[1:]:
        assert (table.meta["session"] == tables[0].meta["session"]).all()
        assert (table.rows(table.ids).inputs["sensor"] == tables[0].rows(tables[0].ids).inputs["sensor"]).all()
    assert tables[0].card["tasks"]["position"] == {"phone": 27, "watch": 27}
    assert [k for k, v in tables[0].card["tasks"]["activity"].items() if v] == ["walking", "jogging", "stairs"]
    assert len(set(tables[0].meta["session"])) == 18
    phone = WISDM(root=inner, positions=("phone",)).load()
    assert phone.card["tasks"]["position"] == {"phone": 27, "watch": 0}


def test_wisdm_values_and_labels_are_those_of_the_file(tmp_path: Path) -> None:
    rows = lines(1600, "S", 150)
    (recording,) = one(tmp_path, rows).recordings
    assert recording.signal[3].tolist() == [np.float32(v) for v in rows[3].rstrip(";").split(",")[3:]]
    assert set(recording.labels["activity"].tolist()) == {17}
    assert (recording.subject, recording.session, recording.rate) == ("1600", "1600 phone S", pytest.approx(20))


def test_every_quirk_of_a_line_is_read_or_left_out_and_counted(tmp_path: Path) -> None:
    rows = lines(1600, "A", 40)
    clean = one(tmp_path / "clean", rows).recordings[0].signal
    quirky = list(rows)
    quirky[1] = rows[1].rstrip(";")  # no ;
    quirky[2] = rows[2] + rows[3]  # two records
    quirky[4] = rows[4][:-1] + ",;"  # ends in ,;
    quirky[6] = rows[6].rsplit(",", 1)[0] + ",;"  # no z
    quirky[9] = "1600,A,12,x,y,z;"
    quirky[12] = rows[12][:20]
    quirky[15] = "1600,A,0,0,0,0;"
    quirky[20] = rows[20] + "\n" + rows[20]
    quirky[30] = rows[30] + "\n\n"
    del quirky[3]
    reading = one(tmp_path / "quirky", quirky)
    assert odd(reading) == {
        "lines without ;": 2,
        "lines with several records": 1,
        "lines ending in ,;": 1,
        "lines without z": 1,
        "broken lines": 2,
        "lines with timestamp 0": 1,
        "repeated lines": 1,
        "empty lines": 2,
    }
    kept = [i for i in range(40) if i not in (6, 9, 12, 15)]
    assert (np.concatenate([r.signal for r in reading.recordings]) == clean[kept]).all()
    assert reading.findings.first["lines without z"] == "data_1600_accel_phone.txt line 6"


def test_the_fast_and_the_careful_reader_agree(tmp_path: Path) -> None:
    rows = [row for i, code in enumerate("ABC") for row in lines(1600, code, 120, start=10**15 * (i + 1))]
    fast = one(tmp_path / "fast", rows)
    careful = one(tmp_path / "careful", [*rows, ""])
    text = (tmp_path / "fast" / "raw" / "phone" / "accel" / "data_1600_accel_phone.txt").read_text()
    windows = write(tmp_path / "windows", 1600, "phone", [])
    windows.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    loose = one(tmp_path / "loose", [rows[0].rstrip(";"), *rows[1:]])
    for other in (careful, WISDM(root=tmp_path / "windows").read(), loose):
        assert [r.session for r in other.recordings] == [r.session for r in fast.recordings]
        for a, b in zip(fast.recordings, other.recordings, strict=True):
            assert (a.signal == b.signal).all()
            assert a.rate == b.rate


def test_gaps_backward_and_repeated_times_end_a_recording_or_are_counted(tmp_path: Path) -> None:
    rows = lines(1600, "A", 300)
    shifted = [*rows[:100], *lines(1600, "A", 100, start=10**15 + 10**10), *lines(1600, "A", 100, start=5 * 10**14)]
    fields = shifted[50].split(",")
    shifted[50] = ",".join([*fields[:2], shifted[49].split(",")[2], *fields[3:]])
    reading = one(tmp_path, shifted)
    assert [len(r.signal) for r in reading.recordings] == [100, 100, 100]
    assert odd(reading) == {"timestamps that go back": 1, "timestamps that repeat": 1, "gaps": 1}
    assert {r.session for r in reading.recordings} == {"1600 phone A"}
    starts = [r.start for r in reading.recordings]
    assert starts[:2] == [0.0, pytest.approx(10.0)]
    assert starts[2] > starts[1] + 4.9


def test_unknown_codes_have_no_activity_and_a_resumed_activity_is_another_session(tmp_path: Path) -> None:
    rows = [
        *lines(1600, "A", 150),
        *lines(1600, "N", 150, start=2 * 10**15),
        *lines(1600, "A", 150, start=3 * 10**15, seed=1),
    ]
    reading = one(tmp_path, rows)
    assert [r.session for r in reading.recordings] == ["1600 phone A", "1600 phone N", "1600 phone A 2"]
    assert set(reading.recordings[1].labels["activity"].tolist()) == {IGNORE}
    assert odd(reading) == {"lines of an unknown activity code": 150, "activities that resume later in a file": 1}
    assert reading.findings.counts["activities absent from a file"] == 17
    assert "pasta" in reading.findings.first["activities absent from a file"]


def test_stretches_at_other_rates_are_measured_and_resampled(tmp_path: Path) -> None:
    mixed = [*lines(1600, "A", 200), *lines(1600, "A", 1000, rate=100.6, start=10**15 + 10_200 * 10**6, seed=1)]
    rows = [
        *mixed,
        *lines(1600, "B", 500, rate=25.06, start=9 * 10**15),
        *lines(1600, "C", 200, rate=19.86, start=10**16),
    ]
    reading = one(tmp_path, rows)
    assert [round(r.rate, 1) for r in reading.recordings] == [20, 100.6, 25.1, 19.9]
    table = WISDM(root=tmp_path, windows=Windowing(length=50, stride=50, rate=20)).load()
    assert table.card["findings"]["recordings resampled"] == 2
    assert table.card["rates"] == {"20 Hz": 2, "101 Hz": 1, "25 Hz": 1}
    assert table.card["tasks"]["activity"]["jogging"] == 8


def test_a_file_whose_lines_name_another_subject_belongs_to_the_one_in_its_name(tmp_path: Path) -> None:
    reading = one(tmp_path, [*lines(1600, "A", 100), *lines(1601, "A", 20, start=10**15 + 5 * 10**9)])
    assert odd(reading) == {"lines of another subject than the file's": 20}
    assert {r.subject for r in reading.recordings} == {"1600"}


def test_a_root_without_the_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        WISDM(root=tmp_path / "none").load()
    with pytest.raises(UserError, match=r"no such data here; root is wisdm-dataset.zip"):
        WISDM(root=tmp_path).load()
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="not a zip"):
        WISDM(root=tmp_path / "broken.zip").load()
    (tmp_path / "broken.zip").unlink()
    write(tmp_path / "a", 1600, "phone", [])
    with pytest.raises(UserError, match="no usable recording"):
        WISDM(root=tmp_path).load()
    with pytest.raises(UserError, match="no file of the positions watch"):
        WISDM(root=tmp_path, positions=("watch",)).load()
    write(tmp_path / "b", 1600, "phone", [])
    with pytest.raises(UserError, match=r"two files are named data_1600_accel_phone\.txt"):
        WISDM(root=tmp_path).load()


def test_a_zip_that_was_cut_or_unpacks_to_too_much_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wisdm-dataset.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        out.writestr("a/data_1600_accel_phone.txt", "\n".join(lines(1600, "A", 200)))
    assert len(WISDM(root=path).read().recordings) == 1
    assert sorted(tmp_path.rglob("*.txt")) == []
    monkeypatch.setattr("limbeck.data.archive.LIMIT", 1000)
    with pytest.raises(UserError, match="would unpack to more than 1000"):
        WISDM(root=path).read()
    monkeypatch.undo()
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"data_1600_accel_phone.txt cannot be read: Bad CRC"):
        WISDM(root=path).read()


def mhealth(root: Path, subject: int = 1, broken: bool = False) -> Path:
    """Null, each activity, null: 60 lines each, in which columns hold about their own number."""
    root.mkdir(exist_ok=True)
    labels = np.repeat([0, *range(1, 13), 0], 60)
    values = np.tile(np.arange(24.0), (len(labels), 1)) + np.arange(len(labels))[:, None] / 1000
    values[:, 23] = labels
    rows = ["\t".join(f"{v:.5g}" for v in row[:23]) + f"\t{int(row[23])}" for row in values]
    if broken:
        rows[100] = "1.0\t2.0"
        rows[300] = rows[300].rpartition("\t")[0] + "\t77"
    path = root / f"mHealth_subject{subject}.log"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_mhealth_positions_are_copies_of_the_recording_with_their_own_columns(tmp_path: Path) -> None:
    mhealth(tmp_path, 1), mhealth(tmp_path, 10), mhealth(tmp_path, 2)
    reading = MHealth(root=tmp_path).read()
    assert [r.session for r in reading.recordings[:4]] == ["1 chest", "1 left ankle", "1 right lower arm", "10 chest"]
    assert [r.signal[0].round().tolist() for r in reading.recordings[:3]] == [[0, 1, 2], [5, 6, 7], [14, 15, 16]]
    assert reading.tasks[0].classes == 13
    table = MHealth(root=tmp_path, windows=Windowing(length=20, stride=20, rate=50)).load()
    assert table.card["tasks"]["activity"]["null"] == 3 * 3 * 2 * 3
    assert table.card["tasks"]["activity"]["jump front and back"] == 3 * 3 * 3
    assert set(table.card["tasks"]["position"].values()) == {3 * 14 * 3}
    assert table.card["findings"] == {}


def test_mhealth_without_null_has_12_classes_and_cuts_where_null_was(tmp_path: Path) -> None:
    mhealth(tmp_path)
    table = MHealth(root=tmp_path, keep_null=False, windows=Windowing(length=20, stride=20, rate=50)).load()
    assert list(table.card["tasks"]["activity"]) == list(MHealth(root=tmp_path).read().tasks[0].labels[1:])
    assert set(table.card["tasks"]["activity"].values()) == {9}
    assert table.meta["start"].min() == 60 / 50


def test_mhealth_broken_lines_end_a_recording_and_unknown_labels_are_missing(tmp_path: Path) -> None:
    mhealth(tmp_path, broken=True)
    reading = MHealth(root=tmp_path).read()
    assert reading.findings.counts == {"broken lines": 1, "lines of an unknown activity": 1}
    assert reading.findings.first["broken lines"] == "mHealth_subject1.log line 101"
    assert [len(r.signal) for r in reading.recordings[:2]] == [100, 14 * 60 - 101]
    assert (reading.recordings[1].labels["activity"] == IGNORE).sum() == 1
    assert reading.recordings[1].start == 101 / 50


def test_sleep_files_of_both_formats_are_read(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(300, 3)).round(4)
    timed = [f"{20 * i},{x},{y},{z};" for i, (x, y, z) in enumerate(values)]
    (tmp_path / "nam_night1_UpRight_co.txt").write_text("\n".join(timed))
    headed = ["ax,ay,az", *(f"{x},{y},{z}" for x, y, z in values)]
    (tmp_path / "lan_leftup_Bung.txt").write_text("\n".join(headed))
    (tmp_path / "lan_notes.txt").write_text("not a recording")
    lan, nam = Sleep(root=tmp_path).read().recordings
    assert (lan.subject, nam.subject) == ("lan", "nam")
    assert [int(r.labels["posture"][0]) for r in (lan, nam)] == [10, 1]
    assert [int(r.labels["position"][0]) for r in (lan, nam)] == [2, 0]
    assert all(np.allclose(r.signal, values) and r.rate == pytest.approx(50) for r in (lan, nam))
    table = Sleep(root=tmp_path).load()
    assert table.card["tasks"]["posture"]["leftup"] == table.card["tasks"]["posture"]["upright"] == 4


def test_sleep_files_of_an_unknown_posture_are_counted(tmp_path: Path) -> None:
    for name in ("Lan_up_co", "Lan_flying_co", "Lan_up_knee"):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{i / 50:.2f},{i},0,1;" for i in range(200)))
    reading = Sleep(root=tmp_path).read()
    assert [r.session for r in reading.recordings] == ["Lan_up_co"]
    assert reading.findings.counts == {"files of an unknown posture or position": 2}


def test_sleep_gaps_and_nonsense_times_are_counted(tmp_path: Path) -> None:
    stamps = [i / 50 + (3 if i >= 200 else 0) for i in range(400)]
    (tmp_path / "a_up_co.txt").write_text("\n".join(f"{t:.3f},{i},0,1;" for i, t in enumerate(stamps)))
    (tmp_path / "b_up_co.txt").write_text("\n".join(f"7,{i},0,1;" for i in range(200)))
    reading = Sleep(root=tmp_path).read()
    assert [len(r.signal) for r in reading.recordings] == [200, 200, 200]
    assert reading.findings.counts == {"gaps": 1, "files whose times make no sense, taken to be at 50 Hz": 1}


@pytest.mark.skipif(not (DATA / "wisdm2019").is_dir(), reason="the WISDM zip is not in LIMBECK_DATA")
def test_the_real_wisdm_zip() -> None:
    spec = WISDM(root=DATA / "wisdm2019")
    reading = spec.read()
    assert sum(len(r.signal) for r in reading.recordings) == 2_356_257
    assert reading.findings.counts == {"gaps": 136, "activities absent from a file": 4}
    table = spec.cut(reading)
    assert 37_000 < len(table) < 38_500
    assert table.card["subjects"] == 18
    assert min(table.card["tasks"]["activity"].values()) > 1900
    published = Windowing(length=100, stride=60, rate=20, borders="cross", label="last", tolerance=1000)
    assert len(WISDM(root=DATA / "wisdm2019", windows=published).cut(reading)) == (2_356_257 - 100) // 60 + 1
