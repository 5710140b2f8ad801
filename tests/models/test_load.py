"""A trained model from its folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limbeck import checkpoint
from limbeck.config import dump, parse
from limbeck.data.source import Dense
from limbeck.errors import UserError
from limbeck.models import KINDS, DeepLab, DenseModel, Several, load
from limbeck.tasks import Task
from limbeck.teachers import fingerprint
from tests.conftest import table

TASKS = (Task.of("activity", ("still", "walk", "run")), Task("rate", 12, span=(30.0, 210.0), unit="bpm"), Task("speed"))


def write(folder: Path, kind: str = "resnet1d", tasks: tuple[Task, ...] = TASKS, stitch: bool = False) -> str:
    spec = parse(KINDS[kind], {"stitch": stitch, "normalise": "channel"})
    shape = (3, 40) if spec.modality == "sensor" else (3, 16, 16)
    model = spec.build(tasks, shape)
    assert model.normalise is not None
    rows = table(20)
    images = torch.rand(20, 3, 16, 16)
    rows = replace(rows, inputs={**rows.inputs, "pi": Dense(images), "image": Dense((255 * images).to(torch.uint8))})
    model.normalise.fit(rows.inputs[spec.modality])
    model.train()(rows.rows(torch.arange(20)))
    checkpoint.save_tensors(folder / "student.safetensors", model.state_dict())
    checkpoint.write_json(
        folder / "model.json", {"tasks": [vars(t) for t in tasks], "spec": dump(spec), "shape": list(shape)}
    )
    return fingerprint(model)


@pytest.mark.parametrize(
    ("kind", "stitch"), [(k, s) for k in KINDS for s in (True, False) if not (s and issubclass(KINDS[k], DenseModel))]
)
def test_a_model_comes_back_with_weights_statistics_and_tasks(tmp_path: Path, kind: str, stitch: bool) -> None:
    printed = write(tmp_path, kind, stitch=stitch)
    model, tasks = load(tmp_path)
    assert tasks == TASKS
    assert fingerprint(model) == printed
    assert not any(m.training for m in model.modules())


def test_the_weights_that_training_began_with_need_not_be_there_any_more(tmp_path: Path) -> None:
    printed = write(tmp_path, "deeplab")
    about = json.loads((tmp_path / "model.json").read_text())
    about["spec"]["weights"] = str(tmp_path / "moved.safetensors")
    checkpoint.write_json(tmp_path / "model.json", about)
    assert fingerprint(load(tmp_path)[0]) == printed
    with pytest.raises(UserError, match=r"there is no file .*moved\.safetensors to take weights from"):
        DeepLab(weights=tmp_path / "moved.safetensors").build(TASKS, (3, 32, 32))


def test_a_task_is_the_same_after_json() -> None:
    for task in TASKS:
        assert Task.from_plain(json.loads(json.dumps(vars(task)))) == task


def test_single_task_models_are_loaded_side_by_side(tmp_path: Path) -> None:
    for task in TASKS[:2]:
        write(tmp_path / f"single-{task.name}" / "best", tasks=(task,))
    checkpoint.write_json(tmp_path / "best" / "model.json", {"parts": ["single-activity", "single-rate"]})
    model, tasks = load(tmp_path / "best")
    assert tasks == TASKS[:2]
    assert isinstance(model, Several)
    batch = table(5).rows(torch.arange(5))
    alone, _ = load(tmp_path / "single-rate" / "best")
    assert torch.equal(model(batch).logits["rate"], alone(batch).logits["rate"])


def test_a_folder_without_a_model_or_without_that_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no trained model in .*model\.json is missing"):
        load(tmp_path)
    write(tmp_path)
    with pytest.raises(UserError, match="'studnet'; did you mean 'student'"):
        load(tmp_path, "studnet")
