"""Run folders made up in the documented format, with plausible numbers: for the tests of the report."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EXERCISES = (
    "walking", "jogging", "stairs", "sitting", "standing", "typing", "brushing teeth", "eating soup", "eating chips",
    "eating pasta", "drinking", "eating sandwich", "kicking", "catch", "dribbling", "writing", "clapping",
    "folding clothes",
)  # fmt: skip
LABELS: Mapping[str, Sequence[str]] = {"exercise": EXERCISES, "device": ("phone in pocket", "watch on wrist")}
SUBJECTS = tuple(str(1600 + i) for i in range(10))


def rates(confusion: Sequence[Sequence[int]]) -> dict[str, float]:
    """accuracy, macro_f1 and weighted_f1 of a confusion matrix, by scikit-learn's definitions."""
    size, total = range(len(confusion)), sum(map(sum, confusion))
    both = [sum(confusion[c]) + sum(row[c] for row in confusion) for c in size]
    f1 = [2 * confusion[c][c] / both[c] if both[c] else 0.0 for c in size]
    present = [f1[c] for c in size if both[c]]
    return {
        "accuracy": sum(confusion[c][c] for c in size) / total,
        "macro_f1": sum(present) / len(present),
        "weighted_f1": sum(f1[c] * sum(confusion[c]) for c in size) / total,
    }


def scores(
    draw: random.Random, labels: Sequence[str], skill: float, subjects: Sequence[str] = SUBJECTS, spread: float = 0.08
) -> dict[str, Any]:
    """Scores of a model that is right about `skill` of the time, more on some subjects than on others."""
    size = len(labels)
    whole = [[0] * size for _ in range(size)]
    each = {}
    for i, subject in enumerate(subjects):
        own = min(0.99, max(0.02, skill + spread * (i / max(1, len(subjects) - 1) - 0.5)))
        table = [[0] * size for _ in range(size)]
        for true in range(size):
            for _ in range(12):
                other = (true + draw.choice([1, 1, 2, size - 1])) % size
                table[true][true if draw.random() < own else other] += 1
        whole = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(whole, table, strict=True)]
        each[subject] = {"n": 12 * size} | {k: v for k, v in rates(table).items() if k != "weighted_f1"}
    found = rates(whole)
    interval = {k: [found[k] - 0.04, min(1.0, found[k] + 0.03)] for k in ("accuracy", "macro_f1")}
    return {
        "n": sum(map(sum, whole)), **found, "ece": 0.05 + 0.05 * draw.random(), "loss": 1.2 - skill, "confusion": whole,
        "labels": list(labels), "subjects": each, "interval": interval if len(subjects) > 1 else None,
    }  # fmt: skip


