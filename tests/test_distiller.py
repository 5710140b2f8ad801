"""The distiller: who is run, what is judged, and what learns."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.distiller import Distiller, View
from limbeck.errors import UserError
from limbeck.objective import Balancing, Scene, Term
from limbeck.plan import Adam
from limbeck.teachers import EMA, Cached, Ensemble, Frozen, Teacher
from limbeck.terms import Soft, kd, supervised
from tests.conftest import TASKS, table
from tests.toy_runs import student, toy_run

BATCH = table(20).rows(torch.arange(20))
TASK = TASKS[0]


class Counting(Teacher):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.told: list[float] = []

    def forward(self, batch: Batch) -> Outputs:
        self.asked += 1
        return Outputs({t.name: torch.zeros(len(batch), t.classes or 1) for t in TASKS})

    def update(self, student: nn.Module, progress: float) -> None:
        self.told.append(progress)


def test_a_misspelt_teacher_fails_when_the_distiller_is_made() -> None:
    with pytest.raises(UserError, match="no teacher 'emma'; did you mean 'ema'"):
        Distiller(student(), {"ema": EMA(student())}, kd(TASK, "emma", Soft()))
    with pytest.raises(UserError, match="known: none"):
        Distiller(student(), {}, kd(TASK, "ema", Soft()))


def test_no_teacher_takes_the_name_of_the_student() -> None:
    with pytest.raises(ValueError, match="'student'"):
        Distiller(student(), {"student": Frozen(student())}, supervised(TASK))


def test_only_teachers_that_are_read_are_run_and_once() -> None:
    read, unread = Counting(), Counting()
    objective = supervised(TASK) + kd(TASK, "read", Soft()) + kd(TASKS[1], "read", Soft())
    distiller = Distiller(student(), {"read": read, "unread": unread}, objective)
    distiller(BATCH, 0.0)
    assert (read.asked, unread.asked) == (1, 0)
    distiller.after_step(0.25)
    assert read.told == unread.told == [0.25]


def test_the_loss_is_the_sum_over_views_each_on_its_own_batch() -> None:
    model = student().eval()
    plain, doubled = supervised(TASK), 0.5 * supervised(TASK)
    distiller = Distiller(
        model, {}, [View(plain), View(doubled, lambda b: b.with_inputs({"sensor": 2 * b.inputs["sensor"]}))]
    )
    total, values = distiller(BATCH, 0.0)
    one, two = (
        nn.functional.cross_entropy(model(b).logits["activity"], BATCH.targets["activity"]).item()
        for b in (BATCH, BATCH.with_inputs({"sensor": 2 * BATCH.inputs["sensor"]}))
    )
    assert total.item() == pytest.approx(one + 0.5 * two, rel=1e-6)
    assert {k: v.item() for k, v in values.items()} == pytest.approx(
        {"activity view 0": one, "activity view 1": two}, rel=1e-6
    )
    with pytest.raises(ValueError, match="at least one view"):
        Distiller(model, {}, [])(BATCH, 0.0)


def test_gradient_reaches_the_student_alone_and_the_optimiser_holds_it_alone() -> None:
    """S1-05."""
    run = toy_run()
    distiller = run.distiller
    optimiser = Adam().build([p for p in distiller.parameters() if p.requires_grad])
    held = {id(p) for g in optimiser.param_groups for p in g["params"]}
    assert held == {id(p) for p in distiller.student.parameters()}
    distiller(BATCH, 0.0).total.backward()
    assert all(p.grad is not None for p in distiller.student.parameters())
    assert all(p.grad is None for p in distiller.teachers.parameters())


def test_lambda_0_is_hard_sharing_to_the_last_bit() -> None:
    """S1-06, one step of it; a whole run is in test_fit."""
    with_teacher, without = student(), student()
    one = Distiller(with_teacher, {"ema": EMA(with_teacher)}, 0.5 * (supervised(TASK) + 0.0 * kd(TASK, "ema", Soft())))
    two = Distiller(without, {}, 0.5 * supervised(TASK))
    for distiller in (one, two):
        distiller(BATCH, 0.0).total.backward()
    for a, b in zip(with_teacher.parameters(), without.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        assert a.grad is None or (b.grad is not None and torch.equal(a.grad, b.grad))


@pytest.mark.parametrize(("alpha", "still"), [(1.0, "side"), (0.0, "activity")])
def test_a_task_of_weight_0_gives_its_head_no_gradient(alpha: float, still: str) -> None:
    """S1-07."""
    model = student()
    parts = (supervised(t) + 0.5 * kd(t, "ema", Soft()) for t in TASKS)
    one, two = parts
    Distiller(model, {"ema": EMA(model)}, alpha * one + (1 - alpha) * two)(BATCH, 0.0).total.backward()
    for task in TASKS:
        total = sum(float(p.grad.abs().sum()) for p in model.head(task.name).parameters() if p.grad is not None)
        assert (total == 0) == (task.name == still)


def test_checkpoints_hold_what_learns_and_not_what_is_frozen() -> None:
    model = student()
    teachers = {"ema": EMA(model), "oracle": Frozen(student(1)), "cache": Cached({}, "key")}
    names = Distiller(model, teachers, supervised(TASK)).state_dict()
    assert {n.split(".")[0] for n in names} == {"student", "teachers"}
    assert {n.split(".")[1] for n in names if n.startswith("teachers")} == {"ema"}


def test_it_tells_what_each_teacher_is_fixed_by() -> None:
    model, frozen = student(), Frozen(student(1))
    teachers = {"ema": EMA(model, 0.75), "oracle": frozen, "both": Ensemble([frozen, EMA(model, 0.75)])}
    distiller = Distiller(model, teachers, supervised(TASK))
    assert distiller.fingerprints() == {"oracle": frozen.fingerprint()}
    described = distiller.described()
    assert described["ema"] == "EMA beta=0.75"
    assert described["oracle"] == frozen.fingerprint()
    assert set(described) == set(teachers)


def test_weights_that_adapt_are_told_the_scores() -> None:
    class Weights(Balancing):
        heard: Any = None

        def weights(self) -> Tensor:
            return torch.ones(len(self.names))

        def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
            return sum(losses[1:], start=losses[0])

        def after_eval(self, scores: Mapping[str, float]) -> dict[str, Any]:
            assert self.heard is None, "told once, though it weighs two terms"
            self.heard = dict(scores)
            return {"heard": True}

    weights = Weights("weights", ["one", "two"])
    objective = weights["one"] * supervised(TASKS[0]) + weights["two"] * supervised(TASKS[1])
    assert Distiller(student(), {}, objective).after_eval({"activity": 0.5}) == {"heard": True}
    assert weights.heard == {"activity": 0.5}


def test_a_term_sees_batch_answers_models_and_progress() -> None:
    class Looks(Term):
        seen: Scene | None = None

        def forward(self, scene: Scene) -> Tensor:
            self.seen = scene
            return scene.outputs["student"].logits["activity"].sum()

    looks, model = Looks("looks"), student()
    Distiller(model, {"ema": EMA(model)}, looks + 0.0 * supervised(TASK))(BATCH, 0.75)
    assert looks.seen is not None
    assert looks.seen.progress == 0.75
    assert looks.seen.batch is BATCH
    assert list(looks.seen.outputs) == ["student"]
    assert list(looks.seen.models) == ["student", "ema"]
    assert looks.seen.models["student"] is model
