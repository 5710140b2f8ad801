"""Study folders made up in the documented format: cells with errors in bpm that follow a law of the student's size."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import process
from limbeck.sizes import Measured, measured

PARAMETERS = {1: 16_692, 2: 27_124, 3: 37_556, 4: 47_988, 6: 126_196, 8: 208_884, 10: 508_660}
BLOCKS = (1, 2, 4, 6, 8, 10)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "scratch": {"strategy": "scratch"},
    **{f"{how} from {t}": {"strategy": how, "teacher.blocks": t} for t in (2, 6) for how in ("soft", "dkd")},
}
GAIN = {"scratch": 0.0, "soft": 0.5, "dkd": 1.0}
SUBJECTS = ("1", "2", "3", "4")


def values(by_size: Mapping[float, Sequence[float]]) -> Measured:
    """The errors of several repeats at each size, the first of one size paired with the first of another."""
    return measured({size: {i: {"": (1, v)} for i, v in enumerate(errors)} for size, errors in by_size.items()})


def scores(error: float, draw: np.random.Generator, subjects: Sequence[str] = SUBJECTS) -> dict[str, Any]:
    """Of a heart-rate task; a subject is as easy or hard in every cell."""
    person = {s: process.fold(0, s) % 100 / 50 - 1 for s in subjects}
    each = {
        s: {"n": 100 + i, "mae": max(0.1, error + person[s] + 0.1 * draw.normal()), "rmse": error + 4, "r": 0.7,
            "within_5": 0.5, "bias": 0.3} for i, s in enumerate(subjects)
    }  # fmt: skip
    n = sum(s["n"] for s in each.values())
    mae = sum(s["n"] * s["mae"] for s in each.values()) / n
    return {
        "n": n, "mae": mae, "rmse": mae + 4, "r": 0.7, "within_5": 0.5, "bias": 0.3, "limits": [-9.0, 9.0], "loss": 3.0,
        "mae_argmax": mae, "mae_expectation": mae, "coverage": 0.9, "width": 20.0, "entropy": 2.0, "subjects": each,
        "groups": {}, "interval": {"mae": [mae - 1, mae + 1]}, "unit": "bpm",
    }  # fmt: skip


def write_cell(at: Path, error: float, seed: int, parameters: int, data: str = "IEEE SPC 2015",
               subjects: Sequence[str] = SUBJECTS) -> None:  # fmt: skip
    """A finished run, of which a study reads scores, split and card."""
    draw = np.random.default_rng(seed)
    task = {"heart rate": scores(error, draw, subjects)}
    peaks = {"heart rate": scores(12.0, np.random.default_rng(0), subjects)}
    models = {
        "student": {"parameters": parameters, "parts": {"test": task}},
        "peaks": {"parameters": None, "parts": {"test": peaks}},
    }
    at.mkdir(parents=True)
    for name, value in {
        "scores.json": {"selected": {}, "models": models, "agreement": {}},
        "data.json": {"name": data, "digest": data, "subjects": len(subjects)},
        "recipe.json": {"kind": "ppg-heart-rate", "data": {"kind": data}},
        "splits.json": {"split": {"kind": "subject"}, "leaky": False, "audit": {}},
    }.items():  # fmt: skip
        (at / name).write_text(json.dumps(value))


def cells(blocks: Sequence[int], seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, str], float, int, int]]:
    """Name, labels, error, seed and parameters of each."""
    for seed, (variant, settings), n in product(seeds, VARIANTS.items(), blocks):
        labels = {"seed": str(seed), "variant": variant, "student.blocks": str(n)}
        error = 5 * np.exp(-0.5 * n) + 9 - GAIN[settings["strategy"]] * settings.get("teacher.blocks", 0) / 6
        yield (
            f"cell-{seed}-{variant}-{n}".replace(" ", "-"),
            labels,
            error,
            process.fold(seed, variant, n),
            PARAMETERS[n],
        )


def scaling_study(out: Path, blocks: Sequence[int] = BLOCKS, seeds: Sequence[int] = (0, 1, 2)) -> Path:
    """A finished study of sizes."""
    study = {"name": "scaling", "recipe": "ppg-heart-rate", "base": {}, "variants": VARIANTS, "seeds": list(seeds),
             "grid": {"student.blocks": list(blocks)}, "compare": "variant", "reference": "scratch",
             "size": "student.blocks", "panel": "teacher.blocks", "across": None}  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.json").write_text(json.dumps(study))
    made = list(cells(blocks, seeds))
    (out / "cells.json").write_text(json.dumps({name: labels for name, labels, *_ in made}))
    for name, _, error, seed, parameters in made:
        write_cell(out / "cells" / name, error, seed, parameters)
    return out
