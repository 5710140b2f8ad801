"""Which of several processes this is, sums over them, and randomness as a function of (seed, step, purpose)."""

import ctypes
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from limbeck.errors import UserError

T = TypeVar("T")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Of glibc's `mallopt`."""


def active() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """The number of this process, 0 when it is alone."""
    return dist.get_rank() if active() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if active() else 1


def total(x: Tensor) -> Tensor:
    """The sum of `x` over all processes; no gradient passes."""
    if not active():
        return x
    summed = x.detach().clone()
    dist.all_reduce(summed)
    return summed


def from_leader(value: T) -> T:
    """The value that process 0 has, given to all (any picklable object)."""
    if not active():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gathered(x: Tensor) -> Tensor:
    """The rows of `x` of all processes, one after another; each may have another number of them."""
    if not active():
        return x
    parts: list[Tensor | None] = [None] * world()
    dist.all_gather_object(parts, x.cpu())
    return torch.cat([part.to(x.device) for part in parts if part is not None])


def anywhere(flag: bool) -> bool:
    """Whether a flag is set in any of the processes."""
    return bool(total(torch.tensor(int(flag)))) if active() else flag


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that `torchrun` started, if it did, for the length of a `with` block."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or active():
        yield
        return
    # Flags and scores, which are on the CPU, are exchanged as well as gradients.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # The others wait while the first evaluates and scores, which takes as long as the data are large.
    dist.init_process_group(backend, timeout=timedelta(hours=2))
    try:
        yield
    finally:
        dist.destroy_process_group()


def batches(samples: int, batch: int) -> int:
    """Batches of one pass. The last one is smaller, and left out of the pass where it would be too small for statistics
    over it: fewer than two samples a process."""
    whole, rest = divmod(samples, batch)
    return whole + (rest >= 2 * world()) or 1


def fold(seed: int, *keys: int | str) -> int:
    """A seed for one purpose, as `fold(seed, "order", epoch)`: the same in every process and in every run."""
    text = "/".join(map(str, (seed, *keys))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def seed(value: int, device: torch.device) -> None:
    """Seeds the generator that a device draws from."""
    # torch.manual_seed also prepares devices that are not there, which takes longer than a small model's backward.
    (torch.default_generator if device.type == "cpu" else torch).manual_seed(value)


def keep_memory() -> None:
    """Lets this process keep memory that it frees, up to 512 MB, for what comes next; does nothing without glibc.

    A training step frees and takes megabytes again and again. Given back to the system each time, they are mapped and
    cleared page by page each time (docs/decisions/0006-freed-memory-is-kept.md).
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library has no mallopt, or does not need it
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 512 << 20), (_TOP_PAD, 64 << 20)):
            mallopt(parameter, value)


def give_back() -> None:
    """Gives the system what this process has freed and kept; does nothing without glibc."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def generator(seed: int, *keys: int | str) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(fold(seed, *keys))


def device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` is CUDA where there is one, of this process's number, else the CPU."""
    if name != "auto":
        try:
            named = torch.device(name)
        except RuntimeError:
            raise UserError(f"plan.device: no device {name!r}; known: auto, cpu, cuda, cuda:1, mps") from None
        if named.type == "cuda" and not torch.cuda.is_available():
            raise UserError(f"plan.device: {name!r} was asked for, but there is no CUDA here; use auto or cpu")
        return named
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
