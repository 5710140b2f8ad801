"""Export for devices: one ONNX file with a card inside, checked against the trained model; and what a model costs."""

import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from limbeck import checkpoint, deployed, models
from limbeck.batch import MODALITY, Batch
from limbeck.config import digest
from limbeck.data.source import Column, Table
from limbeck.deployed import UNSEALED, EdgeModel, TorchModel, onnx_extra, sealed
from limbeck.errors import UserError, unknown
from limbeck.tasks import Task

TOLERANCE = 1e-4
"""The largest difference of a probability between the file and the trained model."""
BATCHES = (1, 4, 9)
"""Sizes of batch that are tried beside the large ones, so that a batch axis which the exporter froze shows."""
CHUNK = 256
LARGEST = 1 << 20
"""Pixels that are compared at once."""


@dataclass(frozen=True)
class Parity:
    """How an exported file answers against the trained model, both on the same `windows`; images, if its `input` is.

    - `difference`, by task: the largest |difference| of a probability; of real values, as a share of the largest.
    - `agreement`, by task with classes: the share of windows (or of pixels) for which both name the same class.
    - `digest`: of the file's bytes.
    """

    file: str
    digest: str
    bytes: int
    windows: int
    batches: tuple[int, ...]
    difference: dict[str, float]
    agreement: dict[str, float]
    tolerance: float
    onnxruntime: str
    input: str = "window"

    def __str__(self) -> str:
        apart = f"{max(self.difference.values()):.1g} apart at most"
        same = f", the same answer in {min(self.agreement.values()):.1%}" if self.agreement else ""
        return (
            f"({self.bytes / 1e3:,.0f} kB): against the trained student on {self.windows:,} {self.input}s {apart}{same}"
        )


@dataclass(frozen=True)
class Size:
    """What a model costs: parameters, bytes of its float32 weights and statistics, multiply-accumulates for one sample.

    `macs` are those of convolutions, matrix products and attention; what works by element is not counted.
    """

    parameters: int
    bytes: int
    macs: int


def export_onnx(
    model: nn.Module, tasks: Sequence[Task], shape: Sequence[int], card: Mapping[str, Any], out: Path, check: Column
) -> Parity:
    """Writes `out`, with `card.json` and `parity.json` beside it, each in one piece; nothing where the check fails.

    `card` is a table's, with its `digest` and the kind of `recipe`; `shape` is (M, L) or (M, H, W); `check` holds
    windows or images that were not trained on. Raises `UserError` where the file answers otherwise than the model by
    more than `TOLERANCE`.
    """
    name = deployed.input_name(card)
    if not len(check):
        raise UserError(f"the export cannot be checked: there is no validation {name}")
    if name in (task.name for task in tasks):
        raise UserError(f"a task named {name!r} cannot be exported, that names the input: rename the label column")
    trained = TorchModel(model, tasks, _card(tasks, shape, card))
    data = _graph(trained, shape)
    difference, agreement = _compare(trained, EdgeModel(data), check)
    runtime = metadata.version("onnxruntime")
    size = len(data), len(check), BATCHES
    parity = Parity(out.name, digest(data), *size, difference, agreement, TOLERANCE, runtime, name)
    checkpoint.write_json(out.with_name("card.json"), trained.card)
    checkpoint.write_json(out.with_name("parity.json"), asdict(parity))
    checkpoint.write(out, data)
    return parity


def export_run(run: Path, valid: Table, to: str = "onnx", domain: str | None = None) -> Parity:
    """Writes the student of a run folder to `run/export/student.onnx`; `valid` is the run's validation part.

    A student that keeps data sets apart is written, and checked, for the one named `domain`, or for the first.
    """
    if to != "onnx":
        raise unknown("export format", to, ["onnx"])
    student, tasks = models.load(run / "best")
    student, card = deployed.of_set(student, json.loads((run / "data.json").read_text()), domain)
    if "domain" in card:
        valid = valid.take(valid.meta["domain"] == card["domain"])
    check = valid.inputs[deployed.modality(card)]
    recipe = json.loads((run / "recipe.json").read_text())["kind"]
    told = {**card, "recipe": recipe}
    return export_onnx(student, tasks, check.shape, told, run / "export" / "student.onnx", check)


