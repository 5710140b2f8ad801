"""Charts of answers against the truth stay small, stay inside their box, and are where the numbers say."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from limbeck.charts import Style
from limbeck.compare import groups
from limbeck.finished import load
from limbeck.truth import answers, floor, panels, sureness
from limbeck.truth_charts import POINTS, bland_altman, thinned, trace
from tests.fake_hearts import heart_family, write_heart_run
from tests.test_charts import NASTY, coordinates, parsed

Array = np.ndarray[Any, Any]


def beats(count: int) -> tuple[Array, Array, Array]:
    """Seconds, true and said heart rates."""
    draw = np.random.default_rng(0)
    truth = 90 + 30 * np.sin(np.arange(count) / 50)
    return np.arange(count) * 2.0, truth, truth + draw.normal(1, 6, count)


def test_bias_and_limits_are_drawn_at_their_values() -> None:
    _, truth, said = beats(500)
    root = parsed(bland_altman(truth, said, 1.0, (-11.0, 13.0), Style(0), "t", "bpm"))
    heights = {
        css: [float(e.attrib["y1"]) for e in root if e.attrib.get("class") == css] for css in ("mean", "limit", "zero")
    }
    (bias,), (low, high), (zero,) = heights["mean"], heights["limit"], heights["zero"]
    assert (low - bias) / (bias - high) == pytest.approx(1.0, abs=0.02)
    assert (zero - bias) / (zero - high) == pytest.approx(1 / 13, abs=0.01)
    assert root.attrib["aria-label"].endswith("bias 1.00, limits of agreement -11.00 to 13.00 bpm")


def test_a_million_windows_are_a_small_drawing_whose_cells_lie_inside_the_axes() -> None:
    _, truth, said = beats(100_000)
    drawn = bland_altman(truth, said, 1.0, (-11.0, 13.0), Style(0), "t", "bpm")
    assert len(drawn) < 40_000
    _, _, width, height = map(float, parsed(drawn).attrib["viewBox"].split())
    cells = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", drawn)]
    assert len(cells) == len(set(cells)) > 100
    assert all(38 <= x <= width and 0 <= y <= height - 36 for x, y in cells)


def test_the_fullest_cell_is_the_darkest() -> None:
    truth = np.array([60.0] * 50 + [100.0, 140.0])
    drawn = parsed(bland_altman(truth, truth + 1, 1.0, (1.0, 1.0), Style(0), "t", ""))
    shades = {float(e.attrib["fill-opacity"]): e.attrib["d"].count("M") for e in drawn if e.tag == "path"}
    assert shades[1.0] == 1
    assert shades[min(shades)] == 2


def test_one_window_alone_and_answers_without_error_are_still_drawn() -> None:
    one = np.array([70.0])
    parsed(bland_altman(one, one, 0.0, (0.0, 0.0), Style(0), "t", "bpm"))
    parsed(trace(np.zeros(1), one, one, (one, one), Style(0), "t", "bpm"))


def test_a_day_of_windows_is_thinned_to_means_and_gaps_are_kept() -> None:
    seconds, truth, said = beats(43_200)
    seconds[20_000:] += 3600
    pieces = thinned(seconds, np.stack([truth, said]))
    assert len(pieces) == 2
    assert sum(len(at) for at, _ in pieces) <= POINTS + 2
    sizes = np.concatenate([np.full(len(at), 270) for at, _ in pieces])
    means = np.concatenate([columns[0] for _, columns in pieces])
    assert np.average(means, weights=sizes) == pytest.approx(truth.mean(), abs=0.2)
    short = thinned(seconds[:50], truth[None, :50])
    assert (short[0][1][0] == truth[:50]).all()


def test_a_trace_runs_through_its_values_breaks_at_gaps_and_stays_inside_the_box() -> None:
    seconds, truth, said = beats(100)
    seconds[60:] += 100
    drawn = trace(seconds, truth, said, (said - 10, said + 10), Style(0), "t", "bpm")
    root = parsed(drawn)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in coordinates(drawn))
    assert [len([e for e in root if e.attrib.get("class", "").startswith(css)]) for css in ("band", "line")] == [2, 4]
    line = next(e for e in root if e.attrib.get("class") == "line thin truth")
    places = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert np.corrcoef([-y for _, y in places], truth[:60])[0, 1] == pytest.approx(1, abs=1e-4)


def test_names_are_escaped() -> None:
    seconds, truth, said = beats(20)
    for drawn in (
        bland_altman(truth, said, 0.0, (-1.0, 1.0), Style(0), NASTY, NASTY),
        trace(seconds, truth, said, None, Style(0), NASTY, NASTY),
    ):
        assert not [e for e in ElementTree.fromstring(drawn).iter() if e.tag == "script"]


def test_the_panels_show_the_best_the_middle_and_the_worst_subject_and_every_activity(tmp_path: Path) -> None:
    (group,) = groups([load(at) for at in heart_family(tmp_path)])
    shown = panels(group)
    test = group.entries[0].runs[0].scored.models["student"].parts["test"]["heart rate"]
    order = sorted(test.subjects, key=lambda name: test.subjects[name].mae or 0.0)
    captions = [figure.caption for figure in shown["traces heart rate"].figures]
    told = zip(captions, [order[0], order[3], order[-1]], ("best", "in the middle", "worst"), strict=True)
    assert all(caption.startswith(f"{name} ({rank}, MAE {test.subjects[name].mae:.2f}") for caption, name, rank in told)
    assert "by activity, bpm; hardest: run" in shown["groups heart rate"].figures[0].caption
    assert len(shown["agreement heart rate"].figures) == 4
    assert "dkd on heart rate: bias" in shown["agreement heart rate"].figures[0].caption


def test_how_sure_a_model_is_stands_in_a_row_and_a_model_without_has_dashes(tmp_path: Path) -> None:
    (group,) = groups([load(at) for at in heart_family(tmp_path)])
    rows = {entry.name: cells for entry, cells in sureness(group, "heart rate")}
    scores = group.entries[0].scores("heart rate")
    assert rows["dkd"][3] == f"{50 * (scores[0].coverage + scores[1].coverage):.1f}"  # type: ignore[attr-defined]
    assert rows["peaks"][1:] == ["–"] * 5
    assert " to " in rows["peaks"][0]


def test_without_kept_answers_there_are_numbers_but_no_pictures(tmp_path: Path) -> None:
    (group,) = groups([load(write_heart_run(tmp_path / "a", traced=False))])
    shown = panels(group)
    assert shown["agreement heart rate"].figures == shown["traces heart rate"].figures == []
    assert shown["groups heart rate"].figures
    assert floor(group, "heart rate") is None
    assert sureness(group, "heart rate")


def test_the_floor_is_the_error_of_the_median_and_unknown_truths_do_not_count(tmp_path: Path) -> None:
    (group,) = groups([load(write_heart_run(tmp_path / "a"))])
    found = answers(group.entries[0], "heart rate")
    assert found is not None
    assert len(found["truth"]) == 719
    off = np.abs(found["truth"] - np.median(found["truth"])).mean()
    assert floor(group, "heart rate") == pytest.approx(off)
