"""Plans: arithmetic of steps, and optimisers that are PyTorch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from limbeck.config import parse
from limbeck.errors import UserError
from limbeck.plan import SGD, Adam, AdamW, Plan


@given(st.integers(1, 10_000), st.integers(2, 500))
def test_an_epoch_is_as_many_steps_as_a_data_loader_makes_batches_but_for_a_lone_last_row(
    samples: int, batch: int
) -> None:
    loader = torch.utils.data.DataLoader(range(samples), batch)  # type: ignore[arg-type]
    lone = samples % batch == 1
    assert Plan(batch=batch).epoch(samples) == len(loader) - (lone and samples > batch)


def test_steps_win_over_epochs_and_there_is_at_least_one() -> None:
    assert Plan(epochs=3, batch=64).total_steps(1000) == 48
    assert Plan(epochs=0.5, batch=64).total_steps(1000) == 8
    assert Plan(epochs=0.001, batch=64).total_steps(1000) == 1
    assert Plan(epochs=3, steps=7).total_steps(1000) == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("steps", 0), ("batch", 0), ("evaluations", 0), ("clip", 0), ("threads", 0), ("precision", "fp8"),
     ("epochs", "nan"), ("epochs", "inf"), ("batch", "2.5"), ("optimiser", {"lr": -1}), ("optimiser", {"lr": "inf"})],
)  # fmt: skip
def test_a_value_that_no_run_could_use_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(UserError, match=field):
        parse(Plan, {field: value})


@pytest.mark.parametrize(
    ("spec", "kind"), [(Adam(), torch.optim.Adam), (AdamW(), torch.optim.AdamW), (SGD(nesterov=True), torch.optim.SGD)]
)
def test_optimisers_are_those_of_pytorch_with_the_values_given(spec: Adam | AdamW | SGD, kind: type) -> None:
    optimiser = spec.build([nn.Parameter(torch.ones(3, 2))])
    assert type(optimiser) is kind
    [group] = optimiser.param_groups
    for name, value in spec:
        assert group[name] == value
    assert group["fused"]


def test_matrices_decay_and_biases_do_not_and_every_weight_is_held_once() -> None:
    matrix, bias = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))
    optimiser = AdamW(lr=0.1, weight_decay=0.5).build([bias, matrix])
    assert sorted(len(p) for g in optimiser.param_groups for p in g["params"]) == [3, 3]
    for p in (matrix, bias):
        p.grad = torch.zeros_like(p)
    optimiser.step()
    assert torch.allclose(matrix, torch.tensor(0.95))
    assert bias.eq(1).all()


def test_fused_adam_steps_as_the_plain_one_does() -> None:
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64)) for _ in range(2))
    one, two = Adam(lr=0.1).build([ours]), torch.optim.Adam([theirs], 0.1, fused=False)
    for optimiser, weight in ((one, ours), (two, theirs)):
        for _ in range(5):
            optimiser.zero_grad()
            (weight**4).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-10)
