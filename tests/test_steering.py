"""Adaptive mixup: what it measures, and that its strength goes to where that is as asked for."""

import math

import pytest
import torch

from limbeck.batch import Batch, Outputs
from limbeck.config import parse
from limbeck.distiller import Distiller, View
from limbeck.errors import UserError
from limbeck.mixup import SERIES
from limbeck.objective import STUDENT, Scene
from limbeck.steering import AdaptiveMixup, Steering
from limbeck.tasks import Task
from limbeck.teachers import Frozen
from limbeck.terms import Soft, kd, supervised
from tests.conftest import TASKS, table
from tests.toy_runs import student

TASK = Task.of("activity", ("a", "b", "c", "d"))


def scene(teachers: dict[str, torch.Tensor], student_logits: torch.Tensor | None = None) -> Scene:
    logits = torch.zeros(2, 4) if student_logits is None else student_logits
    outputs = {name: Outputs({"activity": value}) for name, value in teachers.items()}
    batch = Batch({}, {}, torch.arange(2))
    return Scene(batch, {STUDENT: Outputs({"activity": logits}), **outputs}, {}, 0.0)


SURE = torch.tensor([[50.0, 0, 0, 0]]).expand(2, 4)
UNSURE = torch.zeros(2, 4)


def test_entropy_is_that_of_the_answers_by_the_largest_there_can_be() -> None:
    steering = Steering(AdaptiveMixup(by="entropy"), {"one": SERIES})
    logits = torch.tensor([[1.0, 0.5, -1.0, 2.0], [0.0, 3.0, 0.0, 0.0]])
    wanted = torch.distributions.Categorical(logits=logits).entropy().mean() / math.log(4)
    measured = steering.measured(Outputs({"activity": logits}), Outputs({}))
    assert float(measured) == pytest.approx(float(wanted), rel=1e-5)
    assert float(steering.measured(Outputs({"activity": UNSURE}), Outputs({}))) == pytest.approx(1.0)
    assert float(steering.measured(Outputs({"activity": SURE}), Outputs({}))) == pytest.approx(0.0, abs=1e-6)


def test_the_gap_is_none_where_student_and_teacher_agree_and_one_where_they_never_do() -> None:
    steering = Steering(AdaptiveMixup(by="gap"), {"one": SERIES})
    logits = torch.randn(2, 4)
    own, other = Outputs({"activity": logits}), Outputs({"activity": SURE.roll(1, dims=1)})
    assert float(steering.measured(own, own)) == pytest.approx(0.0, abs=1e-6)
    assert float(steering.measured(Outputs({"activity": SURE}), other)) == pytest.approx(1.0, abs=1e-6)
    kl = torch.distributions.kl_divergence(*(torch.distributions.Categorical(logits=x) for x in (logits, UNSURE)))
    wanted = (1 - (-kl).exp()).mean()
    assert float(steering.measured(own, Outputs({"activity": UNSURE}))) == pytest.approx(float(wanted), rel=1e-4)


def test_strength_grows_while_a_teacher_is_sure_and_falls_once_it_is_not() -> None:
    spec = AdaptiveMixup(target=0.2, rate=0.1, low=0.02, high=0.5, least=0.1)
    steering = Steering(spec, {"series": SERIES, "image": "pi"})
    assert steering.settings() == [(0.02, 0.1), (0.02, 0.1)]
    for _ in range(10):
        told = steering.learn(scene({"series": SURE, "image": UNSURE}))
    assert torch.allclose(steering.strength, torch.tensor([0.2, 0.0]), atol=1e-5)
    alpha, share = steering.settings()[0]
    assert alpha == pytest.approx(0.02 * 25**0.2, rel=1e-4)
    assert share == pytest.approx(0.28, rel=1e-4)
    assert sorted(told) == ["alpha(others)", "alpha(sensor)", "share(others)", "share(sensor)"]
    for _ in range(100):
        steering.learn(scene({"series": SURE, "image": UNSURE}))
    assert steering.settings()[0] == pytest.approx((0.5, 1.0))
    for _ in range(5):
        steering.learn(scene({"series": UNSURE, "image": UNSURE}))
    assert float(steering.strength[0]) == pytest.approx(0.6, abs=1e-5)


def test_a_modality_that_no_teacher_reads_stays_as_it_is() -> None:
    steering = Steering(AdaptiveMixup(), {"series": SERIES})
    told = steering.learn(scene({"series": SURE}))
    assert float(steering.strength[0]) > 0
    assert float(steering.strength[1]) == 0
    assert sorted(told) == ["alpha(sensor)", "share(sensor)"]


def test_the_smaller_part_lies_within_the_larger_and_others_stay_whole() -> None:
    steering = Steering(AdaptiveMixup(least=0.25), {"series": SERIES, "image": "pi"})
    steering.strength.copy_(torch.tensor([0.0, 1.0]))
    number = torch.arange(16.0)
    inputs = {SERIES: number.view(-1, 1, 1).expand(-1, 1, 4), "pi": number.view(-1, 1, 1, 1).expand(-1, 1, 2, 2)}
    torch.manual_seed(0)
    changed = steering(Batch(inputs, {"activity": torch.arange(16) % 4}, torch.arange(16)))
    assert changed.mixed is not None
    series, images = ((changed.inputs[k].flatten(1)[:, 0] != number) for k in (SERIES, "pi"))
    assert int((changed.mixed.share < 1).sum()) <= 4
    assert not (series & ~(changed.mixed.share < 1)).any()
    assert int(images.sum()) > int(series.sum())


def test_strength_is_learnt_in_training_alone_and_is_in_the_state() -> None:
    rows = table(32).rows(torch.arange(32))
    model, teacher = student(), Frozen(student())
    spec = AdaptiveMixup(target=0.999, rate=0.5)
    steering = Steering(spec, {"teacher": SERIES})
    objective = sum(
        (kd(t, "teacher", Soft()) for t in TASKS[1:]), start=supervised(TASKS[0]) + kd(TASKS[0], "teacher", Soft())
    )
    distiller = Distiller(model, {"teacher": teacher}, [View(objective, steering)])
    distiller.eval()(rows, 0.0)
    assert float(steering.strength[0]) == 0
    values = distiller.train()(rows, 0.0).values
    assert {"alpha(sensor)", "share(sensor)"} <= set(values)
    grown = float(steering.strength[0])
    assert grown > 0
    again = Steering(spec, {"teacher": SERIES})
    whole = Distiller(student(), {"teacher": teacher}, [View(objective, again)])
    whole.load_state_dict(distiller.state_dict())
    assert float(again.strength[0]) == grown


def test_an_alpha_that_would_fall_as_strength_grows_is_refused() -> None:
    with pytest.raises(UserError, match="low must be below high"):
        parse(AdaptiveMixup, {"low": 0.9, "high": 0.1})
