import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

import limbeck
from limbeck.law_plot import DARK, LIGHT, plot
from limbeck.laws import Curve, curves
from tests.fake_studies import scaling_study


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Curve]:
    return curves(scaling_study(tmp_path_factory.mktemp("study")))


def test_a_plot_is_one_whole_picture_with_a_panel_for_each_teacher(found: list[Curve]) -> None:
    picture = plot(found, "student.blocks")
    root = ET.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 2
    assert picture.count(">scratch</text>") == 2, "what has no teacher stands in every panel"
    assert picture.count(">dkd from 6</text>") == 1
    assert picture.count(">peaks</text>") == 2
    assert picture.count('class="band') == 6
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", ""), "nothing is loaded from elsewhere"


def test_all_that_is_drawn_lies_in_the_picture(found: list[Curve]) -> None:
    picture = plot(found, "student.blocks")
    _, _, wide, high = map(float, re.search(r'viewBox="([^"]+)"', picture)[1].split())
    for points in re.findall(r'<polyline points="([^"]+)"', picture):
        for x, y in (map(float, point.split(",")) for point in points.split()):
            assert 0 <= x <= wide
            assert 0 <= y <= high


def test_a_law_in_doubt_is_dashed_and_has_no_band(found: list[Curve], tmp_path: Path) -> None:
    doubtful = [replace(f, fit=replace(f.fit, doubts=("who knows",))) for f in found[0].fits]
    picture = plot([replace(found[0], fits=tuple(doubtful))], "student.blocks").split("</style>")[1]
    assert "line s0 faint" in picture
    assert "band" not in picture
    untold = plot(curves(scaling_study(tmp_path / "b", blocks=(1, 2), seeds=(0,))), "student.blocks")
    assert "polyline" not in untold
    assert "mark s0" in untold, "what was measured is drawn all the same"


def test_the_colours_are_those_of_a_report() -> None:
    page = (Path(limbeck.__file__).parent / "templates" / "report.html.j2").read_text()
    light, dark = (" ".join(f"--s{i}: {colour};" for i, colour in enumerate(c)) for c in (LIGHT, DARK))
    assert light in page
    assert dark in page
