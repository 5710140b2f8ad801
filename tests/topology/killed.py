"""Extractions that are killed, as a process of its own: python -m tests.topology.killed FOLDER.

It forks a child for each, so that one start pays for all imports.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.topology.images import PersistenceImage
from limbeck.topology.shards import extract

CHANGES = {"os.rename", "os.mkdir", "os.remove"}
IMAGE = PersistenceImage(resolution=16, sigma=0.1, low=-3, high=3)
WINDOWS = np.random.default_rng(0).normal(size=(60, 2, 30)).cumsum(-1).astype(np.float32)


def make(at: Path, shard: int) -> None:
    """An extraction of six windows, in shards of so many, or of all 60 in shards of one."""
    extract(WINDOWS[:6] if shard > 1 else WINDOWS, at, IMAGE, shard=shard, threads=1)


def _forked(at: Path, shard: int, change: int | None = None) -> int:
    """A child that extracts, and kills itself just before its change of that number to the folder."""
    child = os.fork()
    if child:
        return child
    left = change

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(args[1], str) and args[1][0] in "wax"
        if left is not None and (writes or event in CHANGES) and str(args[0]).startswith(str(at)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    try:
        make(at, shard)
        code = 0
    finally:
        os._exit(code)


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(where: Path) -> None:
    make(where / "warm", 2)
    ends = []
    while not ends or ends[-1]:
        ends.append(_ended(_forked(where / f"change-{len(ends)}", 2, len(ends))))
    draw, kills = random.Random(0), []
    for _ in range(6):
        before = len(list((where / "times").glob("*.safetensors")))
        child = _forked(where / "times", 1)
        while before >= len(list((where / "times").glob("*.safetensors"))) < 2 * len(WINDOWS):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        kills.append([_ended(child), len(list((where / "times").glob("*.safetensors")))])
    at_once = [_ended(child) for child in [_forked(where / "at-once", 1) for _ in range(2)]]
    print(json.dumps({"changes": ends, "kills": kills, "at once": at_once}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
