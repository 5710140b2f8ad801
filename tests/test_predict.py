"""Prediction: windows at the right seconds, answers decoded by definition, and doubts said aloud."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console

from limbeck import checkpoint, deployed, edge
from limbeck.config import dump
from limbeck.data.folder import read_signal
from limbeck.data.own_pulse import PulseRecordings
from limbeck.data.ppg import HEART_RATE, PPGData
from limbeck.data.recordings import Findings, Reading, Recording
from limbeck.errors import UserError
from limbeck.models import PPGResNet
from limbeck.predict import doubts, predict, predict_file, unit_warning
from limbeck.rows import write
from limbeck.tasks import Task
from limbeck.timeline import Segment
from limbeck.values import decoded

Array = np.ndarray[Any, Any]
CARD = {"rate": 10.0, "unit": "g", "channels": ["x", "y", "z"], "window": 20, "modality": "sensor"}
ACTIVITY = Task.of("activity", ("still", "walk"))
RATE = Task("heart rate", 4, span=(40.0, 80.0), unit="bpm", decoder="expectation")
SPEED = Task("speed", unit="m/s")
TASKS = (ACTIVITY, RATE, SPEED)


def model(windows: Array) -> dict[str, Array]:
    """Walking where z is above 1, and speed as the first sample of x."""
    assert windows.shape[1:] == (3, 20)
    walk = np.where(windows[:, 2].mean(axis=1) > 1, 0.9, 0.2)
    bins = np.tile(np.array([[0.0, 0.5, 0.5, 0.0]]), (len(windows), 1))
    return {"activity": np.stack([1 - walk, walk], axis=1), "heart rate": bins, "speed": windows[:, :1, 0]}


def ramp(samples: int, rate: float = 10.0, start: float = 0.0) -> Segment:
    """x is the second of the recording, z is 0.5 in the first half and 1.5 after it."""
    at = np.arange(samples)
    signal = np.stack([start + at / rate, 0 * at, np.where(at < samples / 2, 0.5, 1.5)], axis=1)
    return signal.astype(np.float32), rate, start


def test_windows_begin_and_end_at_the_right_seconds() -> None:
    rows = predict(model, TASKS, CARD, [ramp(87), ramp(45, start=100.0)])
    assert [(r["start"], r["end"]) for r in rows] == [(0, 2), (2, 4), (4, 6), (6, 8), (100, 102), (102, 104)]
    for row in rows:
        assert row["tasks"]["speed"]["value"] == pytest.approx(row["start"], abs=1e-3)
    assert [r["tasks"]["activity"]["label"] for r in rows] == ["still", "still", "walk", "walk", "still", "walk"]


def test_a_stride_makes_windows_overlap_and_chunks_do_not_lose_rows() -> None:
    rows = predict(model, TASKS, CARD, [ramp(700)], stride=1)
    assert [r["start"] for r in rows] == pytest.approx(np.arange(681) / 10)
    assert [r["tasks"]["speed"]["value"] for r in rows] == pytest.approx(np.arange(681) / 10, abs=1e-3)
    with pytest.raises(UserError, match="at least 1, not 0"):
        predict(model, TASKS, CARD, [ramp(700)], stride=0)


@pytest.mark.parametrize("rate", [25.0, 20.0, 8.0, 10.004])
def test_another_rate_is_resampled_without_a_shift_in_time(rate: float) -> None:
    rows = predict(model, TASKS, CARD, [ramp(int(10 * rate), rate=rate, start=5.0)])
    assert [r["start"] for r in rows] == [5, 7, 9, 11, 13]
    assert [r["tasks"]["speed"]["value"] for r in rows] == pytest.approx([5, 7, 9, 11, 13], abs=0.02)


def test_what_cannot_be_answered_for_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"without a gap is 1\.9 s, a window is 2 s \(20 samples at 10 Hz\)"):
        predict(model, TASKS, CARD, [ramp(19), ramp(7)])
    with pytest.raises(UserError, match=r"longest stretch without a gap is 0 s"):
        predict(model, TASKS, CARD, [])
    with pytest.raises(UserError, match=r"has 2 channels, the model reads 3: x, y, z"):
        predict(model, TASKS, CARD, [(np.zeros((50, 2), np.float32), 10.0, 0.0)])
    with pytest.raises(UserError, match=r"has 4 samples a second, the model was trained at 10 Hz"):
        predict(model, TASKS, CARD, [ramp(100, rate=4.0)])
    signal, rate, _ = ramp(100)
    signal[33, 1] = np.nan
    with pytest.raises(UserError, match=r"NaN or infinite value at 10\.300 s in channel y"):
        predict(model, TASKS, CARD, [ramp(50), (signal, rate, 7.0)])


def heart(probabilities: list[float]) -> dict[str, Any]:
    task = Task("heart rate", len(probabilities), span=(40.0, 80.0), unit="bpm", decoder="expectation")
    row = predict(lambda x: {"heart rate": np.array([probabilities], np.float32)}, [task], CARD, [ramp(20)])[0]
    answer: dict[str, Any] = row["tasks"]["heart rate"]
    return answer


def test_bins_are_decoded_to_their_mean_and_the_interval_that_holds_95_percent() -> None:
    # uniform over 40-80: the quantiles are those of the uniform distribution
    assert heart([0.25] * 4) == {"value": 60.0, "low": 41.0, "high": 79.0, "entropy": 1.3863, "unit": "bpm"}
    # all in the bin 50-60, whose middle is 55
    assert heart([0, 1, 0, 0]) == {"value": 55.0, "low": 50.25, "high": 59.75, "entropy": 0.0, "unit": "bpm"}
    # two peaks: the lower 2.5 % end in the first bin, the upper in the last
    assert heart([0.5, 0, 0, 0.5]) == {"value": 60.0, "low": 40.5, "high": 79.5, "entropy": 0.6931, "unit": "bpm"}


def test_the_interval_covers_95_percent_of_draws() -> None:
    draw = np.random.default_rng(0)
    p = draw.dirichlet(np.ones(40))
    answer = heart(p.tolist())
    values = 40 + (draw.choice(40, 100_000, p=p) + draw.random(100_000))
    assert ((values >= answer["low"]) & (values <= answer["high"])).mean() == pytest.approx(0.95, abs=0.003)
    assert answer["value"] == pytest.approx(values.mean(), abs=0.2)


def test_classes_keep_all_their_probabilities() -> None:
    rows = predict(model, TASKS, CARD, [ramp(40)])
    assert rows[1]["tasks"]["activity"] == {
        "label": "walk", "probability": 0.9, "probabilities": {"still": 0.1, "walk": 0.9},
    }  # fmt: skip
    unnamed = Task("kind", 2)
    row = predict(lambda x: {"kind": np.array([[0.4, 0.6]])}, [unnamed], CARD, [ramp(20)])[0]
    assert row["tasks"]["kind"]["label"] == "1"


def at_rest(length: float, channels: int = 3) -> Segment:
    draw = np.random.default_rng(0).normal(size=(200, channels))
    return (draw / np.linalg.norm(draw[:, :3], axis=1, keepdims=True) * length).astype(np.float32), 10.0, 0.0


@pytest.mark.parametrize(
    ("unit", "length", "said"),
    [
        ("g", 1.0, None),
        ("g", 2.5, None),
        ("g", 9.81, r"median length of 9.81, as in m/s2 \(or"),
        ("g", 1000, "as in mg"),
        ("g", 100, "median length of 100, but"),
        ("m/s2", 9.6, None),
        ("m/s^2", 1.0, r"as in g \(or without gravity\), but the model was trained on m/s\^2, where .* shows 9.81"),
        ("m/s² and deg/s", 1.0, "as in g"),
        ("counts", 9.81, None),
        ("", 9.81, None),
    ],
)
def test_acceleration_in_another_unit_is_warned_of(unit: str, length: float, said: str | None) -> None:
    line = unit_warning(CARD | {"unit": unit}, [at_rest(length)])
    assert (line is None) == (said is None)
    assert said is None or (re.search(said, line or "") and "\n" not in (line or ""))


@pytest.mark.parametrize(
    ("channels", "known"),
    [
        (("x", "y", "z"), True),
        (("ax", "ay", "az"), True),
        (("Acc_X", "Acc_Y", "Acc_Z", "gx", "gy", "gz"), True),
        (("wrist accelerometer x", "wrist accelerometer y", "wrist accelerometer z"), True),
        (("gyro_x", "gyro_y", "gyro_z"), False),
        (("x", "y", "ppg"), False),
        (("a", "b", "c"), False),
    ],
)
def test_the_unit_is_judged_by_channels_known_to_be_acceleration(channels: tuple[str, ...], known: bool) -> None:
    card = CARD | {"channels": list(channels)}
    assert (unit_warning(card, [at_rest(9.81, len(channels))]) is not None) == known


def test_stretches_that_get_no_answer_are_told() -> None:
    assert doubts(CARD, [at_rest(1.0)]) == []
    told = doubts(CARD, [at_rest(1.0), ramp(7), ramp(12)])
    assert told == ["2 of 3 stretches between gaps (1.9 s together) are shorter than a window (2 s) and get no answer"]


def test_stretches_in_which_nothing_changes_are_told() -> None:
    signal, rate, _ = at_rest(1.0)
    signal[50:69] = signal[50]
    assert doubts(CARD, [(signal, rate, 7.0)]) == []  # 1.9 s
    signal[50:71] = signal[50]
    signal[100:130] = signal[100]
    told = doubts(CARD, [(signal, rate, 7.0)])
    assert told == ["nothing changes in 5.1 s of the recording (first: at 12 s): answers there mean nothing"]


def test_rows_are_written_as_csv_and_json(tmp_path: Path) -> None:
    rows = predict(model, TASKS, CARD, [ramp(40)])
    write(rows, TASKS, tmp_path / "a.csv")
    table = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert table[1] == {
        "start": "2.0", "end": "4.0", "activity": "walk", "activity probability": "0.9",
        "heart rate": "60.0", "heart rate low": "50.5", "heart rate high": "69.5", "heart rate entropy": "0.6931",
        "speed": "2.0",
    }  # fmt: skip
    write(rows, TASKS, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == rows
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.json"]
    with pytest.raises(UserError, match=r"\.csv or \.json, not 'a\.txt'"):
        write(rows, TASKS, tmp_path / "a.txt")


def test_a_users_file_with_a_gap_is_read_and_answered_for(tmp_path: Path) -> None:
    at = np.concatenate([np.arange(50), np.arange(90, 150)]) / 10
    lines = [f"{t:.1f},{t:.2f},0,0.5" for t in at]
    (tmp_path / "me.csv").write_text("\n".join(["time,x,y,z", *lines]) + "\n")
    segments, _ = read_signal(tmp_path / "me.csv", ("x", "y", "z"), None)
    rows = predict(model, TASKS, CARD, segments)
    assert [r["start"] for r in rows] == pytest.approx([0, 2, 9, 11, 13])
    assert [r["tasks"]["speed"]["value"] for r in rows] == pytest.approx([0, 2, 9, 11, 13], abs=1e-3)


def test_a_file_is_answered_for_by_a_model_on_disk_and_its_oddities_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Known:
        """The model above, as a run folder would give it."""

        tasks, card = (ACTIVITY,), CARD

        def __call__(self, windows: Array) -> dict[str, Array]:
            return model(windows)

    monkeypatch.setattr(deployed, "opened", lambda path, domain: Known())
    at = np.concatenate([np.arange(50), np.arange(90, 150)]) / 10
    (tmp_path / "me.csv").write_text("time,x,y,z\n" + "".join(f"{t:.1f},0,0,9.8\n" for t in at))
    said = Console(file=io.StringIO(), width=500)
    out, plot = tmp_path / "o.csv", tmp_path / "o.png"
    rows = predict_file(tmp_path, tmp_path / "me.csv", None, None, out, plot, said)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    assert "gap: 1" in text
    assert "warning: the acceleration of this recording has a median length of 9.8, as in m/s2" in text
    assert f"5 windows: {out}" in text
    assert len(out.read_text().splitlines()) == 6 == len(rows) + 1
    assert plot.is_file()
    table = Console(file=io.StringIO(), width=500)
    predict_file(tmp_path, tmp_path / "me.csv", None, 10, None, None, table)
    assert table.file.getvalue().count("walk") == 9  # type: ignore[attr-defined]


def test_the_task_says_which_decoder_reads_its_bins() -> None:
    bins = {"heart rate": np.array([[0.6, 0.0, 0.0, 0.4]], np.float32)}
    for decoder, value in (("argmax", 45.0), ("expectation", 57.0)):
        task = Task("heart rate", 4, span=(40.0, 80.0), unit="bpm", decoder=decoder)  # type: ignore[arg-type]
        assert predict(lambda x: bins, [task], CARD, [ramp(20)])[0]["tasks"]["heart rate"]["value"] == value


class Wrist(PPGData):
    """A pulse wave of one person, as a data set would have it."""

    kind: ClassVar[str] = "wrist"

    def files(self) -> list[Path]:
        return []

    def raw(self) -> Reading:
        signal, rate = pulse()
        labels = {HEART_RATE.name: np.full(len(signal), 80.0, np.float32)}
        made = [Recording(signal[:, None], rate, labels, "me", "me")]
        return Reading(made, (HEART_RATE,), ("ppg",), "", Findings(), rate)


def pulse() -> tuple[Array, float]:
    """A raw pulse wave that drifts, 60 s at 64 Hz; values as a file has them."""
    at = np.arange(60 * 64) / 64
    noise = np.random.default_rng(0).normal(0, 0.2, len(at))
    wave = 500 + 8 * at + np.sin(2 * np.pi * 1.3 * at) + noise
    return np.round(wave, 3).astype(np.float32), 64.0


def write_pulse(path: Path, heads: str, timed: bool = True) -> Path:
    signal, rate = pulse()
    lines = (f"{n / rate:.6f},{v:.3f}" if timed else f"{v:.3f}" for n, v in enumerate(signal))
    path.write_text("\n".join([heads, *lines]) + "\n")
    return path


def echo(windows: Array) -> dict[str, Array]:
    """Bins whose logits are the window itself, so that any difference of the windows shows."""
    logits = np.pad(windows[:, 0, :180], ((0, 0), (0, max(0, 180 - windows.shape[2]))))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return {"heart rate": p / p.sum(axis=1, keepdims=True)}


@pytest.mark.parametrize(
    "choices",
    [{}, {"resampling": "window"}, {"filtering": "one-pass"}, {"band": None}, {"band": None, "resampling": "window"}],
)
def test_a_raw_pulse_wave_is_filtered_and_resampled_as_the_training_data_were(
    tmp_path: Path, choices: dict[str, Any]
) -> None:
    data = Wrist(**choices)
    table = data.cut(data.read())
    task = dataclasses.replace(HEART_RATE, decoder="expectation")
    segments, _ = read_signal(write_pulse(tmp_path / "me.csv", "time,ppg"), ("ppg",), None)
    rows = predict(echo, [task], table.card, segments, table.card["stride"])
    assert len(rows) == len(table) == 27
    assert [row["start"] for row in rows] == pytest.approx(table.meta["start"])
    windows = table.inputs["sensor"][torch.arange(len(table))].numpy()
    expected = decoded(task, echo(windows)["heart rate"])
    for name, values in (("value", expected.value), ("low", expected.low), ("high", expected.high)):
        assert [row["tasks"]["heart rate"][name] for row in rows] == pytest.approx(values, abs=0.02)
    assert [row["tasks"]["heart rate"]["entropy"] for row in rows] == pytest.approx(expected.entropy, abs=1e-3)


def test_the_only_column_of_numbers_is_the_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Known:
        """A model of one channel."""

        tasks = (HEART_RATE,)
        card: ClassVar[dict[str, Any]] = {
            "rate": 25.0, "unit": "", "channels": ["ppg"], "window": 200, "modality": "sensor",
            "filter": {"band": [0.5, 4.0], "order": 4, "how": "zero-phase"}, "resampling": "recording",
        }  # fmt: skip

        def __call__(self, windows: Array) -> dict[str, Array]:
            return echo(windows)

    monkeypatch.setattr(deployed, "opened", lambda path, domain: Known())
    told = {}
    for name, heads, timed, rate in (
        ("named", "time,ppg", True, None), ("other", "time,green", True, None), ("bare", "ppg value", False, 64.0)
    ):  # fmt: skip
        said = Console(file=io.StringIO(), width=200)
        path = write_pulse(tmp_path / f"{name}.csv", heads, timed)
        rows = predict_file(tmp_path, path, rate, 50, tmp_path / f"{name}.out.csv", tmp_path / f"{name}.svg", said)
        told[name] = rows, said.file.getvalue()  # type: ignore[attr-defined]
    assert told["named"][0] == told["other"][0]
    assert len(told["bare"][0]) == 27
    assert "is read as" not in told["named"][1]
    assert "the column 'green' is read as ppg" in told["other"][1]
    header = (tmp_path / "named.out.csv").read_text().splitlines()[0]
    assert header == "start,end,heart rate,heart rate low,heart rate high,heart rate entropy"
    assert "bpm" in (tmp_path / "named.svg").read_text()
    (tmp_path / "two.csv").write_text("time,red,green\n" + "".join(f"{n / 64},1.5,2.5\n" for n in range(900)))
    said = Console(file=io.StringIO(), width=200)
    with pytest.raises(UserError, match=r"no channel column in two\.csv: 'ppg'.*that are ppg with --channels"):
        predict_file(tmp_path, tmp_path / "two.csv", None, None, None, None, said)
    with pytest.raises(UserError, match="names 2 columns, the model reads 1: ppg"):
        predict_file(tmp_path, tmp_path / "two.csv", None, None, None, None, said, channels=("red", "green"))
    rows = predict_file(tmp_path, tmp_path / "two.csv", None, None, None, None, said, channels=("green",))
    assert len(rows) == 1


def test_a_wave_that_was_turned_over_for_training_is_turned_over_here(tmp_path: Path) -> None:
    path = write_pulse(tmp_path / "me.csv", "time,ppg")
    head, *lines = path.read_text().splitlines()
    labelled = "\n".join([f"{head},heart_rate,subject", *(f"{line},80,ann" for line in lines)])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "me.csv").write_text(labelled + "\n")
    task = dataclasses.replace(HEART_RATE, decoder="expectation")
    segments, _ = read_signal(path, ("ppg",), None)
    found = {}
    for down in (False, True):
        table = PulseRecordings(root=tmp_path / "own", down=down).load()
        rows = predict(echo, [task], table.card, segments, 50)
        windows = table.inputs["sensor"][torch.arange(len(table))].numpy()
        found[down] = [row["tasks"]["heart rate"]["value"] for row in rows]
        assert found[down] == pytest.approx(decoded(task, echo(windows)["heart rate"]).value, abs=0.02)
    assert found[False] != pytest.approx(found[True], abs=1)


@pytest.mark.parametrize("called", ["sensor", "imu"])
def test_a_run_folder_and_its_export_read_a_raw_pulse_wave_alike(tmp_path: Path, called: str) -> None:
    pytest.importorskip("onnxruntime")
    data = Wrist()
    table = data.cut(data.read())
    torch.manual_seed(0)
    task = dataclasses.replace(HEART_RATE, decoder="expectation")
    spec = PPGResNet(blocks=1, width=4)
    run, windows = tmp_path / "run", table.inputs["sensor"]
    about = {"tasks": [vars(task)], "spec": dump(spec), "shape": [1, 200]}
    checkpoint.save_tensors(run / "best" / "student.safetensors", spec.build([task], (1, 200)).state_dict())
    checkpoint.write_json(run / "best" / "model.json", about)
    # Older folders call the modality otherwise.
    checkpoint.write_json(run / "data.json", {**table.card, "modality": called, "digest": "0"})
    checkpoint.write_json(run / "recipe.json", {"kind": "ppg-heart-rate"})
    edge.export_run(run, table)
    wave, quiet = write_pulse(tmp_path / "me.csv", "time,ppg"), Console(file=io.StringIO())
    out = tmp_path / "me.json"
    ours = predict_file(run, wave, None, 50, out, None, quiet)
    theirs = predict_file(run / "export" / "student.onnx", wave, None, 50, out, None, quiet)
    model = deployed.opened(run)
    expected = decoded(task, model(windows[torch.arange(len(table))].numpy())["heart rate"])
    for rows in (ours, theirs):
        answers = [row["tasks"]["heart rate"] for row in rows]
        assert [a["value"] for a in answers] == pytest.approx(expected.value, abs=0.02)
        assert [a["low"] for a in answers] == pytest.approx(expected.low, abs=0.02)
        assert {a["unit"] for a in answers} == {"bpm"}


def test_windows_that_are_a_read_only_view_are_copied_before_torch_warns_of_them() -> None:
    views = np.lib.stride_tricks.sliding_window_view(np.zeros((400, 1), np.float32), 200, axis=0)[::200]
    assert not views.flags.writeable
    assert deployed._checked(
        views, {"channels": ["ppg"], "window": 200, "rate": 25.0, "modality": "sensor"}
    ).flags.writeable
