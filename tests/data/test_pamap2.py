import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data import inspect
from limbeck.data.pamap2 import CHANNELS, PAMAP2
from limbeck.data.split import LeaveOneSubjectOut
from limbeck.errors import UserError

IDS = {24: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 12: 8, 13: 9, 16: 10, 17: 11}
BOUTS = ((0, 90), (1, 700), (0, 250), (12, 400), (13, 401), (0, 30), (24, 900), (4, 333), (0, 100))
"""Numbers of activities and how many rows each has; two of them follow each other without a pause."""


def rows(bouts: tuple[tuple[int, int], ...] = BOUTS, seed: int = 0) -> np.ndarray:
    """Lines `(T, 54)` as the makers wrote them: a heart rate in every 11th, orientations that say nothing."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([b[0] for b in bouts], [b[1] for b in bouts])
    made = draw.normal(0, 0.5, (len(labels), 54)).round(3)
    made[:, 0] = (np.arange(len(labels)) + 838) / 100
    made[:, 1] = labels
    made[:, 2] = np.where(np.arange(len(labels)) % 11 == 5, draw.integers(70, 150, len(labels)), np.nan)
    made[:, [3, 20, 37]] = 30 + draw.random((len(labels), 3)).round(3)
    made[:, [*range(16, 20), *range(33, 37), *range(50, 54)]] = 9999
    return made


def write(root: Path, subject: int, values: np.ndarray, part: str = "Protocol", text: str = "") -> Path:
    path = root / "PAMAP2_Dataset" / part / f"subject{subject}.dat"
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    np.savetxt(out, values, fmt=["%.2f", "%d", *["%.6g"] * 52])
    path.write_text(out.getvalue().replace("nan", "NaN") + text)
    return path


def windows(table, session: str = "protocol 101") -> np.ndarray:
    at = torch.from_numpy(np.flatnonzero(table.meta["session"] == session))
    return table.rows(at).inputs["sensor"].numpy()


def test_a_file_becomes_the_published_windows(tmp_path: Path) -> None:
    """What the preparation does, one row and one window at a time."""
    values = rows((*BOUTS, (1, 300), (2, 90), (1, 300)))
    write(tmp_path, 101, values)
    made = PAMAP2(root=tmp_path).load()
    stream, held = [], float("nan")
    for row in values:
        if int(row[1]) in IDS:
            held = row[2] if row[2] == row[2] else held
            chosen = [held, *row[3:16], *row[20:33], *row[37:50]]
            stream.append((IDS[int(row[1])], [0.0 if v != v else v for v in chosen]))
    stream = stream[::3]
    expected = [j for j in range(22, len(stream) - 100, 22) if stream[j][0] == stream[j + 99][0]]
    assert (made.meta["start"] * 100 / 3).round(6).tolist() == expected
    assert made.targets["activity"].tolist() == [stream[j][0] for j in expected]
    assert expected[0] == 22
    crossing = [j for j in expected if len({label for label, _ in stream[j : j + 100]}) > 1]
    assert made.card["dropped"]["windows whose first and last label differ"] > 0
    assert len(crossing) > 0
    assert made.shape("sensor") == (40, 100)
    assert made.card["rate"] == pytest.approx(33.333, abs=1e-3)
    assert (made.card["window"], made.card["stride"]) == (100, 22)
    raw = np.array([[r for _, r in stream[j : j + 100]] for j in expected]).transpose(0, 2, 1)
    spots = {0: (0, 202), 1: (0, 35.5), 2: (-114.755, 47.6314), 14: (0, 38.5625), 39: (-102.232, 146.651)}
    for channel, (low, high) in spots.items():
        wanted = np.clip((raw[:, channel] - low) / (high - low), 0, 1)
        assert np.abs(windows(made)[:, channel] - wanted).max() < 1e-6
    assert made.card["findings"] == {
        "lines of no activity, left out": 470,
        "gaps between rows that are joined": 3,
        "rows with a missing value, taken as 0": 3,
    }


def test_a_window_ends_before_the_last_row(tmp_path: Path) -> None:
    """The published loop is `range(22, rows - 100, 22)`, which leaves out a window that would end with the last."""
    for subject, count in ((101, 144), (102, 145)):
        write(tmp_path, subject, rows(((1, 3 * count),)))
    table = PAMAP2(root=tmp_path).load()
    assert {s: (table.meta["subject"] == s).sum() for s in ("101", "102")} == {"101": 1, "102": 2}


def test_every_activity_has_the_published_class(tmp_path: Path) -> None:
    write(tmp_path, 101, rows(tuple((number, 400) for number in (0, *IDS))))
    table = PAMAP2(root=tmp_path).load()
    (task,) = table.tasks
    assert task.labels[:3] == ("rope jumping", "lying", "sitting")
    assert task.labels[7:] == (
        *("Nordic walking", "ascending stairs", "descending stairs"),
        *("vacuum cleaning", "ironing"),
    )
    order = list(dict.fromkeys(table.targets["activity"].tolist()))
    assert order == list(IDS.values())
    assert len(CHANNELS) == len(set(CHANNELS)) == 40
    assert CHANNELS[:3] == ("heart_rate", "hand_temp", "hand_acc16_x")
    assert CHANNELS[-1] == "ankle_mag_z"


def test_values_out_of_range_are_clipped_and_missing_ones_are_zero(tmp_path: Path) -> None:
    values = rows(((1, 900),))
    values[:, 2] = np.nan
    values[300::11, 2] = 101
    values[300:600, 4] = np.nan
    values[300:600, 5], values[300:600, 6] = 1000, -1000
    write(tmp_path, 101, values)
    table = PAMAP2(root=tmp_path).load()
    inside = windows(table)[4]  # from row 330 of the file on
    assert inside[0] == pytest.approx(0.5)
    assert inside[2][:50] == pytest.approx(114.755 / (114.755 + 47.6314))
    assert (inside[3][:50] == np.float32(0.99)).all()
    assert (inside[4][:50] == 0).all()
    assert (windows(table)[0][0, :70] == 0).all()
    assert table.card["findings"] == {
        "rows with a missing value, taken as 0": 600,
        "rows with a value beyond its channel's range, clipped": 300,
    }


def test_plain_keeps_units_and_no_window_crosses_a_gap_or_an_activity(tmp_path: Path) -> None:
    values = rows()
    values[:, 4] = 9.81
    values[200:205, 4] = np.nan  # bridged
    values[300:330, 17] = np.nan  # orientation: of no interest
    values[1100:1150, 24] = np.nan  # ends a recording
    values[2200:, 0] += 3  # a gap
    write(tmp_path, 101, values)
    spec = PAMAP2(root=tmp_path, prepared="plain")
    reading = spec.read()
    assert [r.session for r in reading.recordings] == [
        *("protocol 101 lying 1", "protocol 101 ascending stairs 1", "protocol 101 descending stairs 1"),
        *("protocol 101 rope jumping 1", "protocol 101 rope jumping 1", "protocol 101 walking 1"),
    ]
    assert reading.unit == "bpm, deg C, m/s2, rad/s, uT"
    assert [len(r.signal) for r in reading.recordings] == [700, 400, 401, 329, 571, 333]
    assert reading.recordings[4].start == pytest.approx(3.29 + 3)
    assert reading.findings.counts == {
        "lines of no activity, left out": 470,
        "rows with holes bridged by straight lines": 5,
        "gaps": 1,
    }
    table = spec.load()
    assert np.allclose(windows(table, "protocol 101 lying 1")[:, 2], 9.81, atol=1e-4)
    assert np.abs(windows(table, "protocol 101 lying 1")[:, 0] - 110).max() < 45
    assert table.card["findings"]["samples that are not finite"] == 50
    assert table.card["dropped"]["samples of stretches shorter than a window"] > 0
    bouts = {"lying": 700, "ascending stairs": 290, "descending stairs": 401, "rope jumping": 571, "walking": 333}
    assert {k: v for k, v in table.card["tasks"]["activity"].items() if v} == {
        name: n for name, rows in bouts.items() if (n := max(0, (-(-rows // 3) - 22 - 100) // 22 + 1))
    }


def test_the_optional_part_adds_six_classes(tmp_path: Path) -> None:
    write(tmp_path, 101, rows())
    write(tmp_path, 101, rows(((0, 50), (9, 600), (20, 600))), "Optional")
    assert len(PAMAP2(root=tmp_path).entries()) == 1
    both = PAMAP2(root=tmp_path, part="both").load()
    assert both.tasks[0].classes == 18
    assert set(both.meta["session"]) == {"protocol 101", "optional 101"}
    assert set(both.meta["subject"]) == {"101"}
    assert [k for k, v in PAMAP2(root=tmp_path, part="optional").load().card["tasks"]["activity"].items() if v] == [
        *("watching TV", "playing soccer")
    ]


def test_it_is_read_at_every_level_and_in_its_zip_and_split_by_subject(tmp_path: Path) -> None:
    for subject in (101, 102, 103):
        write(tmp_path / "in", subject, rows(seed=subject))
    inner = tmp_path / "in" / "PAMAP2_Dataset"
    with zipfile.ZipFile(tmp_path / "PAMAP2_Dataset.zip", "w") as out:
        for path in inner.rglob("*.dat"):
            out.write(path, path.relative_to(inner.parent))
    roots = [inner.parent, inner, inner / "Protocol", tmp_path / "PAMAP2_Dataset.zip"]
    first, *others = [PAMAP2(root=root).load() for root in roots]
    for table in others:
        assert torch.equal(table.rows(table.ids).inputs["sensor"], first.rows(first.ids).inputs["sensor"])
    fold = LeaveOneSubjectOut(fold=1).split(first)
    assert set(fold.test.meta["subject"]) == {"102"}
    assert inspect.check(PAMAP2(root=inner))["errors"] == []


def test_broken_lines_and_unknown_activities_are_left_out_and_counted(tmp_path: Path) -> None:
    values = rows()
    values[150:153, 1] = 14
    path = write(tmp_path, 101, values, text="12.3 1 100\n\n9 x" + " 0" * 52 + "\n" + " ".join(["1"] * 55) + "\n")
    write(tmp_path, 109, rows()[:0])
    clean = PAMAP2(root=write(tmp_path.parent / "clean", 101, rows()).parent).read()
    for end in ("\n", "\r\n"):
        path.write_text(path.read_text().replace("\n", end))
        reading = PAMAP2(root=tmp_path / "PAMAP2_Dataset").read()
        assert reading.findings.counts["broken lines"] == 3
        assert reading.findings.counts["empty lines"] == 1
        assert reading.findings.counts["lines of an unknown activity, left out"] == 3
        assert reading.findings.counts["empty files"] == 1
        assert len(reading.recordings[0].signal) == len(clean.recordings[0].signal) - 1
    with pytest.raises(UserError, match=r"no file of the part optional; root is the folder PAMAP2_Dataset"):
        PAMAP2(root=tmp_path, part="optional").files()
    with pytest.raises(UserError, match="no such data here"):
        PAMAP2(root=Path(__file__).parent).files()
