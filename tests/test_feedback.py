"""Weights that follow the student's progress: their step against values worked out by hand, and what holds always."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.batch import Batch
from limbeck.feedback import LEAST, MOST, Feedback, moved, ratio
from limbeck.objective import Scene, Term

NAMES = ("segmentation", "depth")


class Given(Term):
    """A loss that is told."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__(name)
        self.value = torch.tensor(value, requires_grad=True)

    def forward(self, scene: Scene) -> Tensor:
        return self.value


def scene() -> Scene:
    return Scene(Batch({}, {}, torch.arange(1)), {}, {}, 0.0)


def step(kind: str, weights: list[float], ratios: list[float], alpha: float = 2.0, rate: float = 0.1) -> list[float]:
    spec = Feedback(step=kind, alpha=alpha, rate=rate)
    found: list[float] = moved(torch.tensor(weights).double(), torch.tensor(ratios).double(), spec).tolist()
    return found


def test_the_printed_step_is_the_one_worked_out_by_hand() -> None:
    """S4-04: factors .93375 and .92250, then scaled to the sum 2."""
    assert step("printed", [1, 1], [0.9, 0.6]) == pytest.approx([1.00606, 0.99394], abs=5e-6)


def test_the_other_readings_are_theirs() -> None:
    assert step("abs", [1, 1], [0.9, 0.6]) == [1, 1], "(.9, .9) before they are scaled: it does not tell them apart"
    assert step("squared", [1, 1], [0.9, 0.6]) == pytest.approx([2 * 0.9675 / 1.9125, 2 * 0.945 / 1.9125])
    # Targets: mean(w) a = (1.2, 0.5): one weight is below its own, the other above.
    assert step("abs", [1, 1], [1.2, 0.5], alpha=1) == pytest.approx([1.1, 0.9])


@pytest.mark.parametrize("kind", ["printed", "abs", "squared"])
def test_equal_progress_keeps_equal_weights(kind: str) -> None:
    assert step(kind, [1, 1, 1], [0.7, 0.7, 0.7]) == pytest.approx([1, 1, 1])


@given(
    kind=st.sampled_from(["printed", "abs", "squared"]),
    pairs=st.lists(st.tuples(st.floats(0.05, 3), st.floats(0, 2)), min_size=1, max_size=5),
    alpha=st.floats(0, 3),
    rate=st.floats(0, 0.9),
)
def test_weights_stay_positive_and_sum_to_their_number(
    kind: str, pairs: list[tuple[float, float]], alpha: float, rate: float
) -> None:
    weights, ratios = ([float(p[n]) for p in pairs] for n in (0, 1))
    scaled = [w * len(weights) / sum(weights) for w in weights]
    found = step(kind, scaled, [max(r, 1e-3) for r in ratios], alpha, rate)
    assert sum(found) == pytest.approx(len(weights))
    assert min(found) > 0


def test_a_weight_that_would_vanish_is_kept_at_the_least() -> None:
    weights = [1.0, 1.0]
    for _ in range(400):
        weights = step("printed", weights, [2.0, 0.0], alpha=1, rate=0.5)
    assert weights[1] == pytest.approx(2 * LEAST / (weights[0] / weights[1] * LEAST + LEAST))
    assert weights[1] > 0.01
    for _ in range(60):
        weights = step("printed", weights, [0.0, 2.0], alpha=1, rate=0.5)
    assert weights[1] > weights[0], "and comes back"


def test_ratios_are_higher_where_the_student_is_better_whatever_is_measured() -> None:
    """S4-05."""
    assert ratio(0.6, 0.8) == pytest.approx(0.75)  # mIoU
    assert ratio(-0.2, -0.15) == pytest.approx(0.75)  # a relative error
    assert ratio(-0.1, -0.15) > 1
    assert ratio(0.9, 0.3) == ratio(-0.1, -0.9) == MOST
    assert ratio(0.0, 0.5) == 0
    assert ratio(math.nan, 0.5) == ratio(0.5, math.nan) == ratio(0.0, 0.0) == 1
    assert ratio(-0.0, -0.1) == ratio(0.1, 0.0) == MOST


def test_a_task_made_worse_loses_weight() -> None:
    """S4-05, for both kinds of scores."""
    reference = {"segmentation": 0.8, "depth": -0.2}
    for worse, scores in (("segmentation", (0.2, -0.25)), ("depth", (0.7, -2.0))):
        follower = Feedback().over(NAMES, reference, NAMES)
        for _ in range(3):
            told = follower.after_eval(dict(zip(NAMES, scores, strict=True)))
        now = dict(zip(NAMES, follower.weights().tolist(), strict=True))
        assert now[worse] < 0.97
        assert told["weights"] == pytest.approx(now)
        assert told["ratios"][worse] == pytest.approx(0.25 if worse == "segmentation" else 0.1)


@pytest.mark.parametrize("kind", ["printed", "abs", "squared"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_students_that_know_nothing_yet_leave_weights_that_are_numbers(kind: str, alpha: float) -> None:
    assert step(kind, [1, 1], [0, 0], alpha) == pytest.approx([1, 1])


def test_which_losses_are_weighted_is_in_the_name() -> None:
    reference = {"segmentation": 0.8, "depth": -0.2}
    whole, some = (Feedback().over(NAMES, reference, on).label for on in (NAMES, ("depth",)))
    assert whole != some
    assert "losses=['depth']" in some


def test_a_rate_of_0_leaves_the_weights_at_1() -> None:
    follower = Feedback(rate=0.0).over(NAMES, {"segmentation": 0.8, "depth": -0.2}, NAMES)
    assert follower.after_eval({"segmentation": 0.1, "depth": -0.9})["weights"] == {"segmentation": 1, "depth": 1}


def test_the_weights_multiply_the_losses_of_those_tasks_whose_losses_they_are_for() -> None:
    for on, factors in ((NAMES, (1.5, 0.5)), (("depth",), (1.0, 0.5))):
        follower = Feedback().over(NAMES, {"segmentation": 0.8, "depth": -0.2}, on)
        follower.now.copy_(torch.tensor([1.5, 0.5]))
        terms = [Given("one", 3.0), Given("two", 5.0)]
        objective = follower["segmentation"] * terms[0] + 2 * (follower["depth"] * terms[1])
        total, values = objective(scene())
        total.backward()
        assert float(total.detach()) == pytest.approx(3 * factors[0] + 10 * factors[1])
        assert [float(t.value.grad) for t in terms] == pytest.approx([factors[0], 2 * factors[1]])  # type: ignore[arg-type]
        assert {k: float(v) for k, v in values.items() if "weight" in k} == {
            "weight(segmentation)": 1.5, "weight(depth)": 0.5,
        }  # fmt: skip


def test_the_weights_come_back_from_the_state() -> None:
    one, two = (Feedback().over(NAMES, {"segmentation": 0.8, "depth": -0.2}, NAMES) for _ in range(2))
    one.after_eval({"segmentation": 0.7, "depth": -0.9})
    two.reference.zero_()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.reference, two.reference), "what teachers were worth is not asked again"
    assert torch.equal(one.weights(), two.weights())
    assert float(one.weights()[0]) != 1
