"""Pictures of diagrams and images: everything is named in them, and drawn where it lies."""

import re
from pathlib import Path

import numpy as np
import pytest

from limbeck.config import parse
from limbeck.errors import UserError
from limbeck.topology import plots
from limbeck.topology.diagrams import persistence
from limbeck.topology.images import PersistenceImage

SPEC = PersistenceImage(resolution=16, sigma=0.1, low=-2, high=2)
WALK = np.random.default_rng(0).normal(size=(2, 60)).cumsum(-1).astype(np.float32) / 4


def words(path: Path) -> set[str]:
    return set(re.findall(r">([^<>]+)</text>", path.read_text()))


def test_a_window_is_drawn_with_its_units_and_the_same_window_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plots.window(WALK, tmp_path / name, SPEC, "both", ("$x", "y"), "g", rate=30.0, title="walk, window 3")
    assert {"$x (g)", "y (g)", "seconds", "birth (g)", "persistence", "death", "walk, window 3", "sublevel"} <= words(
        tmp_path / "a.svg"
    )
    assert {"superlevel", "sublevel, never dies", "superlevel, never dies"} <= words(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_without_names_channels_are_numbered_and_time_is_in_samples(tmp_path: Path) -> None:
    plots.window(WALK, tmp_path / "a.svg", SPEC)
    assert {"channel 0", "channel 1", "samples", "birth"} <= words(tmp_path / "a.svg")


@pytest.mark.parametrize("signal", [[[1.0]], [[2.0, 2.0, 2.0]], [[1.0, 2.0, 3.0]]], ids=["one", "constant", "rising"])
def test_a_window_without_a_class_that_dies_can_be_drawn(tmp_path: Path, signal: list[list[float]]) -> None:
    plots.window(np.array(signal), tmp_path / "a.png", SPEC, "both")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_classes_beyond_the_range_are_told(tmp_path: Path) -> None:
    plots.window(np.array([[0.0, 0.5, 0.2, 9.0, -5.0, 0.0]]), tmp_path / "a.svg", SPEC)
    assert "1 pairs lie beyond" in words(tmp_path / "a.svg")


def test_a_diagram_and_an_image_are_drawn_alone(tmp_path: Path) -> None:
    found = persistence(WALK[None])
    plots.diagram(found.of(0, 0), tmp_path / "d.svg", float(found.essential[0]), "g")
    plots.diagram(np.empty((0, 2)), tmp_path / "none.png")
    plots.diagram(persistence(WALK[None], "superlevel").of(0, 0), tmp_path / "up.svg")
    plots.image(SPEC.render(found)[0, 0], tmp_path / "i.svg", SPEC, "m/s2")
    assert {"birth (g)", "death (g)", "sublevel, never dies"} <= words(tmp_path / "d.svg")
    assert "superlevel" in words(tmp_path / "up.svg")
    assert {"birth (m/s2)", "persistence (m/s2)"} <= words(tmp_path / "i.svg")


@pytest.mark.parametrize(("layout", "top"), [("persim_legacy", None), ("exact", None), ("exact", 0.7)])
def test_an_image_shows_a_class_where_its_axes_say(layout: str, top: float | None) -> None:
    from matplotlib.figure import Figure

    values = {"resolution": 50, "sigma": 0.01, "layout": layout, "top": top, "weight": "one"}
    spec = parse(PersistenceImage, values)
    birth, life = -0.61, 0.52
    shown = plots._image(
        Figure().subplots(), spec.render(persistence(np.array([[9.0, birth, birth + life, -3.0]])))[0, 0], spec
    )
    left, right, bottom, upper = shown.get_extent()
    row, column = np.unravel_index(np.argmax(shown.get_array()), (50, 50))
    width, height = (right - left) / 50, (upper - bottom) / 50
    assert left + column * width - 0.005 <= birth <= left + (column + 1) * width + 0.005
    assert upper - (row + 1) * height - 0.005 <= life <= upper - row * height + 0.005


def test_the_frame_is_what_a_layout_draws() -> None:
    assert PersistenceImage(low=0.5, high=2).frame == (0.0, 2, 2)
    assert PersistenceImage(low=0.5, high=2, layout="exact").frame == (0.5, 2, 2)
    assert PersistenceImage(low=0.5, high=2, layout="exact", top=9).frame == (0.5, 2, 9)
    pairs = np.array([[0.6, 0.6001], [0.6, 1.0], [0.4, 0.9], [0.6, 2.2], [2.1, 2.3], [1.9, 0.5]])
    assert PersistenceImage(low=0.5, high=2, layout="exact", top=1.5).outside(pairs) == 3


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png or \.svg, not 'a\.pdf'"):
        plots.window(WALK, tmp_path / "a.pdf", SPEC)
