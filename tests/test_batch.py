"""A batch knows whether its inputs are still those of the table."""

import pytest
import torch

from limbeck.batch import Outputs
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
