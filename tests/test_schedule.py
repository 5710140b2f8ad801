"""Schedules against PyTorch's, and at both ends."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.config import dump, parse
from limbeck.errors import UserError
from limbeck.schedule import Constant, Cosine, Linear, Ramp, Schedule, Stairs, Steps


def test_cosine_is_that_of_pytorch() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20, eta_min=0.1)
    ours = Cosine(floor=0.1)
    for step in range(21):
        assert ours(step / 20) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        theirs.step()


def test_warm_up_rises_in_a_line_from_0_to_1() -> None:
    schedule = Cosine(warmup=0.25)
    assert [schedule(p) for p in (0.0, 0.125, 0.25)] == [0.0, 0.5, 1.0]
    assert schedule(1.0) == pytest.approx(0.0)
    assert Cosine(warmup=1.0)(1.0) == 1.0


def test_steps_multiply_from_each_share_on() -> None:
    schedule = Steps(at=(0.5, 0.75), factor=0.1)
    assert [schedule(p) for p in (0.0, 0.49, 0.5, 0.75, 1.0)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_a_line_goes_from_start_to_end() -> None:
    assert [Linear(start=2, end=4)(p) for p in (0.0, 0.5, 1.0)] == [2, 3, 4]
    assert Constant()(0.3) == 1.0


def test_a_ramp_rises_over_its_share_and_is_1_throughout_without_one() -> None:
    assert [Ramp(over=0.5)(p) for p in (0.0, 0.125, 0.5, 0.75, 1.0)] == [0, 0.25, 1, 1, 1]
    assert [Ramp(over=0)(p) for p in (0.0, 0.5, 1.0)] == [1, 1, 1]
    with pytest.raises(UserError, match="over"):
        parse(Ramp, {"over": -0.1})


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_every_schedule_is_finite_at_every_progress_and_survives_json(p: float, warmup: float, floor: float) -> None:
    for schedule in (
        Constant(),
        Cosine(warmup=warmup, floor=floor),
        Linear(end=floor),
        Steps(at=(warmup,)),
        Ramp(over=floor),
    ):
        assert isinstance(schedule, get_args(Schedule))
        assert math.isfinite(schedule(p))
        assert -1e-9 <= schedule(p) <= 1 + 1e-9
        assert parse(type(schedule), dump(schedule)) == schedule


def test_stairs_hold_each_value_from_its_share_on() -> None:
    stairs = Stairs(at=(0.1, 0.5), values=(0.2, 0.01))
    assert [stairs(p) for p in (0.0, 0.0999, 0.1, 0.4999, 0.5, 1.0)] == [1.0, 1.0, 0.2, 0.2, 0.01, 0.01]


@pytest.mark.parametrize("values", [{"at": [0.5]}, {"at": [0.5, 0.2]}])
def test_stairs_without_order_or_values_are_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(UserError, match="a value for each share"):
        parse(Stairs, values)
