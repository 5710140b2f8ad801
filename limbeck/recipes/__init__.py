"""One file a paper; this is the list of them."""

from pathlib import Path
from typing import Any

from limbeck import checkpoint
from limbeck.config import override, parse
from limbeck.errors import UserError, unknown
from limbeck.recipe import Recipe
from limbeck.recipes.smooth_distill import SmoothDistill

RECIPES: dict[str, type[Recipe]] = {recipe.kind: recipe for recipe in (SmoothDistill,)}


def make(kind: str, paths: dict[str, Any]) -> Recipe:
    """The recipe of that name with some fields changed, by path. Raises `UserError` for an unknown name."""
    if kind not in RECIPES:
        raise unknown("recipe", kind, RECIPES)
    return override(parse(RECIPES[kind], {}), paths)


def load(run: Path) -> Recipe:
    """The recipe of a run folder. Raises `UserError` where it is not one."""
    if not (run / "recipe.json").is_file():
        raise UserError(f"{run} is not a run folder: it has no recipe.json")
    values = checkpoint.read_json(run / "recipe.json")
    if values.get("kind") not in RECIPES:
        raise unknown(f"recipe in {run}:", str(values.get("kind")), RECIPES)
    return parse(RECIPES[values["kind"]], values)


__all__ = ["RECIPES", "Recipe", "SmoothDistill", "load", "make"]
