"""Export and costs of networks that answer for every pixel."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from limbeck import deployed, edge, models
from limbeck.cost import bench
from limbeck.data.source import Dense
from limbeck.deployed import Array
from limbeck.deployments import deployments
from limbeck.models import DeepLab, DenseModel, SegNet
from limbeck.predict import predict_file
from limbeck.tasks import Task
from tests.fake_maps import SIZE, TASKS, maps_run

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SPECS: dict[str, DenseModel] = {"segnet": SegNet(width=4, blocks=(1, 1)), "deeplab": DeepLab(width=4, channels=4)}


@pytest.fixture(scope="module", params=SPECS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with its student exported."""
    at = tmp_path_factory.mktemp(request.param)
    edge.export_run(at, maps_run(SPECS[request.param], at))
    return at


def test_the_file_answers_for_every_pixel_as_the_run_does(run: Path) -> None:
    trained, exported = deployed.opened(run), deployed.opened(run / "export" / "student.onnx")
    assert exported.card["size"] == list(SIZE)
    x = np.random.default_rng(1).integers(0, 256, (5, 3, *SIZE)).astype(np.float32)
    ours, theirs = trained(x), exported(x)
    assert {name: answer.shape for name, answer in theirs.items()} == {
        "segmentation": (5, 3, *SIZE),
        "depth": (5, 1, *SIZE),
        "normals": (5, 3, *SIZE),
    }
    for name, answer in ours.items():
        np.testing.assert_allclose(theirs[name], answer, atol=1e-4)
    assert np.allclose(theirs["segmentation"].sum(axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(theirs["normals"], axis=1), 1, atol=1e-5)


class Split:
    """Answers of two classes that are almost equally likely; the first row of each image prefers the one or the
    other."""

    def __init__(self, first: float) -> None:
        self.tasks, self.first = (Task("parts", 2),), first

    def __call__(self, images: Array) -> dict[str, Array]:
        answer = np.full((len(images), *SIZE), 0.5 + 1e-5, np.float32)
        answer[:, 0] = self.first
        return {"parts": np.stack([answer, 1 - answer], axis=1)}


def test_agreement_is_a_share_of_pixels() -> None:
    check = Dense(torch.zeros(12, 3, *SIZE, dtype=torch.uint8))
    difference, agreement = edge._compare(Split(0.5 + 1e-5), Split(0.5 - 1e-5), check)  # type: ignore[arg-type]
    assert agreement["parts"] == pytest.approx(1 - 1 / SIZE[0])
    assert difference["parts"] == pytest.approx(2e-5, rel=0.01)


def test_an_exported_file_predicts_the_same_maps(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    for name, source in (("run", run), ("file", run / "export" / "student.onnx")):
        predict_file(source, tmp_path / "a.png", None, None, tmp_path / name, None, Console(file=io.StringIO()))
    for task in TASKS:
        one, other = (
            np.array(Image.open(tmp_path / n / f"a.png.{task.name}.png")).astype(int) for n in ("run", "file")
        )
        assert (np.abs(one - other) > 1).mean() < 0.01


def test_a_run_and_its_export_can_be_measured(run: Path) -> None:
    assert [(model.how, model.shape, model.modality) for model in deployments(run)] == [
        ("torch", (3, *SIZE), "image"),
        ("onnx", (3, *SIZE), "image"),
    ]


def test_costs_are_measured(tmp_path: Path) -> None:
    maps_run(SPECS["deeplab"], tmp_path)
    (cost,) = bench([tmp_path], 2, 1, Console(file=io.StringIO()))
    assert cost.median > 0
    assert cost.macs == edge.measure(models.load(tmp_path / "best")[0], (3, *SIZE), "image").macs


def test_operations_are_those_of_the_convolutions() -> None:
    """A block down and one up at full size, a head of 3 x 3 and one of a pixel; 4 channels."""
    with torch.device("meta"):
        model = SegNet(width=4, blocks=(1,)).build(TASKS[:1], (3, 8, 12))
    expected = 8 * 12 * (9 * 3 * 4 + 9 * 4 * 4 + 9 * 4 * 4 + 4 * 3)
    assert edge.measure(model, (3, 8, 12), "image").macs == expected
