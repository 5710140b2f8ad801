"""Run and study folders made up in the documented format: faces of two half-labelled sets, with generated labels."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import assessment
from limbeck.tasks import IGNORE, Task

AGE = Task(
    "age", 8, ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60+"), unit="years",
    middles=(1.0, 5.0, 10.5, 17.5, 28.5, 40.5, 50.5, 70.0),
)  # fmt: skip
FACES = (AGE, Task.of("gender", ("male", "female")), Task.of("expression", ("angry", "happy", "sad", "neutral")))
SETS: Mapping[str, Sequence[str]] = {"utkface": ("age", "gender"), "fer2013": ("expression",)}
SKILLS = {"age": 0.55, "gender": 0.86, "expression": 0.58}
VIEWS = ["identity", "flip", "scale 0.9", "scale 1.1"]


def judged(seed: int, skills: Mapping[str, float], images: int, every: bool = False) -> dict[str, Any]:
    """Scores on a test of as many images of each set, each of a person of their own; `every` set labels every task."""
    draw, names = np.random.default_rng(seed), list(SETS)
    domain = np.array(names).repeat(images)
    meta = {"domain": domain, "subject": np.array([f"{d} {i:06}.jpg" for i, d in enumerate(domain)])}
    # What is shown is the same whatever answers.
    truth, found = np.random.default_rng(99), {}
    for task in FACES:
        classes = task.classes or 0
        target = truth.integers(0, classes, len(domain))
        said = np.where(
            draw.random(len(domain)) < skills[task.name],
            target,
            np.clip(target + draw.choice([-1, 1, 2], len(target)), 0, classes - 1),
        )
        logits = 2.0 * np.eye(classes)[said] + draw.normal(0, 0.3, (len(domain), classes))
        owners = [name for name in names if every or task.name in SETS[name]]
        found[task.name] = assessment.scores(task, logits, np.where(np.isin(domain, owners), target, IGNORE), meta)
    return found


def card(images: int) -> dict[str, Any]:
    """Of the joined sets."""
    sets = {
        name: {
            "name": name, "modality": "image", "images": 5 * images, "subjects": 5 * images,
            "findings": {"copies of another image, left out": 74},
            "findings_first": {"copies of another image, left out": "a.jpg and b.jpg"},
            "facts": [], "dropped": {}, "licence": "research use",
        }
        for name in SETS
    }  # fmt: skip
    cells = {
        name: {
            t.name: {"labelled": 5 * images - 16, "generated": 0, "missing": 16}
            if t.name in tasks
            else {"labelled": 0, "generated": 0, "missing": 5 * images}
            for t in FACES
        }
        for name, tasks in SETS.items()
    }
    return {
        "name": " + ".join(SETS), "modality": "image", "channels": ["grey"], "unit": "0 to 255", "size": 48,
        "subjects": 10 * images, "parts": list(sets.values()), "cells": cells, "hidden": {"fer2013": ["age"]},
        "findings": {}, "findings_first": {}, "facts": [], "dropped": {}, "digest": "5b1f",
        "tasks": {t.name: {**{label: 400 + 90 * i for i, label in enumerate(t.labels)}, "missing": 5 * images}
                  for t in FACES},
    }  # fmt: skip


def labels(seed: int, lift: float, rounds: int = 1) -> dict[str, Any]:
    """`labels.json` of a run."""
    draw = np.random.default_rng(seed)

    def task(name: str, number: int) -> dict[str, Any]:
        other = next(s for s, tasks in SETS.items() if name not in tasks)
        names = next(t.labels for t in FACES if t.name == name)
        kept, right = 0.5 + lift + 0.02 * draw.normal(), SKILLS[name] + lift + 0.02 * draw.normal()
        return {
            "rule": "rate", "threshold": {label: 0.5 + 0.04 * i for i, label in enumerate(names)}, "asked": 7510,
            "kept": round(7510 * kept), "coverage": kept,
            "by_set": {other: {"asked": 7510, "kept": round(7510 * kept),
                               "labels": {label: 300 + 130 * i for i, label in enumerate(names)}}},
            "held": {"n": 1880, "kept": round(1880 * kept), "coverage": kept, "accuracy_kept": min(0.99, right + 0.1),
                     "accuracy_all": right, "accuracy_plain": right - 0.015},
            "agreement": None if number == 1 else 0.91,
        }  # fmt: skip

    told = [
        {"round": r, "teachers": {t.name: "9f3c51d0" for t in FACES}, "views": VIEWS,
         "tasks": {t.name: task(t.name, r) for t in FACES}}
        for r in range(1, rounds + 1)
    ]  # fmt: skip
    return {"rounds": told, "cells": {}}


def rows(seed: int, weights: bool, distils: bool, half: int = 200, cycles: int = 5) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, of a rate that goes up and down and shrinks."""
    draw, high, made = np.random.default_rng(seed), 0.05, []
    for step in range(20, 2 * half * cycles + 1, 20):
        place, decay = step % (2 * half), math.exp(-step / 900)
        terms = {t.name: 0.4 + 1.5 * decay + 0.05 * draw.random() for t in FACES}
        if distils:
            terms |= {f"generated({t.name})": 0.3 + decay for t in FACES}
        if weights:
            terms |= {f"weight({t.name})": 1 + 0.3 * (i - 1) * (1 - decay) for i, t in enumerate(FACES)}
        rate = high / 10 + 0.9 * high * min(place, 2 * half - place) / half
        made.append(
            {"event": "train", "step": step, "epoch": step / 100, "loss": 2 * decay, "lr": rate, "terms": terms}
        )
        if step % 400:
            continue
        high *= 1.0 if step in (400, 1200) else 0.7
        made.append({"event": "cycle", "step": step, "loss": decay, "before": None, "high": high, "low": high / 10})
        for part in ("valid", "train"):
            scores = {
                t.name: {"accuracy": SKILLS[t.name] * (1 - decay / 2), "macro_f1": 0.5, "loss": decay} for t in FACES
            }
            made.append({"event": "eval", "step": step, "epoch": step / 100, "model": "student", "part": part,
                         "scores": scores})  # fmt: skip
    return made


