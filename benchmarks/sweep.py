"""A student's run in a sweep, whose teacher is trained and its answers stored, against the same student from scratch.

Whole runs by the recipe: data from the cache, split, stored answers read and checked, training, validation, and the
scores of all models on all parts; of a run from scratch, which has no teacher to score, one model fewer. And steps of
training alone, which are what a longer run has more of.
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
from limbeck.distiller import Distiller
from limbeck.fit import _Loop
from limbeck.journal import rows
from limbeck.models import PPGResNet
from limbeck.models.heads import SHARED
from limbeck.observers import Together
from limbeck.recipes.ppg_heart_rate import TEACHER, PPGHeartRate
from limbeck.teachers import Frozen, Teacher

SCRATCH, AGAIN = "scratch", "scratch, again (A/A)"
TAUGHT, ALIVE = ("hard", "soft", "dkd", "feature"), "dkd, teacher alive"
EPOCHS = 60
"""Of the recipe's own plan."""
TURN = 5
"""Steps of a turn, where steps alone are measured."""


class Sweep:
    """The runs of a sweep, each into a folder of its own, with one folder of stages."""

    def __init__(self, blocks: int, quick: bool, at: Path) -> None:
        self.at, self.number = at, itertools.count()
        data = Pulse(subjects=4, seconds=40) if quick else Pulse(subjects=11, seconds=600)
        teacher, student = PPGResNet(blocks=2 if quick else 6), PPGResNet(blocks=blocks)
        self.recipe = PPGHeartRate(data=data, student=student, teacher=teacher)
        self.split = self.recipe.split.split(data.load())

    def run(self, strategy: str, steps: int, alive: bool = False) -> Path:
        """Trains and scores a student; with the teacher `alive`, it is asked at each step and nothing is stored."""
        folder = self.at / f"{self.recipe.student.blocks}-{next(self.number)}"
        recipe = self.recipe.changed(strategy=strategy, plan=self.recipe.plan.changed(steps=steps))
        ask = mock.Mock(wraps=_itself if alive else evaluate.remember)
        with mock.patch.object(evaluate, "remember", ask):
            recipe.run(folder, shared=self.at / "stages")
        assert ask.called == (strategy != SCRATCH)
        return folder

    def runs(self, steps: int) -> dict[str, timing.Turn]:
        """A whole run of each kind, by name; the first is the reference. The teacher is trained already."""
        for strategy in ("dkd", "feature"):
            self.run(strategy, steps)
        made: dict[str, timing.Turn] = {name: partial(self.run, name, steps) for name in (SCRATCH, *TAUGHT)}
        return {**made, AGAIN: partial(self.run, SCRATCH, steps), ALIVE: partial(self.run, "dkd", steps, alive=True)}

    def steps(self) -> dict[str, timing.Turn]:
        """Steps of each kind, by the same names; of a teacher it does not matter here what it has learnt."""
        (task,) = self.split.train.tasks
        alive = Frozen(self.recipe.fresh(self.recipe.teacher, (task,), self.split))
        stored = evaluate.remember(alive, self.split.train, features=[SHARED])
        made = {name: self._steps(name, stored) for name in (SCRATCH, *TAUGHT)}
        return {**made, AGAIN: self._steps(SCRATCH, stored), ALIVE: self._steps("dkd", alive)}

    def _steps(self, strategy: str, teacher: Teacher) -> timing.Turn:
        (task,), recipe = self.split.train.tasks, self.recipe.changed(strategy=strategy)
        student = recipe.fresh(recipe.student, (task,), self.split)
        # Of 6 blocks the feature is twice as wide as of one or two.
        objective = recipe.objective(task, (student.width, 32 * 2 ** ((self.recipe.teacher.blocks - 1) // 4)))
        distiller = Distiller(student, {} if strategy == SCRATCH else {TEACHER: teacher}, objective)
        run = recipe.prepare(recipe.student, (task,), self.split, distiller, {})
        loop = _Loop(run, self.at, Together([]))
        loop.distiller.train()

        def go() -> None:
            for _ in range(TURN):
                loop.advance(loop.distiller)

        return go

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


def longer(whole: Mapping[str, list[timing.Spent]], each: Mapping[str, list[timing.Spent]], more: int) -> str:
    """CPU time of runs with so many more steps, as ratios to the one from scratch."""
    cpu = {
        name: statistics.median(s.cpu for s in whole[name]) + more * statistics.median(s.cpu for s in each[name]) / TURN
        for name in whole
    }
    return ", ".join(f"{name} {cpu[name] / cpu[SCRATCH]:.3f}" for name in (*TAUGHT, ALIVE))


def main(quick: bool, rounds: int) -> None:
    """Prints two tables for students of 1 and 2 blocks, and what they make for a run of the recipe's own length."""
    torch.set_num_threads(1)
    steps = 2 if quick else 48
    with tempfile.TemporaryDirectory() as at, mock.patch.dict(os.environ, LIMBECK_CACHE=str(Path(at) / "cache")):
        for blocks in (1,) if quick else (1, 2):
            sweep = Sweep(blocks, quick, Path(at))
            sweep.same(min(10, steps))
            size = f"{blocks} block{'s' * (blocks > 1)} from {sweep.recipe.teacher.blocks}"
            about = f"{size}, {len(sweep.split.train)} windows"
            whole = timing.measure(sweep.runs(steps), rounds, warm=0)
            print(timing.table(f"{about}, a run of {steps} steps", whole, SCRATCH, unit="run"))
            each = timing.measure(sweep.steps(), 3 * rounds)
            print(timing.table(f"{about}, steps alone", each, SCRATCH, TURN))
            more = sweep.recipe.plan.changed(epochs=EPOCHS).total_steps(len(sweep.split.train)) - steps
            print(f"  by both, a run of {EPOCHS} epochs, CPU x {SCRATCH}: {longer(whole, each, more)}", flush=True)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 3)
    main(asked.quick, 2 if asked.quick else asked.rounds)
