"""What `mixup.py` is measured on: networks, simulated windows and their persistence images, and the recipe."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.data.recordings import Windowing
from limbeck.data.source import Table
from limbeck.data.split import Split
from limbeck.data.synthetic import Wearable
from limbeck.mixup import SERIES, Change, Mixup, Plain
from limbeck.models import ImageWideResNet, WideResNet
from limbeck.models.heads import Model, MultiTask
from limbeck.models.wide import PI
from limbeck.plan import SGD, Plan
from limbeck.recipes.mixup_topology import MixupTopology
from limbeck.topology.column import FittedImage, Images, diagrams_of

T, W, ALPHAS, MIXINGS = 4.0, 0.7, (0.15, 0.2), 4
ETA = {"series": 0.7, "image": 0.3}
MIXED, UNMIXED = Mixup(alpha1=ALPHAS[0], alpha2=ALPHAS[1]), Plain()
PLANNED = MIXED.changed(plans=MIXINGS)
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Setting:
    """Teachers of one width, and where answers are stored."""

    width: int
    quick: bool
    at: Path

    @property
    def batch(self) -> int:
        """Samples a step, and rows of the table that steps are taken on."""
        return 8 if self.quick else 64

    def recipe(self, mix: Change = UNMIXED, eta: float = ETA["series"], seed: int = 0) -> MixupTopology:
        """The recipe; of another seed, so that a teacher is not the student."""
        length, seconds, subjects = (100, 10, 3) if self.quick else (500, 60, 20)
        data = Wearable(subjects=subjects, activities=12, positions=("wrist",), seconds=seconds, rate=100)
        sgd = SGD(lr=0.05, weight_decay=1e-4)
        plan = Plan(steps=1_000_000, batch=self.batch, seed=seed, optimiser=sgd, device="cpu", evaluations=1)
        return MixupTopology(
            data=data.changed(windows=Windowing(length=length, stride=length)),
            plan=plan,
            student=WideResNet(normalise="within"),
            series=WideResNet(width=self.width, normalise="within"),
            image=ImageWideResNet(width=self.width, normalise="within"),
            images=FittedImage(resolution=16 if self.quick else 64),
            eta=eta, w=W, T=T, mix=mix,
        )  # fmt: skip

    @cached_property
    def whole(self) -> Split:
        """All windows, with diagrams in the training part."""
        recipe = self.recipe()
        split = recipe.split.split(recipe.data.load())
        assert isinstance(recipe.images, FittedImage)
        diagrams = diagrams_of(split.train.inputs[SERIES])
        images = Images(diagrams, recipe.images.fit(diagrams))
        return replace(split, train=replace(split.train, inputs={**split.train.inputs, PI: images}))

    @cached_property
    def split(self) -> Split:
        """The rows that steps are taken on, one batch of them."""
        few = self.whole.train.take(torch.linspace(0, len(self.whole.train) - 1, self.batch).long())
        return replace(self.whole, train=few, valid=few, test=few)

    def model(self, spec: Model, seed: int) -> MultiTask:
        """A network whose BatchNorm has seen windows."""
        rows = self.split.train.rows(torch.arange(8))
        model = self.recipe(seed=seed).fresh(spec, self.split.train.tasks, self.split).train()
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # what it sees now is all it knows
        with torch.no_grad():
            model(rows)
        for norm in norms:
            norm.momentum = 0.1
        return model

    @cached_property
    def models(self) -> dict[str, MultiTask]:
        """The student and its teachers."""
        recipe = self.recipe()
        specs: dict[str, Model] = {"student": recipe.student, "series": recipe.series, "image": recipe.image}
        return {name: self.model(spec, number) for number, (name, spec) in enumerate(specs.items())}

    def dense(self, table: Table) -> tuple[Tensor, Tensor, Tensor]:
        """Images, windows and labels as their scripts keep them: tensors, scaled beforehand."""
        every = table.rows(torch.arange(len(table)))
        images, windows = self.scaled(every).values()
        return images, windows, every.targets[table.tasks[0].name]

    def scaled(self, batch: Batch) -> dict[str, Tensor]:
        """Images and windows, as the models scale them themselves."""
        made = {}
        for name, read in (("image", PI), ("series", SERIES)):
            normalise = self.models[name].normalise
            assert normalise is not None
            made[read] = normalise(batch.inputs[read])
        return made
