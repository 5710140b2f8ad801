"""Persistence diagrams of signals: connected components of their sublevel sets, by the elder rule."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from limbeck.errors import UserError, unknown

Array = np.ndarray[Any, Any]
Filtration = Literal["sublevel", "superlevel", "both"]
SIGNS: dict[str, tuple[int, ...]] = {"sublevel": (1,), "superlevel": (-1,), "both": (1, -1)}
PART = 1 << 18
"""Samples that are worked on at once: their pairs stay in the cache until they are kept."""
P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Diagrams:
    """The diagrams of N windows of M channels, one after another (window by window), in two arrays."""

    pairs: Array
    """(P, 2): birth and death of what dies, in the signal's own values and type."""
    offsets: Array
    """(N * M + 1,) int64: where the pairs of a diagram begin, and end."""
    essential: Array
    """(N * M,): birth of the one that never dies."""
    shape: tuple[int, int]
    """N, M."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return int(self.pairs.nbytes + self.offsets.nbytes + self.essential.nbytes)

    def of(self, window: int, channel: int) -> Array:
        """The pairs `(p, 2)` of one diagram."""
        number = range(self.shape[0])[window] * self.shape[1] + range(self.shape[1])[channel]
        return self.pairs[self.offsets[number] : self.offsets[number + 1]]

    def windows(self, index: Any = None) -> Array:
        """The numbers of some windows, told by numbers, a mask or a slice; of all where nothing is told."""
        every: Array = np.arange(len(self))
        if index is None or isinstance(index, slice):
            return every[index or slice(None)]
        asked = np.asarray(index)
        return np.ravel(every[asked if asked.size else asked.astype(np.int64)])

    def take(self, index: Any) -> "Diagrams":
        """The diagrams of some windows, which may be told in any way that `windows` knows."""
        windows = self.windows(index)
        numbers = (windows.reshape(-1, 1) * self.shape[1] + np.arange(self.shape[1])).ravel()
        begins, counts = self.offsets[numbers], np.diff(self.offsets)[numbers]
        offsets = _ends(counts)
        rows = np.repeat(begins - offsets[:-1], counts) + np.arange(offsets[-1])
        return Diagrams(self.pairs[rows], offsets, self.essential[numbers], (windows.size, self.shape[1]))

    def cut(self, least: float) -> "Diagrams":
        """Without the pairs whose persistence is not above `least`."""
        kept = np.abs(np.subtract(self.pairs[:, 1], self.pairs[:, 0], dtype=np.float64)) > least
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        return Diagrams(self.pairs[kept], before[self.offsets], self.essential, self.shape)

    def save(self, path: Path) -> None:
        """Writes a safetensors file in one piece."""
        import torch

        from limbeck.checkpoint import save_tensors

        arrays = {"pairs": self.pairs, "offsets": self.offsets, "essential": self.essential, "shape": self.shape}
        save_tensors(path, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})

    @classmethod
    def load(cls, path: Path) -> "Diagrams":
        """What `save` wrote. Raises `UserError` where the file is missing or is something else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            arrays = load_file(path)
            windows, channels = map(int, arrays["shape"])
            return cls(arrays["pairs"], arrays["offsets"], arrays["essential"], (windows, channels))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: no diagrams were saved there") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path} holds no diagrams ({error})") from None


