"""Targets of every pixel in the terms of a model that was trained on another set."""

from dataclasses import replace

import pytest
import torch

from limbeck import evaluate
from limbeck.data.source import Dense
from limbeck.errors import UserError
from limbeck.renamed import translated
from limbeck.tasks import IGNORE, Task
from tests.fake_scenes import ASKED, DEPTH, NORMALS, Painter, scenes

OTHER = Task.of("segmentation", ("sky", "road", "dog", "car"))


def test_classes_of_pixels_are_told_by_their_names_and_unknown_ones_are_missing() -> None:
    rows = replace(scenes(6), tasks=(OTHER, DEPTH, NORMALS))
    found = translated(rows, ASKED)
    before = rows.dense["segmentation"][torch.tensor([4, 0])]
    wanted = torch.tensor([2, 0, IGNORE, 1, IGNORE])[torch.where(before == IGNORE, 4, before)]
    assert torch.equal(found.dense["segmentation"][torch.tensor([4, 0])], wanted)
    assert torch.equal(found.take(torch.tensor([4, 0])).dense["segmentation"][torch.arange(2)], wanted)
    assert found.dense["segmentation"].shape == (8, 12)
    assert found.tasks == ASKED
    assert translated(scenes(6), ASKED).dense["segmentation"][torch.arange(6)].shape == (6, 8, 12)


def test_tasks_that_the_pictures_lack_are_not_asked() -> None:
    found = translated(scenes(6, (DEPTH,)), ASKED)
    assert found.tasks == (DEPTH,)
    assert set(evaluate.assess(evaluate.answers(Painter(), found), found, ASKED)) == {"depth"}


def test_other_classes_units_and_quantities_are_refused() -> None:
    rows = scenes(6)
    for task, said in (
        (Task.of("segmentation", ("cat",)), "no class that the model knows: cat"),
        (Task("depth", quantity="depth", unit="1/m"), "'depth' has values in m in the recordings, but values in 1/m"),
        (Task.of("normals", ("up", "down")), "'normals' has values in the recordings, but classes in the model"),
    ):
        with pytest.raises(UserError, match=said):
            translated(rows, (task,))
    with pytest.raises(UserError, match="the model knows heat"):
        translated(replace(rows, dense={"depth": Dense(torch.ones(6, 8, 12))}), (Task("heat"),))
