"""Other sizes: colours are mixed, labels and measured values are not."""

import numpy as np
import pytest
from PIL import Image

from limbeck.data import resizing


def test_an_image_is_made_smaller_with_antialiasing_as_pillow_does() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, ::2] = 255
    assert np.abs(resizing.image(pixels, (4, 4)).astype(int) - 128).max() < 40  # stripes become grey, not one of them
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((6, 5), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(resizing.image(pixels, (5, 6)), expected)
    assert np.array_equal(resizing.image(pixels, (9, 13)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (8, 12), (32, 24), (16, 3)])
def test_labels_are_those_of_the_middles_as_pillow_takes_them(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 256, (8, 12)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))
    assert np.array_equal(resizing.nearest(labels, size), expected)
    assert np.array_equal(resizing.measured(labels.astype(np.float32), size), expected)  # where none is missing


def test_a_measured_value_is_one_of_those_in_its_pixel_the_nearest_to_the_middle_that_is_known() -> None:
    values = np.full((4, 8), np.nan, np.float32)
    values[0, 0], values[3, 3], values[1, 5], values[2, 7] = 1, 2, 3, 4
    made = resizing.measured(values, (1, 2))
    assert made.tolist() == [[2, 3]] or made.tolist() == [[2, 4]]
    values = np.full((6, 6), np.nan, np.float32)
    values[0, 0], values[0, 5], values[5, 3] = 7, 8, 9
    made = resizing.measured(values, (3, 3))
    assert np.array_equal(made, [[7, np.nan, 8], [np.nan] * 3, [np.nan, 9, np.nan]], equal_nan=True)


def test_no_value_is_ever_an_average_of_two() -> None:
    random = np.random.default_rng(1)
    values = random.integers(1, 99, (37, 53)).astype(np.float32)
    values[random.random(values.shape) < 0.6] = np.nan
    made = resizing.measured(values, (9, 11))
    assert set(made[~np.isnan(made)].tolist()) <= set(values[~np.isnan(values)].tolist())
    assert np.isnan(made).mean() < 0.01
    vectors = np.stack([values] * 3, axis=2)
    assert np.array_equal(resizing.measured(vectors, (9, 11))[..., 2], made, equal_nan=True)


def test_what_is_stretched_is_told() -> None:
    assert not resizing.stretched((1024, 2048), (128, 256))
    assert not resizing.stretched((480, 640), (288, 384))
    assert resizing.stretched((480, 640), (128, 256))
