"""What training costs: the time of a step, and memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from limbeck import process, resident


class Footprint:
    """Time and memory of the steps that this process has made; `begin` before the first, and after every `rest`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds, self.since = 0.0, 0.0
        process.give_back()  # what a teacher's training before this has left
        self.before = resident.restarted()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def begin(self) -> None:
        """Steps follow."""
        self.since = time.perf_counter()

    def rest(self) -> None:
        """Something else follows."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.perf_counter() - self.since

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Something else, between two steps."""
        self.rest()
        try:
            yield
        finally:
            self.begin()

    def told(self, steps: int) -> dict[str, Any]:
        """As `cost.json` has it, after so many steps. `step` in seconds, a mean; `before` and `peak` in bytes of RAM,
        None where the system does not tell; `device`, the most bytes on a GPU."""
        on_device = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None
        peak = resident.peak()
        if peak is not None and self.before is not None:
            peak = max(peak, self.before)  # the system counts both on its own, and not quite alike
        step = self.seconds / steps if steps else None
        return {"steps": steps, "step": step, "before": self.before, "peak": peak, "device": on_device}
