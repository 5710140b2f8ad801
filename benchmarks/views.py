"""What a model says of a pool of images over several views, against its forward passes alone."""

import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from benchmarks import timing
from limbeck import process, pseudo
from limbeck.batch import IMAGE, Batch
from limbeck.data.source import Dense, Table
from limbeck.models import VGG, Image, MultiTask, ResNet18
from limbeck.tasks import Task
from limbeck.transforms import ImageViews

TASKS = (Task("age", 8), Task("gender", 2), Task("race", 5), Task("expression", 7))
VIEWS = ImageViews()
BARE = "bare passes"
SIZES = {"48 px grey": (1, 48, 48), "64 px rgb": (3, 64, 64)}
MODELS: dict[str, tuple[Image, int]] = {"VGG": (VGG(), 512), "ResNet18 of width 16": (ResNet18(width=16), 256)}
"""Each with the images of its pool."""


def pool(count: int, shape: tuple[int, int, int]) -> Table:
    """So many random images, in memory."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    targets = {task.name: torch.full((count,), -100) for task in TASKS}
    return Table(TASKS, {IMAGE: Dense(pixels)}, targets, digest="random")


def bare(model: MultiTask, pixels: Tensor, size: int) -> None:
    """As many forward passes as there are views, of the same images each time, and nothing else."""
    with torch.inference_mode():
        for _ in VIEWS.views():
            for part in pixels.split(size):
                model(Batch({IMAGE: part}, {}, torch.arange(len(part))))


def asked(model: MultiTask, table: Table) -> pseudo.Answers:
    """What Limbeck makes of it, with nothing known beforehand: views, means, files and their checksums."""
    with tempfile.TemporaryDirectory() as at:
        return pseudo.ask(model, table, TASKS, VIEWS, Path(at))


def same(model: MultiTask, table: Table, found: pseudo.Answers) -> None:
    """Raises `AssertionError` where the answers are not the mean over the views."""
    batch = table.rows(torch.arange(min(32, len(table))))
    with torch.inference_mode():
        seen = [model(view.apply(batch)).logits for view in VIEWS.views()]
    for task in TASKS:
        mean = torch.stack([logits[task.name].softmax(dim=1) for logits in seen]).mean(dim=0)
        assert torch.allclose(found.shares[task.name][: len(batch)], mean, atol=1e-5), task.name


def compare(name: str, spec: Image, count: int, shape: tuple[int, int, int], rounds: int) -> None:
    """One model on one pool."""
    torch.manual_seed(0)
    model = spec.build(TASKS, shape)
    table = pool(count, shape)
    assert model.normalise is not None
    model.normalise.fit(table.inputs[IMAGE])
    model.eval()
    same(model, table, asked(model, table))
    pixels = table.inputs[IMAGE][torch.arange(count)]
    # As many images at a time as the other side takes, and half as many: what does not fit a cache is slower.
    size = min(pseudo.CHUNK, pseudo.VALUES // math.prod(shape))
    sides: dict[str, timing.Turn] = {
        BARE: lambda: bare(model, pixels, size),
        f"{BARE}, again (A/A)": lambda: bare(model, pixels, size),
        f"{BARE}, {size // 2} at a time": lambda: bare(model, pixels, size // 2),
        "limbeck": lambda: asked(model, table),
    }
    spent = timing.measure(sides, rounds)
    views = len(VIEWS.views())
    print(timing.table(f"{name}: {count} images, {views} views", spent, BARE, count * views, "view"), flush=True)


def main(quick: bool, rounds: int) -> None:
    """Prints a table for each model and size of images."""
    torch.set_num_threads(1)
    process.keep_memory()
    for model, (spec, count) in MODELS.items():
        for size, shape in SIZES.items():
            few = spec.changed(width=2) if quick else spec
            compare(f"{model}, {size}", few, 8 if quick else count, (shape[0], 16, 16) if quick else shape, rounds)


if __name__ == "__main__":
    told = timing.arguments(__doc__ or "", 7)
    main(told.quick, 2 if told.quick else told.rounds)
