"""Scores against scikit-learn, torchmetrics, SciPy and closed forms."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics as sk

from limbeck import metrics
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]


def drawn(seed: int, rows: int, classes: int, missing: float = 0.2, absent: bool = False) -> tuple[Array, Array]:
    draw = np.random.default_rng(seed)
    target = draw.integers(0, classes - 1 if absent else classes, rows)
    logits = draw.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[target]
    if absent:
        logits[:, classes - 1] = -9  # neither true nor predicted
    target[draw.random(rows) < missing] = IGNORE
    target[0] = 0
    return logits.astype(np.float32), target


@given(st.integers(0, 999), st.integers(5, 80), st.integers(2, 7), st.booleans())
def test_scores_are_those_of_scikit_learn(seed: int, rows: int, classes: int, absent: bool) -> None:
    logits, target = drawn(seed, rows, classes, absent=absent)
    known = target != IGNORE
    true, predicted = target[known], logits[known].argmax(1)
    ours = metrics.scores(metrics.tally(logits, target))
    probability = torch.from_numpy(logits[known]).double().softmax(1).numpy()
    assert ours["n"] == known.sum()
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are predicted but never true
        assert ours["macro_f1"] == pytest.approx(sk.f1_score(true, predicted, average="macro"))
        assert ours["weighted_f1"] == pytest.approx(sk.f1_score(true, predicted, average="weighted"))
    assert ours["loss"] == pytest.approx(sk.log_loss(true, probability, labels=range(classes)), rel=1e-6)


@given(st.integers(0, 999), st.integers(5, 80), st.integers(2, 7))
def test_the_confusion_matrix_is_that_of_scikit_learn(seed: int, rows: int, classes: int) -> None:
    logits, target = drawn(seed, rows, classes)
    known = target != IGNORE
    reference = sk.confusion_matrix(target[known], logits[known].argmax(1), labels=range(classes))
    assert (metrics.tally(logits, target).confusion == reference).all()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_calibration_error_is_that_of_torchmetrics(classes: int) -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, target = drawn(classes, 3000, classes, missing=0.1)
    known = torch.from_numpy(target != IGNORE)
    probability = torch.from_numpy(logits).double().softmax(1)[known]
    reference = multiclass_calibration_error(probability, torch.from_numpy(target)[known], classes, n_bins=15)
    assert metrics.scores(metrics.tally(logits, target))["ece"] == pytest.approx(float(reference), abs=1e-6)


def test_macro_f1_and_accuracy_are_those_of_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

    logits, target = drawn(3, 500, 4)
    given_, true = torch.from_numpy(logits), torch.from_numpy(target)
    ours = metrics.scores(metrics.tally(logits, target))
    macro = multiclass_f1_score(given_, true, 4, average="macro", ignore_index=IGNORE)
    accuracy = multiclass_accuracy(given_, true, 4, average="micro", ignore_index=IGNORE)
    assert ours["macro_f1"] == pytest.approx(float(macro), abs=1e-6)
    assert ours["accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_certainty_and_chance_are_the_ends_of_the_calibration_error() -> None:
    target = np.arange(90) % 3
    sure = 100.0 * np.eye(3)[target]
    assert metrics.scores(metrics.tally(sure, target))["ece"] == pytest.approx(0)
    assert metrics.scores(metrics.tally(sure, (target + 1) % 3))["ece"] == pytest.approx(1)
    assert metrics.scores(metrics.tally(np.zeros((90, 3)), target))["ece"] == pytest.approx(0)


@given(st.integers(0, 999), st.integers(1, 79))
def test_tallies_of_parts_add_up_to_that_of_the_whole(seed: int, cut: int) -> None:
    logits, target = drawn(seed, 80, 5)
    whole = metrics.tally(logits, target)
    parts = metrics.tally(logits[:cut], target[:cut]) + metrics.tally(logits[cut:], target[cut:])
    assert (whole.confusion == parts.confusion).all()
    assert np.allclose(whole.calibration, parts.calibration)
    assert whole.loss == pytest.approx(parts.loss)


@pytest.mark.parametrize("rows", [0, 4])
def test_without_any_label_there_are_no_scores(rows: int) -> None:
    empty = metrics.tally(np.zeros((rows, 3), dtype=np.float32), np.full(rows, IGNORE))
    scores = metrics.scores(empty)
    assert scores["n"] == 0
    assert all(np.isnan(v) for k, v in scores.items() if k != "n")
    assert (empty + empty).confusion.shape == (3, 3)


def test_extreme_logits_have_finite_scores() -> None:
    scores = metrics.scores(metrics.tally(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype=np.float32), np.array([0, 0])))
    assert scores["loss"] == pytest.approx(1e4)
    assert scores["accuracy"] == 0.5


def test_a_class_never_seen_has_no_f1() -> None:
    each = metrics.f1(np.array([[2, 1, 0], [0, 0, 0], [0, 0, 0]]))
    assert each[0] == pytest.approx(0.8)
    assert each[1] == 0
    assert np.isnan(each[2])


AGES = Task("age", 8, tuple("abcdefgh"), unit="years", middles=(1.0, 5.0, 10.5, 17.5, 28.5, 40.5, 50.5, 70.0))


@given(st.integers(0, 999), st.integers(1, 80))
def test_scores_of_ordered_classes_are_those_of_scikit_learn_on_their_middles(seed: int, rows: int) -> None:
    logits, target = drawn(seed, rows, 8)
    ours = metrics.scores(metrics.tally(logits, target), AGES.middles)
    known = target != IGNORE
    true, said = target[known], logits[known].argmax(1)
    middles = np.array(AGES.middles)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(middles[true], middles[said]))
    assert ours["one_off"] == pytest.approx(np.mean([abs(a - b) < 2 for a, b in zip(true, said, strict=True)]))
    plain = metrics.scores(metrics.tally(logits, target))
    assert {k: v for k, v in ours.items() if k not in ("mae", "one_off")} == plain
    nothing = metrics.scores(metrics.tally(logits, np.full(rows, IGNORE)), AGES.middles)
    assert nothing.keys() == ours.keys()
    assert np.isnan(nothing["mae"])


def test_rates_are_read_off_many_confusions_at_once() -> None:
    confusions = np.random.default_rng(0).integers(0, 9, (5, 8, 8))
    together = metrics.rates(confusions, AGES.middles)
    for number, one in enumerate(confusions):
        for name, value in metrics.rates(one, AGES.middles).items():
            assert together[name][number] == pytest.approx(value)


def test_agreement_is_the_share_of_rows_where_both_name_one_class() -> None:
    one, two = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 2]]
    assert metrics.agreement(one, two) == 0.5
    assert np.isnan(metrics.agreement(one[:0], two[:0]))


HEART = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")
SPEED = Task("speed", unit="m/s")


def beats(seed: int, rows: int, missing: float = 0.2) -> tuple[Array, Array]:
    """Logits over the bins of a heart rate, and the truth."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform(45, 180, rows).astype(np.float32)
    said = truth + draw.normal(0, 6, rows)
    logits = -(((HEART.centres().numpy() - said[:, None]) / draw.uniform(2, 9, (rows, 1))) ** 2) / 2
    truth[draw.random(rows) < missing] = np.nan
    truth[0] = 70.0
    return logits.astype(np.float32), truth


