"""What makes optimiser steps: a distiller, the rows it learns from, and its optimiser."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from limbeck import process
from limbeck.data.order import Order, Shares
from limbeck.data.source import Table
from limbeck.distiller import Distiller, Losses
from limbeck.plan import Plan


class Learner:
    """Makes steps. Order, dropout and augmentation are functions of (seed, step), and of the `purpose` of the steps."""

    def __init__(
        self,
        plan: Plan,
        distiller: Distiller,
        rows: Table,
        order: Order | Shares,
        device: torch.device,
        purpose: str = "step",
    ) -> None:
        self.plan, self.distiller, self.rows, self.order = plan, distiller, rows, order
        self.device, self.purpose = device, purpose
        self.learnt = [p for p in distiller.parameters() if p.requires_grad]
        self.optimiser = plan.optimiser.build(self.learnt)
        # Beneath what shows steps to a profiler, which takes longer than moving a thousand parameters does.
        step = type(self.optimiser).step
        self._step: Callable[[torch.optim.Optimizer], object] = getattr(step, "__wrapped__", step)

    def together(self) -> nn.Module:
        """The distiller in training mode, wrapped where several processes train it together."""
        model: nn.Module = DistributedDataParallel(self.distiller) if process.world() > 1 else self.distiller
        return model.train()

    def aside(self, purpose: str) -> "Learner":
        """A copy as it was before its first step, for steps of another purpose."""
        return Learner(self.plan, copy.deepcopy(self.distiller), self.rows, self.order, self.device, purpose)

    def judge(self, model: nn.Module, step: int, progress: float) -> Losses:
        """The losses of a step's batch; their gradient is where the optimiser looks for it. `model` is what `together`
        gives."""
        process.seed(process.fold(self.plan.seed, self.purpose, step, process.rank()), self.device)
        batch = self.rows.rows(self.order.at(step).to(self.device))
        with self._autocast():
            losses: Losses = model(batch, progress)
        losses.total.backward()
        return losses

    def move(self, rate: float, progress: float) -> None:
        """The step itself, at a learning rate."""
        for part in self.distiller.parts() if self.plan.clip else ():
            nn.utils.clip_grad_norm_(part, self.plan.clip or 0.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self._step(self.optimiser)
        for parameter in self.learnt:  # what zero_grad does
            parameter.grad = None
        self.distiller.after_step(progress)

    def _autocast(self) -> AbstractContextManager[Any]:
        """Of the plan's precision."""
        if self.plan.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)