def measure(model: nn.Module, shape: Sequence[int], modality: str = MODALITY) -> Size:
    """What `model` costs for one sample of `shape`, as (M, L) of a window; for one data set where it keeps some
    apart."""
    from torch.utils.flop_counter import FlopCounterMode

    # On the meta device nothing is computed, and an LSTM is seen as its products: oneDNN's fused one counts as nothing.
    empty = models.fixed(model, 0).to("meta").eval()
    window, ids = torch.empty(1, *shape, device="meta"), torch.empty(1, dtype=torch.long, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        empty(Batch({modality: window}, {}, ids))
    parameters = sum(p.numel() for p in empty.parameters())
    statistics = sum(b.numel() for b in empty.buffers() if b.is_floating_point())
    return Size(parameters, 4 * (parameters + statistics), counter.get_total_flops() // 2)


def _card(tasks: Sequence[Task], shape: Sequence[int], card: Mapping[str, Any]) -> dict[str, Any]:
    """All that a device must know to call the model and to read its answers."""
    if len(card["channels"]) != shape[0]:
        raise ValueError(f"samples of {shape[0]} channels, but the card names {card['channels']}")
    if len(shape) == 3 and deployed.shape(card) != tuple(shape):
        raise ValueError(f"images of {tuple(shape)}, but the card says {deployed.shape(card)}")
    time = {"rate": card["rate"], "window": shape[1]} if len(shape) == 2 else {"size": card["size"]}
    return {
        "limbeck": metadata.version("limbeck"),
        **time,
        "channels": list(card["channels"]),
        "unit": card["unit"],
        "modality": card["modality"],
        "normalisation": "inside the graph",
        "tasks": [asdict(task) for task in tasks],
        "data": card["name"],
        "digest": card["digest"],
        "recipe": card["recipe"],
        **{key: card[key] for key in ("filter", "resampling", "domain") if key in card},
    }


def _graph(trained: TorchModel, shape: Sequence[int]) -> bytes:
    """An ONNX model with the weights, the card and a seal inside."""
    onnx_extra("onnxscript")
    # torch.export's exporter and not the TorchScript one: that is deprecated, and cannot write adaptive pooling to a
    # size that does not divide the input's. It takes seconds where the other takes 0.2, and its files are 1 % larger.
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                trained.module,
                (torch.zeros(2, *shape),),
                input_names=[deployed.input_name(trained.card)],
                dynamic_shapes={"window": {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            said = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"torch cannot write this model as ONNX: {said}") from error
    assert program is not None
    proto = program.model_proto
    # The exporter notes for every node the source line it came from: no use on a device, and it tells of this machine.
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer, proto.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    _name_outputs(proto.graph, [task.name for task in trained.tasks])
    for key, value in (("limbeck", json.dumps(trained.card)), ("seal", UNSEALED.decode())):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return sealed(proto.SerializeToString())


def _name_outputs(graph: Any, names: Sequence[str]) -> None:
    """Names the outputs of a graph; an inner value with such a name (a task may be called `linear`) gets another."""
    renamed = {name: f"inner {name}" for name in names}
    renamed |= {output.name: name for output, name in zip(graph.output, names, strict=True)}
    for node in graph.node:
        node.input[:] = [renamed.get(value, value) for value in node.input]
        node.output[:] = [renamed.get(value, value) for value in node.output]
    for value in (*graph.output, *graph.value_info, *graph.initializer):
        value.name = renamed.get(value.name, value.name)


def _compare(trained: TorchModel, exported: EdgeModel, check: Column) -> tuple[dict[str, float], dict[str, float]]:
    """`Parity.difference` and `.agreement` over every window, and over the first few at each size of `BATCHES`."""
    difference = {task.name: 0.0 for task in trained.tasks}
    same = {task.name: 0 for task in trained.tasks if task.classes}
    asked = dict(same)
    chunk = max(1, min(CHUNK, LARGEST // math.prod(check.shape[1:])))
    small = [torch.arange(size) % len(check) for size in BATCHES]
    large = torch.arange(len(check)).split(chunk)
    for number, index in enumerate([*small, *large]):
        windows = check[index].cpu().numpy()
        ours, theirs = trained(windows), exported(windows)
        for name, answer in ours.items():
            scale = 1.0 if name in same else max(1.0, float(np.abs(answer).max()))
            worst = float(np.abs(answer - theirs[name]).max()) / scale
            if not worst <= TOLERANCE:  # so that NaN fails too
                raise UserError(
                    f"the ONNX file answers otherwise than the trained model: task {name!r} differs by {worst:.2g} "
                    f"in a batch of {len(index)}, allowed is {TOLERANCE:g}; nothing was written"
                )
            difference[name] = max(difference[name], worst)
            if name in same and number >= len(small):
                equal = answer.argmax(axis=1) == theirs[name].argmax(axis=1)
                same[name] += int(equal.sum())
                asked[name] += equal.size
    return difference, {name: count / asked[name] for name, count in same.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own deprecations, on torchvision, on empty lists, and on how an LSTM holds
    its weights."""
    logs = [logging.getLogger(name) for name in ("torch.onnx._internal.exporter._registration", "onnx_ir")]
    levels = [log.level for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights", UserWarning)
        for log in logs:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.setLevel(level)
