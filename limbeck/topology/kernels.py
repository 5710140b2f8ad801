"""Compiled loops over signals: the pairs of their sublevel sets. Only imported when first needed."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]
F = TypeVar("F", bound=Callable[..., Any])


def _kept() -> bool:
    """Whether there is a folder for compiled code: beside this file, else in the user's cache."""
    try:
        njit(cache=True)(_kept)
    except RuntimeError:  # neither can be written; each process then compiles anew
        return False
    return True


KEPT = _kept()


def compiled(inline: Literal["always", "never"] = "never") -> Callable[[F], F]:
    """Compiles a function. It lets other threads run, and divides as IEEE 754 says."""
    return cast(Callable[[F], F], njit(cache=KEPT, nogil=True, error_model="numpy", inline=inline))


@compiled()
def sublevel(signals: Array, lengths: Array, signs: Array, pairs: Array, counts: Array, essential: Array) -> Any:
    """Writes pairs `(P, 2)`, their number and the oldest birth of each diagram, for signals `(N, M, L)`.

    A diagram a channel and sign, sign outermost: a sign of -1 turns the signal over. Gives the number of pairs, and
    the window and channel of the first value that is not finite (-1 where there is none).
    """
    windows, channels, samples = signals.shape
    row = np.empty(samples, signals.dtype)
    turns = np.empty(samples + 1, signals.dtype)
    lows = np.empty(samples // 2 + 2, signals.dtype)
    highs = np.empty(samples // 2 + 2, signals.dtype)
    highs[0] = np.inf
    total, diagram = 0, 0
    for n in range(windows):
        length = lengths[n]
        for s in range(len(signs)):
            sign = signals.dtype.type(signs[s])
            for m in range(channels):
                bad = False
                for i in range(length):
                    value = signals[n, m, i]
                    bad |= not (abs(value) < np.inf)
                    row[i] = value * sign
                if bad:
                    return total, n, m
                found = _turns(row, length, turns)
                before = total
                total, oldest = _merge(turns, found, sign, lows, highs, pairs, total)
                counts[diagram] = total - before
                essential[diagram] = oldest * sign
                diagram += 1
    return total, -1, -1


@compiled(inline="always")
def _turns(row: Array, length: int, turns: Array) -> Any:
    """Minima and maxima by turns, from a minimum to a minimum; their number, which is odd.

    Equal neighbours count as falling, so a plateau on a slope makes a minimum and a maximum of one value, whose pair
    has no persistence.
    """
    found = 0
    rose = False
    for i in range(length - 1):
        rises = row[i] < row[i + 1]
        # Written always and kept by counting: no branch to guess wrong.
        turns[found] = row[i]
        found += rises != rose
        rose = rises
    turns[found] = row[length - 1]
    return found + (not rose)


@compiled(inline="always")
def _merge(turns: Array, found: int, sign: Any, lows: Array, highs: Array, pairs: Array, total: int) -> Any:
    """Pairs by the elder rule: a stack of basins between falling walls, joined as soon as a wall is not the lower."""
    low, depth = turns[0], 0
    for j in range(1, found, 2):
        wall = turns[j]
        while highs[depth] <= wall:
            other = lows[depth]
            pairs[total, 0] = max(low, other) * sign
            pairs[total, 1] = highs[depth] * sign
            total += max(low, other) < highs[depth]
            low = min(low, other)
            depth -= 1
        depth += 1
        highs[depth] = wall
        lows[depth] = low
        low = turns[j + 1]
    while depth > 0:
        other = lows[depth]
        pairs[total, 0] = max(low, other) * sign
        pairs[total, 1] = highs[depth] * sign
        total += max(low, other) < highs[depth]
        low = min(low, other)
        depth -= 1
    return total, low
