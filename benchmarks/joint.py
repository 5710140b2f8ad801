"""What a step of JointDistill costs, in time and in memory, against static distillation from the same teachers, plain
learning of both tasks, and KD4MTL.

Of each side the same student, teachers and batches; the step is the one that `fit` makes.
"""

import os
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks import timing
from limbeck import process, resident
from limbeck.learner import Learner
from limbeck.recipes import make
from limbeck.recipes.joint_distill import JointDistill

REFERENCE = "static-kd"
SIDES = {
    "naive": {"method": "naive"}, REFERENCE: {"method": "static-kd"}, "static-kd, again (A/A)": {"method": "static-kd"},
    "kd4mtl": {"method": "kd4mtl"}, "joint-distill": {}, "joint-distill, adaptive alone": {"gamma": 0},
    "joint-distill, trajectory alone": {"lam": 0},
}  # fmt: skip


class Case(NamedTuple):
    """Fields of the recipe, and steps of a turn."""

    fields: dict[str, Any]
    steps: int


QUICK = {"data.train": 20, "data.test": 4, "data.size": "16,24", "student": "segnet", "student.width": 4,
         "student.blocks": "1,1", "plan.batch": 4, "trajectory.k": 3}  # fmt: skip
CASES = {
    "DeepLab of 10 layers, width 8, at 32 x 64, batch 16": Case({"data.train": 200, "data.test": 8}, 10),
    "DeepLab of 18 layers, width 32, at 128 x 256, batch 4": Case(
        {"data.train": 40, "data.test": 4, "data.size": "128,256", "student": "deeplab", "student.layers": 18,
         "student.width": 32, "student.channels": 64, "plan.batch": 4}, 2),
}  # fmt: skip


def learner(fields: dict[str, Any]) -> Learner:
    """What makes steps of one side; its teachers know nothing, which costs as much."""
    recipe = make("joint-distill", fields)
    assert isinstance(recipe, JointDistill)
    split = recipe.split.split(recipe.data.load())
    tasks, spec = split.train.tasks, recipe.network(split)
    teachers = {t.name: recipe.fresh(spec, (t,), split, t.name).eval() for t in tasks} if recipe.taught() else {}
    distiller = recipe.assembled(split, teachers, dict.fromkeys(teachers, 1.0))
    run = recipe.prepare(spec, tasks, split, distiller, {})
    return Learner(recipe.plan, distiller, split.train, run.order(), torch.device("cpu"))


def turn(fields: dict[str, Any], steps: int) -> timing.Turn:
    """Some steps, again and again."""
    torch.set_num_threads(1)
    process.keep_memory()
    made, step = learner(fields), 0
    model = made.together()

    def go() -> None:
        nonlocal step
        for _ in range(steps):
            made.judge(model, step, 0.5)
            made.move(1e-3, 0.5)
            step += 1

    return go


def memory(fields: dict[str, Any], steps: int) -> timing.Turn:
    """The MB that a fresh process takes for its steps, told as a time is."""
    torch.set_num_threads(1)
    go = turn(fields, steps)

    def told() -> timing.Spent:
        before = resident.restarted() or 0
        go()
        after = resident.peak() or 0
        return timing.Spent((after - before) / 1e6, after / 1e6)

    return told


def main() -> None:
    asked = timing.arguments(str(__doc__), 9)
    for title, case in {"quick": Case(QUICK, 1)}.items() if asked.quick else CASES.items():
        sides = {name: {**case.fields, **own} for name, own in SIDES.items()}
        with timing.apart({name: partial(turn, f, case.steps) for name, f in sides.items()}) as turns:
            print(timing.table(title, timing.measure(turns, asked.rounds), REFERENCE, case.steps))
        print(f"  {'memory, MB':34} {'steps alone x ' + REFERENCE:24} {'steps alone':>12} {'process':>10}")
        found = {}
        for name, fields in sides.items():
            with timing.apart({name: partial(memory, fields, case.steps)}) as turns:
                found[name] = turns[name]()
        for name, spent in found.items():
            print(f"  {name:34} {spent.cpu / found[REFERENCE].cpu:<24.3f} {spent.cpu:12.1f} {spent.wall:10.1f}")


if __name__ == "__main__":
    main()
