"""Prediction for every pixel: maps of each image's own size, in files that other programs read."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from limbeck import models
from limbeck.batch import Batch
from limbeck.errors import UserError
from limbeck.models import SegNet
from limbeck.predict import predict_file
from limbeck.predict_pixels import restore, summary
from limbeck.tasks import Task
from limbeck.timeline import Row
from tests.fake_maps import SIZE, TASKS, maps_run

SEGMENTATION, DEPTH, NORMALS = TASKS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    maps_run(SegNet(width=4, blocks=(1, 1)), tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One of the model's own size, a larger one of another kind, one of another shape, and none."""
    draw = np.random.default_rng(0)
    at = tmp_path / "photos"
    (at / "inner").mkdir(parents=True)
    for name, shape in (("a.png", (*SIZE, 3)), ("b.png", (48, 72)), ("inner/c.jpg", (40, 40, 3))):
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(at / name)
    (at / "d.png").write_text("no image")
    return at


def ask(run: Path, source: Path, out: Path | None = None) -> tuple[list[Row], str]:
    """Rows, and what was said."""
    said = Console(file=io.StringIO(), width=200)
    rows = predict_file(run, source, None, None, out, None, said)
    assert isinstance(said.file, io.StringIO)
    return rows, said.file.getvalue()


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.array(image)


def test_the_maps_are_the_model_s_answers_for_the_pixels(run: Path, photos: Path, tmp_path: Path) -> None:
    ask(run, photos, tmp_path / "out")
    image = torch.from_numpy(pixels(photos / "a.png")).permute(2, 0, 1)[None].float()
    logits = models.load(run / "best")[0](Batch({"image": image}, {}, torch.arange(1))).logits
    ids, depth, normals = (pixels(tmp_path / "out" / f"a.png.{task.name}.png") for task in TASKS)
    assert (ids == logits["segmentation"].argmax(1)[0].numpy()).all()
    expected = 1000 * logits["depth"][0, 0].detach().clamp(min=0).numpy()
    assert depth.dtype == np.uint16
    assert np.abs(depth - expected).max() <= 0.51
    unit = torch.nn.functional.normalize(logits["normals"], dim=1)[0].permute(1, 2, 0).detach().numpy()
    assert np.abs((normals.astype(float) - 128) / 127 - unit).max() <= 0.5 / 127 + 1e-5


def test_every_map_has_the_size_of_its_image(run: Path, photos: Path, tmp_path: Path) -> None:
    rows, said = ask(run, photos, tmp_path / "out")
    assert [row["file"] for row in rows] == ["a.png", "b.png", "inner/c.jpg"]
    for name, size in (("a.png", SIZE), ("b.png", (48, 72)), ("inner/c.jpg", (40, 40))):
        shapes = [pixels(tmp_path / "out" / f"{name}.{task.name}.png").shape for task in TASKS]
        assert shapes == [size, size, (*size, 3)]
    assert "left out: d.png" in said
    assert (
        "images that are stretched, not being as wide for their height as the 16 x 24 that the model knows: 1" in said
    )
    assert "(first: inner/c.jpg)" in said
    assert f"3 images: {tmp_path / 'out'}" in said


def test_beside_the_maps_lie_what_they_mean_the_rows_and_a_picture_of_some(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    rows, _ = ask(run, photos, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "maps.json").read_text())
    assert about["segmentation"] == {
        "file": "IMAGE.segmentation.png",
        "values": "ids of classes",
        "labels": ["ground", "wall", "sky"],
    }
    assert about["depth"]["unit"] == "mm"
    with (tmp_path / "out" / "predictions.csv").open() as file:
        told = list(csv.DictReader(file))
    assert [row["segmentation"] for row in told] == [row["tasks"]["segmentation"]["label"] for row in rows]
    high, wide, _ = pixels(tmp_path / "out" / "overview.png").shape
    assert high > 300
    assert wide > 300


def test_without_a_folder_there_is_a_table_and_with_a_file_its_rows(run: Path, photos: Path, tmp_path: Path) -> None:
    rows, said = ask(run, photos / "a.png")
    assert len(rows) == 1
    assert "segmentation share" in said
    ask(run, photos / "a.png", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "photos", "run"]


def test_what_is_for_recordings_and_images_that_cannot_be_read_are_refused(run: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="reads images; rate, stride, channels and plot are for recordings"):
        predict_file(run, photos, 50.0, None, None, None, Console(file=io.StringIO()))
    with pytest.raises(UserError, match="none of its images can be read"):
        ask(run, photos / "d.png")


def test_where_no_image_of_the_picture_can_be_read_there_is_none(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.predict_pixels.SHOWN", 1)
    (photos / "a.png").write_text("no image")
    rows, said = ask(run, photos, tmp_path / "out")
    assert len(rows) == 2
    assert "side by side" not in said
    assert not (tmp_path / "out" / "overview.png").exists()


def test_many_images_are_answered_as_one_alone(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    (tmp_path / "many").mkdir()
    for number in range(7):
        Image.fromarray(draw.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(tmp_path / "many" / f"{number}.png")
    alone = [ask(run, tmp_path / "many" / f"{number}.png")[0][0] for number in range(7)]
    monkeypatch.setattr("limbeck.predict_pixels.PIXELS", 3 * 7 * SIZE[0] * SIZE[1])
    together = ask(run, tmp_path / "many")[0]
    assert [row["file"] for row in together] == [row["file"] for row in alone]
    for one, other in zip(together, alone, strict=True):
        assert one["tasks"]["segmentation"]["label"] == other["tasks"]["segmentation"]["label"]
        assert one["tasks"]["depth"]["median"] == pytest.approx(other["tasks"]["depth"]["median"], abs=2e-4)


def test_maps_come_back_in_the_size_of_the_image() -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[2, 0, 0] = logits[1, 1, 1] = 1
    assert restore(SEGMENTATION, logits, (4, 4)).tolist() == [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    ramp = np.array([[[1.0, 3.0]]], np.float32)
    assert restore(DEPTH, ramp, (1, 4))[0].tolist() == [1.0, 1.5, 2.5, 3.0]
    sides = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]], np.float32)
    made = restore(NORMALS, sides, (1, 4))
    assert made.shape == (1, 4, 3)
    assert np.allclose(np.linalg.norm(made, axis=-1), 1)
    assert np.allclose(made[0, 1], np.array([0.75, 0.25, 0]) / np.hypot(0.75, 0.25))


def test_a_map_is_summed_up_in_a_few_values() -> None:
    ids = np.zeros((3, 1, 4), np.float32)
    ids[1, 0, :3] = 1
    assert summary(SEGMENTATION, ids) == {"label": "wall", "share": 0.75}
    assert summary(Task("s", 3), ids)["label"] == "1"
    depth = np.arange(101, dtype=np.float32).reshape(1, 1, 101)
    assert summary(DEPTH, depth) == {"median": 50.0, "low": 5.0, "high": 95.0, "unit": "m"}
    up = np.broadcast_to(np.array([0.0, -1.0, 0.0], np.float32)[:, None, None], (3, 2, 2))
    assert summary(NORMALS, up) == {"x": 0.0, "y": -1.0, "z": 0.0}
