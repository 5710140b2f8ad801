"""Weights of tasks: each kind against its equation written out, and what a batch without labels does to it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.balance import DWA, Balance, Equal, GradNorm, Uncertainty
from limbeck.batch import Batch
from limbeck.config import parse
from limbeck.distiller import Distiller, View
from limbeck.errors import UserError
from limbeck.objective import Objective, Scene, Term
from limbeck.tasks import IGNORE
from limbeck.teachers import EMA
from limbeck.terms import Soft, kd, supervised
from tests.conftest import TASKS, table
from tests.toy_runs import student

BATCH = table(20).rows(torch.arange(20))
KINDS: list[Balance] = [Uncertainty(), DWA(), GradNorm()]
ADAPTIVE = pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.kind)


class Given(Term):
    """A loss that is told; its gradient is 1."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.value = nn.Parameter(torch.tensor(0.0))

    def forward(self, scene: Scene) -> Tensor:
        return self.value * 1.0


def given(spec: Balance, epoch: int = 3, names: tuple[str, ...] = ("a", "b", "c")) -> tuple[Objective, list[Given]]:
    terms = [Given(name) for name in names]
    return spec.over({t.name: Objective.of(t) for t in terms}, epoch), terms


def step(objective: Objective, terms: list[Given], losses: Any) -> tuple[float, dict[str, float]]:
    for term, loss in zip(terms, losses, strict=True):
        term.value.data.fill_(float(loss))
    total, values = objective(Scene(Batch({}, {}, torch.arange(1)), {}, {}, 0.0))
    return total.item(), {k: v.item() for k, v in values.items()}


def now(objective: Objective) -> list[float]:
    return [float(w) for balancing in objective.balancings for w in balancing.weights()]


def over_tasks(spec: Balance) -> Distiller:
    return Distiller(student(), {}, spec.over({t.name: supervised(t) for t in TASKS}, 4))


def without(batch: Batch, *tasks: str) -> Batch:
    targets = {n: torch.full_like(t, IGNORE) if n in tasks else t for n, t in batch.targets.items()}
    return Batch(batch.inputs, targets, batch.ids)


def test_equal_is_the_plain_sum() -> None:
    objective, terms = given(Equal())
    assert str(objective) == "a + b + c"
    assert step(objective, terms, [1, 2, 4]) == (7.0, {"a": 1.0, "b": 2.0, "c": 4.0})
    assert list(objective.weights) == []


def test_uncertainty_is_its_equation_and_comes_to_rest_at_one_over_twice_the_loss() -> None:
    objective, terms = given(Uncertainty())
    [balancing] = objective.balancings
    [s] = balancing.parameters()
    s.data.copy_(torch.tensor([0.0, 1.0, -1.0]))
    total, values = step(objective, terms, [0.5, 2.0, 3.0])
    wanted = sum(math.exp(-v) * loss + v / 2 for v, loss in zip((0, 1, -1), (0.5, 2, 3), strict=True))
    assert total == pytest.approx(wanted, rel=1e-6)
    assert [values[f"weight({n})"] for n in "abc"] == pytest.approx([1, math.exp(-1), math.e], rel=1e-6)
    optimiser = torch.optim.SGD([s], 0.1)
    for _ in range(500):
        optimiser.zero_grad()
        objective(Scene(Batch({}, {}, torch.arange(1)), {}, {}, 0.0))[0].backward()
        optimiser.step()
    assert now(objective) == pytest.approx([1 / (2 * loss) for loss in (0.5, 2.0, 3.0)], rel=1e-3)


def test_uncertainty_of_real_values_is_the_same_function_moved_by_log_2() -> None:
    s, loss = torch.linspace(-2, 2, 9), 1.7
    real = (-s).exp() * loss / 2 + s / 2
    moved = s + math.log(2)
    assert torch.allclose((-moved).exp() * loss + moved / 2, real + math.log(2) / 2)


