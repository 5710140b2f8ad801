"""What can be said to a recipe or to a kind of recordings: their fields, types and defaults, for the terminal."""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.config import Spec, arguments, choices, nested, parse, several
from limbeck.data.base import Data
from limbeck.data.image_sets import ImageSet
from limbeck.data.sensor_sets import SensorSet
from limbeck.errors import unknown
from limbeck.recipes import RECIPES


def kinds() -> dict[str, type[Data]]:
    """Every kind of data that some recipe can be given, by name; and what joined sets are made of."""
    annotations: list[Any] = [recipe.model_fields["data"].annotation for recipe in RECIPES.values()]
    annotations += [cls.model_fields["data"].annotation for cls in (SensorSet, ImageSet)]
    return {cls.kind: cls for annotation in annotations for cls in choices(annotation) if issubclass(cls, Data)}


def data_spec(kind: str, tokens: Sequence[str]) -> Data:
    """The spec of a kind of recordings with some fields changed: `--root DIR --windows.length 200`, or as training is
    told them, `--data.root DIR`."""
    paths = {path.removeprefix("data."): value for path, value in arguments(tokens).items()}
    return parse(_kind(kind), nested(paths, {}))


def _kind(name: str) -> type[Data]:
    if name not in kinds():
        raise unknown("kind of recordings", name, kinds())
    return kinds()[name]


def lines(cls: type[Spec], spec: Spec | None = None, where: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, value in `spec` or by default, what it says) of every field, nested ones below the choice they belong
    to."""
    for name, field in cls.model_fields.items():
        said = _texts(cls).get(name, "")
        value = getattr(spec, name) if spec else "(needed)" if field.is_required() else field.default
        classes = choices(field.annotation)
        if isinstance(value, Spec):
            rest = [c.kind for c in classes if c.kind != value.kind]
            yield f"--{where}{name}", value.kind, " ".join([said, *([f"Or {', '.join(rest)}."] if rest else [])])
            yield from lines(type(value), value, f"{where}{name}.")
        elif each := several(field.annotation):
            given: tuple[Spec, ...] = value if isinstance(value, tuple) else ()
            yield f"--{where}{name}", ", ".join(v.kind for v in given), said
            yield from lines(each[0], next(iter(given), None), f"{where}{name}.0.")
        else:
            yield f"--{where}{name}", _shown(value), said


@cache
def _texts(cls: type[Spec]) -> dict[str, str]:
    """The text below each field in the source of its class, by name; none where there is no source.

    pydantic can keep it with the fields, but then reads all sources whenever the program starts, which takes a second.
    """
    found: dict[str, str] = {}
    for owner in reversed([owner for owner in cls.__mro__ if issubclass(owner, Spec)]):
        with suppress(OSError, TypeError):
            (made,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
            assert isinstance(made, ast.ClassDef)
            for field, text in pairwise(made.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                        found[name] = " ".join(said.split())
    return found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def print_fields(spec: Spec, console: Console) -> None:
    """A table of all fields of a spec."""
    said = (type(spec).__doc__ or "").splitlines()[0]
    verb = f"limbeck train {spec.kind}"
    console.print(f"{verb} [--field value ...] --out DIR\n\n{said}\n", highlight=False)
    console.print(f"Example: {verb} --plan.epochs 3 --out runs/a\n", highlight=False)
    _print(lines(type(spec), spec), console)
    console.print("\nlimbeck data describe KIND --help lists the fields of a kind of recordings.", highlight=False)


def print_kind(kind: str, console: Console) -> None:
    """What a kind of recordings is, and a table of all its fields."""
    cls = _kind(kind)
    said = inspect.getdoc(cls) or ""
    console.print(f"limbeck data describe {kind} [--field value ...]\n\n{said}\n", highlight=False, markup=False)
    _print(lines(cls), console)
    console.print(f"\nTo train on it: --data {kind}, and --data.field value.", highlight=False)


def _print(rows: Iterator[tuple[str, str, str]], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("field", "default", ""):
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def print_data(console: Console) -> None:
    """A table of the kinds of recordings."""
    table = Table(box=None, pad_edge=False)
    for head in ("kind", "what it is", "fields"):
        table.add_column(head, overflow="fold")
    for name, cls in kinds().items():
        own = [f for f in cls.model_fields if f != "windows"]
        table.add_row(name, (cls.__doc__ or "").strip().splitlines()[0], ", ".join(own))
    console.print(table)
    console.print(
        "\nlimbeck data describe KIND --root DIR; its fields: limbeck data describe KIND --help", highlight=False
    )
