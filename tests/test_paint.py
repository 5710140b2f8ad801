"""Arrays become PNG files with the colours they should have, and what is unknown is open."""

import base64
import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from limbeck import paint
from tests.test_charts import parsed

MACHADO = {
    "all colours": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""What eyes see of linear RGB [Machado 2009, doi:10.1109/TVCG.2009.113]."""


def opened(address: str) -> np.ndarray:
    """Pixels `(H, W, 4)` of a picture."""
    kind, _, data = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")).astype(int)


def lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    xyz = linear.clip(0, 1) @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    x, y, z = np.moveaxis(np.cbrt(xyz / [0.9505, 1, 1.089]), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("eyes", MACHADO)
def test_no_two_classes_look_alike_to_any_eyes(eyes: str) -> None:
    share = np.array([paint.rgb(colour) for colour in paint.COLOURS]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = lab(linear @ np.array(MACHADO[eyes]).T)
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15


def test_a_photo_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (opened(paint.photo(pixels))[..., :3] == pixels).all()


def test_classes_have_their_colours_and_unknown_ones_are_open() -> None:
    numbers = np.array([[0, 3, 19], [20, 255, 1]], np.uint8)
    found = opened(paint.classes(numbers, numbers != 255))
    for at, place in {(0, 0): 0, (0, 1): 3, (0, 2): 19, (1, 0): 0, (1, 2): 1}.items():
        assert tuple(found[at]) == (*paint.rgb(paint.COLOURS[place]), 255)
    assert found[1, 1, 3] == 0


def test_equal_ratios_are_equally_far_apart_and_the_ends_hold() -> None:
    found = opened(paint.scaled(np.array([[0.1, 1, 10, 100, 1e4, np.nan, -3, np.inf]]), (1.0, 100.0)))[0]
    known = [[*row, 255] for row in (np.array([[68, 1, 84], [253, 231, 37]]))]
    assert found[0].tolist() == found[1].tolist() == found[6].tolist() == known[0]
    assert found[3].tolist() == found[4].tolist() == found[7].tolist() == known[1]
    assert found[5, 3] == 0
    middle = np.array([33, 145, 140])  # of viridis
    assert np.abs(found[2, :3] - middle).max() < 6


def test_attention_runs_from_its_least_to_its_greatest_and_a_flat_one_is_drawn() -> None:
    found = opened(paint.heat(np.array([[-1.0, 5.0]])))[0]
    assert found[:, :3].tolist() == [[68, 1, 84], [253, 231, 37]]
    assert (opened(paint.heat(np.zeros((2, 2))))[..., 3] == 255).all()


def test_directions_are_red_to_the_right_green_up_and_blue_towards_the_camera() -> None:
    vectors = np.array([[[127, 0, 0], [0, -127, 0], [0, 0, -127], [0, 0, 0]]], np.int8)
    found = opened(paint.directions(vectors))[0]
    assert [row[:3].argmax() for row in found[:3]] == [0, 1, 2]
    assert found[:, 3].tolist() == [255, 255, 255, 0]
    assert (np.abs(np.sort(found[:3, :3], axis=1) - [128, 128, 255]) < 8).all()
    ball = opened(paint.ball())
    assert ball[0, 0, 3] == 0
    assert ball[32, 60, 0] > 200
    assert ball[3, 32, 1] > 200
    assert ball[32, 32, 2] > 200


def test_the_veil_lies_where_it_should() -> None:
    where = np.array([[True, False]])
    assert opened(paint.shade(where))[0, :, 3].tolist() == [paint.SHADE[3], 0]


@pytest.mark.parametrize(
    ("ends", "marks"),
    [((2.3, 31.0), [5, 10, 20]), ((0.004, 90.0), [0.01, 0.1, 1, 10]), ((3.0, 4.0), [3.0, 4.0]), ((1.0, 2.0), [1, 2])],
)
def test_a_scale_is_marked_at_round_values(ends: tuple[float, float], marks: list[float]) -> None:
    assert paint.marks(*ends) == marks
    drawn = parsed(paint.bar(ends, "m", "depth"))
    assert [float(str(t.text)) for t in drawn.iter("text")] == marks
    assert "depth: from" in str(drawn.get("aria-label"))


def test_names_in_a_key_are_escaped() -> None:
    assert "<b>" not in paint.key([("<b>", 3)])