def test_dwa_is_its_equation_over_epochs() -> None:
    T, epoch, rng = 1.5, 3, np.random.default_rng(0)
    objective, terms = given(DWA(T=T), epoch)
    losses = rng.uniform(0.5, 2, (15, 3))
    means = losses.reshape(5, epoch, 3).mean(axis=1)
    for number, row in enumerate(losses):
        at = number // epoch
        ratio = means[at - 1] / means[at - 2] if at >= 2 else np.ones(3)
        weights = 3 * np.exp(ratio / T) / np.exp(ratio / T).sum()
        total, values = step(objective, terms, row)
        assert [values[f"weight({n})"] for n in "abc"] == pytest.approx(weights, rel=1e-5)
        assert total == pytest.approx(float(weights @ row), rel=1e-5)
        assert sum(now(objective)) == pytest.approx(3, rel=1e-6)


def test_dwa_means_are_over_the_batches_with_a_label_and_a_task_without_any_keeps_its_ratio() -> None:
    objective, terms = given(DWA(T=1.0), 2, ("a", "b"))
    for row in ([4, 4], [0, 4], [2, 1], [2, 3]):  # a: 4, then 2; b: 4, then 2
        step(objective, terms, row)
    assert now(objective) == pytest.approx([1, 1])
    for row in ([0, 3], [0, 3]):  # b: 3 after 2
        step(objective, terms, row)
    ratio = np.exp([0.5, 1.5])
    assert now(objective) == pytest.approx(2 * ratio / ratio.sum(), rel=1e-6)


def test_gradnorm_is_its_equation() -> None:
    """Against the gradients of the losses taken by hand, over steps in which the student learns."""
    spec = GradNorm(alpha=0.7, rate=0.2)
    distiller = over_tasks(spec)
    model = distiller.student
    shared = [p for p in model.trunk.parameters() if p.ndim > 1][-1]
    weights, first = np.ones(2), None
    optimiser = torch.optim.SGD(distiller.student.parameters(), 0.1)
    for number in range(6):
        rows = table(20).rows(torch.arange(10 * (number % 2), 10 * (number % 2) + 10))
        # BatchNorm counts twice, which in training changes no answer.
        each = [nn.functional.cross_entropy(model(rows).logits[t.name], rows.targets[t.name]) for t in TASKS]
        norms = np.array([torch.autograd.grad(loss, shared)[0].double().norm().item() for loss in each])
        losses = np.array([loss.item() for loss in each])
        total, values = distiller(rows, 0.0)
        assert [values[f"weight({t.name})"].item() for t in TASKS] == pytest.approx(weights, rel=1e-4)
        assert total.item() == pytest.approx(float(weights @ losses), rel=1e-4)
        first = losses if first is None else first
        pace = losses / first
        size = weights * norms
        target = size.mean() * (pace / pace.mean()) ** spec.alpha
        weights = weights - spec.rate * np.sign(size - target) * norms
        weights = 2 * weights / weights.sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert abs(weights[0] - 1) > 0.01


def test_gradnorm_brings_gradients_to_one_norm() -> None:
    distiller = over_tasks(GradNorm(alpha=0.0, rate=0.02))
    objective = distiller.views[0].objective
    model = distiller.student.eval()
    shared = [p for p in model.trunk.parameters() if p.ndim > 1][-1]
    for _ in range(300):
        distiller(BATCH, 0.0)
    sizes = [
        weight * torch.autograd.grad(
            nn.functional.cross_entropy(model(BATCH).logits[t.name], BATCH.targets[t.name]), shared
        )[0].norm().item()
        for t, weight in zip(TASKS, now(objective), strict=True)
    ]  # fmt: skip
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
    assert sum(now(objective)) == pytest.approx(2, rel=1e-5)


def test_gradnorm_needs_a_trunk_that_learns() -> None:
    distiller = over_tasks(GradNorm())
    distiller.student.trunk.requires_grad_(False)
    with pytest.raises(UserError, match="gradnorm needs a student whose tasks share a trunk"):
        distiller(BATCH, 0.0)


def test_gradnorm_leaves_the_gradient_of_the_loss_as_it_is() -> None:
    one, two = over_tasks(GradNorm()), over_tasks(Equal())
    one.load_state_dict(two.state_dict(), strict=False)
    for distiller in (one, two):
        distiller(BATCH, 0.0).total.backward()
    for a, b in zip(one.student.parameters(), two.student.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-7)


