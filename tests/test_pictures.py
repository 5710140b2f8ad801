"""What is kept of a test for its report: rows spread over it, truths and answers pixel by pixel, small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.data.source import Dense, Table
from limbeck.errors import UserError
from limbeck.pictures import keep, read, unknown
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import Frozen
from tests.fake_streets import TASKS, Guess, streets


@pytest.fixture(scope="module")
def table() -> Table:
    """Eleven streets."""
    return streets(11, (16, 32))


class Fixed(nn.Module):
    """Answers any batch of one with these logits."""

    def __init__(self, logits: dict[str, Tensor]) -> None:
        super().__init__()
        self.logits, self.weight = logits, nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Outputs:
        assert not self.training
        return Outputs(self.logits)


def test_rows_are_spread_over_the_test_with_the_truth_of_every_pixel(tmp_path: Path, table: Table) -> None:
    keep({}, table, TASKS, tmp_path)
    found, rows = read(tmp_path), torch.tensor([0, 2, 4, 6, 8, 10])
    assert found["row"].tolist() == (100 + rows).tolist()
    assert found["name"].tolist() == [f"street_{i:03}" for i in rows]
    assert (found["image"] == table.inputs["image"][rows].movedim(1, -1).numpy()).all()
    truth = {task.name: table.dense[task.name][rows].numpy() for task in TASKS}
    ids = found["segmentation/truth"]
    assert (np.where(ids == 255, IGNORE, ids.astype(int)) == truth["segmentation"]).all()
    assert (ids == 255).any()
    assert np.allclose(found["depth/truth"], truth["depth"], rtol=1e-3, equal_nan=True)
    vectors = np.moveaxis(np.nan_to_num(truth["normals"]), 1, -1)
    assert np.abs(found["normals/truth"] / 127 - vectors).max() < 0.005
    assert (unknown(found["normals/truth"]) == np.isnan(truth["normals"]).any(axis=1)).all()
    assert (unknown(found["depth/truth"]) == np.isnan(truth["depth"])).all()
    assert found["segmentation/labels"].tolist() == list(TASKS[0].labels)
    assert found["depth/unit"] == "m"


def test_answers_are_those_of_each_model_to_the_tasks_it_has(tmp_path: Path, table: Table) -> None:
    student = Guess(table, TASKS, 0.8, 1).train()
    keep({"student": student, "one": Guess(table, TASKS[1:2], 0.5, 2)}, table, TASKS, tmp_path, count=4)
    found, rows = read(tmp_path), torch.tensor([0, 3, 7, 10])
    assert student.training
    logits = student(table.rows(rows)).logits
    assert (found["segmentation/student"] == logits["segmentation"].argmax(dim=1).numpy()).all()
    assert np.allclose(found["depth/student"], logits["depth"][:, 0].numpy(), rtol=1e-3)
    lengths = np.linalg.norm(found["normals/student"].astype(float), axis=-1)
    assert np.abs(lengths - 127).max() < 2
    assert {name for name in found if name.endswith("/one")} == {"depth/one"}


def test_frozen_models_and_fewer_rows_than_asked_for_will_do(tmp_path: Path, table: Table) -> None:
    one = table.take(torch.tensor([4]))
    inner = Fixed({"depth": torch.full((1, 1, 16, 32), 7.0)})
    keep({"student": Frozen(inner)}, one, TASKS, tmp_path)
    assert read(tmp_path)["row"].tolist() == [104]
    assert (read(tmp_path)["depth/student"] == 7).all()


def test_large_images_are_made_small_without_mixing_labels(tmp_path: Path) -> None:
    image = torch.zeros(1, 1, 300, 1024, dtype=torch.uint8)
    image[..., ::4] = 200
    column, row = torch.arange(1024), torch.arange(300)
    ids = (column.view(1, 1, -1) % 4 + 0 * row.view(1, -1, 1)).clone()
    depth = torch.where(column % 4 == 2, 5.0, torch.nan).expand(1, 300, 1024)
    tasks = (Task("kind", 4), Task("depth", quantity="depth"))
    meta = {"subject": np.array(["a"])}
    table = Table(tasks, {"image": Dense(image)}, {}, meta, dense={"kind": Dense(ids), "depth": Dense(depth)})
    logits = torch.zeros(1, 4, 300, 1024)
    logits[:, 3] = 1
    keep({"student": Fixed({"kind": logits})}, table, tasks, tmp_path)
    found = read(tmp_path)
    assert found["image"].shape == (1, 75, 256, 3)
    assert (found["image"] == 50).all()
    assert (found["kind/truth"] == 2).all()
    assert (found["depth/truth"] == 5).all()
    assert (found["kind/student"] == 3).all()


def test_many_classes_keep_their_numbers(tmp_path: Path, table: Table) -> None:
    task = Task("kind", 894)
    ids = torch.full((11, 16, 32), 893)
    ids[:, 0] = IGNORE
    many = replace(table, tasks=(task,), dense={"kind": Dense(ids)})
    keep({}, many, (task,), tmp_path)
    found = read(tmp_path)["kind/truth"]
    assert (found[:, 1:] == 893).all()
    assert unknown(found)[:, 0].all()


def test_nothing_is_kept_where_no_pixel_is_asked_for(tmp_path: Path, table: Table) -> None:
    keep({}, replace(table, dense={}), TASKS, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path) == {}


def test_a_damaged_file_is_an_error_of_one_line(tmp_path: Path, table: Table) -> None:
    keep({}, table, TASKS, tmp_path, count=2)
    whole = (tmp_path / "pictures.npz").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:2000] + bytes(2000) + whole[4000:]):
        (tmp_path / "pictures.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"pictures\.npz cannot be read"):
            read(tmp_path)
