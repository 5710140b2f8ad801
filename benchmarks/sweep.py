"""A student's run in a sweep, whose teacher is trained and its answers stored, against the same student from scratch.

Whole runs by the recipe: data from the cache, split, stored answers read and checked, training, validation, and the
scores of all models on all parts; of a run from scratch, which has no teacher to score, one model fewer.
"""

import itertools
import math
import os
import statistics
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks import timing
from limbeck import evaluate
from limbeck.data.pulse import Pulse
from limbeck.journal import rows
from limbeck.models import PPGResNet
from limbeck.recipes.ppg_heart_rate import PPGHeartRate
from limbeck.teachers import Teacher

SCRATCH, TAUGHT, ALIVE = "scratch", ("hard", "soft", "dkd", "feature"), "dkd, teacher alive"
SHORT = 10
"""Steps of the runs that tell what does not grow with steps; each is followed by an evaluation, as many as all have."""
EPOCHS = 60
"""Of the recipe's own plan."""


class Sweep:
    """The runs of a sweep, each into a folder of its own, with one folder of stages."""

    def __init__(self, blocks: int, quick: bool, at: Path) -> None:
        self.at, self.number = at, itertools.count()
        data = Pulse(subjects=4, seconds=40) if quick else Pulse(subjects=11, seconds=600)
        teacher, student = PPGResNet(blocks=2 if quick else 6), PPGResNet(blocks=blocks)
        self.recipe = PPGHeartRate(data=data, student=student, teacher=teacher)
        self.rows = len(self.recipe.split.split(data.load()).train)

    def run(self, strategy: str, steps: int, alive: bool = False) -> Path:
        """Trains and scores a student; with the teacher `alive`, it is asked at each step and nothing is stored."""
        folder = self.at / f"{self.recipe.student.blocks}-{next(self.number)}"
        recipe = self.recipe.changed(strategy=strategy, plan=self.recipe.plan.changed(steps=steps))
        ask = mock.Mock(wraps=_itself if alive else evaluate.remember)
        with mock.patch.object(evaluate, "remember", ask):
            recipe.run(folder, shared=self.at / "stages")
        assert ask.called == (strategy != SCRATCH)
        return folder

    def sides(self, steps: int) -> dict[str, timing.Turn]:
        """All that are compared, by name; the first is the reference."""
        made: dict[str, timing.Turn] = {name: partial(self.run, name, steps) for name in (SCRATCH, *TAUGHT)}
        again = {f"{SCRATCH}, again (A/A)": partial(self.run, SCRATCH, steps)}
        short = {_short(name): partial(self.run, name, SHORT) for name in (SCRATCH, "dkd")}
        return {**made, **again, ALIVE: partial(self.run, "dkd", steps, alive=True), **short}

    def same(self, steps: int) -> None:
        """Raises `AssertionError` where the stored answers teach otherwise than the teacher does."""
        losses = [
            [row["loss"] for row in rows(self.run("dkd", steps, alive) / "metrics.jsonl") if row["event"] == "train"]
            for alive in (False, True)
        ]
        assert len(losses[0]) == len(losses[1]) > 0
        assert all(math.isclose(one, two, rel_tol=1e-3) for one, two in zip(*losses, strict=True)), losses


def _itself(teacher: Teacher, *_: object, **__: object) -> Teacher:
    """In the place of `evaluate.remember`."""
    return teacher


def _short(name: str) -> str:
    return f"{name}, {SHORT} steps"


def grown(spent: Mapping[str, list[timing.Spent]], name: str, steps: int, wanted: int) -> float:
    """CPU seconds that a run of so many steps would take, by those of the long run and of the short one."""
    long, short = (statistics.median(s.cpu for s in spent[n]) for n in (name, _short(name)))
    return short + (long - short) / (steps - SHORT) * (wanted - SHORT)


def main(quick: bool, rounds: int) -> None:
    """Prints a table for students of 1 and 2 blocks."""
    torch.set_num_threads(1)
    steps = 12 if quick else 48
    with tempfile.TemporaryDirectory() as at, mock.patch.dict(os.environ, LIMBECK_CACHE=str(Path(at) / "cache")):
        for blocks in (1,) if quick else (1, 2):
            sweep = Sweep(blocks, quick, Path(at))
            sweep.same(SHORT)
            for strategy in ("dkd", "feature"):  # trains the teacher, and stores what it answers
                sweep.run(strategy, steps)
            spent = timing.measure(sweep.sides(steps), rounds, warm=0)
            about = f"{blocks} block{'s' * (blocks > 1)} from {sweep.recipe.teacher.blocks}, {sweep.rows} windows"
            print(timing.table(f"{about}, a run of {steps} steps", spent, SCRATCH, unit="run"))
            whole = sweep.recipe.plan.changed(epochs=EPOCHS).total_steps(sweep.rows)
            ratio = grown(spent, "dkd", steps, whole) / grown(spent, SCRATCH, steps, whole)
            print(f"  by these, {EPOCHS} epochs ({whole} steps), CPU x {SCRATCH}: dkd {ratio:.3f}", flush=True)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 3)
    main(asked.quick, 2 if asked.quick else asked.rounds)
