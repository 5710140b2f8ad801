"""One place says what a task is judged by, which way is better, and how it is written."""

import math

import pytest

from limbeck.measures import ACCURACY, CLASSES, PIXELS, alike, brief, by_key, depth, family, goodness, judge, values

MAE, RMSE, R, NEAR, BIAS = values("bpm")


def test_numbers_are_written_in_the_unit_of_their_measure() -> None:
    assert ACCURACY.text(0.7124) == "71.2\u00a0%"
    assert ACCURACY.span(0.66, 0.759) == "66.0–75.9"
    assert ACCURACY.difference(-0.013) == "1.3 points"
    assert MAE.text(4.3149) == "4.31\u00a0bpm"
    assert MAE.difference(-0.41) == "0.41 bpm"
    assert (MAE.number(-0.41, "+"), MAE.number(0.4, "+")) == ("−0.41", "+0.40")
    assert BIAS.span(-0.4, 1.25) == "−0.40 to 1.25"
    assert R.text(0.98765) == "0.988"
    assert (MAE.head, NEAR.head, R.head) == ("MAE bpm", "within 5 bpm %", "r")
    assert MAE.span(1.0, None) == ""


def test_small_errors_keep_two_figures() -> None:
    assert values("m/s")[0].text(0.00123) == "0.0012\u00a0m/s"
    assert MAE.number(0.0) == "0.00"


def test_better_is_higher_for_shares_and_lower_for_errors() -> None:
    assert ACCURACY.good(0.7) > ACCURACY.good(0.6)
    assert MAE.good(4.0) > MAE.good(5.0)
    assert ACCURACY.gain(0.7, 0.6) == pytest.approx(0.1)
    assert MAE.gain(4.0, 5.0) == pytest.approx(0.2)
    assert goodness({"accuracy": 0.7, "macro_f1": 0.1, "loss": 3.0}) == 0.7
    assert goodness({"mae": 4.0, "rmse": 6.0, "loss": 1.0}) == -4.0
    assert math.isnan(goodness({"mae": math.nan, "rmse": 6.0}))


def test_a_row_of_a_log_is_told_in_a_word() -> None:
    assert brief({"accuracy": 0.714, "loss": 1.0}) == "71%"
    assert brief({"mae": 4.314, "loss": 1.0}) == "MAE 4.31"


def test_measures_are_found_by_key_and_share_a_unit_or_not() -> None:
    assert by_key("macro_f1") is CLASSES[1]
    assert not by_key("mae").higher
    assert alike([CLASSES, CLASSES]) == "%"
    assert alike([CLASSES, values("bpm")]) == ""


def test_what_is_asked_of_every_pixel_is_judged_by_its_first_measure() -> None:
    scores = {"miou": 0.42, "pixel_accuracy": 0.8}, {"rel_err": 0.1844, "rmse": 1.0}, {"mean_angle": 21.3}
    assert [goodness(s) for s in scores] == [0.42, -0.1844, -21.3]
    assert [brief(s) for s in scores] == ["mIoU 42%", "relative error 0.184", "mean angle 21.30°"]
    assert [judge(s).one for s in scores] == ["an mIoU", "a relative error", "a mean angle"]
    assert (values("")[0].one, ACCURACY.one) == ("an MAE", "an accuracy")
    assert [m.head for m in depth("m")[:3]] == ["relative error", "absolute error m", "RMSE m"]


def test_a_family_is_known_by_plain_scores() -> None:
    assert family({"miou": 0.1, "confusion": []}) is PIXELS
    assert family({"rel_err": 0.1, "rmse": 1.0}, "m") == depth("m")
    assert family({"mae": 0.1, "rmse": 1.0}, "bpm") == values("bpm")
    assert family({"accuracy": 0.1, "mae": 1.0, "middles": []}, "years")[1].key == "one_off"
    assert family({"accuracy": 0.1, "macro_f1": 1.0}) is CLASSES
    assert by_key("relative").higher
    assert not by_key("median_angle").higher
