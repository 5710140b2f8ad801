"""A trained model as a device calls it: raw windows or pixels in, probabilities out; from a run folder or from an ONNX
file."""

import copy
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import models
from limbeck.batch import IMAGE, Batch
from limbeck.config import digest
from limbeck.errors import UserError, unknown
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]
Card = Mapping[str, Any]
SEAL = b"limbeck-seal-"
"""What comes before the 16 digits that name all other bytes of an ONNX file."""
RENAMED = {"imu": "sensor"}
"""Modalities that older run folders call otherwise."""
UNSEALED = SEAL + b"0" * 16


class Probabilities(nn.Module):
    """A model from raw windows `(B, M, L)`, or pixels `(B, M, H, W)`, to one answer a task: probabilities `(B, C, *S)`,
    unit vectors `(B, 3, *S)` for directions, or other real values `(B, 1, *S)`."""

    def __init__(self, model: nn.Module, tasks: Sequence[Task], modality: str) -> None:
        super().__init__()
        self.model, self.tasks, self.modality = model, tuple(tasks), modality

    def forward(self, window: Tensor) -> tuple[Tensor, ...]:
        ids = torch.zeros(window.shape[0], dtype=torch.long, device=window.device)
        logits = self.model(Batch({self.modality: window}, {}, ids)).logits
        return tuple(_answer(task, logits[task.name]) for task in self.tasks)


def _answer(task: Task, logits: Tensor) -> Tensor:
    if task.classes:
        return logits.softmax(dim=1)
    return F.normalize(logits, dim=1) if task.quantity == "direction" else logits


class TorchModel:
    """A trained module: `model(windows)` gives probabilities `(B, C)`, or real values `(B, 1)`, by task; of images,
    pixels from 0 to 255. Where answers are for every pixel, they are `(B, C, H, W)`.

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
        answers = self._session.run([t.name for t in self.tasks], {input_name(self.card): _checked(windows, self.card)})
        return {task.name: np.asarray(answer) for task, answer in zip(self.tasks, answers, strict=True)}


def opened(path: Path, domain: str | None = None) -> TorchModel | EdgeModel:
    """The student of a run folder, or the model of an exported `.onnx` file; `domain` as in `of_set`."""
    if path.suffix == ".onnx":
        model = EdgeModel.open(path)
        if domain not in (None, model.card.get("domain")):
            raise UserError(f"{path} was exported for {model.card.get('domain', 'all data sets')}, not for {domain}")
        return model
    if not (path / "data.json").is_file():
        raise UserError(f"{path} is neither a run folder (it has no data.json) nor an .onnx file")
    module, tasks = models.load(path / "best")
    module, card = of_set(module, json.loads((path / "data.json").read_text()), domain)
    return TorchModel(module, tasks, card)


def of_set(module: nn.Module, card: Card, domain: str | None) -> tuple[nn.Module, Card]:
    """A model that keeps data sets apart, as it answers for the one named `domain`, or for the first; and a card that
    says so. As it is where it keeps none apart. Raises `UserError` for an unknown name."""
    apart = any(isinstance(each, models.MultiTask) and each.sets > 1 for each in module.modules())
    names = list(card.get("cells", {}))
    if domain is not None and domain not in names:
        raise unknown("data set", domain, names)
    if not apart:
        return module, card
    chosen = names[0] if domain is None else domain
    return models.fixed(module, names.index(chosen)), {**card, "domain": chosen}


def input_name(card: Card) -> str:
    """The name of an ONNX file's input; its outputs are named by their tasks."""
    return "image" if modality(card) == IMAGE else "window"


def shape(card: Card) -> tuple[int, ...]:
    """Of what a model reads: (M, L), or (M, H, W) of images."""
    if modality(card) != IMAGE:
        return (len(card["channels"]), card["window"])
    side = card["size"]
    return (len(card["channels"]), *(side if pixelwise(card) else (side, side)))


def pixelwise(card: Card) -> bool:
    """Whether a model answers for every pixel: its card names the height and width of images, which need not be
    squares."""
    return isinstance(card.get("size"), list | tuple)


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
    """Float32 `(B, M, L)` or `(B, M, H, W)`, or a `UserError` that says what is wrong with it."""
    channels, wanted, what = card["channels"], shape(card), input_name(card)
    if windows.ndim != len(wanted) + 1 or windows.shape[1:] != wanted:
        of = "pixels from 0 to 255" if what == IMAGE else f"{wanted[1]} samples at {card['rate']:g} Hz"
        raise UserError(
            f"the model reads {what}s (B, {', '.join(map(str, wanted))}): channels {', '.join(channels)}, {of}; "
            f"given {tuple(windows.shape)}"
        )
    bad = np.argwhere(~np.isfinite(windows))
    if len(bad):
        number, channel, *place = bad[0].tolist()
        at = f"{'pixel' if what == IMAGE else 'sample'} {', '.join(map(str, place))}"
        raise UserError(f"{what} {number} holds a NaN or infinite value (channel {channels[channel]}, {at})")
    return np.require(windows, np.float32, ("C", "W"))  # windows may be a read-only view, which torch warns of


def sealed(data: bytes) -> bytes:
    """`data`, which holds `UNSEALED`, with its digest in that place: else a flipped bit in a weight goes unseen."""
    return data.replace(UNSEALED, SEAL + digest(data).encode(), 1)


def _intact(data: bytes) -> bool:
    before, _, after = data.partition(SEAL)
    return sealed(before + UNSEALED + after[16:]) == data
