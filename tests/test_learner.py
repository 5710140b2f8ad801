"""A learner: its steps are functions of seed, step and purpose, and a copy of it is one of its own."""

import pytest
import torch

from limbeck.fit import _Loop
from limbeck.learner import Learner
from limbeck.observers import Together
from limbeck.teachers import fingerprint
from tests.toy_runs import toy_run


@pytest.fixture
def learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    return _Loop(toy_run(), tmp_path_factory.mktemp("run"), Together([])).learner


def test_a_step_is_a_function_of_step_and_purpose(learner: Learner) -> None:
    def loss(step: int, purpose: str) -> float:
        copy = learner.aside(purpose)
        return copy.judge(copy.together(), step, 0.0).total.item()

    assert loss(3, "step") == loss(3, "step")
    assert len({loss(3, "step"), loss(3, "range"), loss(2, "step")}) == 3


def test_what_a_copy_learns_is_its_own(learner: Learner) -> None:
    before = fingerprint(learner.distiller)
    copy = learner.aside("range")
    model = copy.together()
    assert model.training
    assert fingerprint(copy.distiller) == before
    for step in range(3):
        copy.judge(model, step, 0.0)
        copy.move(0.1, 0.0)
    assert fingerprint(learner.distiller) == before != fingerprint(copy.distiller)
    student, teacher = copy.distiller.student, copy.distiller.teachers["ema"]
    assert not torch.equal(*(next(m.parameters()) for m in (teacher, learner.distiller.teachers["ema"])))
    assert copy.distiller.views[0].objective is copy.distiller.objectives[0], "one module still, not two"
    assert copy.distiller._models["student"] is student
