"""An epoch of Smooth-Distill through Limbeck's loop and data against the loop of the released training script."""

import math
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import nets, timing
from limbeck.batch import Outputs
from limbeck.data.order import Order
from limbeck.data.source import Table, Windows
from limbeck.distiller import Distiller
from limbeck.fit import _Loop
from limbeck.models import MTLNet
from limbeck.observers import Together
from limbeck.plan import Adam, Plan
from limbeck.run import Run
from limbeck.tasks import Task
from limbeck.teachers import EMA
from limbeck.terms import Soft, kd, supervised

BATCH, LENGTH, STRIDE, T, BETA = 64, 100, 60, 3.0, 0.999
TASKS = (Task("activity", 18), Task("device", 2))
Variant = Literal["corrected", "as_released"]
CORES = os.cpu_count() or 1
SIZES = [(500, 1), (2_000, 1), (10_000, 1), (2_000, CORES)]
"""Windows and threads: all threads are what a script has that says nothing of them."""
Batches = Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]


def recorded(windows: int) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """A random signal `(T, 3)` that holds so many windows, and the two labels of each."""
    draw = np.random.default_rng(0)
    signal = draw.normal(size=((windows - 1) * STRIDE + LENGTH, 3)).astype(np.float32)
    return signal, [draw.integers(0, task.classes or 1, windows) for task in TASKS]


class Published:
    """The loop of the released script: windows as tensors in a DataLoader, each twice as there, Adam as it comes, the
    teacher's parameters followed one by one, five numbers read and two accuracies counted in each step.

    The script has no `workers`; with some, they start anew each epoch.
    """

    def __init__(self, windows: int, variant: Variant, workers: int) -> None:
        signal, labels = recorded(windows)
        cut = np.stack([signal[i * STRIDE : i * STRIDE + LENGTH] for i in range(windows)])
        shaped = cut.reshape(-1, 1, 3, LENGTH) if variant == "as_released" else cut.transpose(0, 2, 1)[:, None].copy()
        self.x, (self.one, self.two) = torch.from_numpy(shaped), map(torch.from_numpy, labels)
        data = TensorDataset(self.x, self.x, self.one, self.two)
        self.loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers)
        stride = 2 if variant == "as_released" else 1
        classes = (TASKS[0].classes or 1, TASKS[1].classes or 1)
        self.student, self.teacher = nets.MTL(stride, classes), nets.MTL(stride, classes).eval()
        values = student(variant).state_dict().values()
        for model in (self.student, self.teacher):
            model.load_state_dict(dict(zip(model.state_dict(), values, strict=True)))
        self.teacher.requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.student.parameters(), lr=1e-3)

    def epoch(self, batches: Batches | None = None) -> float:
        """Trains on all windows, in the loader's order unless batches are given; the mean loss."""
        self.student.train()
        sums, right, steps = [0.0] * 5, [0, 0], 0
        for x, _, *targets in self.loader if batches is None else batches:
            self.optimiser.zero_grad()
            answers = self.student(x)
            with torch.no_grad():
                taught = self.teacher(x)
            hard = [F.cross_entropy(logits, target) for logits, target in zip(answers, targets, strict=True)]
            soft = [self.apart(logits, known) for logits, known in zip(answers, taught, strict=True)]
            loss = 0.5 * (hard[0] + 0.5 * soft[0]) + 0.5 * (hard[1] + 0.5 * soft[1])
            loss.backward()
            self.optimiser.step()
            self.follow()
            for number, value in enumerate((loss, *hard, *soft)):
                sums[number] += value.item()
            for task, (logits, target) in enumerate(zip(answers, targets, strict=True)):
                right[task] += int((logits.max(1).indices == target).sum().item())
            steps += 1
        return sums[0] / steps

    def apart(self, logits: Tensor, taught: Tensor) -> Tensor:
        """The distillation loss of a task."""
        return F.kl_div(F.log_softmax(logits / T, 1), F.softmax(taught / T, 1), reduction="batchmean") * T**2

    def follow(self) -> None:
        """The teacher's update."""
        with torch.no_grad():
            theirs = dict(self.student.named_parameters())
            for name, mine in self.teacher.named_parameters():
                mine.data.mul_(BETA).add_(theirs[name].data, alpha=1 - BETA)

    def ordered(self) -> Batches:
        """The batches of Limbeck's first epoch, for the proof that both do the same."""
        order = Order(len(self.x), BATCH, 0)
        for step in range(order.per_epoch):
            at = order.at(step)
            yield self.x[at], self.x[at], self.one[at], self.two[at]


def student(variant: Variant) -> torch.nn.Module:
    """MTL-net with the weights of seed 0."""
    torch.manual_seed(0)
    return MTLNet(variant=variant).build(TASKS, (3, LENGTH))


