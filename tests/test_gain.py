"""Delta_m under both definitions, by hand."""

import math

import pytest

from limbeck.errors import UserError
from limbeck.finished import Model
from limbeck.gain import average_gain, headline_gain
from tests.fake_scenes import judged

BASE = {"segmentation": {"miou": 0.70, "pixel_accuracy": 0.92}, "depth": {"abs_err": 0.015, "rel_err": 0.45}}
NEW = {"segmentation": {"miou": 0.72, "pixel_accuracy": 0.93}, "depth": {"abs_err": 0.014, "rel_err": 0.40}}


# [S4-03]
def test_the_mean_over_two_scores_a_task_is_that_of_the_worked_example() -> None:
    assert average_gain(NEW, BASE) == pytest.approx(5.4305, abs=5e-5)
    assert average_gain(BASE, BASE) == headline_gain(NEW, NEW) == 0


def test_one_score_a_task_is_what_the_task_is_judged_by() -> None:
    assert headline_gain(NEW, BASE) == pytest.approx(100 * (0.02 / 0.70 + 0.05 / 0.45) / 2)
    assert headline_gain(BASE, NEW) < 0


def test_every_kind_of_task_counts_by_its_own_first_scores() -> None:
    base = {"a": {"accuracy": 0.5, "macro_f1": 0.4, "loss": 1.0}, "b": {"mae": 4.0, "rmse": 8.0},
            "c": {"mean_angle": 20.0, "median_angle": 10.0, "within_11": 0.1}}  # fmt: skip
    new = {"a": {"accuracy": 0.6, "macro_f1": 0.4, "loss": 9.0}, "b": {"mae": 3.0, "rmse": 8.0},
           "c": {"mean_angle": 22.0, "median_angle": 10.0, "within_11": 0.9}}  # fmt: skip
    assert average_gain(new, base) == pytest.approx((10 + 12.5 - 5) / 3)
    assert headline_gain(new, base) == pytest.approx((20 + 25 - 10) / 3)


def test_scores_that_were_read_are_taken_as_plain_ones_are() -> None:
    plain = [judged(0, {"segmentation": skill, "depth": skill}) for skill in (0.8, 0.6)]
    read = [Model.model_validate({"parts": {"test": each}}).parts["test"] for each in plain]
    for how in (average_gain, headline_gain):
        assert how(*read) == how(*plain) > 0


def test_tasks_must_be_the_same_and_no_gain_is_told_of_nothing() -> None:
    with pytest.raises(UserError, match="one model has depth, the other segmentation, depth"):
        average_gain({"depth": NEW["depth"]}, BASE)
    with pytest.raises(UserError, match="one model has none"):
        headline_gain({}, {})
    assert math.isnan(average_gain(NEW, BASE | {"depth": {"abs_err": 0.0, "rel_err": 0.4}}))
    assert math.isnan(average_gain(NEW | {"depth": {"abs_err": None, "rel_err": 0.4}}, BASE))
