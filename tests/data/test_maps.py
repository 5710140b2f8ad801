"""Columns of maps: small where they lie, and as a loss reads them when asked for."""

import numpy as np
import pytest
import torch

from limbeck.data import maps
from limbeck.tasks import IGNORE, Task

CLASSES, DEPTH = Task.of("a", ("x", "y", "z")), Task("d", unit="m", quantity="depth")
NORMALS, MANY = Task("n", quantity="direction"), Task("m", classes=894)


def test_labels_are_given_with_the_mark_of_a_missing_one() -> None:
    stored = torch.tensor([[[0, 255]], [[2, 1]]], dtype=torch.uint8)
    column = maps.column(CLASSES, stored, torch.tensor([[1, 0, 0], [0, 1, 1]]))
    assert column.shape == (1, 2)
    assert column[torch.tensor([1, 0])].tolist() == [[[2, 1]], [[0, IGNORE]]]
    assert column[torch.tensor([0])].dtype == torch.int64
    assert stored.tolist() == [[[0, 255]], [[2, 1]]]
    many = maps.column(MANY, torch.tensor([[[893, -1, 255]]], dtype=torch.int16), torch.zeros(1, 894))
    assert many[torch.tensor([0])].tolist() == [[[893, IGNORE, 255]]]


def test_reals_are_given_as_float_with_nan() -> None:
    column = maps.column(NORMALS, torch.full((2, 3, 1, 1), torch.nan, dtype=torch.float16), torch.zeros(2, 1))
    assert column[torch.tensor([1])].dtype == torch.float32
    assert column[torch.tensor([1])].isnan().all()


def test_parts_and_parts_of_parts_copy_no_pixels_and_carry_their_counts() -> None:
    stored = torch.arange(12, dtype=torch.float32).reshape(6, 1, 2)
    column = maps.column(DEPTH, stored, torch.arange(6)[:, None])
    part = column.take(torch.tensor([5, 3, 1])).take(torch.tensor([2, 0]))
    assert len(part) == 2
    assert part[torch.tensor([0, 1, 1])].tolist() == [[[2, 3]], [[10, 11]], [[10, 11]]]
    assert part.counts.tolist() == [[1], [5]]
    assert part.stored.data_ptr() == stored.data_ptr()
    moved = part.to(torch.device("meta"))
    assert moved.stored.shape == (2, 1, 2)  # only what is in the part goes along
    assert len(moved) == 2
    assert part.to(torch.device("cpu")) is part


def test_pixels_are_counted_by_class_or_by_having_a_value() -> None:
    labels = np.array([[0, 2, 2, 255]], np.uint8)
    depth = np.array([[1.0, np.nan, 3, np.inf]], np.float32)
    assert maps.pixels(CLASSES, labels).tolist() == [1, 0, 2]
    assert maps.pixels(DEPTH, depth).tolist() == [2]
    assert maps.pixels(NORMALS, np.stack([depth] * 3)).tolist() == [2]
    counts = torch.tensor([[1, 0, 2], [4, 0, 0]])
    assert maps.told(CLASSES, counts, 4) == {"x": 5, "y": 0, "z": 2, "missing": 1}
    assert maps.told(DEPTH, torch.tensor([[2], [4]]), 4) == {"values": 6, "missing": 2}


def test_as_many_classes_as_fit_a_byte_are_kept_in_one() -> None:
    assert [maps.storage(Task("t", classes=c)) for c in (2, 255, 256)] == [np.uint8, np.uint8, np.int16]
    assert maps.stored(np.array([-1, 254]), 255).tolist() == [255, 254]
    assert maps.stored(np.array([-1, 893]), 894).tolist() == [-1, 893]
    assert (maps.storage(DEPTH), maps.storage(NORMALS)) == (np.float32, np.float16)


def test_other_columns_have_no_counts() -> None:
    with pytest.raises(TypeError, match="pixels of a list"):
        maps.counted([])
