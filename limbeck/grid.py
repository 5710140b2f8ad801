"""A study: one recipe with some of its fields varied, and the cells that makes."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from limbeck import checkpoint
from limbeck.config import Spec, differences, digest, dump, override, parse
from limbeck.errors import UserError, unknown
from limbeck.finished import leaves, text
from limbeck.recipe import Recipe, anywhere

VARIANT, SEED, SEED_PATH = "variant", "seed", "plan.seed"
Labels = dict[str, str]


class Cell(NamedTuple):
    """One run of a study. `labels`: the value it has on each axis, in words."""

    labels: Labels
    recipe: Recipe

    @property
    def name(self) -> str:
        """The name of its folder: a digest of all that makes the run."""
        return digest(anywhere(dump(self.recipe)))


class Axis(NamedTuple):
    """What is varied together: by label, field paths and their values."""

    name: str
    values: list[tuple[str, Mapping[str, Any]]]


class Study(Spec):
    """A grid over fields of a recipe, linked settings and seeds. Raises `UserError` where it makes no sense."""

    kind: ClassVar[str] = "study"
    name: str
    base: Recipe
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings that belong together, by name: each some field paths and their values."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Values by field path; each is tried with each."""
    seeds: tuple[int, ...] = (0,)
    """Of `plan.seed`."""
    compare: str | None = None
    """The axis whose values stand under each other in a table; if not given, the grid's first, or else the variants."""
    reference: Any = None
    """The value of that axis against which differences are taken."""
    size: str | None = None
    """An axis of the grid that is a size: laws of the error by it are fitted and drawn."""
    panel: str | None = None
    """A field that the panels of that drawing differ in; what does not set it stands in all of them."""
    across: str | None = None
    """An axis of data sets: each run is tested on those of the other values too."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        names = [axis.name for axis in self.axes() if axis.name != SEED]
        if self.compare is not None and self.compare not in names:
            raise unknown("axis", self.compare, names)
        compared = {axis.name: [label for label, _ in axis.values] for axis in self.axes()}
        if self.reference is not None:
            values = compared.get(self.compared, [])
            if label_of(self.reference) not in values:
                raise unknown(f"value of {self.compared}", label_of(self.reference), values)
        self._asks(names)
        self.cells()
        return self

    def _asks(self, names: Sequence[str]) -> None:
        """Raises `UserError` where size, panel or across are not what they must be."""
        for name in (self.size, self.across):
            if name is not None and name not in names:
                raise unknown("axis", name, names)
        if self.panel is not None and self.panel not in self.varied():
            raise unknown("field that the study varies", self.panel, self.varied())
        sizes = self.grid.get(self.size, [""]) if self.size is not None else []
        if not all(isinstance(value, (int, float)) and value > 0 for value in sizes):
            raise UserError(f"{self.size} is no size: give numbers above 0 for it in the grid")
        for path in (path for axis in self.axes() if axis.name == self.across for path in _paths(axis)):
            if path.split(".")[0] != "data":
                raise UserError(f"runs are tested across data sets alone, but {self.across} sets {path} too")

    def changed(self, **fields: Any) -> Self:
        """A copy with other values, by field name."""
        return parse(type(self), {**{name: getattr(self, name) for name in type(self).model_fields}, **fields})

    @property
    def compared(self) -> str:
        """The axis that is compared; empty where nothing is varied."""
        return self.compare or next(iter(self.grid), VARIANT if self.variants else "")

    def axes(self) -> list[Axis]:
        """Seeds first, so that a study cut short has all methods with fewer seeds."""
        seeds = Axis(SEED, [(str(s), {SEED_PATH: s}) for s in self.seeds])
        variants = [Axis(VARIANT, list(self.variants.items()))] if self.variants else []
        grid = [Axis(path, [(label_of(v), {path: v}) for v in values]) for path, values in self.grid.items()]
        return [seeds, *variants, *grid]

    def varied(self) -> set[str]:
        """All field paths that some axis sets."""
        return {path for axis in self.axes() for _, paths in axis.values for path in paths}

    def cells(self) -> list[Cell]:
        """Every cell. Raises `UserError` for an unknown field or value, for an axis without values, and for two axes
        that set one field."""
        axes = self.axes()
        for axis in axes:
            if not axis.values:
                raise UserError(f"{axis.name} has no values; give some, or leave it away")
        for one, two in itertools.combinations(axes, 2):
            for path in _paths(one):
                if path in _paths(two):
                    raise UserError(f"{path} is set by {one.name} and by {two.name}; leave it in one of them")
        cells: dict[str, Cell] = {}
        for chosen in itertools.product(*(axis.values for axis in axes)):
            labels = {axis.name: label for axis, (label, _) in zip(axes, chosen, strict=True)}
            paths = {path: value for _, each in chosen for path, value in each.items()}
            cell = Cell(labels, override(self.base, paths))
            other = cells.setdefault(cell.name, cell)
            if other is not cell:
                raise UserError(f"two cells are one and the same: {in_words(other.labels)} and {in_words(labels)}")
        return list(cells.values())


def label_of(value: Any) -> str:
    """A value of a field in words; a nested one is its kind with what is given of it."""
    if not isinstance(value, Mapping):
        return text(value)
    given = [f"{path} {text(v)}" for path, v in leaves({k: v for k, v in value.items() if k != "kind"})]
    return " ".join([str(value.get("kind", "")), f"({', '.join(given)})" if given else ""]).strip()


def in_words(labels: Labels) -> str:
    """As `method sdd, split subject, seed 0`."""
    return ", ".join(f"{name} {value}" for name, value in sorted(labels.items(), key=lambda item: item[0] == SEED))


def _paths(axis: Axis) -> Iterator[str]:
    return (path for _, paths in axis.values for path in paths)


def define(values: Mapping[str, Any], name: str, paths: Mapping[str, Any] | None = None) -> Study:
    """A study from plain values: `recipe`, a `preset` of it, `base` (fields of it), and the fields of `Study`.

    `paths` change the base; what the study varies is narrowed to the values given for it: `seeds`, `variant`, an axis
    of the grid. `reference` is what differences are taken against. `sets` are the variants of a study across data sets.
    Raises `UserError` for an unknown name, and for a path that the study varies in another way.
    """
    from limbeck import recipes

    paths = dict(paths or {})
    known = {"recipe", "preset", *Study.model_fields}
    for key in values:
        if key not in known:
            raise unknown("field in study:", key, known)
    if not isinstance(values.get("recipe"), str) or not isinstance(values.get("base", {}), Mapping):
        raise UserError(f"study {name}: 'recipe' must be the name of a recipe, 'base' field paths with their values")
    rest = {k: v for k, v in values.items() if k not in ("recipe", "preset", "base")} | _narrowed(values, paths)
    base = recipes.make(values["recipe"], values.get("base", {}), paths, preset=values.get("preset"))
    study = parse(Study, {"name": name, **rest, "base": base})
    for path in paths:
        for varied in sorted(study.varied()):
            if path == varied or path.startswith(f"{varied}."):
                instead = "give --seeds" if varied == SEED_PATH else "write a study file"
                raise UserError(f"--{path} cannot be given: the study itself varies {varied}; {instead} to change that")
    return study


def _narrowed(values: Mapping[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    """The fields of a study that `paths` narrow; what is used of those is taken out."""
    found: dict[str, Any] = {}
    found |= {name: paths.pop(name) for name in ("seeds", "reference") if name in paths}
    if values.get("across") == VARIANT and ("sets" in paths or not values.get("variants")):
        found["variants"] = _sets(paths.pop("sets", ""))
    if VARIANT in paths and values.get("variants"):
        names = [name.strip() for name in str(paths.pop(VARIANT)).split(",")]
        if odd := next((name for name in names if name not in values["variants"]), None):
            raise unknown(VARIANT, odd, values["variants"])
        found["variants"] = {name: values["variants"][name] for name in names}
    own = {axis: paths.pop(axis) for axis in values.get("grid", {}) if axis in paths}
    if own:
        found["grid"] = {**values["grid"], **{axis: _values(given) for axis, given in own.items()}}
    reference = found.get("reference", values.get("reference"))
    axis = values.get("compare") or next(iter(values.get("grid", {})), VARIANT)
    left = found.get("variants") if axis == VARIANT else found.get("grid", {}).get(axis)
    if reference is not None and left is not None and label_of(reference) not in map(label_of, left):
        raise UserError(f"--{axis} leaves out {label_of(reference)!r}, the study's reference; name it too, or another "
                        "as --reference")  # fmt: skip
    return found


def _sets(words: str) -> dict[str, dict[str, str]]:
    """The variants of `ieee-spc:DIR,wildppg:DIR`, named by their kinds."""
    found: dict[str, dict[str, str]] = {}
    for word in filter(None, map(str.strip, words.split(","))):
        kind, _, root = word.partition(":")
        if kind in found:
            raise UserError(f"--sets names {kind} twice; write a study file, where each has a name of its own")
        found[kind] = {"data": kind, **({"data.root": root} if root else {})}
    if len(found) < 2:
        raise UserError("name two data sets or more, each with its folder, as --sets ieee-spc:DIR,wildppg:DIR")
    return found


def _values(given: Any) -> list[Any]:
    """`1,2` as numbers, `a,b` as words."""
    found = []
    for word in (word.strip() for word in given.split(",")) if isinstance(given, str) else given:
        try:
            found.append(json.loads(word))
        except (TypeError, ValueError):
            found.append(word)
    return found


def read_study(path: Path, paths: Mapping[str, Any] | None = None) -> Study:
    """The study of a JSON file, or of a study's folder. Raises `UserError` as `define` does."""
    values = checkpoint.read_json(path / "study.json" if path.is_dir() else path)
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a study: it holds no object, as {{'recipe': ..., 'grid': ...}}")
    return define(values, path.stem, paths)


def plain(study: Study) -> dict[str, Any]:
    """What `define` reads, with every field of the recipe."""
    base = {k: v for k, v in dump(study.base).items() if k != "kind"}
    rest = {k: v for k, v in dump(study).items() if k not in ("kind", "base")}
    return {"name": study.name, "recipe": study.base.kind, "base": base, **rest}


def claim(study: Study, cells: Sequence[Cell], out: Path) -> None:
    """Writes the study into its folder; raises `UserError` with the first difference where another one lies there. The
    reference may be another: nothing is trained by it."""
    path = out / "study.json"
    if path.is_file():
        told = [checkpoint.read_json(path), plain(study)]
        unlike = differences(*(each | {"base": anywhere(each["base"]), "reference": None} for each in told))
        if unlike:
            raise UserError(
                f"{out} holds a study of other values: {unlike[0]}. Choose another --out, or delete that folder"
            )
    checkpoint.write_json(out / "cells.json", {cell.name: cell.labels for cell in cells})
    checkpoint.write_json(path, plain(study))