@given(st.integers(0, 999), st.integers(2, 80), st.sampled_from(["argmax", "expectation"]))
def test_scores_of_real_values_are_those_of_scikit_learn_scipy_and_numpy(seed: int, rows: int, decoder: Any) -> None:
    logits, target = beats(seed, rows)
    task = dataclasses.replace(HEART, decoder=decoder)
    ours = metrics.value_scores(metrics.errors(task, logits, target))
    known = ~np.isnan(target)
    true, p = target[known].astype(float), special.softmax(logits[known].astype(float), axis=1)
    decoded = {"argmax": 30.0 + p.argmax(axis=1), "expectation": p @ np.arange(30, 210)}
    said = decoded[decoder]
    assert ours["n"] == known.sum()
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(true, said))
    assert ours["rmse"] == pytest.approx(sk.root_mean_squared_error(true, said))
    assert ours["within_5"] == pytest.approx((np.abs(true - said) <= 5).mean())
    assert ours["mae_argmax"] == pytest.approx(sk.mean_absolute_error(true, decoded["argmax"]))
    assert ours["mae_expectation"] == pytest.approx(sk.mean_absolute_error(true, decoded["expectation"]))
    assert ours["bias"] == pytest.approx((said - true).mean())
    bins = np.clip(np.round(true - 1e-9) - 30, 0, 179).astype(int)
    log_p = special.log_softmax(logits[known].astype(float), axis=1)
    assert ours["loss"] == pytest.approx(-log_p[np.arange(len(true)), bins].mean(), rel=1e-6)
    assert ours["entropy"] == pytest.approx(stats.entropy(p, axis=1).mean())
    if known.sum() > 1:
        assert ours["r"] == pytest.approx(stats.pearsonr(true, said).statistic)
        spread = (said - true).std(ddof=1)
        assert ours["limits"] == pytest.approx([ours["bias"] - 1.96 * spread, ours["bias"] + 1.96 * spread])
    else:
        assert np.isnan(ours["limits"]).all()