@ADAPTIVE
def test_a_task_without_a_label_in_a_batch_does_not_move_its_weight_and_breaks_nothing(spec: Balance) -> None:
    distiller = over_tasks(spec)
    objective = distiller.views[0].objective
    learnt = [p for p in distiller.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learnt, 0.1)
    for batch in (without(BATCH, "activity", "side"), without(BATCH, "side"), without(BATCH, "side")):
        before = now(objective)
        optimiser.zero_grad()
        total = distiller(batch, 0.0).total
        total.backward()
        optimiser.step()
        assert math.isfinite(total.item())
        assert all(p.isfinite().all() for p in learnt)
        if spec.kind != "dwa":  # whose weights sum to K, so that all move as one does, at the end of an epoch
            assert now(objective)[1] == before[1]
    assert all(map(math.isfinite, now(objective)))
    distiller(BATCH, 0.0).total.backward()


@ADAPTIVE
def test_a_weight_of_a_task_multiplies_all_of_its_parts(spec: Balance) -> None:
    """Labels and a teacher's answers: their weighted sum is what the task's loss is to it."""
    model = student()
    parts = {t.name: supervised(t) + 0.5 * kd(t, "ema", Soft()) for t in TASKS}
    distiller = Distiller(model, {"ema": EMA(model)}, 3.0 * spec.over(parts, 1))
    with torch.no_grad():
        for p in distiller.teachers.parameters():
            p.add_(0.1)
    [balancing] = distiller.views[0].objective.balancings
    heard: list[list[float]] = []
    balancing.register_forward_pre_hook(lambda _, args: heard.append([loss.item() for loss in args[0]]))
    values = distiller(BATCH, 0.0).values
    wanted = [3 * (values[t.name] + 0.5 * values[f"soft({t.name}, ema)"]).item() for t in TASKS]
    assert heard == [pytest.approx(wanted, rel=1e-6)]
    assert list(values)[-2:] == ["weight(activity)", "weight(side)"]


@ADAPTIVE
def test_weights_stand_still_in_evaluation_and_come_back_from_the_state(spec: Balance) -> None:
    distiller = over_tasks(spec)
    objective = distiller.views[0].objective
    optimiser = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], 0.1)
    for _ in range(12):
        optimiser.zero_grad()
        distiller(BATCH, 0.0).total.backward()
        optimiser.step()
    learnt = now(objective)
    assert learnt != pytest.approx([1, 1], abs=1e-4)
    state = {k: v.clone() for k, v in distiller.state_dict().items()}
    distiller.eval()(BATCH, 0.0)
    assert all(torch.equal(state[k], v) for k, v in distiller.state_dict().items())
    again = over_tasks(spec)
    again.load_state_dict(state)
    assert now(again.views[0].objective) == learnt


def test_names_and_settings_are_in_the_equation() -> None:
    texts = {str(given(spec)[0]) for spec in (*KINDS, Equal(), DWA(T=3), GradNorm(alpha=1), GradNorm(rate=1))}
    assert len(texts) == 7
    assert "gradnorm[alpha=1.5 rate=0.025](a) a" in str(given(GradNorm())[0])


def test_two_views_each_have_their_own_and_one_of_both_is_refused() -> None:
    model = student()
    one, two = (Uncertainty().over({t.name: supervised(t) for t in TASKS}, 1) for _ in range(2))
    values = Distiller(model, {}, [View(one), View(two)])(BATCH, 0.0).values
    assert {"weight(side) view 0", "weight(side) view 1"} <= set(values)
    [balancing] = one.balancings
    with pytest.raises(ValueError, match="one view"):
        Distiller(model, {}, [View(one), View(balancing["side"] * supervised(TASKS[1]))])


@pytest.mark.parametrize(("spec", "values"), [(DWA, {"T": 0}), (GradNorm, {"rate": 0}), (GradNorm, {"alpha": -1})])
def test_settings_that_make_no_sense_are_refused(spec: Any, values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        parse(spec, values)
