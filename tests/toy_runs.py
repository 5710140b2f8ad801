"""A run that is trained in a fraction of a second, with missing labels, noise and a mean teacher."""

from typing import Any

import torch

from limbeck import process
from limbeck.augment import Augment
from limbeck.balance import Balance
from limbeck.config import dump
from limbeck.distiller import Distiller, View
from limbeck.models import ResNet1D
from limbeck.models.heads import MultiTask
from limbeck.plan import Adam, Plan
from limbeck.run import Run
from limbeck.teachers import EMA
from limbeck.terms import Soft, kd, supervised
from tests.conftest import TASKS, table

SPEC = ResNet1D(blocks=1, width=4)
NOISE = Augment(rotation=20, scale=0.1, jitter=0.1)
PLAN = Plan(steps=24, batch=16, evaluations=4, optimiser=Adam(lr=0.01), device="cpu")


def student(seed: int = 0, spec: Any = SPEC) -> MultiTask:
    """A fresh one."""
    torch.manual_seed(process.fold(seed, "weights"))
    model: MultiTask = spec.build(TASKS, (3, 40))
    return model


def toy_run(
    plan: Plan = PLAN,
    augment: Augment = NOISE,
    lam: float = 0.5,
    missing: float = 0.2,
    spec: Any = SPEC,
    balance: Balance | None = None,
    **changes: Any,
) -> Run:
    """Two tasks, each with labels and a mean teacher; `changes` are of the run itself."""
    model = student(plan.seed, spec)
    parts = {t.name: supervised(t) + lam * kd(t, "ema", Soft()) for t in TASKS}
    one, two = parts.values()
    objective = balance.over(parts, plan.epoch(60)) if balance else 0.5 * one + 0.5 * two
    distiller = Distiller(model, {"ema": EMA(model, 0.9)}, [View(objective, augment if augment else None)])
    about = {"tasks": [vars(t) for t in TASKS], "spec": dump(spec), "shape": [3, 40]}
    train, valid = table(60, missing=missing, seed=1), table(30, seed=2)
    given: dict[str, Any] = {"train": train, "valid": valid, "about": {"augment": dump(augment)}} | changes
    return Run(distiller, given.pop("train"), given.pop("valid"), TASKS, plan, about, **given)
