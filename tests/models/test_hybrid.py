"""The network that reads a window twice: its statistics are statistics, and nothing makes it infinite."""

import numpy as np
import pytest
import torch

from limbeck.batch import Batch
from limbeck.errors import UserError
from limbeck.models.hybrid import Hybrid, Statistics, with_norms
from limbeck.tasks import Task

TASKS = (Task.of("a", ("x", "y", "z")), Task.of("b", ("l", "r")))
SMALL = Hybrid(base=4, hidden=8, width=6)


def answer(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(Batch({"sensor": x}, {}, torch.arange(len(x)))).logits["a"]
    return logits


@pytest.mark.parametrize(("channels", "length"), [(1, 32), (3, 100), (6, 33), (2, 257)])
def test_it_fits_any_window_from_32_samples_on(channels: int, length: int) -> None:
    model = SMALL.build(TASKS, (channels, length)).train()
    out = model(Batch({"sensor": torch.randn(4, channels, length)}, {}, torch.arange(4)))
    assert [tuple(v.shape) for v in out.logits.values()] == [(4, 3), (4, 2)]
    assert out.features["shared"].shape == (4, 6)
    sum(v.sum() for v in out.logits.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_window_too_short_is_told() -> None:
    with pytest.raises(UserError, match="at least 32 samples, not 31"):
        SMALL.build(TASKS, (3, 31))


def test_moments_are_those_of_numpy_for_each_channel_and_its_norm() -> None:
    x = torch.randn(5, 3, 64)
    found = Statistics(3, 64, 0.0).raw(x).numpy()
    series = np.concatenate([x.numpy(), np.linalg.norm(x.numpy(), axis=1, keepdims=True)], axis=1)
    assert np.allclose(with_norms(x), series, atol=1e-4)
    assert np.allclose(found[:, :4], series.mean(2), atol=1e-4)
    assert np.allclose(found[:, 8:12], np.log(series.std(2)), atol=1e-4)
    expected = [[np.corrcoef(w)[a, b] for a, b in ((1, 0), (2, 0), (2, 1))] for w in x.numpy()]
    assert np.allclose(found[:, -3:], expected, atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 9.81, 1e4])
def test_a_window_that_never_changes_has_finite_answers_and_gradients(level: float) -> None:
    model = SMALL.build(TASKS, (3, 40)).train()
    x = torch.full((4, 3, 40), level)
    x[0] += torch.randn(3, 40)
    out = model(Batch({"sensor": x}, {}, torch.arange(4)))
    out.logits["a"].square().sum().backward()
    assert out.logits["a"].isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_there_is_noise_in_training_only_and_it_is_a_function_of_the_generator() -> None:
    model, x = SMALL.build(TASKS, (3, 40)), torch.randn(8, 3, 40)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(answer(model.train(), x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(answer(model.eval(), x), answer(model.eval(), x))
    assert torch.allclose(answer(model, x)[3:4], answer(model, x[3:4]), atol=1e-5), "alone as in company"


def test_tables_of_the_transform_are_not_saved_with_the_weights() -> None:
    names = SMALL.build(TASKS, (3, 40)).state_dict()
    assert not [n for n in names if n.endswith(("cosines", "sines", "bands"))]