def persistence(
    signals: Any, filtration: Filtration = "sublevel", lengths: Any = None, threads: int | None = None
) -> Diagrams:
    """Diagrams of dimension 0 of signals, as the path graph on their samples gives them.

    Signals are `(N, M, L)`, `(N, L)` for one channel, or a list of `(M, L_i)`; with `lengths` `(N,)` what is beyond
    them is not looked at. float32 stays, other types become float64. Of two equal minima the earlier is the elder;
    pairs of no persistence (plateaus) are left out. `superlevel` are the pairs of -x told in values of x, so
    birth > death; `both` has the 2 M channels of the one and then the other.

    Raises `UserError` for a value that is not finite, naming window and channel, and for a window without samples.
    [Edelsbrunner, Letscher, Zomorodian 2002]
    """
    if filtration not in SIGNS:
        raise unknown("filtration", str(filtration), SIGNS)
    parts = _parts(signals, lengths)
    signs = np.array(SIGNS[filtration], np.int64)
    found = spread(lambda part: _found(part, signs), parts, threads)
    counts = np.concatenate([f[1] for f in found])
    channels = parts[0][1].shape[1] * len(signs)
    return Diagrams(
        np.concatenate([f[0] for f in found]),
        _ends(counts),
        np.concatenate([f[2] for f in found]),
        (len(counts) // channels, channels),
    )


def joined(diagrams: Sequence[Diagrams]) -> Diagrams:
    """The windows of several as one. Raises `UserError` where there are none, or they differ in channels."""
    channels = {d.shape[1] for d in diagrams}
    if len(channels) != 1:
        raise UserError(
            f"diagrams to join have {', '.join(map(str, sorted(channels))) or 'no'} channels; expected one number"
        )
    return Diagrams(
        np.concatenate([d.pairs for d in diagrams]),
        _ends(np.concatenate([np.diff(d.offsets) for d in diagrams])),
        np.concatenate([d.essential for d in diagrams]),
        (sum(map(len, diagrams)), channels.pop()),
    )


def cores(threads: int | None = None) -> int:
    """Threads to use: as asked, else as `OMP_NUM_THREADS` says, else one for each core that this process may use."""
    if threads is not None and threads < 1:
        raise UserError(f"threads is {threads}; use 1 or more")
    told = os.environ.get("OMP_NUM_THREADS", "")
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return threads or (int(told) if told.isdigit() and int(told) else allowed)


def spread(work: Callable[[P], R], parts: Sequence[P], threads: int | None) -> list[R]:
    """What the parts give, in order, worked on by some threads."""
    workers = min(cores(threads), len(parts))
    if workers < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, parts))


def _ends(counts: Array) -> Array:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _parts(signals: Any, lengths: Any) -> list[tuple[int, Array, Array]]:
    """The signals in parts, views where they may be: number of the first window, signals `(n, M, L)`, lengths."""
    if isinstance(signals, (list, tuple)):
        if lengths is not None:
            raise UserError("lengths go with one padded array; a list of signals tells them itself")
        arrays = [_real(s)[None] if np.ndim(s) > 1 else _real(s)[None, None] for s in signals]
        if len({a.shape[1] for a in arrays}) > 1:
            raise UserError(f"signals of one list differ in channels: {sorted({a.shape[1] for a in arrays})}")
        kind = np.result_type(*arrays) if arrays else np.float64
        stacked = [np.concatenate(arrays)] if len({a.shape for a in arrays}) == 1 else arrays
        given = [(a.astype(kind, copy=False), np.full(len(a), a.shape[-1])) for a in stacked]
    else:
        array = _real(signals)
        array = array[:, None] if array.ndim == 2 else array
        given = [(array, np.full(len(array), array.shape[-1]) if lengths is None else _checked(lengths, array))]
    parts, first = [], 0
    for array, own in given:
        if array.ndim != 3 or array.shape[1] == 0:
            raise UserError(f"signals are (N, M, L) or (N, L), not of shape {array.shape}")
        if (own < 1).any():
            raise UserError(f"window {first + int(np.argmax(own < 1))} has no samples; leave it out")
        step = max(1, PART // (array.shape[1] * max(1, array.shape[2])))
        cuts = range(0, len(array), step)
        parts += [(first + at, array[at : at + step], own[at : at + step].astype(np.int64)) for at in cuts]
        first += len(array)
    return parts or [(0, np.empty((0, *given[0][0].shape[1:]) if given else (0, 1, 1)), np.empty(0, np.int64))]


def _real(signal: Any) -> Array:
    array = np.asarray(signal)
    if array.dtype.kind not in "fiub":
        raise UserError(f"signals are of type {array.dtype}; expected numbers")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _checked(lengths: Any, array: Array) -> Array:
    own = np.asarray(lengths)
    if own.shape != (len(array),) or own.dtype.kind not in "iu" or (own > array.shape[-1]).any():
        raise UserError(f"lengths are {len(array)} whole numbers of at most {array.shape[-1]}, one for each window")
    return own


def _found(part: tuple[int, Array, Array], signs: Array) -> tuple[Array, Array, Array]:
    """Pairs, their counts and the oldest births of one part."""
    from limbeck.topology.kernels import sublevel

    first, signals, lengths = part
    diagrams = len(signals) * signals.shape[1] * len(signs)
    # A pair needs two samples, and is written before it is known to count.
    pairs = np.empty((diagrams * ((signals.shape[2] - 1) // 2) + 1, 2), signals.dtype)
    counts, essential = np.empty(diagrams, np.int64), np.empty(diagrams, signals.dtype)
    total, window, channel = sublevel(signals, lengths, signs, pairs, counts, essential)
    if window >= 0:
        raise UserError(
            f"window {first + window}, channel {channel} has a value that is not finite; mend it or leave it out"
        )
    return pairs[:total].copy(), counts, essential
