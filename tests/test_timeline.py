"""The picture of a prediction: every label and channel is named in it, and the same rows give the same bytes."""

import re
from pathlib import Path

import numpy as np
import pytest

from limbeck import timeline
from limbeck.errors import UserError
from limbeck.predict import predict
from limbeck.tasks import Task
from limbeck.timeline import Segment
from tests.test_predict import CARD, TASKS, model, ramp


def test_signal_labels_and_values_are_all_named_and_nothing_is_left_to_chance(tmp_path: Path) -> None:
    segments = [ramp(600), ramp(300, start=80.0)]
    rows = predict(model, TASKS, CARD, segments)
    for name in ("a.svg", "b.svg", "a.png"):
        timeline.plot(rows, TASKS, CARD, segments, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text()
    words = set(re.findall(r">([^<>]+)</text>", drawn))
    assert {"x", "y", "z", "g", "still", "walk", "activity", "probability", "heart rate", "bpm", "seconds"} <= words
    assert drawn == (tmp_path / "b.svg").read_text()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"\.png or \.svg, not 'a\.pdf'"):
        timeline.plot(rows, TASKS, CARD, segments, tmp_path / "a.pdf")


def test_labels_are_drawn_as_they_are_written(tmp_path: Path) -> None:
    odd = Task.of("a_b", ("$\\frac$", "<b>&"))
    rows = predict(lambda x: {"a_b": np.array([[0.9, 0.1], [0.1, 0.9]])}, [odd], CARD, [ramp(40)])
    timeline.plot(rows, [odd], CARD, [ramp(40)], tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert ">$\\frac$</text>" in drawn
    assert ">&lt;b&gt;&amp;</text>" in drawn


def test_a_day_is_drawn_in_a_small_file_that_keeps_its_peaks(tmp_path: Path) -> None:
    signal = np.zeros((864_000, 3), np.float32)
    signal[500_000, 0] = 9.0
    signal[:, 2] = np.arange(864_000) // 20 % 2 * 2  # another label in each window
    segments: list[Segment] = [(signal, 10.0, 0.0)]
    seconds, values = timeline._envelope(signal[:, 0], 10.0, 3000)
    assert len(values) < 7000
    assert values.max() == 9.0
    assert seconds[values.argmax()] == pytest.approx(50_000, abs=60)
    tasks = (Task.of("activity", ("still", "walk")),)
    timeline.plot(predict(model, TASKS, CARD, segments), tasks, CARD, segments, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size < 1_000_000
