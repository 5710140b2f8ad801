"""A trained model as a device calls it: raw windows in, probabilities out; from a run folder or from an ONNX file."""

import copy
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import models
from limbeck.batch import Batch
from limbeck.config import digest
from limbeck.errors import UserError
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]
Card = Mapping[str, Any]
INPUT = "window"
"""The name of an ONNX file's input; its outputs are named by their tasks."""
SEAL = b"limbeck-seal-"
"""What comes before the 16 digits that name all other bytes of an ONNX file."""
RENAMED = {"imu": "sensor"}
"""Modalities that older run folders call otherwise."""
UNSEALED = SEAL + b"0" * 16


class Probabilities(nn.Module):
    """A model from raw windows `(B, M, L)` to one answer a task: probabilities `(B, C)`, or real values `(B, 1)`."""

    def __init__(self, model: nn.Module, tasks: Sequence[Task], modality: str) -> None:
        super().__init__()
        self.model, self.tasks, self.modality = model, tuple(tasks), modality

    def forward(self, window: Tensor) -> tuple[Tensor, ...]:
        ids = torch.zeros(window.shape[0], dtype=torch.long, device=window.device)
        logits = self.model(Batch({self.modality: window}, {}, ids)).logits
        return tuple(logits[t.name].softmax(dim=1) if t.classes else logits[t.name] for t in self.tasks)


class TorchModel:
    """A trained module: `model(windows)` gives probabilities `(B, C)`, or real values `(B, 1)`, by task.

    A copy, on the CPU and in evaluation mode. Raises `UserError` for windows of another shape and for NaN.
    """

    def __init__(self, module: nn.Module, tasks: Sequence[Task], card: Card) -> None:
        self.tasks, self.card = tuple(tasks), card
        self.module = Probabilities(copy.deepcopy(module).cpu(), tasks, modality(card)).eval()

    def __call__(self, windows: Array) -> dict[str, Array]:
        with torch.inference_mode():
            answers = self.module(torch.from_numpy(_checked(windows, self.card)))
        return {task.name: answer.numpy() for task, answer in zip(self.tasks, answers, strict=True)}


class EdgeModel:
    """An exported model, run by onnxruntime alone: `model(windows)` answers as a `TorchModel` does.

    Raises `UserError` for bytes that are not as they were sealed, for windows of another shape, and for NaN.
    """

    def __init__(self, data: bytes, name: str = "the exported model", threads: int = 1) -> None:
        runtime = onnx_extra("onnxruntime")
        if not _intact(data):
            raise UserError(f"{name} is damaged, or was not written by 'limbeck export': export it again")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.card: Card = json.loads(self._session.get_modelmeta().custom_metadata_map["limbeck"])
        self.tasks = tuple(map(Task.from_plain, self.card["tasks"]))

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> "EdgeModel":
        """The model of a file."""
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        return cls(path.read_bytes(), str(path), threads)

    def __call__(self, windows: Array) -> dict[str, Array]:
        answers = self._session.run([t.name for t in self.tasks], {INPUT: _checked(windows, self.card)})
        return {task.name: np.asarray(answer) for task, answer in zip(self.tasks, answers, strict=True)}


def opened(path: Path) -> TorchModel | EdgeModel:
    """The student of a run folder, or the model of an exported `.onnx` file."""
    if path.suffix == ".onnx":
        return EdgeModel.open(path)
    if not (path / "data.json").is_file():
        raise UserError(f"{path} is neither a run folder (it has no data.json) nor an .onnx file")
    module, tasks = models.load(path / "best")
    return TorchModel(module, tasks, json.loads((path / "data.json").read_text()))


def modality(card: Card) -> str:
    """What a model reads its windows by, as it is called today."""
    called = str(card["modality"])
    return RENAMED.get(called, called)


def onnx_extra(module: str) -> Any:
    """A module that comes with the extra `onnx`."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"{module} is missing; ONNX needs the extra 'onnx': pip install 'limbeck[onnx]'") from error


def _checked(windows: Array, card: Card) -> Array:
    """Float32 `(B, M, L)`, or a `UserError` that says what is wrong with it."""
    channels, length = card["channels"], card["window"]
    if windows.ndim != 3 or windows.shape[1:] != (len(channels), length):
        raise UserError(
            f"the model reads windows (B, {len(channels)}, {length}): channels {', '.join(channels)}, "
            f"{length} samples at {card['rate']:g} Hz; given {tuple(windows.shape)}"
        )
    bad = np.argwhere(~np.isfinite(windows))
    if len(bad):
        window, channel, sample = bad[0]
        raise UserError(f"window {window} holds a NaN or infinite value (channel {channels[channel]}, sample {sample})")
    return np.require(windows, np.float32, ("C", "W"))  # windows may be a read-only view, which torch warns of


def sealed(data: bytes) -> bytes:
    """`data`, which holds `UNSEALED`, with its digest in that place: else a flipped bit in a weight goes unseen."""
    return data.replace(UNSEALED, SEAL + digest(data).encode(), 1)


def _intact(data: bytes) -> bool:
    before, _, after = data.partition(SEAL)
    return sealed(before + UNSEALED + after[16:]) == data
