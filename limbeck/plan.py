"""How long and how fast: steps, batch, seed, precision, optimiser."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from limbeck import process
from limbeck.config import Spec
from limbeck.schedule import AdaptiveCLR, Constant, Cosine, Linear, Ramp, Stairs, Steps


class Adam(Spec):
    """Adam [Kingma 2015, arXiv:1412.6980], in the fused form."""

    kind: ClassVar[str] = "adam"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = 0.0

    def build(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        return torch.optim.Adam(parameters, self.lr, weight_decay=self.weight_decay, fused=True)


class AdamW(Spec):
    """Adam with decoupled weight decay [Loshchilov 2019, arXiv:1711.05101], in the fused form.

    Matrices and kernels decay; biases and the parameters of norms do not.
    """

    kind: ClassVar[str] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = 1e-2

    def build(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], self.lr, fused=True)


class SGD(Spec):
    """Stochastic gradient descent with momentum, in the fused form."""

    kind: ClassVar[str] = "sgd"
    lr: float = Field(0.1, gt=0)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def build(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        return torch.optim.SGD(
            parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov, fused=True
        )


class Plan(Spec):
    """How long and how fast a model is trained. A run is a function of this, of the data and of the recipe."""

    kind: ClassVar[str] = "plan"
    epochs: float = Field(10, gt=0)
    """Passes over the training windows; ignored where `steps` is given."""
    steps: int | None = Field(None, gt=0)
    """Optimiser steps."""
    batch: int = Field(64, ge=2)
    """Samples a step, over all processes; two at least, since statistics over a batch need them."""
    seed: int = 0
    """Of initial weights, order, dropout and augmentation."""
    optimiser: Adam | AdamW | SGD = Adam()
    schedule: Constant | Cosine | Linear | Ramp | Steps | Stairs | AdaptiveCLR = Constant()
    """What multiplies the learning rate, by progress; with adaptive-clr, which finds its rates by itself, optimiser.lr
    has no effect."""
    clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient, of the student and of a teacher that learns each."""
    evaluations: int = Field(10, gt=0)
    """How often the run is scored on validation, evenly spaced; the best of them is kept."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs forward and loss under autocast; weights stay fp32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    threads: int | None = Field(None, gt=0)
    """CPU threads; the library's default where not given."""

    def total_steps(self, samples: int) -> int:
        """Optimiser steps of the whole run on that many training samples."""
        return self.steps or max(1, round(self.epochs * self.epoch(samples)))

    def epoch(self, samples: int) -> int:
        """Optimiser steps of one pass."""
        return process.batches(samples, self.batch)
