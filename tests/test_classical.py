"""The row of trees: features that mean something, and a forest that learns from the training part alone."""

import numpy as np
import pytest
import torch

from limbeck import classical
from limbeck.data.source import Dense
from limbeck.data.split import BySubject
from limbeck.tasks import IGNORE
from tests.conftest import TASKS, table


def test_features_are_finite_numbers_whatever_the_window() -> None:
    windows = torch.zeros(5, 3, 40)
    windows[1] = 9.81
    windows[2] = torch.randn(3, 40)
    windows[3, 0] = 1e6 * torch.randn(40)
    found = classical.features(Dense(windows))
    assert found.shape[0] == 5
    assert np.isfinite(found).all()
    assert found.dtype == np.float32


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_features_do_not_depend_on_the_chunk_and_grow_with_channels(channels: int) -> None:
    windows = Dense(torch.randn(11, channels, 40))
    assert np.array_equal(classical.features(windows), classical.features(windows, chunk=4))
    assert classical.features(windows).shape[1] > 20 * channels


def test_moments_are_those_of_numpy_and_the_length_of_a_triple_is_a_series_too() -> None:
    windows = torch.randn(7, 3, 40)
    x = windows.numpy().astype(np.float64)
    series = np.concatenate([x, np.sqrt((x**2).sum(1, keepdims=True))], axis=1)
    found = classical.features(Dense(windows))
    assert np.allclose(found[:, :4], series.mean(2), atol=1e-5)
    assert np.allclose(found[:, 4:8], series.std(2), atol=1e-5)
    assert np.allclose(found[:, -3], [np.corrcoef(w)[1, 0] for w in x], atol=1e-5)


def test_the_forest_learns_and_answers_as_log_probabilities_for_every_part() -> None:
    split = BySubject().split(table(300, missing=0.2))
    logits, nodes = classical.trees(split, count=30)
    assert nodes > 30
    for name, part in (("train", split.train), ("valid", split.valid), ("test", split.test)):
        for task in TASKS:
            answer = logits[name][task.name]
            assert answer.shape == (len(part), task.classes)
            assert torch.allclose(answer.exp().sum(1), torch.ones(len(part)), atol=1e-3)
    known = split.test.targets["side"] != IGNORE
    right = logits["test"]["side"].argmax(1)[known] == split.test.targets["side"][known]
    assert right.float().mean() > 0.85
    again, _ = classical.trees(split, count=30)
    assert torch.equal(again["test"]["side"], logits["test"]["side"])


def test_a_class_absent_from_training_is_improbable_and_a_task_without_labels_has_no_answer() -> None:
    rows = table(120)
    split = BySubject().split(rows)
    activity = split.train.targets["activity"]
    activity[activity == 2] = 0
    split.train.targets["side"].fill_(IGNORE)
    logits, _ = classical.trees(split, count=10)
    assert logits["test"]["activity"].shape[1] == 3
    assert logits["test"]["activity"][:, 2].max() < -10
    assert "side" not in logits["test"]
