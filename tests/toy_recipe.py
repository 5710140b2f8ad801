"""A recipe that trains nothing: its scores are a function of its fields. It can fail, die, and tell when it ran."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck import checkpoint, process
from limbeck.config import dump
from limbeck.data.synthetic import Wearable
from limbeck.observers import Observer
from limbeck.recipe import Models, Place, Recipe, _opened

GAIN = {"good": 0.15, "bad": -0.15}
SUBJECTS = 12


class Toy(Recipe):
    """`good` and `bad` lie 15 points above and below the others; `dies` does so the first time only."""

    kind: ClassVar[str] = "toy"
    data: Wearable = Wearable()
    method: Literal["plain", "alike", "good", "bad", "raises", "dies"] = "plain"
    lam: float = 0.5
    seconds: float = 0.0

    def learn(self, split: Any, place: Place) -> Models:
        raise NotImplementedError

    def run(self, at: Path, observers: Sequence[Observer] = (), shared: Path | None = None) -> Models:
        with _opened(at, self):
            if (at / "scores.json").is_file():
                return {}
            with (at.parent.parent / "ran.txt").open("a") as file:
                file.write(f"{self.method} {self.plan.seed} {os.getpid()}\n")
            for observer in observers:
                observer.begins(at, 0, 10)
                observer.stepped(10)
            if self.method == "raises":
                raise ZeroDivisionError("one\nby nought")
            if self.method == "dies" and not (at / "died").exists():
                (at / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            self.write(at)
        return {}

    def write(self, at: Path) -> None:
        """All that a study reads."""
        leaky = self.split.kind == "random-window"
        checkpoint.write_json(at / "splits.json", {"split": dump(self.split), "leaky": leaky, "audit": {}})
        checkpoint.write_json(at / "data.json", {"name": "toys", "digest": "toys", "subjects": SUBJECTS})
        checkpoint.write_json(at / "recipe.json", dump(self))
        subjects = range(SUBJECTS)
        if self.split.kind == "kfold":
            subjects = range(self.split.fold, SUBJECTS, self.split.folds)
        if self.split.kind == "loso":
            subjects = [self.split.fold]
        gain = GAIN.get(self.method, 0.0)
        student = self.scores(subjects, gain, process.fold(self.plan.seed, self.method, str(self.lam)))
        trees = self.scores(subjects, -0.3, 0)
        models = {
            "student": {"parameters": 100, "parts": {"train": student, "test": student}},
            "trees": {"parameters": None, "nodes": 9, "parts": {"test": trees}},
        }
        checkpoint.write_json(at / "scores.json", {"selected": {}, "models": models, "agreement": {}})

    def scores(self, subjects: Sequence[int], gain: float, seed: int) -> dict[str, Any]:
        """Hits drawn by subject; a subject is as easy or hard in every method."""
        draw = np.random.default_rng(seed)
        hits = {
            f"s{s}": int(draw.binomial(200, np.clip(np.random.default_rng(s).uniform(0.5, 0.7) + gain, 0, 1)))
            for s in subjects
        }
        n, right = 200 * len(hits), sum(hits.values())
        each = {name: {"n": 200, "accuracy": h / 200, "macro_f1": h / 200} for name, h in hits.items()}
        return {
            "activity": {
                "n": n, "accuracy": right / n, "macro_f1": right / n, "weighted_f1": right / n, "ece": 0.1, "loss": 1.0,
                "labels": ["a", "b"], "confusion": [[right, 0], [n - right, 0]], "subjects": each,
                "interval": {"accuracy": [0.1, 0.9], "macro_f1": [0.2, 0.8]},
            }
        }  # fmt: skip
