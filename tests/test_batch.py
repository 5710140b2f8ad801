"""A batch knows whether its inputs are still those of the table."""

from functools import partial

import pytest
import torch

from limbeck.batch import Batch, Lazy, Outputs
from tests.conftest import table


def test_other_inputs_are_no_longer_pure_and_all_else_stays() -> None:
    batch = table().rows(torch.arange(4))
    other = batch.with_inputs({"sensor": torch.zeros(4, 3, 40)})
    assert batch.pure
    assert not other.pure
    assert not other.to(torch.device("meta")).pure
    assert other.targets is batch.targets
    assert other.ids is batch.ids
    assert len(other) == 4


def test_moving_reaches_every_tensor_and_is_free_where_the_batch_is_there_already() -> None:
    batch = table().rows(torch.arange(4))
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    tensors = [*moved.inputs.values(), *moved.targets.values(), moved.ids]
    assert {t.device.type for t in tensors} == {"meta"}
    assert len(tensors) == 4


def test_batches_and_outputs_cannot_be_changed() -> None:
    batch = table().rows(torch.arange(2))
    for thing, name in ((batch, "pure"), (Outputs({}), "logits")):
        with pytest.raises(AttributeError):
            setattr(thing, name, None)


def test_an_input_is_made_once_and_only_when_it_is_asked_for() -> None:
    asked: list[str] = []

    def made(name: str) -> torch.Tensor:
        asked.append(name)
        return torch.zeros(2)

    batch = Batch(Lazy({name: partial(made, name) for name in ("one", "two")}), {}, torch.arange(2))
    moved = batch.with_inputs({"three": torch.ones(2)}).to(torch.device("meta"))
    assert asked == []
    assert sorted(moved.inputs) == ["one", "three", "two"]
    for _ in range(2):
        assert moved.inputs["two"].device.type == "meta"
        assert batch.inputs["two"].device.type == "cpu"
    assert asked == ["two"]
    assert len(moved.inputs) == 3
    assert "four" not in moved.inputs


def test_an_input_that_a_teacher_asks_for_first_can_still_be_learnt_from() -> None:
    batch = Batch(Lazy({"one": lambda: torch.ones(2)}), {}, torch.arange(2))
    with torch.inference_mode():
        assert batch.inputs["one"].sum() == 2
    weight = torch.ones(2, requires_grad=True)
    (weight * batch.inputs["one"]).sum().backward()
    assert weight.grad is not None
