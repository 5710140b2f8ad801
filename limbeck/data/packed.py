"""Rows of one shape and type, added one at a time: to a .npy file, so that they need no memory, or kept in it."""

import io
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


class Packed:
    """Rows that are written as they come. `path` is the file; where it is None, they stay in memory.

    Raises `OSError` where the disk is full.
    """

    def __init__(self, path: Path | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype, self.count = path, shape, dtype, 0
        self._rows: list[Array] = []
        self._file = path.open("wb") if path else None
        if self._file:
            self._file.write(self._header())

    def add(self, row: Array) -> None:
        """Adds a row."""
        made = np.ascontiguousarray(row, self.dtype)
        if made.shape != self.shape:
            raise ValueError(f"a row of shape {made.shape} among those of {self.shape}")
        self.count += 1
        if self._file:
            self._file.write(made.tobytes())
        else:
            self._rows.append(made)

    def column(self) -> Tensor:
        """All rows, `(N, *shape)`; of a file read as they are used. Ends it."""
        if not self._file or not self.path:
            return torch.from_numpy(np.array(self._rows, self.dtype).reshape(-1, *self.shape))
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()
        return torch.from_numpy(np.load(self.path, mmap_mode="c" if self.count else None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def _header(self) -> bytes:
        """How the file begins; as long for any number of rows, for NumPy leaves room for more of them."""
        out = io.BytesIO()
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(out, about)
        return out.getvalue()
