"""Models on disk whose cost can be measured: of a run, of a study, of an exported file, or of a spec alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from limbeck import checkpoint, deployed, edge, models
from limbeck.config import digest, dump
from limbeck.data.source import Dense
from limbeck.errors import UserError
from limbeck.grid import in_words
from limbeck.models.heads import MODALITY
from limbeck.objective import STUDENT
from limbeck.results import REPEATS
from limbeck.scoring import stages
from limbeck.tasks import Task
from limbeck.workers import finished

How = Literal["torch", "onnx"]
TORCH: How = "torch"
ONNX: How = "onnx"


@dataclass(frozen=True)
class Deployed:
    """A model on disk: the folder of its weights for torch, or an `.onnx` file. `shape` is that of one sample of the
    `modality` it reads: (M, L) of windows, (M, H, W) of images.

    `weights` is the folder that tells the parameters and operations; None for a file alone.
    """

    name: str
    how: How
    path: Path
    shape: tuple[int, ...]
    weights: Path | None
    which: str = STUDENT
    modality: str = MODALITY


def deployments(path: Path) -> list[Deployed]:
    """The models of a run folder (student, its export where there is one, teachers that were trained apart), of an
    `.onnx` file, or of a study's folder (the students of its finished cells)."""
    if path.suffix == ".onnx":
        return [Deployed(str(path), ONNX, path, deployed.shape(deployed.EdgeModel.open(path).card), None)]
    if (path / "cells.json").is_file():
        return _of_study(path)
    if not (path / "data.json").is_file() or not (path / "best" / "model.json").is_file():
        raise UserError(
            f"{path} is neither a finished run folder (with data.json and best/), a study's folder nor an .onnx file"
        )
    teachers = [_teacher(f"{path} {name}", at / "best") for name, at in stages(path).items()]
    return _students(path, f"{path} {STUDENT}") + teachers


def _teacher(name: str, best: Path) -> Deployed:
    """One that was trained apart, and may read what the student does not."""
    if not (best / "model.json").is_file():
        raise UserError(f"{name}: its weights are not in {best}; a run of a study needs the study's folder around it")
    return _trained(name, best)


def _students(run: Path, name: str) -> list[Deployed]:
    """The student, and its export where there is one."""
    found, export = [_trained(name, run / "best")], run / "export" / "student.onnx"
    if export.is_file() and find_spec("onnxruntime"):
        found.append(replace(found[0], how=ONNX, path=export))
    return found


def _trained(name: str, best: Path) -> Deployed:
    """A model with what it reads: of several, the first, as all of them read the same."""
    about = checkpoint.read_json(best / "model.json")
    if "parts" in about:
        about = checkpoint.read_json(best.parent / about["parts"][0] / "best" / "model.json")
    modality = models.KINDS[about["spec"]["kind"]].modality
    return Deployed(name, TORCH, best, tuple(about["shape"]), best, modality=modality)


def _of_study(out: Path) -> list[Deployed]:
    """The students of finished cells, in the words of the first cell of each: those that are built alike cost the
    same, and stand once."""
    found: dict[str, list[Deployed]] = {}
    for cell, labels in checkpoint.read_json(out / "cells.json").items():
        run = out / "cells" / cell
        if finished(run) and (built := _built(run)) not in found:
            words = in_words({k: v for k, v in labels.items() if k not in REPEATS})
            found[built] = _students(run, words or STUDENT)
    if not found:
        raise UserError(f"no cell of {out} is finished; to go on: limbeck study {out}")
    return [model for each in found.values() for model in each]


def _built(run: Path) -> str:
    """Names what a student is built by; a network a task, all of them."""
    about = checkpoint.read_json(run / "best" / "model.json")
    parts = [checkpoint.read_json(run / part / "best" / "model.json") for part in about.get("parts", [])]
    return digest([[a["spec"], a["shape"], [Task.from_plain(t).width for t in a["tasks"]]] for a in parts or [about]])


def untrained(
    specs: Mapping[str, models.Model], tasks: Sequence[Task], shape: tuple[int, int], folder: Path, onnx: bool = True
) -> list[Deployed]:
    """Models of some specs with fresh weights, written into a folder (and exported): what a size costs needs no
    training. `shape` is (M, L)."""
    found = []
    for name, spec in specs.items():
        torch.manual_seed(0)
        model, at = spec.build(tasks, shape).eval(), folder / name / "best"
        checkpoint.save_tensors(at / f"{STUDENT}.safetensors", model.state_dict())
        about = {"tasks": [vars(task) for task in tasks], "spec": dump(spec), "shape": list(shape)}
        checkpoint.write_json(at / "model.json", about)
        found.append(Deployed(name, TORCH, at, shape, at))
        if onnx:
            out = folder / name / "export" / "student.onnx"
            edge.export_onnx(model, tasks, shape, _card(shape), out, Dense(torch.randn(4, *shape)))
            found.append(Deployed(name, ONNX, out, shape, at))
    return found


def _card(shape: tuple[int, int]) -> dict[str, Any]:
    channels = [f"channel {i}" for i in range(shape[0])]
    return {"name": "none", "rate": 1.0, "unit": "", "channels": channels, "modality": MODALITY, "digest": "",
            "recipe": "untrained"}  # fmt: skip
