"""What test processes of their own do: train until killed, and train together.

They are forked from a server that has imported all this, so that each starts in a fraction of a second.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimiser needs it, and it takes seconds
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from limbeck import fit as fit_module
from limbeck import process, pseudo
from limbeck.augment import Augment
from limbeck.balance import DWA, Balance, GradNorm, Uncertainty
from limbeck.batch import Batch, Outputs
from limbeck.errors import Interrupted
from limbeck.fit import fit
from limbeck.models import BiLSTM
from limbeck.models.heads import MAP
from limbeck.objective import STUDENT, Scene
from limbeck.observers import Observer
from limbeck.plan import SGD, Plan
from limbeck.run import Run
from limbeck.schedule import AdaptiveCLR
from limbeck.trajectory import Follow, Trajectory
from limbeck.transforms import SignalViews
from tests.conftest import TASKS, table
from tests.toy_runs import PLAN, toy_run

ROOT = Path(__file__).parents[1]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}
SMOOTH = BiLSTM(hidden=4)
"""Without BatchNorm, whose statistics are those of each process's own rows."""
TOGETHER = Plan(steps=12, batch=16, evaluations=3, optimiser=SGD(lr=0.05), device="cpu")

CYCLES = AdaptiveCLR(half=0.5, lowest=1e-4, steps=20)
BALANCES: tuple[Balance, ...] = (Uncertainty(), DWA(), GradNorm())


