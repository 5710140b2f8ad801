"""Trajectories are drawn where they were, the older the fainter, over images and along windows."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from limbeck import checkpoint
from limbeck.charts import WIDTH
from limbeck.compare import groups
from limbeck.figures import Panel
from limbeck.finished import load
from limbeck.report import report
from limbeck.trajectory_charts import LEFT, ROW
from limbeck.trajectory_report import panel
from tests.fake_runs import write_run
from tests.fake_streets import trajectories, write_street_run
from tests.test_charts import coordinates, parsed
from tests.test_pictures_report import TABLE


def drawn(at: Path) -> Panel:
    return panel(groups([load(at)])[0])


def lines(root: Element, css: str) -> list[tuple[float, list[tuple[float, float]]]]:
    """Opacity and ends of the lines of a style."""
    found = [e for e in root.iter("polyline") if e.get("class") == css]
    return [(float(e.get("stroke-opacity", "")), coordinates(f'points="{e.get("points")}"')) for e in found]


def test_places_of_a_rank_are_joined_from_visit_to_visit_over_the_image(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=TABLE)
    places = np.zeros((1, 4, 2, 2), np.float32)
    places[0, :, 0] = [[np.nan, np.nan], [0.0, 0.0], [0.5, 0.25], [1.0, 0.5]]
    places[0, 0, 1] = np.nan
    kept = {"image": np.zeros((1, 10, 20, 3), np.uint8), "connector": places, "student": places[:, :, :1] / 2}
    checkpoint.write_arrays(at / "trajectories.npz", kept)
    found = drawn(at)
    (figure,) = found.figures
    root, tall = parsed(figure.drawing), WIDTH / 2
    mine = lines(root, "line s1")
    assert mine[0] == (0.75, [(0, 0), (WIDTH / 4, tall / 2)])
    assert mine[2] == (1.0, [(WIDTH / 4, tall / 2), (WIDTH / 2, tall)])
    assert len(mine) == 4, "two ranks, three visits"
    assert len(lines(root, "line s0")) == 2
    (circle,) = root.findall("circle")
    assert (float(circle.get("cx", "")), float(circle.get("cy", ""))) == (WIDTH / 4, tall / 2)
    assert len(root.findall("polygon")) == 2
    assert len(root.findall("image")) == 1
    assert ("connector" in found.legend, "student" in found.legend) == (True, True)


def test_attention_stands_below_and_a_report_has_it_all(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=TABLE)
    assert len(drawn(at).figures) == 3
    assert all(len(parsed(f.drawing).findall("image")) == 3 for f in drawn(at).figures)
    page = report([at], tmp_path / "out.html").read_text()
    assert 'id="trajectories1"' in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page[page.index('id="trajectories1"') : page.index('id="gap1"')])


def test_windows_have_their_signal_and_a_row_for_every_visit(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a")
    kept = trajectories(TABLE, flat=True)
    checkpoint.write_arrays(at / "trajectories.npz", kept)
    figure = drawn(at).figures[0]
    root = parsed(figure.drawing)
    assert len([e for e in root.iter("polyline") if "thin" in e.get("class", "")]) == 3
    mine = lines(root, "line s1")
    assert len(mine) == 3 * 10
    (x1, y1), (x2, y2) = mine[0][1]
    assert y2 - y1 == pytest.approx(ROW, abs=0.11)
    assert x1 == pytest.approx(LEFT + kept["connector"][0, 1, 0, 0] * (WIDTH - LEFT), abs=0.1)
    assert x2 == pytest.approx(LEFT + kept["connector"][0, 2, 0, 0] * (WIDTH - LEFT), abs=0.1)
    assert len(root.findall("image")) == 2


def test_no_visit_at_all_and_no_file_are_fine(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=TABLE)
    kept = checkpoint.read_arrays(at / "trajectories.npz")
    for name in ("connector", "student"):
        kept[name][:] = np.nan
    checkpoint.write_arrays(at / "trajectories.npz", kept)
    assert lines(parsed(drawn(at).figures[0].drawing), "line s1") == []
    (at / "trajectories.npz").unlink()
    assert drawn(at) == Panel("", [])
    assert 'id="trajectories1"' not in report([at], tmp_path / "out.html").read_text()
