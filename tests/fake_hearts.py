"""Run folders of heart-rate models: simulated answers, scored as real ones are; for the tests of the report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck import evaluate
from limbeck.data.source import Dense, Table
from limbeck.tasks import Task
from tests.fake_runs import write_run

HEART = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm", decoder="expectation")
PEOPLE = ("S1", "S2", "S3", "S4", "S5", "S6")
ACTIVITIES = ("rest", "walk", "run")


def hearts(subjects: Sequence[str] = PEOPLE, windows: int = 120, task: Task = HEART) -> Table:
    """Windows of some people, 2 s apart, whose heart rate follows what they do; the first label is missing."""
    draw, rows = np.random.default_rng(5), len(subjects) * windows
    doing = np.tile(np.arange(windows) * 3 // windows, len(subjects))
    person = np.repeat(np.arange(len(subjects)), windows)
    rate = 62 + 4 * person + 28 * doing + np.cumsum(draw.normal(0, 0.6, rows)) % 7
    rate[0] = np.nan
    meta = {
        "subject": np.array(subjects)[person],
        "session": np.array(subjects)[person],
        "start": np.tile(np.arange(windows) * 2.0, len(subjects)) + np.where(doing == 2, 120.0, 0.0),
        "activity": np.array(ACTIVITIES)[doing],
    }
    target = {task.name: torch.from_numpy(rate.astype(np.float32))}
    return Table((task,), {"sensor": Dense(torch.zeros(rows, 1, 4))}, target, meta)


def logits(table: Table, spread: float, seed: int, wide: float = 1.0, task: Task = HEART) -> torch.Tensor:
    """Answers that are off by about `spread`, more so when people run; `wide` is how unsure a model is of them."""
    draw = np.random.default_rng(seed)
    truth = np.nan_to_num(table.targets[task.name].numpy(), nan=70.0)
    scale = spread * (1 + (table.meta["activity"] == "run"))
    said = truth + scale * draw.standard_t(4, len(truth)) - 0.1 * spread
    sure = wide * scale[:, None] * 1.3
    return torch.from_numpy(-(((task.centres().numpy() - said[:, None]) / sure) ** 2) / 2).float()


def write_heart_run(
    at: Path, strategy: str = "dkd", seed: int = 0, spread: float = 4.0, mixed: bool = False,
    subjects: Sequence[str] = PEOPLE, traced: bool = True, wide: float = 1.0, **others: Any,
) -> Path:  # fmt: skip
    """A finished run of the recipe ppg-heart-rate, with a teacher and the classical row `peaks`.

    `mixed` has the classes of fake_runs beside it; without `traced` there is no `values.npz`.
    """
    write_run(at, "hard-sharing", seed, subjects=subjects, name="ieee-spc", **others)
    files = {name: json.loads((at / name).read_text()) for name in ("recipe.json", "data.json", "scores.json")}
    recipe, card, stored = files.values()
    recipe |= {"kind": "ppg-heart-rate", "strategy": strategy, "select": "mae"}
    card |= {"rate": 25.0, "window": 200, "stride": 50, "channels": ["ppg"], "unit": "", "resampling": "recording",
             "filter": {"band": [0.5, 4.0], "order": 4, "how": "zero-phase"}}  # fmt: skip
    table, base = hearts(subjects), 100 * seed + sum(map(ord, strategy))
    answers = {"student": logits(table, spread, base, wide), "teacher": logits(table, 2.5, 7, wide)}
    truth = np.nan_to_num(table.targets["heart rate"].numpy(), nan=70.0)
    peaks = truth + np.random.default_rng(2).normal(0, 8.0, len(truth))
    answers["peaks"] = torch.from_numpy(peaks).float()[:, None]
    student = stored["models"]["student"]
    stored["models"] |= {"teacher": student | {"parameters": 837_876}, "peaks": {"parameters": None, "parts": {}}}
    for name, answer in answers.items():
        scores = evaluate.assess({"heart rate": answer}, table, [HEART])
        model = stored["models"][name] = json.loads(json.dumps(stored["models"][name]))
        for part in ("train", "valid", "test") if name != "peaks" else ("test",):
            model["parts"][part] = (model["parts"].get(part, {}) if mixed else {}) | scores
    alike = evaluate.agreement({"heart rate": answers["student"]}, {"heart rate": answers["teacher"]}, [HEART])
    stored["agreement"] = {"teacher": alike}
    stored["selected"]["."]["score"] = -1.1 * spread
    rows = [json.loads(line) for line in (at / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        if row["event"] == "train":
            row["terms"] = {"heart rate": row["loss"]} | (
                {"soft(heart rate, teacher)": 1.0} if strategy != "scratch" else {}
            )
        else:
            mae = spread + 20 * 0.8 ** row["epoch"] - (0.5 if row["part"] == "train" else 0.0)
            told = {"heart rate": {"mae": mae, "rmse": 1.3 * mae, "loss": mae / 4}}
            row["scores"] = row["scores"] | told if mixed else told
    if not mixed:
        recipe.pop("method")
        card["tasks"] = {"heart rate": {"values": len(table) - 1, "missing": 1}}
        splits = json.loads((at / "splits.json").read_text())
        splits["audit"]["classes absent from training"] = {}
        (at / "splits.json").write_text(json.dumps(splits))
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, values in files.items():
        (at / name).write_text(json.dumps(values))
    if traced:
        arrays = evaluate.traces({name: {"heart rate": answer} for name, answer in answers.items()}, table, [HEART])
        np.savez_compressed(at / "values.npz", **arrays)  # type: ignore[arg-type]
    return at


def heart_family(root: Path, seeds: Sequence[int] = (0, 1), **others: Any) -> list[Path]:
    """Two strategies with some seeds each, the distilled one better."""
    return [
        write_heart_run(root / f"{strategy}-{seed}", strategy, seed, spread, **others)
        for strategy, spread in (("dkd", 3.0), ("scratch", 4.5))
        for seed in seeds
    ]
