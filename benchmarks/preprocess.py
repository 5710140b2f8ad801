"""A whole set of pulse waves filtered, resampled, cut and z-scored, against the usual loop over windows."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy import signal, stats

from benchmarks import timing
from limbeck.data.ppg import HEART_RATE, PPGData, per_window
from limbeck.data.recordings import Findings, Reading, Recording
from limbeck.data.source import Table
from limbeck.data.spc import IEEESPC
from limbeck.models.heads import Normalise

Array = np.ndarray[Any, Any]
DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ieee_spc2015"
MODES: tuple[Literal["recording", "window"], ...] = ("recording", "window")


class Held(PPGData):
    """Recordings that are in memory, so that no side is timed on reading files."""

    kind: ClassVar[str] = "held"
    held: ClassVar[list[Recording]] = []
    rate: float
    once: bool = False
    """The recordings are let go while they are read."""

    def files(self) -> list[Path]:
        """None."""
        return []

    def raw(self) -> Reading:
        """What is held."""
        return Reading(self.held if self.once else list(self.held), (HEART_RATE,), ("ppg",), "", Findings(), self.rate)


def simulated(people: int, hours: float, rate: float) -> list[Recording]:
    """A pulse that wanders about 80 bpm on a wandering base line, with noise."""
    draw, samples, made = np.random.default_rng(0), int(hours * 3600 * rate), []
    bpm = np.full(int((hours * 3600 - 8) // 2) + 1, 80.0)
    labels = {HEART_RATE.name: per_window(bpm, samples, rate, "", Findings())}
    for number in range(people):
        wave = np.cumsum(draw.normal(size=samples)).astype(np.float32) * 0.05
        wave += np.sin(2 * np.pi * 80 / 60 * np.arange(samples, dtype=np.float32) / np.float32(rate))
        made.append(Recording(wave[:, None], rate, labels, f"s{number}", f"r{number}"))
    return made


def ours(mode: Literal["recording", "window"], rate: float) -> Array:
    """All windows `(N, 200)` as a model gets them behind its normalisation."""
    return scored(table(mode, rate))


def table(mode: Literal["recording", "window"], rate: float) -> Table:
    """The table of the recordings that are held."""
    data = Held(rate=rate, resampling=mode)
    return data.cut(data.read())


def scored(made: Table) -> Array:
    """The windows `(N, 200)` of a table by `Normalise`."""
    column, normalise = made.inputs["sensor"], Normalise(1, "window")
    out = torch.empty(len(made), 200)
    for at in torch.arange(len(made)).split(512):
        out[at] = normalise(column[at])[:, 0]
    return out.numpy()


def looped(rate: float, score: Callable[[Array], Array]) -> Array:
    """The usual loop: a recording is filtered whole, then one window after another is resampled and z-scored."""
    sos = signal.butter(4, [0.5, 4.0], btype="band", fs=rate, output="sos")
    length, stride, made = round(8 * rate), round(2 * rate), []
    for recording in Held.held:
        filtered = signal.sosfiltfilt(sos, recording.signal[:, 0])
        for start in range(0, len(filtered) - length + 1, stride):
            made.append(score(signal.resample(filtered[start : start + length], 200)))
    return np.array(made)


def batched(rate: float) -> Array:
    """The published form for whole recordings, at a true 25 Hz: all windows of one are resampled and scored at once."""
    sos = signal.butter(4, [0.5, 4.0], btype="band", fs=rate, output="sos")
    made = []
    for recording in Held.held:
        filtered = signal.sosfiltfilt(sos, recording.signal[:, 0])
        view = np.lib.stride_tricks.sliding_window_view(filtered, round(8 * rate))[:: round(2 * rate)]
        made.append(stats.zscore(signal.resample(view, 200, axis=1), axis=1))
    return np.concatenate(made)


def plain(window: Array) -> Array:
    """The z-score in NumPy."""
    return np.asarray((window - window.mean()) / window.std())


def compare(title: str, recordings: list[Recording], rate: float, rounds: int) -> None:
    """Prints how long each side takes and how far apart their numbers are."""
    Held.held = recordings
    windows = looped(rate, plain)
    sides: dict[str, timing.Turn] = {
        "loop, NumPy z-score": lambda: looped(rate, plain),
        "loop, NumPy z-score, again (A/A)": lambda: looped(rate, plain),
        "loop, scipy.stats.zscore": lambda: looped(rate, stats.zscore),
        "published batch of a recording": lambda: batched(rate),
    }
    sides |= {f"limbeck, resampling {mode}": partial(ours, mode, rate) for mode in MODES}
    spent, base = timing.measure(sides, rounds), "loop, NumPy z-score"
    print(timing.table(f"{title}: {len(windows)} windows", spent, base, len(windows) / 1000, "1000 windows"))
    for reference in (base, "loop, scipy.stats.zscore"):
        for mode in MODES:
            pairs = zip(spent[reference], spent[f"limbeck, resampling {mode}"], strict=True)
            faster = timing.Ratio.of([a.cpu / b.cpu for a, b in pairs])
            print(f"  resampling {mode}: {faster} times as fast as {reference}")
    for mode in MODES:
        apart = np.abs(ours(mode, rate) - windows)
        told = f"{apart.max():.1e}, without the first and last second {apart[:, 25:-25].max():.1e}"
        print(f"  largest difference, resampling {mode}: {told}")
    made = table("window", rate).rows(torch.arange(len(windows))).inputs["sensor"][:, 0].double().numpy()
    exact = np.abs((made - made.mean(axis=1, keepdims=True)) / made.std(axis=1, keepdims=True) - windows).max()
    assert exact < 1e-6, exact
    print(f"  of which float32 windows {exact:.1e}, their z-score in float64", flush=True)


def start(people: int, hours: float) -> None:
    """Prints what the first start of a set of so many people takes, each way in a process of its own."""
    for mode in MODES:
        code = f"from benchmarks.preprocess import day; day({mode!r}, {people}, {hours})"
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        print(f"{people} people, {hours:g} h at 128 Hz, resampling {mode}: {told.strip()}", flush=True)


def day(mode: Literal["recording", "window"], people: int, hours: float) -> None:
    """Prints seconds and memory of one start."""
    Held.held = simulated(people, hours, 128.0)
    raw, data, cpu, wall = (
        _peak(),
        Held(rate=128.0, resampling=mode, once=True),
        time.process_time(),
        time.perf_counter(),
    )
    made = data.cut(data.read())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{len(made)} windows, {cpu:.1f} s CPU, {wall:.1f} s by the clock, {_peak():.2f} GB at most ({raw:.2f} raw)")


def _peak() -> float:
    """GB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(quick: bool, rounds: int) -> None:
    """Prints a table for the real set, where it is there, and for simulated ones, then the start of a large one."""
    torch.set_num_threads(1)
    if DATA.is_dir() and not quick:
        compare("IEEE SPC 2015, 125 Hz", IEEESPC(root=DATA).raw().recordings, 125.0, rounds)
    for rate in (64.0, 128.0):
        hours = 0.2 if quick else 16
        compare(f"simulated, {hours:g} h at {rate:g} Hz", simulated(1, hours, rate), rate, rounds)
    if quick:
        day("window", 2, 0.2)
    else:
        start(16, 13.0)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 5)
    main(asked.quick, 2 if asked.quick else asked.rounds)