def test_mae_rmse_and_correlation_are_those_of_torchmetrics() -> None:
    from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, pearson_corrcoef

    draw = np.random.default_rng(2)
    target = draw.normal(size=500).astype(np.float32)
    answer = (target + draw.normal(size=500)).astype(np.float32)
    ours = metrics.value_scores(metrics.errors(SPEED, answer[:, None], target))
    said, true = torch.from_numpy(answer), torch.from_numpy(target)
    assert ours["mae"] == pytest.approx(float(mean_absolute_error(said, true)), abs=1e-6)
    assert ours["rmse"] == pytest.approx(float(mean_squared_error(said, true, squared=False)), abs=1e-6)
    assert ours["loss"] == pytest.approx(float(mean_squared_error(said, true)), abs=1e-6)
    assert ours["r"] == pytest.approx(float(pearson_corrcoef(said, true)), abs=1e-6)
    assert all(np.isnan(ours[k]) for k in ("mae_argmax", "mae_expectation", "coverage", "width", "entropy"))


def test_intervals_of_an_honest_distribution_hold_95_of_100_truths_and_are_as_wide_as_it_says() -> None:
    draw = np.random.default_rng(4)
    middle = draw.uniform(80, 150, 4000)
    logits = -(((HEART.centres().numpy() - middle[:, None]) / 8.0) ** 2) / 2
    ours = metrics.value_scores(metrics.errors(HEART, logits, draw.normal(middle, 8.0)))
    assert ours["coverage"] == pytest.approx(0.95, abs=0.012)
    assert ours["width"] == pytest.approx(2 * 1.96 * 8.0, rel=0.01)
    assert ours["entropy"] == pytest.approx(stats.norm(scale=8).entropy(), abs=0.01)


def flat(sums: metrics.Errors) -> Any:
    """All scores in a row, to be held against others."""
    found = metrics.value_scores(sums)
    return pytest.approx([*found.pop("limits"), *found.values()], nan_ok=True)


@given(st.integers(0, 999), st.integers(0, 80))
def test_errors_of_parts_add_up_to_those_of_the_whole(seed: int, cut: int) -> None:
    logits, target = beats(seed, 80)
    whole = metrics.errors(HEART, logits, target)
    one, two = (metrics.errors(HEART, logits[at], target[at]) for at in (slice(cut), slice(cut, None)))
    assert flat(one + two) == flat(two + one).expected
    assert flat(one + two) == flat(whole).expected


def test_small_errors_of_large_values_are_not_lost_in_the_sums() -> None:
    draw = np.random.default_rng(0)
    true = 1e8 + draw.normal(size=400)
    said = true + draw.normal(0, 0.01, 400)
    parts = [metrics.errors(SPEED, said[at, None], true[at]) for at in (slice(100), slice(100, 400))]
    ours = metrics.value_scores(parts[0] + parts[1])
    assert ours["r"] == pytest.approx(stats.pearsonr(true - 1e8, said - 1e8).statistic, abs=1e-7)
    assert ours["limits"][1] - ours["limits"][0] == pytest.approx(2 * 1.96 * (said - true).std(ddof=1), rel=1e-6)


def test_heart_rates_outside_of_the_bins_still_count_as_they_are() -> None:
    logits = 50.0 * np.eye(180)[[179, 0]]
    ours = metrics.value_scores(metrics.errors(HEART, logits, np.array([212.0, 25.0])))
    assert ours["mae"] == pytest.approx(4.0)
    assert ours["loss"] == pytest.approx(0, abs=1e-9)
    assert ours["coverage"] == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_without_any_truth_there_are_no_errors(rows: int) -> None:
    empty = metrics.errors(HEART, np.zeros((rows, 180), np.float32), np.full(rows, np.nan, np.float32))
    found = metrics.value_scores(empty + empty)
    assert found.pop("n") == 0
    assert all(np.isnan(v).all() for v in found.values())
    logits, target = beats(0, 20)
    some = metrics.errors(HEART, logits, target)
    assert flat(empty + some) == flat(some).expected


def test_a_constant_truth_has_no_correlation() -> None:
    logits, _ = beats(0, 9)
    assert np.isnan(metrics.value_scores(metrics.errors(HEART, logits, np.full(9, 70.0)))["r"])


def test_models_agree_on_values_that_are_close() -> None:
    one, two = 50.0 * np.eye(180)[[10, 20, 30, 40]], 50.0 * np.eye(180)[[10, 25, 36, 100]]
    assert metrics.close(HEART, one, two) == 0.5
    assert metrics.close(HEART, one, np.array([[41.0], [80.0], [60.0], [70.0]])) == 0.75
    assert np.isnan(metrics.close(HEART, one[:0], two[:0]))
