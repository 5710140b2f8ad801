"""Students and teachers as specs, and a trained one from its folder."""

import json
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from limbeck.checkpoint import sha256
from limbeck.config import parse
from limbeck.errors import UserError, unknown
from limbeck.models.dense import DeepLab, DenseModel, SegNet
from limbeck.models.heads import Model, MultiTask, Normalise, Several, fixed
from limbeck.models.heart import MLP, PPGResNet
from limbeck.models.hybrid import Hybrid
from limbeck.models.image import VGG, ImageModel, ResNet18
from limbeck.models.sensor import BiLSTM, MTLNet, ResNet1D
from limbeck.models.wide import ImageWideResNet, WideResNet
from limbeck.tasks import Task

Sensor = MTLNet | BiLSTM | ResNet1D | Hybrid
Heart = PPGResNet | MLP
Image = VGG | ResNet18
Pixels = SegNet | DeepLab
KINDS: dict[str, type[Model]] = {
    c.kind: c
    for c in (
        *(MTLNet, BiLSTM, ResNet1D, Hybrid, PPGResNet, MLP, WideResNet, ImageWideResNet, VGG, ResNet18),
        *(SegNet, DeepLab),
    )
}

__all__ = [
    "KINDS",
    "MLP",
    "VGG",
    "BiLSTM",
    "DeepLab",
    "DenseModel",
    "Heart",
    "Hybrid",
    "Image",
    "ImageModel",
    "ImageWideResNet",
    "MTLNet",
    "Model",
    "MultiTask",
    "Normalise",
    "PPGResNet",
    "Pixels",
    "ResNet1D",
    "ResNet18",
    "SegNet",
    "Sensor",
    "Several",
    "WideResNet",
    "fixed",
    "load",
]


def _sound(weights: Path) -> None:
    """Raises `UserError` where a finished run's weights are not those that it kept."""
    marker = weights.parent.parent / "finished.json"
    if marker.is_file() and sha256(weights) != json.loads(marker.read_text())["sha256"].get(weights.name):
        raise UserError(f"{weights} is damaged: its hash is not the one in {marker}")


def load(folder: Path, which: str = "student") -> tuple[nn.Module, tuple[Task, ...]]:
    """The trained model of a folder that `fit` kept, in evaluation mode, and its tasks.

    Raises `UserError` where the folder holds none.
    """
    if not (folder / "model.json").is_file():
        raise UserError(f"no trained model in {folder}: model.json is missing")
    about = json.loads((folder / "model.json").read_text())
    if "parts" in about:
        several = [load(folder.parent / part / "best", which) for part in about["parts"]]
        tasks = tuple(task for _, own in several for task in own)
        return Several([model for model, _ in several if isinstance(model, MultiTask)]).eval(), tasks
    weights = folder / f"{which}.safetensors"
    if not weights.is_file():
        known = sorted(f.stem for f in folder.glob("*.safetensors"))
        raise unknown(f"model in {folder}:", which, known)
    _sound(weights)
    tasks = tuple(map(Task.from_plain, about["tasks"]))
    # The weights that training began with are not needed, and may lie elsewhere by now.
    begun = {"weights": None} if "weights" in about["spec"] else {}
    model = parse(KINDS[about["spec"]["kind"]], about["spec"] | begun).build(tasks, about["shape"])
    model.load_state_dict(load_file(weights))
    return model.eval(), tasks