def server() -> ForkServerContext:
    """Where children are forked from."""
    os.environ["PYTHONPATH"] = str(ROOT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.children"])
    return context


def train(at: Path, plan: dict[str, Any], save_every: float, balance: Balance | None = None) -> None:
    """A whole run, for the parent to kill."""
    torch.set_num_threads(1)
    fit_module.SAVE_EVERY = save_every
    fit(toy_run(PLAN.changed(**plan), balance=balance), at)


def train_to_change(at: Path, plan: dict[str, Any], save_every: float, number: int) -> None:
    """A run that kills itself just before its change of that number to the files in its folder."""
    dies_before(at, number)
    train(at, plan, save_every)


def dies_before(at: Path, number: int) -> None:
    """Kills this process just before its change of that number to the files in a folder."""
    left = number

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(args[1], str) and args[1][0] in "wax"
        if (writes or event in CHANGES) and str(args[0]).startswith(str(at)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def asked(at: Path) -> pseudo.Answers:
    """What a small model says of 25 windows, over several views."""
    torch.manual_seed(0)
    model = SMOOTH.build(TASKS, (3, 40))
    return pseudo.ask(model, table(25), TASKS, SignalViews(count=2, jitter=0.5, shift=3), at)


def ask_to_change(at: Path, number: int) -> None:
    """Asks, ten samples a file, and kills itself just before its change of that number to the folder."""
    torch.set_num_threads(1)
    pseudo.SHARD = 10
    dies_before(at, number)
    asked(at)


def together(where: Path, what: Callable[[Path], dict[str, Any]], world: int = 2) -> list[dict[str, Any]]:
    """What each of several processes finds."""
    where.mkdir(parents=True, exist_ok=True)
    children = [server().Process(target=_join, args=(where, what, rank, world)) for rank in range(world)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        child.kill()
        child.join()
    return [json.loads((where / f"rank-{rank}.json").read_text()) for rank in range(world)]


def _join(where: Path, what: Callable[[Path], dict[str, Any]], rank: int, world: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{where}/meet", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    try:
        found = what(where)
        (where / f"rank-{rank}.json").write_text(json.dumps(found))
    finally:
        dist.destroy_process_group()


def words(where: Path) -> dict[str, Any]:
    """The joints of several processes."""
    me = process.rank()
    x = torch.tensor([1.0, me], requires_grad=True)
    return {
        "world": process.world(),
        "total": process.total(x).tolist(),
        "leader": process.from_leader({"who": me}),
        "anywhere": [process.anywhere(me == 1), process.anywhere(False)],
    }


def smooth_run(plan: Plan = TOGETHER, rows: int = 60, missing: float = 0.3, balance: Balance | None = None) -> Run:
    """A run whose result does not depend on how a batch is dealt out."""
    rows_of = table(rows, missing=missing, seed=1)
    return toy_run(plan, augment=Augment(), spec=SMOOTH, train=rows_of, balance=balance)


def gradients(whole: Batch) -> dict[str, Any]:
    """Loss, terms and the student's gradient of this process's share of a batch."""
    run = smooth_run()
    distiller = run.distiller.double()
    with torch.no_grad():
        for p in distiller.teachers.parameters():
            p.add_(0.1)  # a teacher that is the student teaches nothing
    share = slice(process.rank(), None, process.world())
    inputs = {k: v[share].double() for k, v in whole.inputs.items()}
    batch = Batch(inputs, {k: v[share] for k, v in whole.targets.items()}, whole.ids[share])
    model = DistributedDataParallel(distiller) if process.active() else distiller
    total, values = model(batch, 0.0)
    total.backward()
    flat = torch.cat([p.grad.flatten() for p in distiller.student.parameters() if p.grad is not None])
    means = process.total(torch.stack([total.detach(), *values.values()])) / process.world()
    return {"gradient": flat.tolist(), "means": means.tolist()}


def uneven(kind: str) -> Batch:
    """A batch whose odd rows, those of process 1, have nearly no label, or none at all, or are not there."""
    batch = table(21 if kind != "one row" else 1, seed=3).rows(torch.arange(21 if kind != "one row" else 1))
    for target in batch.targets.values():
        if kind != "one row":
            target[3 if kind == "nearly none" else 1 :: 2] = -100
        if kind == "nowhere":
            target.fill_(-100)
    return batch


KINDS = ("nearly none", "none", "nowhere", "one row")


def uneven_gradients(where: Path) -> dict[str, Any]:
    """Of each kind of batch."""
    return {kind: gradients(uneven(kind)) for kind in KINDS}


def whole_fit(where: Path) -> dict[str, Any]:
    """A run together; the last batch of an epoch has one row, so that one process has none."""
    models = fit(smooth_run(rows=49), where / "run")
    weights = torch.cat([p.flatten() for p in models["student"].parameters()])
    return {"weights": weights.tolist(), "modes": [m.training for m in models.values()]}


def balanced_run(balance: Balance) -> Run:
    """A run whose tasks and rates are balanced while it goes; most batches lack labels."""
    plan = TOGETHER.changed(schedule=CYCLES, steps=16, evaluations=2)
    return smooth_run(plan, missing=0.8, balance=balance)


def balanced_fits(where: Path) -> dict[str, Any]:
    """Runs of each kind, together."""
    for balance in BALANCES:
        fit(balanced_run(balance), where / balance.kind)
    return {}


def looked(rows: range) -> dict[str, Any]:
    """What trajectories of five samples come to, of which each process sees some, and the first twice as often."""
    ids = torch.arange(5)
    term = Follow(Trajectory(k=2, length=2), ids, "connector")
    totals = []
    for step in range(4):
        seen = (ids[:1] if step % 2 else ids).tolist()
        some = torch.tensor([i for i in seen if i % process.world() in rows], dtype=torch.long)
        every = torch.randn(2, 5, 3, 4, 6, generator=torch.Generator().manual_seed(step))
        outputs = {who: Outputs({}, {MAP: made[some]}) for who, made in zip((STUDENT, "connector"), every, strict=True)}
        value = term(Scene(Batch({}, {}, some), outputs, {}, 0.0))
        totals.append(float(process.total(value)) / process.world())
    state = {name: value.flatten().tolist() for name, value in term.state_dict().items()}
    return {"totals": totals, **state}


def trajectories(where: Path) -> dict[str, Any]:
    """Those of this process."""
    return looked(range(process.rank(), process.rank() + 1))


class StopsOne(Observer):
    """Asks the second process alone to stop."""

    def __init__(self, at: int) -> None:
        self.at = at

    def stepped(self, step: int) -> None:
        if step == self.at and process.rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)


def stopped_fit(where: Path) -> dict[str, Any]:
    """A run together that is asked to stop and goes on, beside one that is not."""
    fit(smooth_run(), where / "whole")
    said = []
    for step in (7, TOGETHER.steps or 0):
        try:
            fit(smooth_run(), where / "cut", [StopsOne(step)])
        except Interrupted as stop:
            said.append(str(stop))
    fit(smooth_run(), where / "cut")
    return {"said": said}