def range_test() -> dict[str, Any]:
    """`range.json`."""
    lrs = [10 ** (-6 + 6 * i / 299) for i in range(300)]
    smoothed = [2.3 - 1.2 / (1 + math.exp(-3 * (math.log10(r) + 2.5))) + (max(0, r - 0.2) * 30) ** 2 for r in lrs]
    known = [value for value in smoothed if value < 4.5]
    return {"lrs": lrs[: len(known)], "losses": known, "smoothed": known, "diverged": lrs[len(known)],
            "high": lrs[len(known)] / 10, "low": lrs[len(known)] / 100}  # fmt: skip


def write_face_run(
    at: Path,
    method: str = "mtl-dd",
    seed: int = 0,
    lift: float = 0.0,
    images: int = 1200,
    balance: str = "equal",
    every: bool = False,
    rounds: int = 1,
) -> Path:
    """A finished run; `lift` is by how much it is better than most."""
    skills = {name: skill + lift + 0.01 * seed for name, skill in SKILLS.items()}
    distils, people = method.endswith("-dd"), {"train": 6 * images, "valid": 2 * images, "test": 2 * images}
    pairs = ("train and valid", "train and test", "valid and test")
    audit: dict[str, Any] = {
        part: {"windows": n, "subjects": [], "subjects in all": n} for part, n in people.items()
    } | {"shared subjects": {p: [] for p in pairs}, "overlapping windows": dict.fromkeys(pairs, 0),
         "classes absent from training": {t.name: [] for t in FACES}}  # fmt: skip
    plan = {"kind": "plan", "epochs": 20.0, "seed": seed, "schedule": {"kind": "adaptive-clr", "half": 4.0}}
    split = {"kind": "subject", "test": 0.2, "valid": 0.2, "seed": 0}
    model = {"parameters": 1_204_310, "parts": {"test": judged(seed, skills, images, every)}}
    at.mkdir(parents=True)
    for name, value in {
        "recipe.json": {"kind": "distill-2md-mtl", "data": {"kind": "image-sets", "size": 48}, "split": split,
                        "method": method, "balance": {"kind": balance}, "plan": plan, "select": "accuracy"},
        "environment.json": {"limbeck": "0.1.0", "device": "cpu", "seconds": 812.0, "started": "2026-01-05 10:00:00"},
        "data.json": card(images),
        "splits.json": {"split": split, "leaky": False, "audit": audit},
        "scores.json": {"selected": {".": {"step": 1600, "score": 0.66}}, "models": {"student": model},
                        "agreement": {}},
        "labels.json": labels(seed, lift, rounds) if distils else {"rounds": [], "cells": {}},
        "range.json": range_test(),
    }.items():  # fmt: skip
        (at / name).write_text(json.dumps(value))
    lines = rows(seed, balance != "equal", distils)
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return at


def face_family(root: Path, seeds: Sequence[int] = (0, 1, 2), images: int = 1200, **others: Any) -> list[Path]:
    """Runs of a method with generated labels, one with weights that follow, and one without either."""
    return [
        write_face_run(root / f"{method}-{seed}", method, seed, lift, images, balance, **others)
        for method, lift, balance in (("mtl-dd", 0.03, "equal"), ("single-dd", 0.0, "equal"),
                                      ("mtl-domains", 0.02, "uncertainty"))
        for seed in seeds
    ]  # fmt: skip
