"""Running a recipe as a user does, and the losses it is known to give."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from limbeck.journal import rows

GOLDEN = Path(__file__).parent / "golden.json"
SMALL = (
    "--data wearable --data.subjects 4 --data.seconds 12 --data.windows.stride 100 "
    "--plan.steps 4 --plan.batch 16 --plan.evaluations 4"
)


def train_losses(at: Path) -> list[float]:
    """The loss of every step."""
    return [row["loss"] for row in rows(at / "metrics.jsonl") if row["event"] == "train"]


def held(name: str, values: list[float]) -> None:
    """Compares with the golden values of that name; with LIMBECK_GOLDEN=write it writes them instead."""
    known: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if os.environ.get("LIMBECK_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(dict(sorted({**known, name: values}.items())), indent=1) + "\n")
        return
    # Processors differ in the last digits: with AVX-512, AVX2 and neither these stay within 5e-5.
    assert values == pytest.approx(known[name], rel=1e-4)
