import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from limbeck import checkpoint
from limbeck.config import dump
from limbeck.cost import bench
from limbeck.deployments import deployments, untrained
from limbeck.errors import UserError
from limbeck.models import VGG, ImageWideResNet, Model, ResNet1D
from tests.conftest import TASKS

SHAPE = (3, 40)
CELLS = {
    "one": {"seed": "0", "variant": "scratch", "student.blocks": "1"},
    "two": {"seed": "0", "variant": "scratch", "student.blocks": "2"},
    "again": {"seed": "1", "variant": "scratch", "student.blocks": "1"},
    "taught": {"seed": "0", "variant": "dkd", "student.blocks": "2"},
    "cut": {"seed": "1", "variant": "scratch", "student.blocks": "3"},
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Finished cells of two students, and one that was cut; the data cards are of before a modality's name changed."""
    for cell, labels in CELLS.items():
        blocks = int(labels["student.blocks"])
        untrained({cell: ResNet1D(blocks=blocks, width=4)}, TASKS, SHAPE, tmp_path / "cells", onnx=False)
        at = tmp_path / "cells" / cell
        checkpoint.write_json(at / "data.json", {"channels": ["x", "y", "z"], "window": 40, "modality": "imu"})
        if cell != "cut":
            checkpoint.write_json(at / "scores.json", {})
    checkpoint.write_json(tmp_path / "study.json", {"name": "sizes"})
    checkpoint.write_json(tmp_path / "cells.json", CELLS)
    return tmp_path


def test_the_students_of_a_study_are_measured_once_for_each_way_they_are_built(study: Path) -> None:
    told = [(m.name, m.how, m.modality) for m in deployments(study)]
    assert told == [
        ("variant scratch, student.blocks 1", "torch", "sensor"),
        ("variant scratch, student.blocks 2", "torch", "sensor"),
    ]
    console = Console(file=StringIO(), width=200)
    small, large = bench([study], 2, 1, console)
    assert small.parameters < large.parameters
    kept = json.loads((study / "bench.json").read_text())["models"]
    assert [m["name"] for m in kept] == [name for name, *_ in told]
    assert "variant scratch, student.blocks 2" in console.file.getvalue()


def test_bytes_of_a_network_are_those_of_its_weights_and_statistics(study: Path) -> None:
    [cost] = bench([study / "cells" / "one"], 2, 1, Console(file=StringIO()))
    module = ResNet1D(blocks=1, width=4).build(TASKS, SHAPE)
    numbers = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
    assert cost.bytes == 4 * sum(each.numel() for each in numbers)


def test_a_network_a_task_is_told_from_another_by_its_parts(study: Path) -> None:
    for cell, inner in (("one", "one"), ("two", "two"), ("taught", "two")):
        spec = checkpoint.read_json(study / "cells" / inner / "best" / "model.json")
        checkpoint.write_json(study / "cells" / cell / "single" / "best" / "model.json", spec)
    for cell in ("one", "two", "taught", "again"):
        checkpoint.write_json(study / "cells" / cell / "best" / "model.json", {"parts": ["single", "single"]})
    again = study / "cells" / "one" / "single" / "best" / "model.json"
    checkpoint.write_json(study / "cells" / "again" / "single" / "best" / "model.json", checkpoint.read_json(again))
    assert [m.name for m in deployments(study)] == [
        "variant scratch, student.blocks 1",
        "variant scratch, student.blocks 2",
    ]


def test_a_study_without_a_finished_cell_is_refused(study: Path) -> None:
    for path in study.glob("cells/*/scores.json"):
        path.unlink()
    with pytest.raises(UserError, match=f"no cell of {study} is finished; to go on: limbeck study {study}"):
        deployments(study)


def keep(at: Path, spec: Model, shape: tuple[int, ...]) -> None:
    """Weights of a model, as a stage or a run keeps them."""
    checkpoint.save_tensors(at / "best" / "student.safetensors", spec.build(TASKS, shape).state_dict())
    about = {"tasks": [vars(task) for task in TASKS], "spec": dump(spec), "shape": list(shape)}
    checkpoint.write_json(at / "best" / "model.json", about)


def test_each_model_of_a_run_is_measured_on_what_it_reads(tmp_path: Path) -> None:
    """A teacher of persistence images, beside a student of windows, in a run whose card knows of windows alone."""
    keep(tmp_path, ResNet1D(blocks=1, width=4), SHAPE)
    for name, spec, shape in (("series", ResNet1D(width=4), SHAPE), ("image", ImageWideResNet(depth=10), (3, 16, 16))):
        keep(tmp_path / name, spec, shape)
        weights = tmp_path / name / "best" / "student.safetensors"
        hashes = {"sha256": {weights.name: checkpoint.sha256(weights)}}
        checkpoint.write_json(tmp_path / name / "finished.json", hashes)
    checkpoint.write_json(tmp_path / "data.json", {"channels": ["x", "y", "z"], "window": 40, "modality": "sensor"})
    found = {m.name.removeprefix(f"{tmp_path} "): (m.shape, m.modality) for m in deployments(tmp_path)}
    assert found == {"student": (SHAPE, "sensor"), "series": (SHAPE, "sensor"), "image": ((3, 16, 16), "pi")}
    costs = bench([tmp_path], 2, 1, Console(file=StringIO()))
    assert len({cost.macs for cost in costs}) == 3


def test_networks_of_images_are_measured_and_those_that_keep_sets_apart_as_for_one(tmp_path: Path) -> None:
    keep(tmp_path, VGG(width=4, sets=2), (1, 16, 16))
    checkpoint.write_json(tmp_path / "data.json", {"channels": ["grey"], "size": 16, "modality": "image"})
    [cost] = bench([tmp_path], 2, 1, Console(file=StringIO()))
    assert cost.parameters == sum(p.numel() for p in VGG(width=4).build(TASKS, (1, 16, 16)).parameters())


def test_networks_side_by_side_are_measured_as_one(tmp_path: Path) -> None:
    for part in ("part-age", "part-side"):
        keep(tmp_path / part, VGG(width=4), (1, 16, 16))
    checkpoint.write_json(tmp_path / "best" / "model.json", {"parts": ["part-age", "part-side"]})
    checkpoint.write_json(tmp_path / "data.json", {"channels": ["grey"], "size": 16, "modality": "image"})
    [model] = deployments(tmp_path)
    assert (model.shape, model.modality) == ((1, 16, 16), "image")


def test_a_teacher_that_is_not_there_is_told(tmp_path: Path) -> None:
    keep(tmp_path, ResNet1D(width=4), SHAPE)
    checkpoint.write_json(tmp_path / "series" / "finished.json", {})
    checkpoint.write_json(tmp_path / "data.json", {"channels": ["x", "y", "z"], "window": 40, "modality": "sensor"})
    with pytest.raises(
        UserError, match=r"series: its weights are not in .*; a run of a study needs the study's folder"
    ):
        deployments(tmp_path)
