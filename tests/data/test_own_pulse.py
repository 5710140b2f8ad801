import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from limbeck.config import parse
from limbeck.data import inspect
from limbeck.data.own_pulse import PulseRecordings
from limbeck.errors import UserError
from limbeck.fields import print_kind


def frame(subject: str, rate: float = 50.0, seconds: float = 40.0, start: float = 0.0) -> pd.DataFrame:
    """A pulse of 90 bpm; the heart rate, 60 + the second, stands on the line of every whole second."""
    at = np.round(start + np.arange(int(seconds * rate)) / rate, 4)
    wave = np.random.default_rng(len(subject)).normal(size=len(at)) * 0.01 + np.sin(2 * np.pi * 1.5 * at)
    bpm = np.where(np.arange(len(at)) % round(rate) == 0, 60 + at - start, np.nan)
    moved = {f"acc_{a}": np.cos(2 * np.pi * (n + 1) * at) for n, a in enumerate("xyz")}
    did = np.where(at - start < seconds / 2, "rest", "run")
    return pd.DataFrame({"time": at, "ppg": wave, **moved, "heart_rate": bpm, "activity": did, "subject": subject})


def folder(root: Path, **files: pd.DataFrame) -> PulseRecordings:
    for name, content in files.items():
        content.to_csv(root / f"{name}.csv", index=False)
    return PulseRecordings(root=root)


def waves(spec: PulseRecordings) -> np.ndarray[Any, Any]:
    table = spec.load()
    return np.asarray(table.rows(torch.arange(len(table))).inputs["sensor"])


def test_a_folder_becomes_the_same_table_as_the_sets_of_others(tmp_path: Path) -> None:
    table = folder(tmp_path, a=frame("ann"), b=frame("bo", rate=64.0), c=frame("cy", rate=25.0)).load()
    assert [(t.name, t.classes, t.span, t.unit) for t in table.tasks] == [("heart rate", 180, (29.5, 209.5), "bpm")]
    assert table.shape("sensor") == (1, 200)
    assert table.meta["subject"].tolist() == [s for s in ("ann", "bo", "cy") for _ in range(17)]
    assert table.meta["start"][:17].tolist() == list(range(0, 34, 2))
    assert set(table.meta["signal"].tolist()) == {"good"}
    card = table.card
    assert (card["channels"], card["rate"], card["window"], card["turned"]) == (["ppg"], 25.0, 200, False)
    assert card["filter"] == {"band": [0.5, 4.0], "order": 4, "how": "zero-phase"}
    assert set(card["facts"]) == set(card["findings"]) == {"file with times in s", "recordings resampled"}


def test_a_windows_label_is_the_mean_heart_rate_over_its_seconds(tmp_path: Path) -> None:
    table = folder(tmp_path, a=frame("ann")).load()
    inner = table.targets["heart rate"].numpy()[:-1]
    assert inner == pytest.approx(64 + table.meta["start"][:-1], abs=0.02)


def test_heart_rates_at_most_ten_seconds_apart_are_joined_and_others_are_not(tmp_path: Path) -> None:
    far, near = frame("ann", seconds=60), frame("bo", seconds=60)
    far.loc[~far["time"].isin((0, 5, 30, 35, 40, 60)), "heart_rate"] = np.nan
    near.loc[~near["time"].isin((0, 10, 20, 30, 40, 50)), "heart_rate"] = np.nan
    table = folder(tmp_path, a=far, b=near).load()
    known = {s: table.meta["start"][table.meta["subject"] == s].tolist() for s in ("ann", "bo")}
    assert known["ann"] == [0, 26, 28, 30, 32, 34, 36], "half of a window's seconds must be known"
    assert known["bo"] == list(range(0, 48, 2))
    assert table.card["dropped"] == {"windows without a label": 23}


def test_heart_rates_of_lines_without_a_pulse_wave_count(tmp_path: Path) -> None:
    pulse = frame("ann").drop(columns="heart_rate")
    belt = pd.DataFrame({"time": np.arange(40) + 0.013, "heart_rate": 60.0 + np.arange(40), "subject": "ann"})
    both = pd.concat([pulse, belt]).sort_values("time", kind="stable")
    table = folder(tmp_path, a=both).load()
    assert len(table) == 17
    assert table.targets["heart rate"].numpy()[:-1] == pytest.approx(64 + table.meta["start"][:-1], abs=0.03)


