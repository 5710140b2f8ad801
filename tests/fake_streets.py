"""Run folders made up in the documented format: streets with classes, depths and directions at every pixel."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import assessment, checkpoint, pictures, pixels
from limbeck.batch import Batch, Outputs
from limbeck.data.source import Dense, Table
from limbeck.tasks import IGNORE, Task
from tests.fake_runs import recipe

Array = np.ndarray[Any, Any]
LABELS = ("road", "building", "sky", "tree", "person", "vehicle", "pole")
TASKS = (
    Task.of("segmentation", LABELS),
    Task("depth", quantity="depth", unit="m"),
    Task("normals", quantity="direction"),
)
SKILLS = {"joint-distill": 0.9, "naive": 0.78, "single-task": 0.84, "static-kd": 0.85, "dwa": 0.8}
SPLIT = {"kind": "official", "valid": 0.15, "seed": 0}
TINTS = np.array(
    [[90, 88, 92], [150, 110, 90], [150, 185, 230], [70, 110, 60], [190, 80, 80], [60, 70, 150], [200, 200, 90]]
)
THINGS = {1: (9, 8), 3: (6, 3), 4: (1.8, 0.7), 5: (1.6, 3.5), 6: (5, 0.35)}
"""Height and width in metres, by class."""


def street(draw: np.random.Generator, size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Pixels `(H, W, 3)`, classes, depths, and directions `(H, W, 3)` of one street."""
    height, width = size
    row, column = np.mgrid[0:height, 0:width]
    horizon = height * draw.uniform(0.35, 0.5)
    depth = np.where(row > horizon, 1.5 * height / np.maximum(row - horizon, 0.5), 80.0)
    classes = np.where(row > horizon, 0, 2)
    normals = np.broadcast_to([0.0, -1.0, 0.0], (*size, 3)).copy()
    for _ in range(14):
        kind, far = int(draw.choice([1, 1, 3, 4, 5, 5, 6])), float(np.exp(draw.uniform(np.log(4), np.log(45))))
        (tall, wide), foot, left = THINGS[kind], horizon + 1.5 * height / far, draw.uniform(-0.1, 1.0) * width
        own = (row <= foot) & (row > foot - tall * height / far) & (depth > far)
        own &= (column >= left) & (column < left + wide * height / far)
        side = draw.uniform(-0.8, 0.8)
        classes[own], depth[own], normals[own] = kind, far, (side, 0, -np.sqrt(1 - side**2))
    shine = 0.55 + 0.45 * np.abs(normals @ np.array([0.3, -0.8, -0.5]))
    haze = np.exp(-depth / 60)[..., None]
    seen = TINTS[classes] * shine[..., None] * haze + 200 * (1 - haze) + draw.normal(0, 9, (*size, 3))
    depth = np.where((classes == 2) | (draw.random(size) < 0.01), np.nan, depth)
    classes = np.where((row > height - 3) | (draw.random(size) < 0.003), IGNORE, classes)
    normals[np.isnan(depth)] = np.nan
    return seen.clip(0, 255).astype(np.uint8), classes, depth, normals


def streets(count: int = 24, size: tuple[int, int] = (32, 64), seed: int = 0) -> Table:
    """A test of so many streets, rows 100, 101 ... of their table."""
    draw = np.random.default_rng(seed)
    made = [street(draw, size) for _ in range(count)]
    image, classes, depth, normals = (np.stack(each) for each in zip(*made, strict=True))
    names = np.array([f"street_{i:03}" for i in range(count)])
    return Table(
        TASKS,
        {"image": Dense(torch.from_numpy(image).permute(0, 3, 1, 2).contiguous())},
        {},
        {"subject": names, "session": names, "start": np.zeros(count)},
        digest=f"streets {seed}",
        ids=torch.arange(100, 100 + count),
        dense={
            "segmentation": Dense(torch.from_numpy(classes).long()),
            "depth": Dense(torch.from_numpy(depth).float()),
            "normals": Dense(torch.from_numpy(normals).permute(0, 3, 1, 2).float()),
        },
    )


