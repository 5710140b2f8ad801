"""`metrics.jsonl`: one row a line, whole lines only, and cut back to a step when a run is resumed."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck import checkpoint


class Sums:
    """The loss and its terms, summed over steps in float64; a row has their means.

    On a CPU they are looked at and added up at once. Elsewhere they stay on the device until a row is written, as every
    look would make a step wait for the one before.
    """

    def __init__(self, device: torch.device, sums: Tensor | None = None, count: int = 0) -> None:
        self.count, self._host = count, device.type == "cpu"
        self._numbers: list[float] = [] if sums is None else sums.tolist()
        self._sums = torch.zeros(0) if sums is None else sums.to(device)

    def add(self, values: list[Tensor]) -> bool:
        """A step's values, scalars; False where one is seen not to be finite."""
        self.count += 1
        if self._host:
            now = [value.item() for value in values]
            self._numbers = [a + b for a, b in zip(self._numbers, now, strict=True)] if self._numbers else now
            return math.isfinite(sum(now))
        now_there = torch.stack(values).double()
        self._sums = self._sums.add_(now_there) if len(self._sums) else now_there
        return True

    def tensor(self) -> Tensor:
        """The sums, float64; empty before the first step."""
        return torch.tensor(self._numbers, dtype=torch.float64) if self._host else self._sums


class Journal:
    """Rows of a run. They hold no clock times, so that a resumed run ends with the rows of an unbroken one."""

    def __init__(self, path: Path, listener: Callable[[dict[str, Any]], None]) -> None:
        self.path, self._listener = path, listener

    def cut(self, step: int) -> None:
        """Forgets the rows after a step, and a torn last line."""
        kept = [row for row in rows(self.path) if row["step"] <= step]
        checkpoint.write(self.path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def add(self, row: dict[str, Any]) -> None:
        """One more row. The listener is given a copy, so that it can change nothing."""
        line = json.dumps(row)
        try:
            with self.path.open("a") as file:
                file.write(line + "\n")
        except OSError as error:
            raise checkpoint.refused(self.path, error) from error
        self._listener(json.loads(line))


def rows(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a journal; a torn last line, as a full disk or a kill leaves it, is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found
