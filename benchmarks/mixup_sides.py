"""Both sides of `mixup.py`: two teachers and a student in the form of the lineage's scripts, and in Limbeck's loop.

*Published* is what the public scripts of the paper's lineage do, put together, for the paper has none of its own: a
`DataLoader` of 8 workers over a list of windows and stored images; mixup with shares as arrays of doubles that are as
large as the inputs; WRN by Conv1d and Conv2d; SGD as it comes; and both teachers in evaluation mode, but inside the
graph, so that the backward pass goes through them too.
"""

import copy
import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks import nets, timing
from benchmarks.mixup_setting import ALPHAS, ETA, Array, Setting, T, W
from benchmarks.timing import Spent
from limbeck import evaluate, process
from limbeck.distiller import Distiller, View
from limbeck.fit import _Loop
from limbeck.mixup import SERIES, Change
from limbeck.models.heads import MultiTask
from limbeck.models.wide import PI
from limbeck.observers import Together
from limbeck.recipe import Place
from limbeck.run import Run
from limbeck.teachers import Frozen


def copied(model: MultiTask, width: int, dims: int) -> nn.Module:
    """The same network by Conv1d or Conv2d in the usual layout, with the same weights."""
    trunk, feature = nets.wide(width, dims)
    made = nn.Sequential(trunk, nn.Linear(feature, model.heads[0].out_features))  # type: ignore[arg-type]
    for kinds in ((nn.Conv1d, nn.Conv2d), (nn.BatchNorm1d, nn.BatchNorm2d), nn.Linear):
        mine, theirs = ([m for m in whole.modules() if isinstance(m, kinds)] for whole in (made, model))
        for one, two in zip(mine, theirs, strict=True):
            for to, value in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
                to.copy_(value.view_as(to))
    return made


def blend(one: Tensor, two: Tensor, share: Array) -> Tensor:
    """`share` `(B,)` of one and the rest of the other; with the shares as large as the inputs, as published."""
    whole = np.full(one.shape, share.reshape(-1, *[1] * (one.dim() - 1)))
    return one * torch.from_numpy(whole).float() + two * torch.from_numpy(1 - whole).float()