def test_no_contact_is_no_heart_rate_and_wild_ones_are_clamped_and_counted(tmp_path: Path) -> None:
    odd = frame("ann")
    odd.loc[odd["time"] == 10, "heart_rate"] = 0
    odd.loc[odd["time"] == 20, "heart_rate"] = -1
    wild = frame("bo").assign(heart_rate=250.0)
    table = folder(tmp_path, a=odd, b=wild).load()
    ann = table.meta["subject"] == "ann"
    assert table.targets["heart rate"].numpy()[ann][:-1] == pytest.approx(64 + table.meta["start"][ann][:-1], abs=0.02)
    assert set(table.targets["heart rate"].numpy()[~ann].tolist()) == {210.0}
    assert table.card["findings"]["heart rates that are no number above 0"] == 2
    assert any("outside of 30 to 210 bpm, clamped" in what for what in table.card["findings"])


def test_a_wave_that_points_down_is_turned_over_and_acceleration_is_not(tmp_path: Path) -> None:
    spec = folder(tmp_path, a=frame("ann")).changed(acceleration=True)
    up, down = waves(spec), waves(spec.changed(down=True))
    assert spec.load().card["channels"] == ["ppg", "acc_x", "acc_y", "acc_z"]
    assert np.array_equal(down[:, :1], -up[:, :1])
    assert np.array_equal(down[:, 1:], up[:, 1:])
    assert spec.changed(down=True).load().card["turned"] is True


def test_what_a_person_did_is_a_circumstance(tmp_path: Path) -> None:
    blank = frame("bo").assign(activity=None)
    table = folder(tmp_path, a=frame("ann"), b=blank).changed(activity="activity").load()
    ann = table.meta["subject"] == "ann"
    assert table.meta["activity"][ann].tolist() == ["rest"] * 8 + ["run"] * 9
    assert set(table.meta["activity"][~ann].tolist()) == {""}
    assert list(table.targets) == ["heart rate"]


def test_a_gap_ends_a_recording_and_columns_may_have_other_names(tmp_path: Path) -> None:
    cut = frame("ann").rename(columns={"ppg": "green", "heart_rate": "hr"})
    cut = cut[(cut["time"] < 15) | (cut["time"] >= 20)].drop(columns="subject")
    folder(tmp_path, **{"p7 left": cut})
    words = {"root": str(tmp_path), "ppg": "green", "heart_rate": "hr", "subject_from": r"p(\d)"}
    table = parse(PulseRecordings, words).load()
    assert table.meta["subject"].tolist() == ["7"] * 11
    assert table.meta["start"].tolist() == [0, 2, 4, 6, 20, 22, 24, 26, 28, 30, 32]
    assert table.card["findings"]["gap"] == 1


def test_a_file_without_a_heart_rate_is_counted_and_its_windows_left_out(tmp_path: Path) -> None:
    spec = folder(tmp_path, a=frame("ann"), b=frame("bo").drop(columns="heart_rate"))
    table = spec.load()
    assert set(table.meta["subject"].tolist()) == {"ann"}
    assert table.card["dropped"] == {"windows without a label": 17}
    assert "1 file without the label column 'heart_rate' (first: b.csv)" in inspect.check(spec)["warnings"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ppg": "pgg"}, r"no channel column in a\.csv: 'pgg'; did you mean 'ppg'\?"),
        ({"heart_rate": "hart_rate"}, r"no column in a\.csv: 'hart_rate'; did you mean 'heart_rate'\?"),
        ({"activity": "deed"}, r"no label column in a\.csv: 'deed'"),
        ({"rate": 25.0}, r"a\.csv: a rate of 25 Hz was given, but its samples come at 50 Hz"),
        ({"axes": ("x", "y")}, "axes: three columns, such as acc_x,acc_y,acc_z"),
        ({"band": (0.5, 30.0)}, r"band: from 0\.5 to 30 Hz is not within 0 and 25 Hz"),
    ],
)
def test_a_wrong_word_is_an_error_that_says_what_there_is(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        folder(tmp_path, a=frame("ann")).changed(**change).load()


def test_its_fields_are_told_where_help_is_asked_for() -> None:
    out = io.StringIO()
    print_kind("ppg-recordings", Console(file=out, width=120))
    assert "--heart_rate" in out.getvalue()
    assert "--root " in out.getvalue()
    assert "(needed)" in out.getvalue()
    with pytest.raises(UserError, match="did you mean 'ppg-recordings'"):
        print_kind("ppg-recording", Console(file=out))
