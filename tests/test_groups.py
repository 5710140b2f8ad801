"""Scores by group and their intervals, against plain counts, SciPy and how often intervals hold the truth."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from limbeck import groups, metrics
from limbeck.tasks import IGNORE, Task
from limbeck.words import MANY
from tests.test_metrics import AGES, drawn

Array = np.ndarray[Any, Any]
SPEED = Task("speed", unit="m/s")


@given(st.integers(0, 999), st.integers(1, 12))
def test_the_confusions_of_groups_are_those_of_scikit_learn(seed: int, count: int) -> None:
    logits, target = drawn(seed, 60, 3, missing=0.5)
    of = np.array([f"s{i}" for i in np.random.default_rng(seed).integers(0, count, 60)])
    found = groups.confusions(logits, target, of)
    assert found.names == [name for name in (f"s{i}" for i in range(count)) if name in of]
    known = target != IGNORE
    for name, counts, accuracy in zip(found.names, found.counts, found.accuracy(), strict=True):
        at = known & (of == name)
        assert counts == at.sum()
        if not at.any():
            assert np.isnan(accuracy)
            assert name not in found.matrices()
            continue
        said = logits[at].argmax(1)
        assert accuracy == pytest.approx(sk.accuracy_score(target[at], said))
        assert (found.matrices()[name] == sk.confusion_matrix(target[at], said, labels=range(3))).all()
    times = np.stack([np.ones(len(found.names)), np.arange(len(found.names))])
    whole, weighed = found.sums(times)
    assert (whole == metrics.tally(logits, target).confusion).all()
    assert weighed.sum() == (times[1] * found.counts).sum()


def test_groups_are_in_the_order_of_their_names_and_add_up() -> None:
    logits, target = drawn(0, 60, 3)
    of = np.array([f"s{i % 12}" for i in range(60)])
    tallies = groups.by_group(logits, target, of, metrics.tally)
    assert list(tallies) == [f"s{i}" for i in range(12)]
    assert sum(t.confusion.sum() for t in tallies.values()) == (target != IGNORE).sum()
    assert (tallies["s3"].confusion == metrics.tally(logits[3::12], target[3::12]).confusion).all()
    assert list(groups.by_group(logits, target, np.arange(60) % 11, metrics.tally)) == [str(i) for i in range(11)]


def subjects(draw: np.random.Generator, count: int, windows: int = 30) -> groups.Confusions:
    """Subjects whose own accuracies are spread about 0.7."""
    skill = draw.beta(14, 6, (count, 1))
    right, target = draw.random((count, windows)) < skill, draw.integers(0, 2, (count, windows))
    said = np.where(right, target, 1 - target)
    return groups.confusions(np.eye(2)[said.ravel()], target.ravel(), np.arange(count).repeat(windows))


@pytest.mark.parametrize("count", [4, 20])
def test_intervals_hold_the_truth_about_as_often_as_they_say(count: int) -> None:
    """Percentiles would hold it in about 80 of 100 draws of 4 subjects; windows drawn alone, far less often."""
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        interval = groups.intervals(subjects(draw, count), draws=100)["accuracy"]
        assert interval is not None
        held += interval[0] <= 0.7 <= interval[1]
    assert 0.9 <= held / 200 <= 0.99


def test_intervals_are_the_same_each_time_and_around_the_score() -> None:
    found = subjects(np.random.default_rng(1), 12)
    one, two = groups.intervals(found), groups.intervals(found)
    assert one == two
    assert groups.intervals(found, seed=1) != one
    whole = metrics.rates(found.sums(np.ones((1, 12))))
    for name, interval in one.items():
        assert interval is not None
        assert interval[0] < whole[name] < interval[1]


def test_more_subjects_make_shorter_intervals() -> None:
    widths = []
    for count in (10, 160):
        interval = groups.intervals(subjects(np.random.default_rng(2), count))["accuracy"]
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("target", [[0, 1, 1, IGNORE], [IGNORE] * 4, []])
def test_fewer_than_two_subjects_with_labels_have_no_interval(target: list[int]) -> None:
    of = np.array(["a", "a", "a", "b"])[: len(target)]
    found = groups.confusions(np.zeros((len(target), 2)), np.array(target, dtype=int), of)
    assert groups.intervals(found) == {"accuracy": None, "macro_f1": None}


def ages(seed: int, count: int, each: int = 1) -> groups.Confusions:
    """Many people of as many images each, most of which are answered by the true age group or one beside it."""
    draw = np.random.default_rng(seed)
    target = draw.integers(0, 8, count * each)
    said = np.clip(target + draw.choice([-1, 0, 0, 0, 1, 3], len(target)), 0, 7)
    return groups.confusions(np.eye(8)[said], target, np.arange(count).repeat(each))


def test_intervals_over_thousands_of_single_images_are_those_of_independent_draws() -> None:
    found = ages(0, 2400)
    intervals, whole = groups.intervals(found, AGES.middles, draws=20_000), found.sums(np.ones((1, 2400)))
    rates = metrics.rates(whole[0], AGES.middles)
    for name in ("accuracy", "one_off"):
        share = float(rates[name])
        half = stats.t.ppf(0.975, 2399) * np.sqrt(share * (1 - share) / 2399)
        assert intervals[name] == pytest.approx([share - half, share + half], abs=0.02 * half)
    apart = np.abs(np.subtract.outer(AGES.middles, AGES.middles))
    errors = apart.ravel().repeat(whole[0].ravel().astype(int))
    expected = stats.t.interval(0.95, 2399, errors.mean(), stats.sem(errors))
    assert intervals["mae"] == pytest.approx(expected, rel=0.002)
    assert groups.intervals(found)["accuracy"] is not None


def test_drawing_groups_that_are_alike_as_one_kind_changes_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ages(1, MANY + 100, each=2)
    together = groups.intervals(found, AGES.middles, draws=8000)
    monkeypatch.setattr(groups, "MANY", 10_000)
    apart = groups.intervals(found, AGES.middles, draws=8000)
    for name, interval in apart.items():
        assert interval is not None
        assert together[name] == pytest.approx(interval, abs=0.03 * (interval[1] - interval[0])), name


def test_groups_that_are_alike_are_counted_and_groups_without_a_label_are_not() -> None:
    target = np.arange(3 * MANY) % 2
    target[:5] = IGNORE
    said = np.where(np.arange(len(target)) % 3, target == 1, 0)
    kinds, times = groups.confusions(np.eye(2)[said], target, np.arange(len(target))).kinds()
    assert len(kinds.names) == len(times) == 3  # 0 as 0, 1 as 0, 1 as 1
    assert times.sum() == 3 * MANY - 5
    assert (kinds.sums(times[None])[0] == sk.confusion_matrix(target[5:], said[5:])).all()


def people(draw: np.random.Generator, count: int, windows: int = 30) -> dict[str, metrics.Errors]:
    """Subjects whose own mean absolute errors are spread about 5."""
    found = {}
    for number in range(count):
        error = draw.gamma(9, 5 / 9) * draw.exponential(1, windows) * draw.choice([-1, 1], windows)
        found[str(number)] = metrics.errors(SPEED, 100 + error[:, None], np.full(windows, 100.0))
    return found


@pytest.mark.parametrize("count", [4, 20])
def test_intervals_of_an_mae_hold_the_truth_about_as_often_as_they_say(count: int) -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        interval = groups.value_intervals(people(draw, count), draws=100)["mae"]
        assert interval is not None
        held += interval[0] <= 5 <= interval[1]
    assert 0.9 <= held / 200 <= 0.99


def test_an_interval_of_an_mae_is_scipys_t_interval_over_subjects_with_as_many_windows() -> None:
    tallies = people(np.random.default_rng(3), 9)
    each = [metrics.value_scores(one)["mae"] for one in tallies.values()]
    found = groups.value_intervals(tallies, draws=100_000)
    assert found["mae"] == pytest.approx(stats.t.interval(0.95, 8, np.mean(each), stats.sem(each)), rel=0.01)
    for count in (0, 1):
        assert groups.value_intervals(people(np.random.default_rng(3), count)) == {"mae": None, "rmse": None}
