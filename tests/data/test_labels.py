"""Generated labels in a folder: they come back as they were, to the samples they were made for and to no others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limbeck.data import labels
from limbeck.data.generated import Generated
from limbeck.data.source import Table
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from tests.conftest import TASKS, table

MOOD = Task("mood", 2, ("good", "bad"), middles=(1.0, 2.0), unit="grade")


def made(rows: int = 6) -> dict[str, Generated]:
    """Of two tasks, where every third sample has none."""
    given = torch.arange(rows) % 3 > 0
    found = {}
    for classes, name in ((3, "activity"), (2, "mood")):
        shares = torch.rand(rows, classes, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
        found[name] = Generated(
            torch.where(given.unsqueeze(1), shares, 0.0),
            shares.max(dim=1).values,
            torch.where(given, 0, -1).short(),
            (f"teacher of {name}",),
        )
    return found


def pool(rows: int = 6) -> Table:
    """Samples that the model's tasks were asked for, some of which had a label."""
    held = table(rows)
    held.targets["activity"][1] = IGNORE
    missing = torch.full((rows,), IGNORE)
    return replace(held, tasks=(TASKS[0], MOOD), targets={"activity": held.targets["activity"], "mood": missing})


def test_labels_come_back_bit_for_bit_where_nobody_gave_one(tmp_path: Path) -> None:
    """S5-05: a label that a person gave stays, and none is generated beside it."""
    labels.write(tmp_path, pool(), made(), {"run": "runs/a"})
    one = table(6)
    one.targets["activity"][torch.tensor([1, 2, 3])] = IGNORE
    back = labels.attached(one, tmp_path)
    assert torch.equal(back.targets["activity"], one.targets["activity"])
    assert torch.equal(back.targets["side"], one.targets["side"])
    wanted = made()["activity"]
    assert back.status("activity").tolist() == [
        "labelled", "generated", "generated", "missing", "labelled", "labelled"
    ]  # fmt: skip
    assert back.generated["activity"].given.tolist() == [False, True, True, False, False, False]
    for row in (1, 2):
        assert torch.equal(back.generated["activity"].shares[row], wanted.shares[row])
    assert not back.generated["activity"].shares[[0, 3, 4, 5]].any()
    assert torch.equal(back.generated["activity"].confidence, wanted.confidence)
    assert back.generated["activity"].teachers == ("teacher of activity",)
    assert back.digest != one.digest


def test_a_task_that_the_samples_were_never_labelled_for_comes_with_its_labels(tmp_path: Path) -> None:
    labels.write(tmp_path, pool(), made(), {})
    bare = replace(table(6), tasks=(), targets={})
    for held in (table(6), bare):
        back = labels.attached(held, tmp_path)
        assert MOOD in back.tasks
        assert back.targets["mood"].tolist() == [IGNORE] * 6
        assert back.status("mood").tolist() == ["missing", "generated", "generated"] * 2
        assert torch.equal(back.rows(torch.tensor([4])).generated["mood"][0], made()["mood"].shares[4])
    assert [task.name for task in labels.attached(bare, tmp_path).tasks] == ["activity", "mood"]


def test_labels_of_other_samples_are_refused(tmp_path: Path) -> None:
    labels.write(tmp_path, pool(), made(), {})
    order = table(6).take(torch.tensor([1, 0, 2, 3, 4, 5]))
    for other in (table(5), order, replace(table(6), meta={**table(6).meta, "start": torch.ones(6).numpy()})):
        with pytest.raises(UserError, match=r"holds labels of other samples than toy has; label them again"):
            labels.attached(other, tmp_path)
    smaller = replace(table(6), inputs={"sensor": table(6).inputs["sensor"], "more": table(6).inputs["sensor"]})
    labels.attached(replace(smaller, digest="read otherwise"), tmp_path)


def test_labels_with_other_classes_are_refused(tmp_path: Path) -> None:
    labels.write(tmp_path, pool(), made(), {})
    order = Task.of("activity", ("walk", "still", "run"))
    with pytest.raises(UserError, match=r"holds labels of 'activity' with other classes: still, walk, run"):
        labels.attached(replace(table(6), tasks=(order, TASKS[1])), tmp_path)


def test_damage_and_absence_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"generated.json is missing"):
        labels.attached(table(6), tmp_path)
    labels.write(tmp_path, pool(), made(), {})
    path = tmp_path / labels.STORE
    changed = bytearray(path.read_bytes())
    changed[-2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(UserError, match=r"is damaged"):
        labels.attached(table(6), tmp_path)


def test_a_folder_is_named_by_what_its_labels_are(tmp_path: Path) -> None:
    names = []
    for number, given in enumerate((made(), made(), {**made(), "mood": replace(made()["mood"], teachers=("b",))})):
        labels.write(tmp_path / str(number), pool(), given, {"run": "runs/a"})
        names.append(labels.named(tmp_path / str(number)))
    shares = made()["mood"].shares.clone()
    shares[4] = shares[4].flip(0)
    labels.write(tmp_path / "turned", pool(), {**made(), "mood": replace(made()["mood"], shares=shares)}, {})
    assert names[0] == names[1] != names[2]
    assert labels.named(tmp_path / "turned") not in names
    assert json.loads((tmp_path / "0" / labels.MANIFEST).read_text())["run"] == "runs/a"
