"""Decoders, intervals and entropy against SciPy, brute force and draws from the distribution itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from limbeck import values
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]
SPAN = (29.5, 209.5)
HEART = Task("heart rate", 180, span=SPAN, unit="bpm")


def drawn(seed: int, rows: int, bins: int, sharp: float = 1.0) -> Array:
    p: Array = special.softmax(sharp * np.random.default_rng(seed).normal(size=(rows, bins)), axis=1)
    return p


@given(st.integers(0, 999), st.integers(1, 20), st.integers(1, 40), st.floats(0.1, 50))
def test_interval_and_expectation_are_those_of_scipys_histogram(seed: int, rows: int, bins: int, sharp: float) -> None:
    p = drawn(seed, rows, bins, sharp)
    low, high = values.interval(p, SPAN)
    for n, row in enumerate(p):
        theirs = stats.rv_histogram((row, np.linspace(*SPAN, bins + 1)), density=False)
        assert (low[n], high[n]) == pytest.approx(theirs.ppf([0.025, 0.975]), abs=1e-3)
        assert theirs.cdf(high[n]) - theirs.cdf(low[n]) == pytest.approx(0.95, abs=1e-9)
        assert values.expectation(p, SPAN)[n] == pytest.approx(theirs.mean())


@given(st.integers(0, 999), st.integers(1, 20), st.integers(1, 40), st.floats(0.1, 500))
def test_entropy_is_scipys(seed: int, rows: int, bins: int, sharp: float) -> None:
    p = drawn(seed, rows, bins, sharp)
    assert values.entropy(p) == pytest.approx(stats.entropy(p, axis=1), abs=1e-12)


def test_the_ends_of_entropy_are_certainty_and_ignorance() -> None:
    assert values.entropy(np.eye(4)) == pytest.approx(np.zeros(4))
    assert values.entropy(np.full((1, 180), 1 / 180)) == pytest.approx(np.log(180))


def test_log_probabilities_are_scipys_at_any_size() -> None:
    logits = np.array([[1e4, -1e4, 0.0], [50.0, -50.0, 0.0], [0.1, 0.2, 0.3]])
    assert values.log_probabilities(logits) == pytest.approx(special.log_softmax(logits, axis=1))


def test_the_likeliest_bin_is_answered_by_its_middle_and_the_first_of_equals_wins() -> None:
    p = np.zeros((3, 180))
    p[0, 0] = p[1, 46] = 1
    p[2, [10, 20]] = 0.5
    assert values.argmax(p, SPAN) == pytest.approx([30, 76, 40])
    assert values.expectation(p, SPAN) == pytest.approx([30, 76, 45])


def test_every_whole_heart_rate_is_decoded_to_itself_by_either_decoder() -> None:
    whole = np.arange(30, 210)
    for decode in values.DECODERS.values():
        assert decode(np.eye(180), SPAN) == pytest.approx(whole)


@given(st.floats(29.5, 209.5))
def test_a_value_of_the_range_comes_back_within_half_a_bin(value: float) -> None:
    import torch

    bins = HEART.bins(torch.tensor([value], dtype=torch.float64)).numpy()
    assert abs(values.argmax(np.eye(180)[bins], SPAN)[0] - value) <= 0.5


def test_the_interval_holds_95_of_100_draws_of_its_distribution() -> None:
    p = drawn(3, 1, 30, 2.0)
    draw = np.random.default_rng(0)
    edges = np.linspace(*SPAN, 31)
    sample = edges[draw.choice(30, 100_000, p=p[0])] + draw.random(100_000) * (edges[1] - edges[0])
    (low,), (high,) = values.interval(p, SPAN)
    assert ((sample >= low) & (sample <= high)).mean() == pytest.approx(0.95, abs=0.003)
    assert (sample < low).mean() == pytest.approx(0.025, abs=0.003)


def test_a_task_says_which_decoder_reads_it_and_without_bins_the_value_is_the_answer() -> None:
    p = np.zeros((1, 180), np.float32)
    p[0, [10, 30]] = 0.6, 0.4
    assert values.decoded(HEART, p).value == pytest.approx([40])
    mean = Task("heart rate", 180, span=SPAN, decoder="expectation")
    assert values.decoded(mean, p).value == pytest.approx([48])
    for task in (HEART, Task("speed")):
        plain = values.decoded(task, np.array([[61.5]]))
        assert plain.value == [61.5]
        assert np.isnan([plain.low, plain.high, plain.entropy]).all()
    logits = np.log(np.maximum(p, 1e-30))
    assert values.answered(HEART, logits).value == pytest.approx([40])
    assert values.is_real(HEART)
    assert values.is_real(Task("speed"))
    assert not values.is_real(Task.of("activity", ("a", "b")))


def test_no_rows_are_no_answers() -> None:
    empty = values.decoded(HEART, np.zeros((0, 180)))
    assert [len(v) for v in (empty.value, empty.low, empty.high, empty.entropy)] == [0, 0, 0, 0]
