"""One file a paper; this is the list of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck import checkpoint
from limbeck.config import dump, nested, parse
from limbeck.errors import UserError, unknown
from limbeck.recipe import Recipe
from limbeck.recipes.distill_2md_mtl import Distill2MDMTL
from limbeck.recipes.joint_distill import JointDistill
from limbeck.recipes.mixup_topology import MixupTopology
from limbeck.recipes.ppg_heart_rate import PPGHeartRate
from limbeck.recipes.smooth_distill import SmoothDistill

RECIPES: dict[str, type[Recipe]] = {
    recipe.kind: recipe for recipe in (SmoothDistill, MixupTopology, PPGHeartRate, Distill2MDMTL, JointDistill)
}


def make(kind: str, *layers: Mapping[str, Any], preset: str | None = None) -> Recipe:
    """The recipe of that name with a preset's values changed, then those of each layer in turn, by field path.

    Raises `UserError` for an unknown name and for a value that is missing.
    """
    if kind not in RECIPES:
        raise unknown("recipe", kind, RECIPES)
    if preset is not None and preset not in RECIPES[kind].presets:
        raise unknown(f"preset of {kind}:", preset, RECIPES[kind].presets)
    tree = dump(parse(RECIPES[kind], {}))
    for layer in (RECIPES[kind].presets[preset] if preset else {}, *layers):
        tree = nested(layer, tree)
    return parse(RECIPES[kind], tree)


def load(run: Path) -> Recipe:
    """The recipe of a run folder. Raises `UserError` where it is not one."""
    if not (run / "recipe.json").is_file():
        raise UserError(f"{run} is not a run folder: it has no recipe.json")
    values = checkpoint.read_json(run / "recipe.json")
    if values.get("kind") not in RECIPES:
        raise unknown(f"recipe in {run}:", str(values.get("kind")), RECIPES)
    return parse(RECIPES[values["kind"]], values)


__all__ = [
    "RECIPES",
    "Distill2MDMTL",
    "JointDistill",
    "MixupTopology",
    "PPGHeartRate",
    "Recipe",
    "SmoothDistill",
    "load",
    "make",
]
