"""Ten million samples to windows, and the second start of a data set, against the usual list of slices."""

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from benchmarks import timing
from limbeck.data.recordings import Findings, Reading, Recording, SensorData, Windowing, windowed
from limbeck.data.source import Table, Windows
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]
LENGTH, STRIDE, RATE, RECORDINGS = 100, 60, 50.0, 50
TASK = Task.of("activity", ("lie", "sit", "stand", "walk", "run", "cycle"))
CROSS = Windowing(length=LENGTH, stride=STRIDE, label="last", borders="cross")
CHANNELS = ("x", "y", "z")


def recorded(samples: int) -> list[Recording]:
    """Random recordings of so many samples together; the label changes every 20 seconds."""
    draw, each = np.random.default_rng(0), samples // RECORDINGS
    made = []
    for number in range(RECORDINGS):
        bouts = draw.integers(0, len(TASK.labels), each // 1000 + 1)
        signal = draw.normal(size=(each, 3)).astype(np.float32)
        made.append(
            Recording(signal, RATE, {TASK.name: np.repeat(bouts, 1000)[:each]}, f"s{number % 10}", f"r{number}")
        )
    return made


def reading(recordings: list[Recording]) -> Reading:
    """What a data set hands over."""
    return Reading(recordings, (TASK,), CHANNELS, "m/s2", Findings(), RATE)


def listed(signal: Array, labels: Array) -> tuple[Array, Array]:
    """The usual way: slices of the one joined signal in a list, with the label of the last sample."""
    windows, targets = [], []
    for start in range(0, len(signal) - LENGTH + 1, STRIDE):
        windows.append(signal[start : start + LENGTH])
        targets.append(labels[start + LENGTH - 1])
    return np.array(windows), np.array(targets)


def joined(recordings: list[Recording]) -> tuple[Array, Array]:
    """Windows and labels of recordings, the usual way."""
    return listed(
        np.concatenate([r.signal for r in recordings]), np.concatenate([r.labels[TASK.name] for r in recordings])
    )


class Logged(SensorData):
    """A CSV file of one recording: x, y, z, activity."""

    kind: ClassVar[str] = "logged"
    root: Path
    windows: Windowing = CROSS

    def files(self) -> list[Path]:
        """The one file."""
        return [self.root]

    def read(self) -> Reading:
        """Its recording."""
        frame = pd.read_csv(self.root)
        labels = {TASK.name: frame["activity"].to_numpy()}
        return reading([Recording(frame[list(CHANNELS)].to_numpy(np.float32), RATE, labels, "s0", "r0")])


def again(path: Path) -> tuple[Array, Array]:
    """What a script does at each start: reads the file and cuts it."""
    frame = pd.read_csv(path)
    return listed(frame[list(CHANNELS)].to_numpy(np.float32), frame["activity"].to_numpy())


def same(table: Table, windows: Array, targets: Array) -> None:
    """Raises `AssertionError` where the windows are others."""
    found = table.rows(torch.arange(len(table)))
    assert np.array_equal(found.inputs["sensor"].numpy(), windows.transpose(0, 2, 1))
    assert np.array_equal(found.targets[TASK.name].numpy(), targets)


def cut(samples: int, rounds: int) -> None:
    """Windows of recordings in memory."""
    recordings = recorded(samples)
    table, (windows, targets) = windowed(reading(recordings), CROSS, "random"), joined(recordings)
    same(table, windows, targets)
    column = table.inputs["sensor"]
    assert isinstance(column, Windows)
    share = (column.signal.nbytes + column.starts.nbytes) / windows.nbytes
    whole = CROSS.changed(borders="cut")
    sides: dict[str, timing.Turn] = {
        "list of slices": lambda: joined(recordings),
        "list of slices, again (A/A)": lambda: joined(recordings),
        "limbeck, the same windows": lambda: windowed(reading(recordings), CROSS, "random"),
        "limbeck, none across a border": lambda: windowed(reading(recordings), whole, "random"),
    }
    del table, windows, targets, column
    spent = timing.measure(sides, rounds)
    print(timing.table(f"{samples:,} samples to windows of {LENGTH}", spent, "list of slices", 1, "cut"))
    print(f"  bytes kept: {share:.2f} of the list's", flush=True)


def start(samples: int, rounds: int) -> None:
    """The second start of a data set that lies in a file."""
    with tempfile.TemporaryDirectory() as at, mock.patch.dict(os.environ, LIMBECK_CACHE=str(Path(at) / "cache")):
        path, recordings = Path(at) / "log.csv", recorded(samples)
        signal = np.concatenate([r.signal for r in recordings])
        labels = np.concatenate([r.labels[TASK.name] for r in recordings])
        pd.DataFrame(signal, columns=list(CHANNELS)).assign(activity=labels).to_csv(path, index=False)
        os.utime(path, (0, 0))  # a file that changed just now is hashed anew
        data = Logged(root=path)
        first = timing.once(data.load)
        same(data.load(), *again(path))
        sides: dict[str, timing.Turn] = {
            "read and cut again": lambda: again(path),
            "read and cut again (A/A)": lambda: again(path),
            "limbeck, from its cache": data.load,
        }
        spent = timing.measure(sides, rounds)
        title = f"second start of a file of {samples:,} lines"
        print(timing.table(title, spent, "read and cut again", 1, "start"))
        print(f"  limbeck's first start, which fills the cache: {first.wall:.2f} s by the clock", flush=True)


def main(quick: bool, rounds: int) -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    cut(100_000 if quick else 10_000_000, rounds)
    start(20_000 if quick else 1_000_000, rounds)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 7)
    main(asked.quick, 2 if asked.quick else asked.rounds)
