"""The baseline without learning: the peak of each window's spectrum, tracked along a session."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from limbeck.data.source import Table
from limbeck.data.split import Split
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]

# The same for every data set. Chosen among some 3,500 settings by the error on the 12 training people of the IEEE
# Signal Processing Cup 2015, which that flatters; that a track looks both ways was settled with the errors on its test
# people in view.
DRIFT, JUMP = 6.0, 1e-4
"""How a heart rate goes on 2 s later: by a normal distribution of so many bpm, and with this probability anyhow."""
FLOOR = 0.01
"""Power that every frequency has beside the largest peak."""
LAG = 0.12
"""Seconds that motion may come before or after its trace in the pulse wave."""
RIDGE = 0.1
"""What keeps motion's share small where its channels are alike, as a share of their mean power."""
PAUSE = 60.0
"""Seconds without a window after which a track begins anew."""


def peaks(split: Split, task: Task, tracked: bool = True) -> dict[str, Tensor]:
    """Log-probabilities `(N, C)` over the bins of a task, for each part; nothing is learnt from any of them.

    The argmax is the tracked peak. Not `tracked`: each window by itself.
    """
    tables = {"train": split.train, "valid": split.valid, "test": split.test}
    return {
        name: track(table, task) if tracked else spectra(table, task).log_softmax(dim=1)
        for name, table in tables.items()
    }


def spectra(table: Table, task: Task, chunk: int = 2048) -> Tensor:
    """The log of each window's power at the bins of a task, as a share of its largest: `(N, C)`, at least log `FLOOR`.

    The first channel is the pulse wave. What channels named `acc...` explain of it, within a short lag, is taken away
    by least squares before. A window without power is the same at all bins.
    """
    column, card = table.inputs["sensor"], _card(table)
    rate, motion = card["rate"], [i for i, name in enumerate(card["channels"]) if name.startswith("acc")]
    made = torch.empty(len(column), task.classes or 0)
    for at in torch.arange(len(column)).split(chunk):
        x = column[at].double().numpy()
        x -= x.mean(axis=2, keepdims=True)
        wave = _without(x[:, 0], x[:, motion], max(1, round(LAG * rate))) if motion else x[:, 0]
        # The transform at the very bins, rather than a padded one and a look between its frequencies.
        turns = np.exp(2j * np.pi / rate * np.outer(np.arange(wave.shape[1]), task.centres().numpy() / 60))
        power = np.abs(wave @ turns) ** 2
        largest = power.max(axis=1, keepdims=True)
        share = np.divide(power, largest, out=np.ones_like(power), where=largest > 0)
        made[at] = torch.from_numpy(np.log(share + FLOOR)).float()
    return made


def track(table: Table, task: Task) -> Tensor:
    """Log-probabilities `(N, C)` of a heart rate given all windows of its session, before and after.

    A hidden Markov chain over the bins, whose windows have a say by the power of their spectrum.
    """
    card = _card(table)
    step = card["stride"] / card["rate"]
    # Windows that overlap say the same thing several times.
    say = spectra(table, task) * min(1.0, 2 * card["stride"] / card["window"])
    bpm = task.centres().numpy()
    moves = np.exp(-0.5 * ((bpm[:, None] - bpm) / DRIFT) ** 2 / (step / 2))
    moves = (1 - JUMP) * moves / moves.sum(axis=1, keepdims=True) + JUMP / len(bpm)
    places = list(_stretches(table, step))
    heard = np.ones((max((int(at.max()) + 1 for _, at in places), default=0), len(places), len(bpm)), np.float32)
    for number, (rows, at) in enumerate(places):
        heard[at, number] = torch.exp(say[rows]).numpy()
    known = _smoothed(heard, moves.astype(np.float32))
    made = torch.empty_like(say)
    for number, (rows, at) in enumerate(places):
        made[rows] = torch.from_numpy(np.log(known[at, number]))
    return made


def _without(wave: Array, motion: Array, lag: int) -> Array:
    """A wave `(N, L)` without what channels `(N, A, L)` explain of it at lags of up to so many samples: `(N, L')`."""
    length = wave.shape[1] - 2 * lag
    lagged = sliding_window_view(motion, length, axis=2).reshape(len(wave), -1, length)
    wave = wave[:, lag : lag + length]
    square = lagged @ lagged.transpose(0, 2, 1)
    power = np.trace(square, axis1=1, axis2=2) / square.shape[1]
    square += np.eye(square.shape[1]) * (RIDGE * power + (power == 0))[:, None, None]
    weights = np.linalg.solve(square, lagged @ wave[:, :, None])
    left: Array = wave - (weights * lagged).sum(axis=1)
    left -= left.mean(axis=1, keepdims=True)
    return left


def _stretches(table: Table, step: float) -> Iterator[tuple[Array, Array]]:
    """The rows of each stretch of a session, in order of time, and their places on a grid of `step` seconds."""
    names = np.char.add(np.char.add(table.meta["subject"].astype(str), "\n"), table.meta["session"].astype(str))
    start = table.meta["start"]
    order = np.lexsort((start, names))
    new = (names[order][1:] != names[order][:-1]) | (np.diff(start[order]) > PAUSE)
    for rows in np.split(order, np.flatnonzero(new) + 1):
        if len(rows):
            yield rows, np.rint((start[rows] - start[rows[0]]) / step).astype(np.int64)


def _smoothed(heard: Array, moves: Array) -> Array:
    """Probabilities `(T, S, C)` of S hidden chains at each of T times, from likelihoods of that shape and the chances
    of moves `(C, C)`: forwards, then backwards."""
    known = np.empty_like(heard)
    belief = np.full(heard.shape[1:], 1 / len(moves), np.float32)
    for time, said in enumerate(heard):
        belief = (belief @ moves) * said
        belief /= belief.sum(axis=1, keepdims=True)
        known[time] = belief
    later = np.ones_like(belief)
    for time in range(len(heard) - 2, -1, -1):
        later = (later * heard[time + 1]) @ moves.T
        later /= later.sum(axis=1, keepdims=True)
        known[time] *= later
        known[time] /= known[time].sum(axis=1, keepdims=True)
    return known


def _card(table: Table) -> Mapping[str, Any]:
    """What is said of the windows; of several data sets as one, by the first."""
    card: Mapping[str, Any] = table.card["parts"][0] if "parts" in table.card else table.card
    return card
