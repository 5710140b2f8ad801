"""`metrics.jsonl`: one row a line, whole lines only, and cut back to a step when a run is resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck import checkpoint


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