class Guess(nn.Module):
    """Answers with the truth of a table, less of it the less its `skill`; a row is answered alike in any batch."""

    def __init__(self, table: Table, tasks: Sequence[Task], skill: float, seed: int) -> None:
        super().__init__()
        self.table, self.tasks, self.skill, self.seed = table, tuple(tasks), skill, seed

    def forward(self, batch: Batch) -> Outputs:
        each = [self._row(row) for row in batch.ids.tolist()]
        return Outputs({task.name: torch.cat([one[task.name] for one in each]) for task in self.tasks})

    def _row(self, number: int) -> dict[str, Tensor]:
        source = torch.Generator().manual_seed(1000 * self.seed + number)
        truth = self.table.rows((self.table.ids == number).nonzero().squeeze(1)).targets
        size = truth["depth"].shape[1:]

        def smooth(channels: int) -> Tensor:
            noise = torch.randn(1, channels, *(max(2, s // 5) for s in size), generator=source)
            return F.interpolate(noise, size, mode="bilinear")

        found: dict[str, Tensor] = {}
        for task in self.tasks:
            true, wild = truth[task.name], 1 - self.skill
            if task.classes is not None:
                sure = F.one_hot(true.clamp(min=0), task.classes).movedim(-1, 1) * 3 * self.skill
                found[task.name] = sure + smooth(task.classes)
            elif task.quantity == "depth":
                found[task.name] = true.nan_to_num(60.0)[:, None] * (0.5 * wild * smooth(1)).exp()
            else:
                found[task.name] = true.nan_to_num(-0.5) + 1.2 * wild * smooth(3)
        return found


def judged(model: Guess, table: Table) -> dict[str, Any]:
    """Its scores, as `scores.json` has them."""
    batch = table.rows(torch.arange(len(table)))
    logits, (_, height, width) = model(batch).logits, table.shape("image")
    found = {
        task.name: assessment.dense(
            task, pixels.sums(task, logits[task.name], batch.targets[task.name]).numpy(), height * width, table.meta
        )
        for task in model.tasks
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def lines(tasks: Sequence[Task], told: Mapping[str, Any], method: str, epochs: int = 10) -> list[dict[str, Any]]:
    """Those of `metrics.jsonl`; joint-distill has weights that follow feedback."""
    found: list[dict[str, Any]] = []
    draw, weights = np.random.default_rng(3), {task.name: 1.0 for task in tasks}
    for step in range(10, 50 * epochs + 1, 10):
        epoch, decay = step / 50, 0.86 ** (step / 50)
        terms = {task.name: decay + 0.03 * draw.random() for task in tasks}
        if method == "joint-distill":
            terms |= {f"soft({name}, connector)": 0.5 * decay for name in weights}
            terms |= {f"weight({name})": value for name, value in weights.items()}
        if method == "dwa":
            terms |= {f"weight({t.name})": 1 + (0.2 - 0.2 * i) * np.sin(epoch) for i, t in enumerate(tasks)}
        about = {"step": step, "epoch": epoch}
        found.append({"event": "train", **about, "loss": 1.0, "lr": 1e-3, "terms": terms})
        if step % 50:
            continue
        for part, lift in (("valid", 0.0), ("train", 0.03)):
            scores = {name: _course(one, decay, lift) for name, one in told.items()}
            found.append({"event": "eval", **about, "model": "student", "part": part, "scores": scores})
        if method == "joint-distill":
            ratios = {t.name: min(2.0, 1.05 - (0.5 - 0.1 * i) * decay) for i, t in enumerate(tasks)}
            moved = {name: w * (1 + 0.05 * ratios[name]) for name, w in weights.items()}
            weights = {name: len(tasks) * w / sum(moved.values()) for name, w in moved.items()}
            found.append({"event": "feedback", **about, "weights": weights, "ratios": ratios})
    return found


def _course(scores: Mapping[str, Any], decay: float, lift: float) -> dict[str, float]:
    """Scores on the way; shares grow and errors fall."""
    up, down = ("miou", "pixel_accuracy"), ("rel_err", "abs_err", "mean_angle")
    return {k: v * (1 + lift - 0.6 * decay) for k, v in scores.items() if k in up} | {
        k: v * (1 - lift + 0.6 * decay) for k, v in scores.items() if k in down
    }


def card(table: Table) -> dict[str, Any]:
    """Of the streets."""
    counts = {label: 40_000 - 5_000 * i for i, label in enumerate(LABELS)} | {"missing": 3_000}
    return {
        "name": "scenes", "modality": "image", "size": list(table.shape("image")[1:]), "unit": "0 to 255",
        "channels": ["red", "green", "blue"], "images": 800, "subjects": 800, "findings": {}, "findings_first": {},
        "facts": [], "dropped": {}, "digest": "51c0",
        "tasks": {
            "segmentation": counts, "normals": {"values": 9000, "missing": 1200},
            "depth": {"values": 9000, "missing": 1200, "range": [1.52, 9.8, 79.4]},
        },
    }  # fmt: skip


def trajectories(table: Table, visits: int = 5, k: int = 10, flat: bool = False) -> dict[str, Array]:
    """Of three samples, without the first of the visits, as in a short run. `flat`: of windows of a signal."""
    draw, n, d = np.random.default_rng(5), 3, 1 if flat else 2
    start = draw.uniform(0.1, 0.9, (n, 1, k, d))
    connector = (start + draw.normal(0, 0.02, (n, visits, k, d)).cumsum(axis=1)).clip(0, 1)
    student = (connector + draw.normal(0, 0.03, connector.shape)).clip(0, 1)
    for places in (connector, student):
        places[:, 0] = np.nan
    maps = {f"maps/{name}": draw.random((n, 16) if flat else (n, 8, 16)) for name in ("connector", "student")}
    found = {"connector": connector, "student": student, **maps}
    found |= {"signal": draw.normal(0, 1, (n, 3, 400)).cumsum(axis=2)} if flat else {}
    made = {name: values.astype(np.float32) for name, values in found.items()}
    image = table.inputs["image"][torch.arange(n)].movedim(1, -1).numpy()
    return made if flat else {"image": image, **made}


def write_street_run(
    at: Path,
    method: str = "joint-distill",
    seed: int = 0,
    table: Table | None = None,
    tasks: Sequence[Task] = TASKS,
    drawn: bool = True,
    **others: Any,
) -> Path:
    """A finished run folder on streets; `drawn`: with pictures and trajectories."""
    table = table or streets()
    models = {"student": Guess(table, tasks, SKILLS[method], seed + 7 * len(method))}
    if method in ("joint-distill", "static-kd"):
        models |= {f"teacher-{task.name}": Guess(table, [task], 0.88, 99) for task in tasks}
    if method == "joint-distill":
        models["connector"] = Guess(table, tasks, 0.92, 98)
    told = {name: judged(model, table) for name, model in models.items()}
    names = [str(name) for name in table.meta["subject"]]
    parts = {"train": (600, ["a", "b"]), "valid": (100, ["c", "d"]), "test": (len(names), names)}
    audit: dict[str, Any] = {part: {"windows": n, "subjects": people} for part, (n, people) in parts.items()}
    audit |= {"shared subjects": {"train and test": []}, "classes absent from training": {t.name: [] for t in tasks}}
    agreement = {name: dict.fromkeys(one, 0.8) for name, one in told.items() if name != "student"}
    made = recipe(method, seed, SPLIT, kind="joint-distill", select="relative", **others)
    at.mkdir(parents=True)
    for file, value in {
        "recipe.json": made | {"data": {"kind": "scenes", "train": 600, "test": 200}},
        "environment.json": {"limbeck": "0.1.0", "seconds": 431.2, "started": "2026-01-05 10:00:00"},
        "data.json": card(table),
        "splits.json": {"split": SPLIT, "leaky": False, "audit": audit},
        "scores.json": {
            "selected": {".": {"step": 450, "score": -0.61}},
            "models": {n: {"parameters": 312_000, "parts": {"valid": one, "test": one}} for n, one in told.items()},
            "agreement": agreement,
        },
    }.items():
        (at / file).write_text(json.dumps(value))
    rows = lines(tasks, told["student"], method)
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if drawn:
        pictures.keep(models, table, tasks, at)
        if method == "joint-distill":
            checkpoint.write_arrays(at / "trajectories.npz", trajectories(table))
    return at


def street_family(root: Path, seeds: Sequence[int] = (0, 1), table: Table | None = None, **others: Any) -> list[Path]:
    """JointDistill, two of its baselines and a network a task."""
    table = table or streets()
    return [
        write_street_run(root / f"{method}-{seed}", method, seed, table, **others)
        for method in ("joint-distill", "naive", "single-task", "dwa")
        for seed in seeds
    ]
