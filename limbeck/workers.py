"""Processes that run the cells of a study, one at a time each, and what happens when one fails or dies."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import torch

from limbeck import checkpoint
from limbeck.errors import Interrupted, InUse, UserError
from limbeck.grid import Cell
from limbeck.observers import Observer

FINISHED, FAILED, ELSEWHERE = "finished", "failed", "elsewhere"
PATIENCE = 10.0
"""Seconds that a process has for leaving when told to."""
Say = Callable[[Cell, int, int], None]
"""Hears from a cell: the step that it is at, of how many."""


class Told(Observer):
    """Passes steps on, twice a second."""

    def __init__(self, say: Callable[[int, int], None]) -> None:
        self.say, self.steps, self.told = say, 0, 0.0

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.steps, self.told = steps, 0.0
        self.stepped(step)

    def stepped(self, step: int) -> None:
        if time.monotonic() - self.told > 0.5:
            self.told = time.monotonic()
            self.say(step, self.steps)


def finished(at: Path) -> bool:
    """Whether a cell has its scores, which are written last."""
    return (at / "scores.json").is_file()


def stages(at: Path) -> Path | None:
    """Where the cell of a study has the stages that it shares; None for a run of its own."""
    study = at.absolute().parent.parent
    return study / "stages" if at.absolute().parent.name == "cells" and (study / "study.json").is_file() else None


def attempt(cell: Cell, at: Path, observers: Sequence[Observer]) -> str:
    """Runs a cell: finished, failed (the reason is kept as `failed.json`), or in use elsewhere.

    Raises `Interrupted` when told to stop.
    """
    try:
        cell.recipe.run(at, observers, stages(at))
    except InUse:
        return ELSEWHERE
    except Interrupted:
        raise
    except Exception as error:  # whatever a cell dies of, the others go on
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        fail(at, said, traceback.format_exc())
        return FAILED
    (at / "failed.json").unlink(missing_ok=True)
    return FINISHED


def fail(at: Path, error: str, trace: str = "") -> None:
    """Records why a cell failed."""
    checkpoint.write_json(at / "failed.json", {"error": " ".join(error.split()), "traceback": trace.splitlines()})


def failure(at: Path) -> str | None:
    """Why a cell failed; None where it did not."""
    path = at / "failed.json"
    return None if finished(at) or not path.is_file() else str(checkpoint.read_json(path)["error"])


class Crew(Protocol):
    """Those who run cells."""

    def free(self) -> bool:
        """Whether another cell can be given."""

    def give(self, cell: Cell, at: Path) -> None:
        """Has a cell run."""

    def wait(self, seconds: float) -> list[tuple[Cell, str]]:
        """What came of cells, as soon as there is anything, or nothing after so long."""

    def stop(self) -> None:
        """Has all save and leave."""


class Alone(Crew):
    """This process, without others: a cell is run as it is given."""

    def __init__(self, observers: Sequence[Observer], say: Say) -> None:
        self.observers, self.say = observers, say
        self.done: list[tuple[Cell, str]] = []

    def free(self) -> bool:
        return not self.done

    def give(self, cell: Cell, at: Path) -> None:
        told = Told(lambda step, steps: self.say(cell, step, steps))
        self.done.append((cell, attempt(cell, at, [*self.observers, told])))

    def wait(self, seconds: float) -> list[tuple[Cell, str]]:
        if not self.done:
            time.sleep(seconds)
        done, self.done = self.done, []
        return done

    def stop(self) -> None:
        pass


class Processes(Crew):
    """So many processes, each with its share of the cores. One that dies is replaced, and its cell has failed."""

    def __init__(self, count: int, log: Path, say: Say) -> None:
        self.count, self.log, self.say = count, log, say
        self.threads = max(1, (os.cpu_count() or 1) // count)
        self.context = get_context("spawn")
        self.idle: list[Worker] = []
        self.busy: dict[Any, Worker] = {}

    def free(self) -> bool:
        return len(self.busy) < self.count

    def give(self, cell: Cell, at: Path) -> None:
        worker = self.idle.pop() if self.idle else Worker(self.context, self.log, self.threads)
        worker.cell, worker.at = cell, at
        self.busy[worker.pipe] = worker
        worker.pipe.send((cell, at))

    def wait(self, seconds: float) -> list[tuple[Cell, str]]:
        if not self.busy:
            time.sleep(seconds)
        done = []
        for pipe in connection.wait(list(self.busy), seconds):
            worker = self.busy[pipe]
            outcome = self.heard(worker)
            if outcome:
                del self.busy[pipe]
                done.append((worker.cell, outcome))
        return done

    def heard(self, worker: "Worker") -> str:
        """One message of a worker: what came of its cell; empty where it only told how far it is."""
        try:
            message = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            fail(worker.at, worker.death(self.log))
            return FAILED
        if isinstance(message, str):
            self.idle.append(worker)
            return message
        self.say(worker.cell, *message)
        return ""

    def stop(self) -> None:
        workers = [w.process for w in (*self.idle, *self.busy.values())]
        self.idle, self.busy = [], {}
        # The first asks `fit` to save and leave, the second to leave, and what does not listen is killed: all that
        # counts is on disk at any time.
        for end in (BaseProcess.terminate, BaseProcess.terminate, BaseProcess.kill):
            for process in workers:
                end(process)
            until = time.monotonic() + PATIENCE
            for process in workers:
                process.join(max(0.0, until - time.monotonic()))
            workers = [process for process in workers if process.is_alive()]


class Worker:
    """One process, the pipe to it and the cell it has."""

    cell: Cell
    at: Path

    def __init__(self, context: Any, log: Path, threads: int) -> None:
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, log, threads), daemon=True)
        self.process.start()
        other.close()

    def death(self, log: Path) -> str:
        """How it died."""
        self.process.join()
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            return "its process was killed (signal 9), as happens for want of memory; use fewer --workers"
        return f"its process died ({f'signal {-code}' if code < 0 else f'exit code {code}'}); {log} may say why"


def serve(pipe: Any, log: Path, threads: int) -> None:
    """A worker's life: runs the cells it is sent, until its parent stops it or is gone."""
    if os.name == "posix":
        # Ctrl-C goes to the parent alone, which passes it on once; a second one would cut `fit` before it has saved.
        os.setpgrp()
    sys.stdout.flush()
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(threads)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        while True:
            cell, at = pipe.recv()
            pipe.send(attempt(cell, at, [Told(lambda step, steps: _tell(pipe, step, steps))]))
    except (Interrupted, KeyboardInterrupt, EOFError, BrokenPipeError):
        return


def _tell(pipe: Any, step: int, steps: int) -> None:
    with suppress(BrokenPipeError):  # the parent is gone: `_leave_with_parent` sees to it, after saving
        pipe.send((step, steps))


def _leave_with_parent() -> None:
    """Saves and stops as soon as the parent is gone, however it went."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
