"""What one model costs in a process of its own; `limbeck.cost` starts this file as that process.

    python -m limbeck.gauge '{"how": "onnx", "path": "student.onnx", "shape": [1, 200], "repeats": 300}'

Nothing stands at the top that a device would not import: an exported model is measured without torch.

Memory is the high-water mark of what the process holds in RAM (RSS), taken from loading the model to its last answer,
and the same less what the process held after its imports. That holds weights, working memory, and those pages of the
runtime's own code that the model's operations need.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

WARM_CALLS, WARM_SECONDS = 20, 0.2
"""Answers before any is timed: as many as this, and for as long as this."""
Array = np.ndarray[Any, Any]
Answer = Callable[[Array], object]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def gauge(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Time and memory of one model, one window and one thread: `asked` says `how` (torch or onnx), `path` (the folder
    of the weights, or the file), `shape` of a sample and `repeats`; for torch, `which` model and its `modality` too.

    Milliseconds of an answer from a window in memory to probabilities: `median`, `p90`, `fastest`, over `calls`. Bytes:
    `before` (after the imports), `peak`; None where this system does not tell.
    """
    open_model = {"torch": _torch, "onnx": _onnx}[asked["how"]](asked)
    window = np.random.default_rng(0).standard_normal((1, *asked["shape"])).astype(np.float32)
    gc.collect()
    before = _restarted()
    answer = open_model()
    began, warm = time.perf_counter(), 0
    while warm < WARM_CALLS or time.perf_counter() - began < WARM_SECONDS:
        answer(window)
        warm += 1
    spent = [_timed(answer, window) for _ in range(asked["repeats"])]
    return {
        "median": statistics.median(spent),
        "p90": float(np.quantile(spent, 0.9)),
        "fastest": min(spent),
        "calls": len(spent),
        "before": before,
        "peak": _peak(),
    }


def _timed(answer: Answer, window: Array) -> float:
    began = time.perf_counter_ns()
    answer(window)
    return (time.perf_counter_ns() - began) / 1e6


def _torch(asked: Mapping[str, Any]) -> Callable[[], Answer]:
    """Imports torch; gives what loads the model."""
    import torch

    from limbeck import deployed, models

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def load() -> Answer:
        module, tasks = models.load(Path(asked["path"]), asked["which"])
        ready = deployed.Probabilities(models.fixed(module, 0), tasks, asked["modality"]).eval()

        def answer(window: Array) -> object:
            with torch.inference_mode():
                return [each.numpy() for each in ready(torch.from_numpy(window))]

        return answer

    return load


def _onnx(asked: Mapping[str, Any]) -> Callable[[], Answer]:
    """Imports onnxruntime, and not torch; gives what loads the model."""
    import onnxruntime

    def load() -> Answer:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(asked["path"], options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda window: session.run(None, {name: window})

    return load


def _restarted() -> int | None:
    """What the process holds in RAM now, in bytes; its high-water mark is begun anew where the system allows it."""
    with suppress(OSError):
        CLEAR.write_text("5")  # Linux: VmHWM := VmRSS
    return _status("VmRSS") if STATUS.is_file() else _peak()


def _peak() -> int | None:
    """The high-water mark in bytes; None where the system does not tell (Windows)."""
    if STATUS.is_file():
        return _status("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _status(name: str) -> int | None:
    line = next((l for l in STATUS.read_text().splitlines() if l.startswith(f"{name}:")), "")
    return 1024 * int(line.split()[1]) if line else None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(gauge(json.loads(sys.argv[1]))) + "\n")
