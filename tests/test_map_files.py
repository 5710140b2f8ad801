"""Maps as files: each kind in a format that holds it, and none that would lose it silently."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck import map_files
from limbeck.map_files import Shown, resized
from limbeck.paint import COLOURS, rgb
from limbeck.tasks import Task


def test_a_png_of_classes_holds_ids_and_shows_colours(tmp_path: Path) -> None:
    made = np.array([[0, 1, 2], [2, 25, 0]], np.int32)
    map_files.save(Task("parts", 26), made, tmp_path, "a.png")
    with Image.open(tmp_path / "a.png.parts.png") as image:
        assert image.mode == "P"
        assert np.asarray(image).tolist() == made.tolist()
        assert image.convert("RGB").getpixel((2, 0)) == rgb(COLOURS[2])


def test_more_classes_than_a_byte_holds_take_two(tmp_path: Path) -> None:
    made = np.array([[0, 893]], np.int32)
    map_files.save(Task("parts", 894), made, tmp_path, "a.png")
    with Image.open(tmp_path / "a.png.parts.png") as image:
        assert np.asarray(image).tolist() == [[0, 893]]


def test_metres_are_millimetres_of_16_bits_and_what_does_not_fit_is_cut(tmp_path: Path) -> None:
    made = np.array([[1.2344, -0.5, 0.0, 80.0]], np.float32)
    map_files.save(Task("depth", quantity="depth", unit="m"), made, tmp_path, "a.png")
    with Image.open(tmp_path / "a.png.depth.png") as image:
        assert np.asarray(image).tolist() == [[1234, 0, 0, 65535]]


@pytest.mark.parametrize("task", [Task("depth", quantity="depth", unit="1/m"), Task("warmth", unit="K")])
def test_other_real_values_are_kept_as_they_are(task: Task, tmp_path: Path) -> None:
    made = np.array([[0.0123, -4.5]], np.float32)
    map_files.save(task, made, tmp_path, "inner/a.png")
    stored = np.load(tmp_path / "inner" / f"a.png.{task.name}.npy")
    assert stored.dtype == np.float32
    assert stored.tolist() == made.tolist()


def test_directions_are_colours_from_which_they_come_back(tmp_path: Path) -> None:
    made = np.array([[[0.0, -1.0, 0.0], [0.6, 0.0, -0.8]]], np.float32)
    map_files.save(Task("normals", quantity="direction"), made, tmp_path, "a.png")
    with Image.open(tmp_path / "a.png.normals.png") as image:
        back = (np.asarray(image).astype(float) - 128) / 127
    assert np.abs(back - made).max() < 0.005


def test_integers_are_resized_by_the_nearest_and_pixels_with_antialiasing() -> None:
    assert resized(np.array([[0, 9]], np.int32), (2, 4)).tolist() == [[0, 0, 9, 9]] * 2
    checks = np.array([[0, 200] * 8] * 16, np.uint8)
    assert np.abs(resized(checks, (4, 4)).astype(int) - 100).max() < 30
    assert resized(np.zeros((4, 6, 3), np.uint8), (2, 3)).shape == (2, 3, 3)


def test_the_overview_holds_classes_values_and_directions_of_images_of_any_shape(tmp_path: Path) -> None:
    tasks = (Task("parts", 30), Task("depth", quantity="depth", unit="m"), Task("normals", quantity="direction"))
    draw = np.random.default_rng(0)

    def one(name: str, high: int, wide: int, flat: bool) -> Shown:
        image = draw.integers(0, 256, (high, wide) if flat else (high, wide, 3), dtype=np.uint8)
        maps = {
            "parts": draw.integers(0, 30, (high, wide)),
            "depth": draw.random((high, wide)),
            "normals": draw.normal(size=(high, wide, 3)),
        }
        return Shown(name, image, maps)

    map_files.overview(tasks, [one("wide", 8, 32, False), one("a name with $ in it", 32, 8, True)], tmp_path)
    with Image.open(tmp_path / "overview.png") as image:
        assert min(image.size) > 300
