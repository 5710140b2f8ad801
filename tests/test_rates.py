"""Rates: the triangle against its closed form, what makes it shrink, and range tests against divergence that is
known."""

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from limbeck import checkpoint, journal, rates
from limbeck.batch import Batch, Outputs
from limbeck.config import parse
from limbeck.data.order import Order
from limbeck.distiller import Distiller
from limbeck.errors import Interrupted, UserError
from limbeck.fit import fit
from limbeck.learner import Learner
from limbeck.objective import STUDENT, Objective, Scene, Term
from limbeck.observers import Observer
from limbeck.plan import SGD, Plan
from limbeck.rates import Cycle, range_test
from limbeck.schedule import AdaptiveCLR, Cosine
from limbeck.teachers import fingerprint
from tests.conftest import table
from tests.toy_runs import PLAN, toy_run

EPOCH = 4
"""Steps of one, of a toy run."""


def heard(*losses: float) -> dict[str, dict[str, float]]:
    return {f"task {number}": {"loss": loss} for number, loss in enumerate(losses)}


def cycled(cycle: Cycle, losses: list[float]) -> list[dict[str, Any]]:
    """The rows of one cycle after another, at whose every look validation has one loss."""
    rows = [cycle.hears(step, heard(losses[(step - 1) // (2 * cycle.half)])) for step in sorted(cycle.looks)]
    return [row for row in rows if row]


def test_a_schedule_multiplies_the_rate_of_the_plan() -> None:
    plan = Plan(optimiser=SGD(lr=0.3), schedule=Cosine(warmup=0.1))
    rate = rates.of(plan, EPOCH, 50)
    assert [rate.at(s) for s in range(50)] == [0.3 * Cosine(warmup=0.1)(s / 50) for s in range(50)]
    assert (rate.looks, rate.unknown(), rate.state()) == (frozenset(), False, {})


@given(st.floats(0.1, 6), st.integers(1, 50), st.floats(1e-5, 10))
def test_the_trace_is_a_triangle(half: float, epoch: int, high: float) -> None:
    """S5-08."""
    cycle = Cycle(AdaptiveCLR(half=half, high=high), epoch, 400)
    length = max(1, round(half * epoch))
    wanted = np.interp(np.arange(400) % (2 * length), [0, length, 2 * length], [high / 10, high, high / 10])
    assert [cycle.at(s) for s in range(400)] == pytest.approx(wanted.tolist(), rel=1e-9)


def test_it_shrinks_after_a_cycle_that_does_not_improve_and_not_after_one_that_does() -> None:
    """S5-08."""
    cycle = Cycle(AdaptiveCLR(half=2, high=1.0, shrink=0.5), EPOCH, 7 * 16)
    rows = cycled(cycle, [9, 8, 8, 7, 7.5, 7.4, 0])
    assert [r["high"] for r in rows] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert [r["before"] for r in rows] == [None, 9, 8, 8, 7, 7.5, 7.4]
    assert [r["loss"] for r in rows] == [9, 8, 8, 7, 7.5, 7.4, 0]
    assert all(r["low"] == r["high"] / 10 for r in rows)
    assert cycle.at(0) == pytest.approx(0.025)
    assert cycle.at(8) == 0.25


def test_it_never_shrinks_below_a_tenth_of_the_first_smallest_rate() -> None:
    cycle = Cycle(AdaptiveCLR(half=0.25, high=2.0), EPOCH, 60)
    rows = cycled(cycle, [1.0] * 30)
    assert [r["high"] for r in rows] == pytest.approx([max(2 * 0.7**n, 0.02) for n in range(30)])
    assert rows[-1]["high"] == 0.02


def test_the_loss_of_a_cycle_is_the_mean_of_looks_in_its_falling_half_over_the_tasks_that_have_labels() -> None:
    cycle = Cycle(AdaptiveCLR(half=4, high=1.0), 10, 200)
    assert sorted(cycle.looks) == [50, 60, 70, 80, 130, 140, 150, 160], "of the last cycle there is but a half"
    for step in (50, 60, 70):
        assert cycle.hears(step, heard(1.0, 3.0, math.nan)) is None
    row = cycle.hears(80, heard(4.0))
    assert row is not None
    assert row["loss"] == 2.5


@pytest.mark.parametrize("half", [0.01, 0.25, 0.5, 0.75])
def test_cycles_of_a_few_steps_look_once_a_step_at_most_and_always_at_the_end(half: float) -> None:
    cycle = Cycle(AdaptiveCLR(half=half, high=1.0), EPOCH, 60)
    assert len(cycled(cycle, [1.0] * 31)) == 60 // (2 * cycle.half)


def test_its_state_is_plain_and_comes_back() -> None:
    one, two = (Cycle(AdaptiveCLR(half=2, high=high), EPOCH, 100) for high in (1.0, 0.3))
    cycled(one, [2, 3, 4, 4, 4, 4])
    one.hears(96 + 10, heard(1.5))
    two.restore(one.state())
    assert vars(two) == vars(one) | {"spec": two.spec}
    assert two.hears(112, heard(0.5)) == one.hears(112, heard(0.5))


class Point(nn.Module):
    """A student that is a place."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(size))

    def forward(self, batch: Batch) -> Outputs:
        return Outputs({}, {"x": self.x})


class Bowl(Term):
    """Half the square of the place, by curvatures; the batch pushes it about by `noise`."""

    def __init__(self, curvatures: list[float], noise: float = 0.0) -> None:
        super().__init__("bowl")
        self.curvatures, self.noise = torch.tensor(curvatures), noise

    def forward(self, scene: Scene) -> Tensor:
        x = scene.outputs[STUDENT].features["x"]
        return (0.5 * self.curvatures * x.square()).sum() + self.noise * (torch.randn_like(x) * x).sum() + 1e-3


def learner(term: Term, size: int = 1, **plan: Any) -> Learner:
    given = Plan(batch=16, optimiser=SGD(momentum=0.0), device="cpu").changed(**plan)
    distiller = Distiller(Point(size), {}, Objective.of(term))
    rows = table(60)
    return Learner(given, distiller, rows, Order(len(rows), 16, 0), torch.device("cpu"), "range")


@pytest.mark.parametrize("curvatures", [[100.0], [3e4], [1.0, 30.0, 200.0]])
@pytest.mark.parametrize(
    # Without noise a place falls to the last bit on its way, from where 100 steps would not bring it back in time.
    ("noise", "momentum", "steps"), [(0.0, 0.0, 300), (0.1, 0.0, 100), (0.1, 0.0, 300), (0.1, 0.9, 100)],
)  # fmt: skip
def test_a_range_test_ends_below_the_rate_at_which_descent_diverges(
    curvatures: list[float], noise: float, momentum: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5-08: on a bowl of curvature c, descent of momentum m diverges from a rate of 2 (1 + m) / c on."""
    monkeypatch.setattr(rates, "FEWEST", steps)
    known = 2 * (1 + momentum) / max(curvatures)
    given = learner(Bowl(curvatures, noise), len(curvatures), optimiser=SGD(momentum=momentum))
    found = range_test(AdaptiveCLR(steps=steps), given, lambda: False)
    assert found is not None
    assert found["diverged"] is not None
    assert known / 20 < found["high"] < known
    assert known < found["diverged"]
    assert found["low"] == found["high"] / 10
    count = len(found["lrs"])
    assert count == len(found["losses"]) == len(found["smoothed"]) < steps
    assert found["lrs"] == pytest.approx(np.geomspace(1e-6, 1, steps)[:count].tolist())
    assert all(map(math.isfinite, [*found["losses"], *found["smoothed"]]))


class Told(Term):
    """A loss that is told for each step."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__("told")
        self.losses, self.calls = losses, 0

    def forward(self, scene: Scene) -> Tensor:
        self.calls += 1
        return 0 * scene.outputs[STUDENT].features["x"].sum() + self.losses[self.calls - 1]


def guessing_again(least: float) -> list[float]:
    """Of 100 steps: guessing, from step 40 on better, from 60 on worse again, and guessing from 70 on."""
    return np.interp(range(100), [0, 40, 60, 70, 100], [1.25, 1.25, least, 1.25, 1.25]).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("least", [0.3, 0.9])
def test_a_classifier_that_guesses_again_has_diverged_where_it_lost_half_of_what_it_had_gained(least: float) -> None:
    found = range_test(AdaptiveCLR(), learner(Told(guessing_again(least))), lambda: False)
    assert found is not None
    step = [*np.geomspace(1e-6, 1, 100).round(12)].index(round(found["diverged"], 12))
    assert 65 <= step <= 75, "the smoothed loss follows some steps behind"
    assert len(found["lrs"]) == 100


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_noise_alone_is_no_divergence(noise: float) -> None:
    draw = np.random.default_rng(0)
    losses = [*(1.9 - np.linspace(0, 0.1, 60) + noise * draw.normal(size=60)), *(1.9 + np.linspace(0, 6, 40))]
    found = range_test(AdaptiveCLR(), learner(Told(losses)), lambda: False)
    assert found is not None
    step = [*np.geomspace(1e-6, 1, 100).round(12)].index(round(found["diverged"], 12))
    assert step >= 60


def test_where_nothing_diverges_a_tenth_of_the_largest_is_taken() -> None:
    found = range_test(AdaptiveCLR(largest=0.5), learner(Bowl([0.01])), lambda: False)
    assert found is not None
    assert (found["diverged"], found["high"]) == (None, 0.05)
    assert len(found["lrs"]) == 100, "an epoch has 4 steps, and a test 100 at least"
    assert found["lrs"][-1] == pytest.approx(0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_has_diverged(value: float) -> None:
    class Breaks(Term):
        calls = 0

        def forward(self, scene: Scene) -> Tensor:
            self.calls += 1
            return scene.outputs[STUDENT].features["x"].sum() * (value if self.calls == 4 else 1.0)

    found = range_test(AdaptiveCLR(), learner(Breaks("breaks")), lambda: False)
    assert found is not None
    assert len(found["lrs"]) == 3
    assert found["diverged"] == pytest.approx(1e-6 * 1e6 ** (3 / 99))


def test_a_loss_below_0_may_fall_on() -> None:
    class Falls(Term):
        def forward(self, scene: Scene) -> Tensor:
            return scene.outputs[STUDENT].features["x"].sum() - 1.01

    found = range_test(AdaptiveCLR(), learner(Falls("falls")), lambda: False)
    assert found is not None
    assert found["diverged"] is None
    assert found["losses"][-1] < -1


def test_what_is_to_be_trained_is_not_touched_and_the_test_is_the_same_each_time() -> None:
    given = learner(Bowl([10.0, 1.0], 0.1), 2)
    before = fingerprint(given.distiller)
    one, two = (range_test(AdaptiveCLR(), given.aside("range"), lambda: False) for _ in range(2))
    assert one == two
    assert fingerprint(given.distiller) == before
    assert given.optimiser.state_dict()["state"] == {}


def cycles(**values: Any) -> dict[str, Any]:
    return {"schedule": AdaptiveCLR(half=0.5, lowest=1e-4, steps=20).changed(**values)}


def rows(at: Path, event: str) -> list[dict[str, Any]]:
    return [r for r in journal.rows(at / "metrics.jsonl") if r["event"] == event]


def test_a_run_follows_it_and_says_so(tmp_path: Path) -> None:
    run = toy_run(PLAN.changed(steps=38, evaluations=2, **cycles()))
    fit(run, tmp_path)
    found = checkpoint.read_json(tmp_path / "range.json")
    turns = rows(tmp_path, "cycle")
    assert [r["step"] for r in turns] == list(range(4, 38, 4))
    assert [list(r) for r in turns] == [["event", "step", "epoch", "loss", "before", "high", "low"]] * 9
    assert len({r["high"] for r in turns}) > 1, "it never shrank"
    highs = [found["high"], *(r["high"] for r in turns)]
    for row in rows(tmp_path, "train"):
        cycle, place = divmod(row["step"] - 1, 4)
        share = (0, 0.5, 1, 0.5)[place]
        assert row["lr"] == pytest.approx(highs[cycle] * (0.1 + 0.9 * share))
    for row, before in zip(turns[1:], turns, strict=False):
        shrunk = row["high"] / before["high"]
        assert shrunk == pytest.approx(1.0 if row["loss"] < row["before"] else 0.7)


def test_the_rate_of_the_optimiser_has_no_effect(tmp_path: Path) -> None:
    for name, lr in (("one", 1e-3), ("two", 1e-1)):
        fit(toy_run(PLAN.changed(optimiser=SGD(lr=lr), **cycles())), tmp_path / name)
    for file in ("metrics.jsonl", "range.json", "best/student.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_rate_that_is_given_is_not_tested(tmp_path: Path) -> None:
    fit(toy_run(PLAN.changed(**cycles(high=0.02))), tmp_path)
    assert not (tmp_path / "range.json").exists()
    assert max(r["lr"] for r in rows(tmp_path, "train")) == pytest.approx(0.02)


def test_a_range_test_that_is_asked_to_stop_does_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PLAN.changed(**cycles())
    fit(toy_run(plan), tmp_path / "whole")
    judge, handler = Learner.judge, signal.getsignal(signal.SIGINT)

    def interrupted(self: Learner, model: nn.Module, step: int, progress: float) -> Any:
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return judge(self, model, step, progress)

    class Begins(Observer):
        begun = False

        def begins(self, at: Path, step: int, steps: int) -> None:
            self.begun = True

    begins = Begins()
    with monkeypatch.context() as patched:
        patched.setattr(Learner, "judge", interrupted)
        with pytest.raises(Interrupted, match="stopped in the range test"):
            fit(toy_run(plan), tmp_path / "cut", [begins])
    assert not begins.begun
    assert signal.getsignal(signal.SIGINT) is handler
    fit(toy_run(plan), tmp_path / "cut")
    for file in ("metrics.jsonl", "range.json", "best/student.safetensors", "finished.json"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize(
    ("values", "said"),
    [({"lowest": 2.0}, "lowest must be below largest"), ({"half": 0}, "half"), ({"shrink": 1}, "shrink"),
     ({"steps": 5}, "steps"), ({"high": 0}, "high")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(AdaptiveCLR, values)
