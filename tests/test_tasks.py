"""Tasks: what a label may be, and bins of a real value."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.tasks import IGNORE, Task

RATE = Task("rate", 180, span=(30.0, 210.0), unit="bpm")


def test_labels_and_classes_must_agree() -> None:
    with pytest.raises(ValueError, match="3 classes but 2 labels"):
        Task("a", 3, ("x", "y"))
    assert Task.of("a", ("x", "y")) == Task("a", 2, ("x", "y"))


@pytest.mark.parametrize(("classes", "span"), [(None, (0.0, 1.0)), (4, (1.0, 1.0)), (4, (2.0, 1.0))])
def test_a_span_needs_classes_and_a_width(classes: int | None, span: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="span"):
        Task("a", classes, span=span)


def test_a_missing_label_is_the_mark_for_ids_and_nan_for_reals() -> None:
    task = Task("a", 3)
    assert task.present(torch.tensor([0, IGNORE, 2])).tolist() == [True, False, True]
    assert task.present(torch.tensor([0.0, float("nan")])).tolist() == [True, False]
    assert task.present(torch.full((2, 3, 4), IGNORE)).shape == (2, 3, 4)


@given(st.floats(30, 209.99))
def test_the_middle_of_its_bin_is_within_half_a_bin_of_every_value(value: float) -> None:
    at = RATE.bins(torch.tensor([value], dtype=torch.float64))
    assert abs(float(RATE.centres()[at]) - value) <= 0.5 + 1e-5


def test_centres_fall_into_their_own_bins() -> None:
    assert RATE.bins(RATE.centres()).tolist() == list(range(180))
    assert RATE.centres()[0] == 30.5


def test_values_outside_the_span_go_to_the_ends_and_nan_is_missing() -> None:
    values = torch.tensor([-5.0, 30.0, 210.0, 999.0, float("inf"), float("nan")])
    assert RATE.bins(values).tolist() == [0, 0, 179, 179, 179, IGNORE]


def test_a_task_without_span_has_no_bins() -> None:
    with pytest.raises(ValueError, match="no span"):
        Task("a", 3).centres()
