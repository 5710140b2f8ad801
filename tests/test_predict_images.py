"""Prediction for images: a row for each, made the square the model knows, from a file, a folder or a zip."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from limbeck import checkpoint, deployed, edge
from limbeck.config import dump
from limbeck.data.source import Dense, Table
from limbeck.errors import UserError
from limbeck.models import VGG
from limbeck.predict import predict_file
from limbeck.tasks import Task
from limbeck.timeline import Row

TASKS = (Task.of("gender", ("male", "female")), Task("age", unit="years"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of a network of grey images."""
    torch.manual_seed(0)
    spec, at = VGG(width=4, blocks=(1, 1)), tmp_path / "run"
    checkpoint.save_tensors(at / "best" / "student.safetensors", spec.build(TASKS, (1, 16, 16)).state_dict())
    about = {"tasks": [vars(task) for task in TASKS], "spec": dump(spec), "shape": [1, 16, 16]}
    checkpoint.write_json(at / "best" / "model.json", about)
    card = {"name": "toy", "modality": "image", "channels": ["grey"], "unit": "0 to 255", "size": 16, "digest": "d"}
    checkpoint.write_json(at / "data.json", card)
    checkpoint.write_json(at / "recipe.json", {"kind": "distill-2md-mtl"})
    return at


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of several shapes and colours in nested folders, and what is none."""
    draw = np.random.default_rng(0)
    at = tmp_path / "photos"
    (at / "inner").mkdir(parents=True)
    for name, shape in (("a.png", (16, 16)), ("inner/b.jpg", (40, 30, 3)), ("inner/c.PNG", (16, 16, 4))):
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(at / name)
    (at / "inner" / "notes.txt").write_text("no image")
    return at


def ask(run: Path, source: Path, out: Path | None = None, domain: str | None = None) -> tuple[list[Row], str]:
    """Rows, and what was said."""
    said = Console(file=io.StringIO(), width=200)
    rows = predict_file(run, source, None, None, out, None, said, domain=domain)
    assert isinstance(said.file, io.StringIO)
    return rows, said.file.getvalue()


def test_every_image_of_a_folder_or_a_zip_gets_a_row_and_the_same_answers(run: Path, photos: Path) -> None:
    rows, _ = ask(run, photos)
    assert [row["file"] for row in rows] == ["a.png", "inner/b.jpg", "inner/c.PNG"]
    held = photos.with_suffix(".zip")
    with zipfile.ZipFile(held, "w") as out:
        for path in photos.rglob("*.*"):
            out.write(path, path.relative_to(photos))
    assert ask(run, held)[0] == rows
    alone, _ = ask(run, photos / "inner" / "b.jpg")
    assert [row["tasks"] for row in alone] == [rows[1]["tasks"]]


def test_the_answers_are_the_model_s_for_the_pixels(run: Path, photos: Path) -> None:
    (row,), _ = ask(run, photos / "a.png")
    pixels = np.asarray(Image.open(photos / "a.png"))[None, None]
    answer = deployed.opened(run)(pixels)
    told = row["tasks"]["gender"]
    assert list(told["probabilities"].values()) == pytest.approx(answer["gender"][0], abs=1e-6)
    assert told["label"] == ("male", "female")[answer["gender"][0].argmax()]
    assert row["tasks"]["age"] == {"value": pytest.approx(answer["age"][0, 0], abs=1e-4), "unit": "years"}


def test_an_exported_model_answers_alike(run: Path, photos: Path) -> None:
    pytest.importorskip("onnxruntime")
    edge.export_run(run, Table(TASKS, {"image": Dense(torch.zeros(3, 1, 16, 16, dtype=torch.uint8))}, {}))
    for ours, theirs in zip(*(ask(at, photos)[0] for at in (run, run / "export" / "student.onnx")), strict=True):
        assert theirs["tasks"]["gender"]["probabilities"] == pytest.approx(
            ours["tasks"]["gender"]["probabilities"], abs=1e-4
        )


def test_rows_are_written_with_the_names_of_the_files(run: Path, photos: Path, tmp_path: Path) -> None:
    rows, said = ask(run, photos, tmp_path / "a.csv")
    assert f"3 images: {tmp_path / 'a.csv'}" in said
    lines = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert lines[0] == ["file", "gender", "gender probability", "age"]
    assert lines[2][:2] == ["inner/b.jpg", rows[1]["tasks"]["gender"]["label"]]
    assert "inner/b.jpg" in ask(run, photos)[1]


def test_what_is_no_image_is_left_out_and_said(run: Path, photos: Path) -> None:
    (photos / "z.jpg").write_bytes(b"nothing")
    rows, said = ask(run, photos)
    assert len(rows) == 3
    assert "left out: z.jpg: none of JPEG, PNG" in said
    with pytest.raises(UserError, match=r"z\.jpg: none of its images can be read"):
        ask(run, photos / "z.jpg")
    with pytest.raises(UserError, match="no such file or folder; give an image, or a folder or a zip of images"):
        ask(run, photos / "missing.jpg")
    (photos / "empty").mkdir()
    with pytest.raises(UserError, match="no such data here; give an image"):
        ask(run, photos / "empty")


def test_what_is_for_recordings_alone_is_refused(run: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="reads images; rate, stride, channels and plot are for recordings"):
        predict_file(run, photos, 50.0, None, None, None, Console(file=io.StringIO()))
    with pytest.raises(UserError, match="no data set 'utkface'; known: none"):
        ask(run, photos, domain="utkface")
