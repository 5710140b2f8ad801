"""What each size of the heart-rate network costs, by torch and as exported, in fresh processes; beside what the paper
claims of 1 block against 12: 90 % less time, 60 % less memory, and parameters that fall by 98 %.

Memory that comes with a network holds the runtime's own share, which is the same for every size: about that of the
smallest network here, a perceptron as large as 1 block.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks import timing
from limbeck.cost import Cost, costs, shares
from limbeck.deployments import untrained
from limbeck.models import Model
from limbeck.models.heart import MLP, PPGResNet
from limbeck.tasks import Task

BLOCKS, QUICK = (1, 2, 4, 6, 8, 10, 12), (1, 2)
SHAPE = (1, 200)
TASK = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")


def main(quick: bool, rounds: int) -> None:
    """Prints a row for each size, and the claims beside what was measured."""
    blocks = QUICK if quick else BLOCKS
    specs: dict[str, Model] = {_name(n): PPGResNet(blocks=n) for n in blocks}
    specs |= {f"MLP as {n}": MLP(blocks=n) for n in (blocks[0], blocks[-1])}
    with tempfile.TemporaryDirectory() as folder:
        found = costs(untrained(specs, (TASK,), SHAPE, Path(folder), onnx=not quick), 20 if quick else 500, rounds)
    heads = f"{'ms':>8} {'90 %':>8} {'RAM +MB':>8} {'in all':>7} {'kB':>7} {'parameters':>11} {'MMACs':>7}"
    print(f"  {'network':12} {'by':6} {heads}", *map(_row, found), sep="\n")
    print(f"  medians of {found[0].processes} fresh processes, {found[0].calls} answers each, one window, one thread\n")
    print(f"  {_name(blocks[0])} against {_name(blocks[-1])}: time, memory, memory above the smallest's, parameters")
    for how in dict.fromkeys(cost.how for cost in found):
        by_name = {cost.name: cost for cost in found if cost.how == how}
        small, large, least = (by_name[n] for n in (_name(blocks[0]), _name(blocks[-1]), f"MLP as {blocks[0]}"))
        time, memory, parameters = shares(small, large)
        own = None if memory is None else (small.added - least.added) / (large.added - least.added) - 1
        print(f"  {how:8}", *map(_percent, (time, memory, own, parameters)))
    print(f"  {'claimed':8}", *map(_percent, (-0.9, -0.6, None, -0.98)))


def _name(blocks: int) -> str:
    return f"{blocks} block{'s' * (blocks > 1)}"


def _percent(share: float | None) -> str:
    return f"{'?' if share is None else f'{share:+.0%}':>8}"


def _row(cost: Cost) -> str:
    megabytes = [f"{b / 1e6:.1f}" if b is not None else "?" for b in (cost.added, cost.peak)]
    return (f"  {cost.name:12} {cost.how:6} {cost.median:8.3f} {cost.p90:8.3f} {megabytes[0]:>8} {megabytes[1]:>7}"
            f" {cost.bytes / 1e3:7.0f} {cost.parameters or 0:11,} {(cost.macs or 0) / 1e6:7.2f}")  # fmt: skip


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 5)
    main(asked.quick, 1 if asked.quick else asked.rounds)
