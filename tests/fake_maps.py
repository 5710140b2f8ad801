"""A run folder of a small network that answers for every pixel, with fresh weights."""

from pathlib import Path

import torch

from limbeck import checkpoint
from limbeck.config import dump
from limbeck.data.source import Dense, Table
from limbeck.models import DenseModel
from limbeck.tasks import Task

TASKS = (
    Task.of("segmentation", ("ground", "wall", "sky")),
    Task("depth", quantity="depth", unit="m"),
    Task("normals", quantity="direction"),
)
SIZE = (16, 24)


def maps_run(spec: DenseModel, at: Path, tasks: tuple[Task, ...] = TASKS) -> Table:
    """Writes the folder, and gives images to answer for."""
    torch.manual_seed(0)
    images = Dense(torch.randint(0, 256, (12, 3, *SIZE), dtype=torch.uint8))
    rows = Table(tasks, {"image": images}, {})
    model = spec.build(tasks, (3, *SIZE))
    assert model.normalise is not None
    model.normalise.fit(images)
    for _ in range(20):  # so that norms are those of the images
        model(rows.rows(torch.arange(12)))
    checkpoint.save_tensors(at / "best" / "student.safetensors", model.state_dict())
    about = {"tasks": [vars(task) for task in tasks], "spec": dump(spec), "shape": [3, *SIZE]}
    checkpoint.write_json(at / "best" / "model.json", about)
    card = {"name": "scenes", "modality": "image", "channels": ["red", "green", "blue"], "unit": "0 to 255",
            "size": list(SIZE), "digest": "d"}  # fmt: skip
    checkpoint.write_json(at / "data.json", card)
    checkpoint.write_json(at / "recipe.json", {"kind": "joint-distill"})
    return rows