class Limbeck:
    """`fit`'s loop on windows that are cut when asked for."""

    def __init__(self, windows: int, variant: Variant, at: Path) -> None:
        signal, labels = recorded(windows)
        column = Windows(torch.from_numpy(signal), torch.arange(windows) * STRIDE, LENGTH)
        targets = {task.name: torch.from_numpy(label) for task, label in zip(TASKS, labels, strict=True)}
        meta = {"subject": np.full(windows, "s"), "start": np.zeros(windows)}
        table = Table(TASKS, {"sensor": column}, targets, meta, {}, "random")
        model = student(variant)
        one, two = (supervised(task) + 0.5 * kd(task, "ema", Soft(T=T)) for task in TASKS)
        distiller = Distiller(model, {"ema": EMA(model, BETA)}, 0.5 * one + 0.5 * two)
        plan = Plan(steps=1_000_000, batch=BATCH, optimiser=Adam(), device="cpu", evaluations=1)
        run = Run(distiller, table, table.take(torch.arange(BATCH)), TASKS, plan, {}, {})
        self.loop = _Loop(run, at, Together([]))
        self.loop.distiller.train()

    def epoch(self) -> float:
        """Trains on all windows; the mean loss."""
        for _ in range(self.loop.order.per_epoch):
            self.loop.advance(self.loop.distiller)
            self.loop.observer.stepped(self.loop.step)
        mean = float(self.loop.sums.tensor()[0]) / self.loop.sums.count
        self.loop.log()
        return mean


def published(windows: int, variant: Variant, workers: int, threads: int) -> timing.Turn:
    """An epoch of the published form, in this process."""
    torch.set_num_threads(threads)
    return Published(windows, variant, workers).epoch


def limbeck(windows: int, variant: Variant, at: Path, threads: int) -> timing.Turn:
    """An epoch of Limbeck, in this process."""
    torch.set_num_threads(threads)
    return Limbeck(windows, variant, at).epoch


def same(windows: int, variant: Variant, at: Path) -> None:
    """Raises `AssertionError` where the two do other mathematics."""
    hand, ours = Published(windows, variant, 0), Limbeck(windows, variant, at)
    one, two = hand.epoch(hand.ordered()), ours.epoch()
    assert math.isclose(one, two, rel_tol=1e-4), (variant, one, two)


def products(variant: Variant) -> timing.Turn:
    """The multiplications of a step as matrix products and nothing else: teacher and student forward, and the student's
    gradients of weights and (but for the first layer) of inputs."""
    rows, wide = (2, 1216) if variant == "as_released" else (3, 3648)
    shapes = [(BATCH * 3 * 92, 9, 32), (BATCH * rows * 38, 9 * 32, 64), (BATCH, wide, 1024), (BATCH, 1024, 512)]
    operands = [(torch.randn(n, k), torch.randn(k, m), torch.empty(n, m)) for n, k, m in shapes]

    def multiplied() -> None:
        for number, (one, two, out) in enumerate(operands):
            for _ in range(4 if number else 3):
                torch.mm(one, two, out=out)

    return multiplied


def pieces(variant: Variant, at: Path) -> dict[str, timing.Turn]:
    """A step of either form, and its pieces alone, on copies of their own."""
    whole, hand = Published(BATCH, variant, 0), Published(BATCH, variant, 0)
    step, ours = Limbeck(BATCH, variant, at), Limbeck(BATCH, variant, at).loop
    batch = [next(hand.ordered())]
    rows, distiller = ours.train_rows.rows(torch.arange(BATCH)), ours.distiller

    def learns(model: torch.nn.Module, given: Any) -> timing.Turn:
        def both_ways() -> None:
            for parameter in model.parameters():
                parameter.grad = None
            answers = model(given)
            logits = answers.logits.values() if isinstance(answers, Outputs) else answers
            torch.stack([each.sum() for each in logits]).sum().backward()

        both_ways()  # an optimiser alone needs gradients
        return both_ways

    return {
        "published": lambda: whole.epoch(iter(batch)),
        "- student, both ways": learns(hand.student, batch[0][0]),
        "- teacher": torch.no_grad()(lambda: hand.teacher(batch[0][0])),
        "- Adam": hand.optimiser.step,
        "- EMA": hand.follow,
        "limbeck": step.epoch,
        "+ student, both ways": learns(distiller.student, rows),
        "+ teacher": lambda: distiller.teachers["ema"](rows),
        "+ Adam": ours.learner.optimiser.step,
        "+ EMA": lambda: distiller.after_step(0.0),
        "limit: its matrix products": products(variant),
    }


def main(quick: bool, rounds: int) -> None:
    """Prints a table for each variant of the network and number of windows."""
    torch.set_num_threads(1)
    for variant in ("corrected", "as_released"):
        with tempfile.TemporaryDirectory() as at:
            same(128, variant, Path(at))
            spent = timing.measure(pieces(variant, Path(at)), rounds)
            title = f"{variant}, a step, and its pieces alone (- published, + limbeck)"
            print(timing.table(title, spent, "published"), flush=True)
            for windows, threads in ((128, 1),) if quick else SIZES:
                sides = {
                    "published": partial(published, windows, variant, 0, threads),
                    "published, 2 workers": partial(published, windows, variant, 2, threads),
                    "limbeck": partial(limbeck, windows, variant, Path(at), threads),
                }
                if windows == 2_000:
                    sides["published, again (A/A)"] = sides["published"]
                turns = rounds if windows <= 2_000 else max(2, rounds * 4_000 // windows)
                with timing.apart(sides) as each:
                    spent = timing.measure(each, turns, warm=0 if quick or windows > 2_000 else 1)
                title = f"{variant}, {windows} windows, an epoch, {threads} thread{'s' * (threads > 1)}"
                print(timing.table(title, spent, "published", 1, "epoch"), flush=True)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 10)
    main(asked.quick, 2 if asked.quick else asked.rounds)
