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
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import resident

WARM_CALLS, WARM_SECONDS = 20, 0.2
"""Answers before any is timed: as many as this, and for as long as this."""
Array = np.ndarray[Any, Any]
Answer = Callable[[Array], object]


def gauge(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Time and memory of one model, one window and one thread: `asked` says `how` (torch or onnx), `path` (the folder
    of the weights, or the file), `shape` of a sample and `repeats`; for torch, `which` model and its `modality` too.

    Milliseconds of an answer from a window in memory to probabilities: `median`, `p90`, `fastest`, over `calls`. Bytes:
    `before` (after the imports), `peak`; None where this system does not tell.
    """
    open_model = {"torch": _torch, "onnx": _onnx}[asked["how"]](asked)
    window = np.random.default_rng(0).standard_normal((1, *asked["shape"])).astype(np.float32)
    gc.collect()
    before = resident.restarted()
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
        "peak": resident.peak(),
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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(gauge(json.loads(sys.argv[1]))) + "\n")
