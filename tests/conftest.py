"""One thread: with two on a busy machine small models run many times slower, and sums may differ in the last bit."""

import os
import sys
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

from limbeck.data.source import Table, Windows
from limbeck.tasks import IGNORE, Task

torch.set_num_threads(1)
# The same examples each time: a test that fails today failed yesterday. HYPOTHESIS_PROFILE=default looks further.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

TASKS = (Task.of("activity", ("still", "walk", "run")), Task.of("side", ("left", "right")))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def table(rows: int = 60, subjects: int = 6, missing: float = 0.0, seed: int = 0) -> Table:
    """Windows `(3, 40)` whose first channel's mean tells the activity and whose second's the side."""
    draw = np.random.default_rng(seed)
    activity, side = draw.integers(0, 3, rows), draw.integers(0, 2, rows)
    signal = draw.normal(size=(rows, 40, 3)).astype(np.float32)
    signal[:, :, 0] += activity[:, None]
    signal[:, :, 1] += 2 * side[:, None]
    targets = {"activity": torch.from_numpy(activity), "side": torch.from_numpy(side)}
    for target in targets.values():
        target[torch.from_numpy(draw.random(rows) < missing)] = IGNORE
    return Table(
        TASKS,
        {"sensor": Windows(torch.from_numpy(signal.reshape(-1, 3)), torch.arange(rows) * 40, 40)},
        targets,
        {"subject": np.array([f"s{i % subjects}" for i in range(rows)]), "start": np.zeros(rows)},
        {"name": "toy", "rate": 20.0},
        f"toy-{rows}-{seed}-{missing}",
    )


@pytest.fixture
def limbeck(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Runs `limbeck WORDS` in this process; gives the exit code."""

    def run(words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["limbeck", *words.split()])
        from limbeck.cli import main

        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run
