"""Rows that are written as they come."""

from pathlib import Path

import numpy as np
import pytest

from limbeck.data.packed import Packed


@pytest.mark.parametrize("kept", ["disk", "memory"])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_rows_come_out_as_they_went_in(tmp_path: Path, kept: str, count: int) -> None:
    path = tmp_path / "rows.npy" if kept == "disk" else None
    rows = np.random.default_rng(0).normal(size=(count, 2, 3)).astype(np.float16)
    with Packed(path, (2, 3), np.dtype(np.float16)) as packed:
        for row in rows:
            packed.add(row.astype(np.float64))
        column = packed.column()
    assert np.array_equal(column.numpy(), rows)
    if path:
        assert np.array_equal(np.load(path), rows)


def test_a_row_of_another_shape_is_not_taken(tmp_path: Path) -> None:
    with Packed(tmp_path / "rows.npy", (2,), np.dtype(np.uint8)) as packed, pytest.raises(ValueError, match="shape"):
        packed.add(np.zeros(3))
