"""A few images of the test with what each model says of every pixel, kept for the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import checkpoint
from limbeck.batch import IMAGE
from limbeck.data.source import Table
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import Frozen

Array = np.ndarray[Any, Any]
FILE = "pictures.npz"
TRUTH = "truth"
COUNT = 6
LARGEST = 256
"""Pixels of the longer side that is kept."""
UNIT = 127
"""The length of a direction as it is kept."""


def keep(models: Mapping[str, nn.Module], table: Table, tasks: Sequence[Task], at: Path, count: int = COUNT) -> None:
    """Writes `pictures.npz` into a folder, of `count` rows spread over a table of images; nothing without an image.

    - `image` uint8 `(n, H, W, 3)`; `row` `(n,)`: the numbers of the rows in the whole table; `name` `(n,)`.
    - For each dense task `TASK/truth` and, for each model that answers it, `TASK/MODEL`. Of classes: their numbers,
      uint8 `(n, H, W)`, 255 where unknown (more than 255 classes: uint16, 65535), with names as `TASK/labels`. Of
      depths: float16 `(n, H, W)`, NaN where unknown, with `TASK/unit`. Of directions: 127 times the unit vector, int8
      `(n, H, W, 3)`, 0 where unknown.

    Images of more than 256 pixels a side are made smaller: colours are averaged, of all else the nearest pixel counts.
    """
    dense = [task for task in tasks if task.name in table.dense]
    if not len(table) or not dense or IMAGE not in table.inputs:
        return
    rows = torch.linspace(0, len(table) - 1, min(count, len(table))).round().long().unique().to(table.ids.device)
    _, height, width = table.shape(IMAGE)
    shrunk = max(1.0, max(height, width) / LARGEST)
    size = round(height / shrunk), round(width / shrunk)
    kept: dict[str, Array] = {
        "row": table.ids[rows].cpu().numpy(),
        "name": _names(table)[rows.cpu().numpy()],
        "image": np.concatenate([_photo(table.inputs[IMAGE][row], size) for row in rows.split(1)]),
    }
    for task in dense:
        truths = [_packed(task, _picked(table.dense[task.name][row], size)) for row in rows.split(1)]
        kept |= _about(task) | {f"{task.name}/{TRUTH}": np.concatenate(truths)}
    for name, model in models.items():
        kept |= {f"{task}/{name}": said for task, said in _answers(model, table, dense, rows, size).items()}
    checkpoint.write_arrays(at / FILE, kept)


def read(at: Path) -> dict[str, Array]:
    """What `keep` wrote into a folder; empty where nothing was kept. Raises `UserError` for a damaged file."""
    return checkpoint.read_arrays(at / FILE)


def unknown(values: Array) -> Array:
    """Where kept truths of a task `(..., H, W)` or `(..., H, W, 3)` are unknown, `(..., H, W)`; 0 is no depth."""
    if values.dtype.kind == "u":
        return np.equal(values, np.iinfo(values.dtype).max)
    return np.logical_not(values > 0 if values.dtype.kind == "f" else values.any(axis=-1))


def _names(table: Table) -> Array:
    named: Array = next(
        (table.meta[what] for what in ("file", "subject") if what in table.meta), table.ids.cpu().numpy()
    )
    return named.astype(str)


def _about(task: Task) -> dict[str, Array]:
    if task.classes is not None:
        return {f"{task.name}/labels": np.array(task.labels or tuple(map(str, range(task.classes))))}
    return {f"{task.name}/unit": np.array(task.unit)} if task.quantity == "depth" else {}


def _answers(
    model: nn.Module, table: Table, tasks: Sequence[Task], rows: Tensor, size: tuple[int, int]
) -> dict[str, Array]:
    """What a model says, by task; row by row, for the logits of a large image are many."""
    inner = model.model if isinstance(model, Frozen) else model
    device = next((p.device for p in inner.parameters()), torch.device("cpu"))
    found: dict[str, list[Array]] = {}
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for row in rows.split(1):
                logits = model(table.rows(row).to(device)).logits
                for task in tasks:
                    if task.name in logits:
                        said = _read(task, _picked(logits[task.name], size).float())
                        found.setdefault(task.name, []).append(_packed(task, said))
    finally:
        model.train(training)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _read(task: Task, logits: Tensor) -> Tensor:
    """The answer as a target is: classes `(B, H, W)`, depths `(B, H, W)`, directions `(B, 3, H, W)`."""
    if task.classes is not None:
        return logits.argmax(dim=1)
    return F.normalize(logits, dim=1) if task.quantity == "direction" else logits.squeeze(1)


def _packed(task: Task, values: Tensor) -> Array:
    """Answers or targets as they are kept."""
    found = values.cpu()
    if task.classes is not None:
        kind = np.uint8 if task.classes <= 255 else np.uint16
        return torch.where(found == IGNORE, np.iinfo(kind).max, found).numpy().astype(kind)
    if task.quantity == "direction":
        return (UNIT * found.nan_to_num(0.0)).round().to(torch.int8).movedim(1, -1).numpy()
    return found.to(torch.float16).numpy()


def _picked(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values `(..., H, W)` at the pixels nearest to the middles of those of another size."""
    rows, columns = (
        ((torch.arange(many, device=values.device) + 0.5) * whole / many).long()
        for many, whole in zip(size, values.shape[-2:], strict=True)
    )
    return values[..., rows[:, None], columns]


def _photo(image: Tensor, size: tuple[int, int]) -> Array:
    """8-bit pixels `(1, H, W, 3)` of an image `(1, M, H, W)` with one channel or three."""
    small = F.interpolate(image.cpu().float(), size, mode="area").round().to(torch.uint8)
    pixels: Array = small.expand(-1, 3, -1, -1).movedim(1, -1).numpy()
    return pixels