def recipe(method: str, seed: int, split: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """A resolved recipe."""
    plan = {
        "kind": "plan", "epochs": 10.0, "steps": None, "batch": 64, "seed": seed,
        "optimiser": {"kind": "adam", "lr": 0.001, "weight_decay": 0.0}, "schedule": {"kind": "constant"}, "clip": None,
        "evaluations": 10, "precision": "fp32", "device": "auto", "threads": None,
    }  # fmt: skip
    return {
        "kind": "smooth-distill", "data": {"kind": "wisdm", "root": "data/wisdm", "rate": 20.0}, "split": dict(split),
        "student": {"kind": "mtlnet", "width": 32, "as_released": False}, "method": method, "alpha": 0.5, "lam": 0.5,
        "how": {"kind": "soft", "T": 3.0, "reduction": "sum"}, "beta": 0.999, "augment": None, "plan": plan,
        "select": "accuracy",
    } | others  # fmt: skip


SUBJECT_SPLIT = {
    "kind": "subject", "test": 0.2, "valid": 0.2, "seed": 0, "test_subjects": [], "valid_subjects": [],
}  # fmt: skip
LEAKY_SPLIT = {"kind": "random-window", "test": 0.2, "folds": 5, "fold": 0, "seed": 42}


def rows(draw: random.Random, method: str, skills: Mapping[str, float], epochs: int = 10) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`."""
    distils, found = method == "smooth-distill", []
    for step in range(10, 50 * epochs + 1, 10):
        epoch, decay = step / 50, 0.86 ** (step / 50)
        terms = {task: decay * 2.2 * (1.4 - skill) + 0.05 * draw.random() for task, skill in skills.items()}
        if distils:
            terms |= {f"soft({task}, ema)": 0.4 * value * draw.uniform(0.8, 1.2) for task, value in list(terms.items())}
        found.append(
            {"event": "train", "step": step, "epoch": epoch, "loss": sum(terms.values()), "lr": 1e-3, "terms": terms}
        )
        if step % 50:
            continue
        for model, part in [("student", "valid"), ("student", "train"), *([("ema", "valid")] if distils else [])]:
            lift = (0.06 if distils else 0.1) * epoch / epochs if part == "train" else 0.0
            late = 0.12 * decay if model == "ema" else 0.0
            values = {
                t: min(0.99, s * (1 - 0.5 * decay) + lift - late + draw.uniform(-0.01, 0.01)) for t, s in skills.items()
            }
            told = {t: {"accuracy": v, "macro_f1": v - 0.02, "loss": 1.3 - v} for t, v in values.items()}
            found.append({"event": "eval", "step": step, "epoch": epoch, "model": model, "part": part, "scores": told})
    return found


def write_run(
    at: Path,
    method: str = "smooth-distill",
    seed: int = 0,
    skills: Mapping[str, float] | None = None,
    split: Mapping[str, Any] = SUBJECT_SPLIT,
    labels: Mapping[str, Sequence[str]] = LABELS,
    subjects: Sequence[str] = SUBJECTS,
    trees: float | None = None,
    name: str = "WISDM 2019",
    **others: Any,
) -> Path:
    """A finished run folder; `skills` is about its accuracy on each task, `trees` that of the classical model."""
    skills = skills or {"exercise": 0.71, "device": 0.89}
    draw = random.Random(f"{method} {seed}")
    leaky = split["kind"] == "random-window"
    made = recipe(method, seed, split, **others)
    train, valid = [f"15{i:02}" for i in range(24)], [f"14{i:02}" for i in range(5)]
    people = {"train": train, "valid": valid, "test": list(subjects)}
    if leaky:
        people = {part: list(subjects) for part in people}
    shared = {f"{a} and {b}": sorted(set(people[a]) & set(people[b])) for a, b in
              (("train", "valid"), ("train", "test"), ("valid", "test"))}  # fmt: skip
    windows = {"train": 15552, "valid": 3120, "test": 216 * len(subjects)}
    audit: dict[str, Any] = {part: {"windows": windows[part], "subjects": people[part]} for part in people}
    audit |= {"shared subjects": shared, "classes absent from training": {task: [] for task in labels}}

    def tests(lift: float, source: random.Random = draw) -> dict[str, Any]:
        return {task: scores(source, labels[task], skills[task] + lift, subjects) for task in skills}

    def model(lift: float) -> dict[str, Any]:
        return {
            "parameters": 4_287_887,
            "parts": {"train": tests(lift + 0.1), "valid": tests(lift), "test": tests(lift)},
        }

    models = {"student": model(0.0)}
    if method == "smooth-distill":
        models["ema"] = model(-0.01)
    if trees is not None:
        alike = random.Random(f"trees {seed}")
        parts = {"test": {task: scores(alike, labels[task], trees, subjects) for task in skills}}
        models["trees"] = {"parameters": None, "nodes": 184_220, "parts": parts}
    card = {
        "name": name, "rate": 20.0, "unit": "m/s²", "channels": ["x", "y", "z"], "window": 100, "stride": 60,
        "modality": "sensor", "subjects": 39, "recordings": 1404,
        "findings": {"gap over 1 s": 12, "duplicate row": 340},
        "findings_first": {"gap over 1 s": "watch/1609.txt:2210"},
        "licence": "CC BY 4.0", "citation": "Weiss 2019", "dropped": {"label changes inside": 31},
        "tasks": {task: {label: 700 + 37 * i for i, label in enumerate(names)} for task, names in labels.items()},
        "digest": "9f3c51d07ab2e644",
    }  # fmt: skip
    environment = {
        "limbeck": "0.1.0", "python": "3.12.3", "torch": "2.13.0", "numpy": "2.4.6", "platform": "Linux x86_64",
        "cpu": "AMD EPYC", "cores": 2, "device": "cpu", "threads": 1, "commit": "abc1234", "seconds": 431.2 + seed,
        "started": "2026-01-05 10:00:00",
    }  # fmt: skip
    selected = {".": {"step": 450, "score": 0.79}}
    agreement = {"ema": dict.fromkeys(skills, 0.93)} if "ema" in models else {}
    at.mkdir(parents=True)
    for file, value in {
        "recipe.json": made, "environment.json": environment, "data.json": card,
        "splits.json": {"split": dict(split), "leaky": leaky, "audit": audit},
        "scores.json": {"selected": selected, "models": models, "agreement": agreement},
    }.items():  # fmt: skip
        (at / file).write_text(json.dumps(value))
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(draw, method, skills)))
    return at


def family(root: Path, seeds: Sequence[int] = (0, 1), **others: Any) -> list[Path]:
    """Three methods with some seeds each, smooth-distill about level with hard-sharing; trees lowest."""
    skills = {
        "smooth-distill": {"exercise": 0.712, "device": 0.92},
        "hard-sharing": {"exercise": 0.725, "device": 0.86},
        "sdd": {"exercise": 0.66, "device": 0.85},
    }
    return [
        write_run(
            root / f"{method}-{seed}", method, seed, skill, trees=0.62 if method == "hard-sharing" else None, **others
        )
        for method, skill in skills.items()
        for seed in seeds
    ]
