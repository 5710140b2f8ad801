"""Scores against scikit-learn and torchmetrics."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from limbeck import metrics
from limbeck.tasks import IGNORE

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


def test_groups_are_in_the_order_of_their_names_and_add_up() -> None:
    logits, target = drawn(0, 60, 3)
    groups = np.array([f"s{i % 12}" for i in range(60)])
    tallies = metrics.by_group(logits, target, groups)
    assert list(tallies) == [f"s{i}" for i in range(12)]
    assert sum(t.confusion.sum() for t in tallies.values()) == (target != IGNORE).sum()
    assert (tallies["s3"].confusion == metrics.tally(logits[3::12], target[3::12]).confusion).all()
    assert list(metrics.by_group(logits, target, np.arange(60) % 11)) == [str(i) for i in range(11)]


def subjects(draw: np.random.Generator, count: int, windows: int = 30) -> dict[str, metrics.Tally]:
    """Subjects whose own accuracies are spread about 0.7."""
    found = {}
    for number in range(count):
        right = draw.random(windows) < draw.beta(14, 6)
        target = draw.integers(0, 2, windows)
        logits = np.eye(2)[np.where(right, target, 1 - target)]
        found[str(number)] = metrics.tally(logits, target)
    return found


@pytest.mark.parametrize("count", [4, 20])
def test_intervals_hold_the_truth_about_as_often_as_they_say(count: int) -> None:
    """Percentiles would hold it in about 80 of 100 draws of 4 subjects; windows drawn alone, far less often."""
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        interval = metrics.intervals(subjects(draw, count), draws=100)["accuracy"]
        assert interval is not None
        held += interval[0] <= 0.7 <= interval[1]
    assert 0.9 <= held / 200 <= 0.99


def test_intervals_are_the_same_each_time_and_around_the_score() -> None:
    tallies = subjects(np.random.default_rng(1), 12)
    one, two = metrics.intervals(tallies), metrics.intervals(tallies)
    assert one == two
    assert metrics.intervals(tallies, seed=1) != one
    scores = metrics.scores(sum(list(tallies.values())[1:], start=tallies["0"]))
    for name, interval in one.items():
        assert interval is not None
        assert interval[0] < scores[name] < interval[1]


def test_more_subjects_make_shorter_intervals() -> None:
    widths = []
    for count in (10, 160):
        interval = metrics.intervals(subjects(np.random.default_rng(2), count))["accuracy"]
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2


def test_fewer_than_two_subjects_with_labels_have_no_interval() -> None:
    tallies = subjects(np.random.default_rng(1), 1)
    tallies["none"] = metrics.tally(np.zeros((3, 2)), np.full(3, IGNORE))
    assert metrics.intervals(tallies) == {"accuracy": None, "macro_f1": None}
    assert metrics.intervals({}) == {"accuracy": None, "macro_f1": None}


def test_agreement_is_the_share_of_rows_where_both_name_one_class() -> None:
    one, two = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 2]]
    assert metrics.agreement(one, two) == 0.5
    assert np.isnan(metrics.agreement(one[:0], two[:0]))
