"""A distillation step through Limbeck's own loop, the teacher alive or cached, against the same written by hand."""

import copy
import functools
import importlib.util
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import nets, timing
from limbeck import evaluate
from limbeck.data.order import Order
from limbeck.data.source import Dense, Table, Windows
from limbeck.distiller import Distiller
from limbeck.fit import _Loop
from limbeck.models.heads import MultiTask
from limbeck.observers import Together
from limbeck.plan import Adam, Plan
from limbeck.run import Run
from limbeck.tasks import Task
from limbeck.teachers import EMA, Frozen, Teacher
from limbeck.terms import Soft, kd, supervised

BATCH, LENGTH, T = 64, 200, 3.0
HAND = "by hand"
TASK = Task.of("activity", ("lie", "sit", "stand", "walk", "run", "cycle"))


class Plain(nn.Module):
    """The same network for a hand-written loop: a tensor in, logits out."""

    def __init__(self, model: MultiTask) -> None:
        super().__init__()
        self.trunk, self.head = model.trunk, model.head(TASK.name)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(x))
        return logits


@dataclass
class Setting:
    """One pair of networks, the data, and how many steps a turn has."""

    name: str
    student: MultiTask
    teacher: MultiTask
    rows: int
    turn: int

    def __post_init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(self.rows, 3, LENGTH, generator=draw)
        self.y = torch.randint(len(TASK.labels), (self.rows,), generator=draw)

    def table(self, windows: bool) -> Table:
        """The rows as a table: windows of one long signal, or the very tensor that the hand-written loop has."""
        signal = self.x.transpose(1, 2).reshape(-1, 3)
        column = Windows(signal, torch.arange(self.rows) * LENGTH, LENGTH) if windows else Dense(self.x)
        meta = {"subject": np.full(self.rows, "s"), "start": np.zeros(self.rows)}
        return Table((TASK,), {"sensor": column}, {TASK.name: self.y}, meta, {}, f"random-{windows}")


def settings(quick: bool) -> list[Setting]:
    """1k from 7k parameters (a watch), 61k from 535k (WRN16-1 from WRN16-3)."""

    def model(trunk: nn.Module, width: int) -> MultiTask:
        return MultiTask(trunk, width, (TASK,), None)

    torch.manual_seed(0)
    rows = 2 * BATCH if quick else 20 * BATCH
    small = Setting("1k from 7k", model(*nets.tiny((8, 16))), model(*nets.tiny((24, 48))), rows, 2 if quick else 20)
    if quick:
        return [small]
    return [small, Setting("61k from 535k (WRN)", model(*nets.wide(1)), model(*nets.wide(3)), rows, 2)]


class Side(Protocol):
    """One way to train."""

    @property
    def sum(self) -> float:
        """Of the losses so far."""

    def step(self) -> None:
        """One optimiser step and its bookkeeping."""


class ByHand:
    """A good hand-written loop: batch by `index_select`, teacher without gradient in evaluation mode, fused Adam.

    Looks at the loss once a step (`.item()`, finite?) and adds it up. It does not seed the step, log single terms, know
    missing labels, or keep what a resumed run needs.
    """

    def __init__(self, setting: Setting, mean_teacher: bool, loader: bool = False, cached: bool = False) -> None:
        self.setting, self.mean_teacher = setting, mean_teacher
        self.student = Plain(copy.deepcopy(setting.student)).train()
        self.teacher = Plain(copy.deepcopy(setting.student if mean_teacher else setting.teacher))
        self.teacher.requires_grad_(False).eval()
        self.optimiser = torch.optim.Adam(self.student.parameters(), 1e-3, fused=True)
        # The teacher's values beside the student's: floating ones follow, counters are copied.
        pairs = list(zip(self.teacher.state_dict().values(), self.student.state_dict().values(), strict=mean_teacher))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self.mine, self.theirs = [mine for mine, _ in floats], [theirs for _, theirs in floats]
        self.counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        with torch.no_grad():
            self.known = self.teacher(setting.x) if cached else None
        self.batches = self._loader() if loader else self._indexed()
        self.sum = 0.0

    def _indexed(self) -> Iterator[tuple[Tensor, ...]]:
        order, step = Order(self.setting.rows, BATCH, 0), 0
        while True:
            at = order.at(step)
            columns = [self.setting.x, self.setting.y, *([] if self.known is None else [self.known])]
            yield tuple(column.index_select(0, at) for column in columns)
            step += 1

    def _loader(self) -> Iterator[tuple[Tensor, ...]]:
        data = torch.utils.data.TensorDataset(self.setting.x, self.setting.y)
        loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True)
        while True:
            yield from loader

    def step(self) -> None:
        x, y, *known = next(self.batches)
        logits = self.student(x)
        with torch.no_grad():
            answer = known[0] if known else self.teacher(x)
        soft = F.kl_div(
            F.log_softmax(logits / T, 1), F.log_softmax(answer / T, 1), reduction="batchmean", log_target=True
        )
        loss = 0.5 * F.cross_entropy(logits, y) + 0.5 * T * T * soft
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError("the loss is not finite")
        self.sum += value
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.mean_teacher:
            with torch.no_grad():
                torch._foreach_lerp_(self.mine, self.theirs, 0.001)
                for counter, counted in self.counters:
                    counter.copy_(counted)