class Published:
    """Their training loop, with the teachers inside the `graph` or without gradient."""

    def __init__(self, setting: Setting, mix: bool, graph: bool, teachers: Mapping[str, float] = ETA) -> None:
        self.mix, self.graph, self.shares = mix, graph, teachers
        self.student = copied(setting.models["student"], 1, 1)
        dims = {"series": 1, "image": 2}
        self.teachers = {name: copied(setting.models[name], setting.width, dims[name]).eval() for name in teachers}
        self.optimiser = torch.optim.SGD(self.student.parameters(), 0.05, 0.9, weight_decay=1e-4)
        self.images, self.windows, self.labels = setting.dense(setting.split.train)
        self.classes = setting.split.train.tasks[0].classes or 1
        self.random = np.random.default_rng(0)

    def steps(self, count: int) -> None:
        """So many steps on the same windows, and the sums that are printed behind an epoch: with their graphs."""
        self.student.train()
        sums: list[Any] = [0.0] * (2 + len(self.shares))
        for _ in range(count):
            if self.mix:
                batch = self.mixed(*(torch.randperm(len(self.labels)) for _ in range(2)))
            else:
                batch = self.images, self.windows, self.labels
            sums = [total + each * len(self.labels) for total, each in zip(sums, self.learn(*batch), strict=True)]
        if not math.isfinite(float(sums[0].detach())):
            raise ValueError("the loss is not finite")

    def mixed(self, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images, windows and soft labels of two orders of the batch."""
        images, series = (self.random.beta(alpha, alpha, len(one)) for alpha in reversed(ALPHAS))
        labels = F.one_hot(self.labels, self.classes).float()
        x = blend(self.images[one], self.images[two], images) if "image" in self.shares else self.images
        return x, blend(self.windows[one], self.windows[two], series), blend(labels[one], labels[two], series)

    def learn(self, images: Tensor, windows: Tensor, target: Tensor) -> list[Tensor]:
        """A step; the loss and its parts."""
        self.optimiser.zero_grad()
        answer = self.student(windows)
        if target.dim() == 1:
            parts = [F.cross_entropy(answer, target)]
        else:
            parts = [-(F.log_softmax(answer, dim=1) * target).sum() / len(target)]
        loss = (1 - W) * parts[0]
        for name, share in self.shares.items():
            with torch.set_grad_enabled(self.graph):
                soft = self.teachers[name](images if name == "image" else windows)
            apart = F.kl_div(F.log_softmax(answer / T, dim=1), F.softmax(soft / T, dim=1), reduction="batchmean")
            loss = loss + W * share * T * T * apart
            parts.append(apart)
        loss.backward()
        self.optimiser.step()
        return [loss, *parts]


class Limbeck:
    """`fit`'s loop, as the recipe sets it up."""

    def __init__(self, setting: Setting, mix: Change, eta: float = ETA["series"]) -> None:
        recipe, split = setting.recipe(mix, eta), setting.split
        frozen = {name: (Frozen(setting.models[name]), setting.at / name) for name in recipe.taught()}
        teachers, self.transform = recipe.teaching(frozen, split.train, Place(setting.at))
        student = copy.deepcopy(setting.models["student"])
        distiller = Distiller(student, teachers, [View(recipe.objective(split.train.tasks), self.transform)])
        self.loop = looped(setting, recipe.prepare(recipe.student, split.train.tasks, split, distiller, {}))

    @property
    def sum(self) -> float:
        """Of the losses so far."""
        return float(self.loop.sums.tensor()[0])


def looped(setting: Setting, run: Run) -> _Loop:
    """The loop of a run, about to train."""
    loop = _Loop(run, setting.at, Together([]))
    loop.distiller.train()
    return loop


def each(turn: Callable[[int], object], count: int) -> timing.Turn:
    """What one of so many steps takes."""

    def taken() -> Spent:
        spent = timing.once(partial(turn, count))
        return Spent(*(seconds / count for seconds in spent))

    return taken


def advance(loop: _Loop, count: int) -> None:
    """So many steps of Limbeck."""
    for _ in range(count):
        loop.advance(loop.distiller)


def published(setting: Setting, count: int, mix: bool, graph: bool, teachers: Mapping[str, float] = ETA) -> timing.Turn:
    """A step of their form, in this process."""
    torch.set_num_threads(1)
    return each(Published(setting, mix, graph, teachers).steps, count)


def limbeck(setting: Setting, count: int, mix: Change, eta: float = ETA["series"]) -> timing.Turn:
    """A step of Limbeck, in this process."""
    torch.set_num_threads(1)
    return each(partial(advance, Limbeck(setting, mix, eta).loop), count)


def image_teacher(setting: Setting) -> timing.Turn:
    """A step of the image teacher's own training, in this process."""
    torch.set_num_threads(1)
    recipe, split = setting.recipe(), setting.split
    run = recipe.alone(recipe.image, split.train.tasks, split, "image")
    return each(partial(advance, looped(setting, run)), 1)


def rendered(setting: Setting) -> timing.Turn:
    """The images of its batch, in this process."""
    torch.set_num_threads(1)
    column, at = setting.split.train.inputs[PI], torch.arange(setting.batch)
    return each(lambda count: [column[at] for _ in range(count)], 20)


def answered(setting: Setting) -> timing.Turn:
    """Both teachers' answers for the rows of a batch, as a store is filled, in this process."""
    torch.set_num_threads(1)
    process.keep_memory()
    table, frozen = setting.split.train, [Frozen(setting.models[name]) for name in ETA]

    def fill() -> None:
        for teacher, read in zip(frozen, (SERIES, PI), strict=True):
            evaluate.answers(teacher, table.only(read))

    return fill


def handed_out(setting: Setting, workers: int, images: bool = True) -> timing.Turn:
    """All batches of an epoch as their loader makes them, in this process. (It also pins memory, where there is a GPU
    to pin it for.)"""
    torch.set_num_threads(1)
    every = setting.dense(setting.whole.train)
    data: list[Any] = list(zip(*(every if images else every[1:]), strict=True))

    def hand_out() -> None:
        with warnings.catch_warnings():  # that there are fewer cores than workers
            warnings.simplefilter("ignore")
            deque(DataLoader(data, setting.batch, shuffle=True, num_workers=workers), maxlen=0)  # type: ignore[arg-type]

    return hand_out
