"""Scenes whose pixels are classified and measured, a model of them, and folders of studies in the documented format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import assessment, pixels
from limbeck.batch import IMAGE, Batch, Outputs
from limbeck.data.source import Dense, Table
from limbeck.tasks import IGNORE, Task

SEGMENTATION = Task.of("segmentation", ("road", "car", "sky", "sign"))
DEPTH = Task("depth", quantity="depth", unit="m")
NORMALS = Task("normals", quantity="direction")
ASKED = (SEGMENTATION, DEPTH, NORMALS)
SIZE = (8, 12)


def truths(images: int, seed: int = 0, missing: float = 0.1) -> dict[str, Tensor]:
    """Targets by task; of the last class only few images have any."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 3, (images, *SIZE), generator=draw)
    ids[::5, :2] = 3
    depths = 1 + 9 * torch.rand(images, *SIZE, generator=draw)
    normals = F.normalize(torch.randn(images, 3, *SIZE, generator=draw), dim=1)
    holes = torch.rand(images, *SIZE, generator=draw) < missing
    normals.masked_fill_(holes.unsqueeze(1), torch.nan)
    return {
        "segmentation": ids.masked_fill(holes, IGNORE), "depth": depths.masked_fill(holes, torch.nan),
        "normals": normals,
    }  # fmt: skip


def said(target: Mapping[str, Tensor], skill: float, seed: int = 0) -> dict[str, Tensor]:
    """Logits by task that are the better the higher the `skill` in 0..1; no two images are equally hard."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    if "segmentation" in target:
        ids, hard = target["segmentation"].clamp(min=0), torch.rand(len(target["segmentation"]), 1, 1, generator=draw)
        right = torch.rand(ids.shape, generator=draw) < skill * (0.5 + 0.5 * hard)
        guess = torch.where(right, ids, torch.randint(0, 4, ids.shape, generator=draw))
        found["segmentation"] = 3.0 * F.one_hot(guess, 4).permute(0, 3, 1, 2).float()
    if "depth" in target:
        noise = torch.randn(target["depth"].shape, generator=draw) * (1 - skill)
        found["depth"] = (target["depth"].nan_to_num(1.0) * noise.exp()).unsqueeze(1)
    if "normals" in target:
        found["normals"] = target["normals"].nan_to_num(0.0) + (1 - skill) * torch.randn(
            target["normals"].shape, generator=draw
        )
    return found


def scenes(images: int = 12, tasks: tuple[Task, ...] = ASKED, seed: int = 0, each: int = 1) -> Table:
    """Images with their targets, so many of `each` subject."""
    draw, targets = torch.Generator().manual_seed(seed + 1), truths(images, seed)
    image = torch.randint(0, 256, (images, 3, *SIZE), dtype=torch.uint8, generator=draw)
    subjects = np.array([f"scene {i // each}" for i in range(images)])
    card = {"name": "scenes", "modality": "image", "size": list(SIZE), "channels": ["red", "green", "blue"]}
    dense = {task.name: Dense(targets[task.name]) for task in tasks}
    return Table(tasks, {IMAGE: Dense(image)}, {}, {"subject": subjects}, card, f"scenes-{images}-{seed}", dense=dense)


class Painter(nn.Module):
    """A convolution a task."""

    def __init__(self, tasks: tuple[Task, ...] = ASKED, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.norm = nn.BatchNorm2d(3)
        self.heads = nn.ModuleDict({task.name: nn.Conv2d(3, task.width, 3, padding=1) for task in tasks})

    def forward(self, batch: Batch) -> Outputs:
        x = self.norm(batch.inputs[IMAGE].float() / 255)
        return Outputs({name: head(x) for name, head in self.heads.items()}, {"shared": x})


def judged(seed: int, skills: Mapping[str, float], images: int = 20, each: int = 1, first: int = 0) -> dict[str, Any]:
    """Scores by task of answers of such `skills` to the same images whatever the seed; these begin at `first`."""
    target = truths(images, seed=99 + first)
    meta = {"subject": np.array([f"scene {first + i // each}" for i in range(images)])}
    found = {}
    for task in ASKED:
        if task.name in skills:
            one = {task.name: target[task.name]}
            sums = pixels.sums(task, said(one, skills[task.name], seed)[task.name], one[task.name])
            found[task.name] = assessment.dense(task, sums.numpy(), SIZE[0] * SIZE[1], meta)
    return found


def write_cell(at: Path, scores: Mapping[str, Any], split: str = "official") -> Path:
    """A finished cell of a study, with as much as its tables read."""
    at.mkdir(parents=True)
    plain = {
        "scores.json": {"selected": {}, "models": {"student": {"parameters": 9, "parts": {"test": scores}}}},
        "splits.json": {"split": {"kind": split}, "leaky": False, "audit": {}},
        "data.json": {"name": "scenes", "digest": "d1", "subjects": 20},
        "recipe.json": {"kind": "joint-distill", "data": {"kind": "scenes"}},
        "finished.json": {},
    }
    for name, value in plain.items():
        (at / name).write_text(json.dumps(value))
    return at


def write_study(
    out: Path, skills: Mapping[str, Mapping[str, float]], seeds: int = 3, reference: str | None = "hard sharing"
) -> Path:
    """Variants by name, the skills of each by task."""
    cells = {}
    for name, by_task in skills.items():
        for seed in range(seeds):
            cells[f"{name}-{seed}"] = {"seed": str(seed), "variant": name}
            write_cell(out / "cells" / f"{name}-{seed}", judged(seed, by_task))
    (out / "cells.json").write_text(json.dumps(cells))
    told = {"name": "scenes", "compare": "variant", "reference": reference, "grid": {}}
    (out / "study.json").write_text(json.dumps(told))
    return out