class Limbeck:
    """The body of `fit`'s loop, as it is."""

    def __init__(self, setting: Setting, kind: str, windows: bool, at: Path) -> None:
        student, table = copy.deepcopy(setting.student), setting.table(windows)
        teacher: Teacher
        if kind == "ema":
            teacher = EMA(student, 0.999)
        else:
            teacher = Frozen(copy.deepcopy(setting.teacher))
            if kind == "cached":
                teacher = evaluate.remember(teacher, table)
        objective = 0.5 * supervised(TASK) + 0.5 * kd(TASK, "teacher", Soft(T=T))
        distiller = Distiller(student, {"teacher": teacher}, objective)
        plan = Plan(steps=1_000_000, batch=BATCH, optimiser=Adam(), device="cpu", evaluations=1)
        valid = table.take(torch.arange(BATCH))
        self.loop = _Loop(Run(distiller, table, valid, (TASK,), plan, {}, {}), at, Together([]))
        self.loop.distiller.train()

    def step(self) -> None:
        self.loop.advance(self.loop.distiller)
        self.loop.observer.stepped(self.loop.step)

    @property
    def sum(self) -> float:
        """Of the losses so far."""
        return float(self.loop.sums.tensor()[0])


class TorchDistill:
    """torchdistill's box on the same index batches, with its own KDLoss and its own two calls a step."""

    def __init__(self, setting: Setting) -> None:
        from torchdistill.core.distillation import get_distillation_box

        student = Plain(copy.deepcopy(setting.student)).train()
        teacher = Plain(copy.deepcopy(setting.teacher)).eval()
        paths = {f"{who}_module_{what}": to for who in ("student", "teacher")
                 for what, to in (("path", "."), ("io", "output"))}  # fmt: skip
        loss = {"key": "KDLoss", "kwargs": {**paths, "temperature": T, "alpha": 0.5}}
        terms = {"kd": {"criterion": loss, "weight": 1.0}}
        config = {
            "num_epochs": 1,
            "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
            "student": {"forward_proc": "forward_batch_only"},
            "optimizer": {"key": "Adam", "kwargs": {"lr": 1e-3, "fused": True}},
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        }
        self.box = get_distillation_box(teacher, student, {}, config, torch.device("cpu"), None, False, 1.0)
        self.batches = ByHand(setting, False)._indexed()
        self.sum = 0.0

    def step(self) -> None:
        x, y = next(self.batches)
        loss = self.box.forward_process(x, y, None)
        self.box.post_forward_process(loss)
        self.sum += loss.item()


def sides(setting: Setting, mean_teacher: bool, at: Path) -> dict[str, Side]:
    """All that are compared, by name; the first is the reference."""
    made: dict[str, Side] = {HAND: ByHand(setting, mean_teacher), f"{HAND}, again (A/A)": ByHand(setting, mean_teacher)}
    if mean_teacher:
        return made | {
            "limbeck": Limbeck(setting, "ema", True, at),
            "limbeck, tensor": Limbeck(setting, "ema", False, at),
        }
    made |= {
        "limbeck": Limbeck(setting, "frozen", True, at),
        "limbeck, tensor": Limbeck(setting, "frozen", False, at),
        "limbeck, cached teacher": Limbeck(setting, "cached", True, at),
        f"{HAND}, cached teacher": ByHand(setting, mean_teacher, cached=True),
        f"{HAND}, DataLoader": ByHand(setting, mean_teacher, loader=True),
    }
    return made | ({"torchdistill": TorchDistill(setting)} if torchdistill() else {})


@functools.cache
def torchdistill() -> torch.library.Library | None:
    """What lets it be imported, or none where it is not installed.

    Its torchvision needs two operators declared where torch is built for the CPU only; they live as long as the answer.
    """
    if importlib.util.find_spec("torchdistill") is None:
        return None
    operators = torch.library.Library("torchvision", "FRAGMENT")
    if torch.version.cuda is None:
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


def same(made: Mapping[str, Side], steps: int) -> None:
    """Takes a few steps on every side; raises `AssertionError` where one does other mathematics than the reference."""
    for side in made.values():
        for _ in range(steps):
            side.step()
    for name, side in made.items():
        if "DataLoader" not in name:  # which draws its own order
            assert math.isclose(side.sum, made[HAND].sum, rel_tol=1e-4), (name, side.sum, made[HAND].sum)


def turn(side: Side, steps: int) -> timing.Turn:
    """So many steps of a side."""

    def steps_of_it() -> None:
        for _ in range(steps):
            side.step()

    return steps_of_it


def main(quick: bool, rounds: int) -> None:
    """Prints a table for each pair of networks and kind of teacher."""
    torch.set_num_threads(1)
    for setting in settings(quick):
        for mean_teacher in (False, True):
            with tempfile.TemporaryDirectory() as at:
                made = sides(setting, mean_teacher, Path(at))
                same(made, 2 if quick else 10)
                spent = timing.measure({n: turn(s, setting.turn) for n, s in made.items()}, rounds)
            kind = (
                "EMA teacher"
                if mean_teacher
                else f"frozen teacher{'' if 'torchdistill' in made else '; torchdistill is not installed'}"
            )
            print(
                timing.table(
                    f"{setting.name}, {kind}, batch {BATCH} of (3, {LENGTH}), {setting.turn} steps a turn",
                    spent,
                    HAND,
                    setting.turn,
                ),
                flush=True,
            )


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 40)
    main(asked.quick, 3 if asked.quick else asked.rounds)
