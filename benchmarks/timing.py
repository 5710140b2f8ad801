"""Interleaved measurement: sides take turns in random order, and only ratios within one round are trusted."""

import os
import random
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context, set_start_method
from multiprocessing.connection import Connection
from typing import NamedTuple

Turn = Callable[[], object]


class Spent(NamedTuple):
    """Seconds that a turn took: of CPU (with child processes that ended in it) and by the clock."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles, over rounds, of what a side took by what the reference took in the same round."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Ratio":
        """Of at least two rounds."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}..{self.high:.3f})"


def once(turn: Turn) -> Spent:
    """What one turn takes; what it says itself if it ran elsewhere."""
    cpu, wall = _cpu(), time.perf_counter()
    said = turn()
    return said if isinstance(said, Spent) else Spent(_cpu() - cpu, time.perf_counter() - wall)


@contextmanager
def apart(sides: Mapping[str, Callable[[], Turn]]) -> Iterator[dict[str, Turn]]:
    """The turns of sides that each have a fresh process of their own, as where the memory allocator differs.

    A side is a function of a module, or a `partial` of one, which makes its turn there.
    """
    context, pipes, processes = get_context("spawn"), {}, []
    for name, make in sides.items():
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(make, theirs)))
        processes[-1].start()
    try:
        yield {name: partial(_asked, pipe) for name, pipe in pipes.items()}
    finally:
        for pipe in pipes.values():
            pipe.send(False)
        for process in processes:
            process.join()


def _serve(make: Callable[[], Turn], pipe: Connection) -> None:
    # What this process starts is to begin as it would anywhere, not anew because this one did.
    set_start_method(get_all_start_methods()[0], force=True)
    turn = make()
    while pipe.recv():
        pipe.send(once(turn))


def _asked(pipe: Connection) -> Spent:
    pipe.send(True)
    spent: Spent = pipe.recv()
    return spent


def _cpu() -> float:
    now = os.times()
    return time.process_time() + now.children_user + now.children_system


def measure(sides: Mapping[str, Turn], rounds: int, warm: int = 1, seed: int = 0) -> dict[str, list[Spent]]:
    """What every turn took, by side.

    In each round each side has one turn, in an order drawn anew; the `warm` rounds before them do not count.
    """
    draw = random.Random(seed)
    spent: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(-warm, rounds):
        for name in draw.sample(list(sides), len(sides)):
            one = once(sides[name])
            if number >= 0:
                spent[name].append(one)
    return spent


def ratios(spent: Mapping[str, list[Spent]], reference: str, by: str = "cpu") -> dict[str, Ratio]:
    """Each side against the reference, round by round; `by` is cpu or wall."""
    base = [getattr(s, by) for s in spent[reference]]
    return {
        name: Ratio.of([getattr(s, by) / b for s, b in zip(turns, base, strict=True)]) for name, turns in spent.items()
    }


def table(title: str, spent: Mapping[str, list[Spent]], reference: str, per: float = 1, unit: str = "step") -> str:
    """The ratios as text. A turn is `per` units; their milliseconds (medians) are for orientation, no more."""
    cpu, wall = ratios(spent, reference, "cpu"), ratios(spent, reference, "wall")
    rounds = len(spent[reference])
    lines = [title, f"  {'side':34} {'CPU x ' + reference:24} {'wall x':24} {'CPU ms':>8} {'wall ms':>8}  by {unit}"]
    for name, turns in spent.items():
        ms = [1000 * statistics.median(getattr(s, by) for s in turns) / per for by in ("cpu", "wall")]
        lines.append(f"  {name:34} {cpu[name]!s:24} {wall[name]!s:24} {ms[0]:8.3f} {ms[1]:8.3f}")
    return "\n".join([*lines, f"  median (quartiles) of {rounds} rounds"])


def arguments(about: str, rounds: int, *words: str) -> Namespace:
    """What all benchmarks are asked: `--rounds`, and `--quick` for tiny sizes that only show that it runs; and `words`
    that may be left away, empty then."""
    parser = ArgumentParser(description=about)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each side (default {rounds})")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, and nothing else")
    for word in words:
        parser.add_argument(word, nargs="?", default="")
    return parser.parse_args()
