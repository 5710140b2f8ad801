"""A finished run folder, read."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from limbeck.errors import UserError
from limbeck.scored import (
    KINDS,
    AnyScores,
    AreaScores,
    ClassScores,
    DepthScores,
    DirectionScores,
    Number,
    PixelScores,
    Scores,
    Stats,
    ValueScores,
)

FILES = ("recipe.json", "environment.json", "splits.json", "data.json", "scores.json")
STUDENT = "student"
WEIGHT = "weight("
"""How the names of weights begin among those of loss terms."""


class Model(BaseModel):
    """One scored model; `nodes` where it is made of trees and has no parameters."""

    parameters: int | None = None
    nodes: int | None = None
    parts: dict[str, dict[str, AnyScores]]


class Selected(BaseModel):
    """Which snapshot was kept, and its score on validation."""

    step: int
    score: Number


class Scored(BaseModel):
    """`scores.json`; `selected` by stage, `.` being the run itself."""

    selected: dict[str, Selected]
    models: dict[str, Model]
    agreement: dict[str, dict[str, Number]] = {}


@dataclass(frozen=True)
class Finished:
    """One finished run folder, read."""

    at: Path
    recipe: dict[str, Any]
    environment: dict[str, Any]
    splits: dict[str, Any]
    card: dict[str, Any]
    journals: dict[str, list[dict[str, Any]]]
    """The rows of each stage that trained a part of the student, by its folder in the run's; mostly `.` alone."""
    scored: Scored

    @property
    def method(self) -> str:
        """The name of the method: the recipe's `method` or `strategy` where it has one, else its kind."""
        method = self.recipe.get("method", self.recipe.get("strategy", self.recipe["kind"]))
        return str(method["kind"] if isinstance(method, Mapping) else method)

    @property
    def seed(self) -> Any:
        """What its randomness came from; None where the recipe has no plan."""
        return self.recipe.get("plan", {}).get("seed")

    @property
    def rule(self) -> str:
        """What chose the snapshot that was kept."""
        rule = self.recipe.get("select", "score")
        named = {"mae": "MAE", "relative": "logarithm of what each task is judged by"}
        return f"best mean validation {named.get(rule, rule.replace('_', '-'))}"

    @cached_property
    def cost(self) -> dict[str, Any]:
        """`cost.json`: what the steps of the student took. Empty where they were made in stages, or it is not known."""
        return dict(_json(self.at / "cost.json")) if (self.at / "cost.json").is_file() else {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Of all stages, one after another."""
        return [row for rows in self.journals.values() for row in rows]

    @property
    def terms(self) -> list[str]:
        """The names of the loss terms it was trained by."""
        return [name for name in self._logged() if not name.startswith(WEIGHT)]

    @property
    def weights(self) -> list[str]:
        """The names of weights that were logged beside them, as they follow the losses of their tasks."""
        return [name for name in self._logged() if name.startswith(WEIGHT)]

    def _logged(self) -> list[str]:
        return list(dict.fromkeys(t for row in self.rows if row["event"] == "train" for t in row["terms"]))

    @cached_property
    def values(self) -> dict[str, np.ndarray[Any, Any]]:
        """`values.npz`: what each model says of each test window. Empty where the run has none."""
        path = self.at / "values.npz"
        if not path.is_file():
            return {}
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except (ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read ({error})") from None


def load(at: Path) -> Finished:
    """A run folder. Raises `UserError` naming what is missing or cannot be read."""
    if not at.is_dir():
        raise UserError(f"{at} is not a run: there is no such folder")
    stages = _stages(at)
    needed = [*FILES, *(str((stage / "metrics.jsonl").relative_to(at)) for stage in stages)]
    missing = [name for name in needed if not (at / name).is_file()]
    if missing:
        raise UserError(
            f"{at} is not a finished run: it has no {', '.join(missing)}; to finish one: limbeck resume {at}"
        )
    recipe, environment, splits, card = (_json(at / name) for name in FILES[:4])
    journals = {str(stage.relative_to(at)): _rows(stage / "metrics.jsonl") for stage in stages}
    return Finished(at, recipe, environment, splits, card, journals, load_scores(at))


def load_scores(at: Path) -> Scored:
    """The scores alone. Raises `UserError` where they cannot be read."""
    try:
        return Scored.model_validate(_json(at / "scores.json"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in KINDS)
        raise UserError(f"{at / 'scores.json'}: {where}: {first['msg']}") from None


def _stages(at: Path) -> list[Path]:
    """Where the student was trained: in the run's folder or, a network a task, in the stages that its model names."""
    model = at / "best" / "model.json"
    parts = _json(model).get("parts") if model.is_file() else None
    return [at / part for part in parts] if parts else [at]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from None


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise UserError(f"{path} is not lines of JSON ({error})") from None


def leaves(plain: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Field paths of a dumped spec with their values; a nested spec's `kind` stands at its own path."""
    for name, value in plain.items():
        path = (where or name) if name == "kind" else f"{where}.{name}" if where else name
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, value


def text(value: Any) -> str:
    """A plain value of a recipe as the command line takes it."""
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return ",".join(map(text, value)) if isinstance(value, (list, tuple)) else str(value)


__all__ = [
    "AnyScores", "AreaScores", "ClassScores", "DepthScores", "DirectionScores", "Finished", "Model", "Number",
    "PixelScores", "Scored", "Scores", "Selected", "Stats", "ValueScores", "leaves", "load", "load_scores", "text",
]  # fmt: skip
