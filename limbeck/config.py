"""Specs: frozen, typed values that build things. From the command line and JSON to them and back, strict in every
name."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from limbeck.errors import UserError, unknown

S = TypeVar("S", bound="Spec")


class Spec(BaseModel):
    """A frozen bundle of named values. `kind` is its name wherever a union of specs leaves a choice."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]

    def changed(self: S, **paths: Any) -> S:
        """A copy with other values, by field name."""
        return parse(type(self), {**dump(self), **{k: dump(v) if isinstance(v, Spec) else v for k, v in paths.items()}})

    @classmethod
    def worded(cls, word: str) -> dict[str, Any]:
        """What a single word says where a spec of this class is expected: its kind, unless a class knows better."""
        return {"kind": word}


def choices(annotation: Any) -> tuple[type[Spec], ...]:
    """The spec classes that an annotation admits: `MTLNet | ResNet1D` is a registry of two."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return (annotation,)
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return tuple(c for part in get_args(annotation) for c in choices(part))
    return ()


def dump(spec: Spec) -> dict[str, Any]:
    """Plain values (as JSON has them), with the `kind` of every spec."""
    return {"kind": spec.kind} | {name: _plain(getattr(spec, name)) for name in type(spec).model_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return dump(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def parse(cls: type[S], values: Mapping[str, Any], where: str = "") -> S:
    """A spec from nested plain values. A nested spec may be its `kind` alone, or some of its fields (the rest as
    default).

    Raises `UserError` for an unknown name (with the nearest known one) and for a value of the wrong type.
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if name == "kind":
            continue
        if name not in cls.model_fields:
            raise unknown(
                f"field in {where.rstrip('.') or cls.kind}:", where + name, [where + f for f in cls.model_fields]
            )
        field = cls.model_fields[name]
        classes = choices(field.annotation)
        if value in ("none", None) and NoneType in get_args(field.annotation):
            fields[name] = None
        elif classes and not isinstance(value, Spec):
            fields[name] = _choose(classes, value, field.default, where + name)
        elif each := several(field.annotation):
            fields[name] = _choose_each(each, value, field.default, where + name)
        elif isinstance(value, str) and _holds_tuple(field.annotation):
            fields[name] = tuple(_words(value))
        elif get_origin(field.annotation) is Literal:  # `--layers 50` is a word, and the choice a number
            fields[name] = next((c for c in get_args(field.annotation) if str(c) == str(value)), value)
        else:
            fields[name] = value
    try:
        return cls(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        path = where + ".".join(map(str, first["loc"])) if first["loc"] else where.rstrip(".") or cls.kind
        if first["type"] == "missing":
            raise UserError(f"{path} is needed: give --{path}") from None
        said = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {said}" + (f" (given {first['input']!r})" if first["loc"] else "")) from None


def _holds_tuple(annotation: Any) -> bool:
    return any(get_origin(part) is tuple for part in (annotation, *get_args(annotation)))


def several(annotation: Any) -> tuple[type[Spec], ...]:
    """The spec classes that a tuple of specs admits; none for any other annotation."""
    return choices(get_args(annotation)[0]) if get_origin(annotation) is tuple else ()


def _choose_each(classes: Sequence[type[Spec]], value: Any, default: Any, where: str) -> tuple[Spec, ...]:
    """Specs from a list (`--sets a,b` is one of words), or from a dict by their places: `--others.0.share 0.2`."""
    value = _words(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        if sorted(value) != [str(i) for i in range(len(value))]:
            raise UserError(f"{where}: places are 0, 1 and so on, not {', '.join(value)}")
        value = [value[str(i)] for i in range(len(value))]
    if not isinstance(value, (list, tuple)):
        raise UserError(f"{where}: expected {where}.0 and so on, not {value!r}")
    return tuple(
        v if isinstance(v, Spec) else _choose(classes, v, default[i] if i < len(default) else None, f"{where}.{i}")
        for i, v in enumerate(value)
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _choose(classes: Sequence[type[Spec]], value: Any, default: Any, where: str) -> Spec:
    named = {"kind": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else None
    if named is None:
        raise UserError(f"{where}: expected one of {', '.join(c.kind for c in classes)}, not {value!r}")
    if len(classes) == 1 and "kind" in named:
        named = _over(classes[0].worded(str(named.pop("kind"))), named)
    base = default if isinstance(default, Spec) else None
    kind = named.get("kind") or (base.kind if base else classes[0].kind)
    for cls in classes:
        if cls.kind == kind:
            known = dump(base) if base and base.kind == kind else {}
            return parse(cls, {**known, **named}, where + ".")
    name = where.rpartition(".")[2]
    raise unknown(where if name.isdigit() else name, str(kind), [c.kind for c in classes])


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with others laid over them."""
    made = dict(below)
    for name, value in above.items():
        old = {"kind": made[name]} if isinstance(made.get(name), str) else made.get(name)
        made[name] = _over(old, value) if isinstance(value, Mapping) and isinstance(old, dict) else value
    return made


def override(base: S, paths: Mapping[str, Any]) -> S:
    """`base` with some values changed, by field path: `{"data": "wisdm", "data.root": "folder", "plan.epochs":
    "3"}`."""
    return parse(type(base), nested(paths, dump(base)))


def nested(paths: Mapping[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """The tree of plain values with what `paths` say put in; short paths first, so that a kind is chosen before its
    fields."""
    for path in sorted(paths, key=lambda p: p.count(".")):
        node = tree
        *_, last = steps = path.split(".")
        for parent, child in pairwise(steps):
            inner = node.get(parent)
            if isinstance(inner, str):
                inner = [{"kind": word} for word in _words(inner)] if child.isdigit() else {"kind": inner}
            if isinstance(inner, list):
                inner = {str(place): value for place, value in enumerate(inner)}
            node[parent] = node = inner if isinstance(inner, dict) else {}
        given = _plain(paths[path])
        old = node.get(last)
        node[last] = {"kind": given} if isinstance(old, dict) and isinstance(given, str) and given != "none" else given
    return tree


def arguments(tokens: Sequence[str]) -> dict[str, str]:
    """Command-line words to field paths: `--data wisdm --plan.epochs=3 --flag` is data, plan.epochs and flag = true."""
    paths: dict[str, str] = {}
    rest = list(tokens)
    while rest:
        word = rest.pop(0)
        if not re.match(r"--[a-zA-Z]", word):
            raise UserError(f"expected --field value, got {word!r}")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not re.match(r"--[a-zA-Z]", rest[0]) else "true"
        name = name.replace("-", "_")
        if name in paths:
            raise UserError(f"--{name} is given twice")
        paths[name] = value
    return paths


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """The field paths at which two nested plain values differ, each with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(k for k in new if k not in old)]
        return [d for k in keys for d in differences(old.get(k), new.get(k), f"{where}.{k}" if where else str(k))]
    return [] if old == new else [f"{where} was {old!r}, now {new!r}"]


def digest(value: Any) -> str:
    """16 hexadecimal digits that name a plain value, a spec, or bytes."""
    if not isinstance(value, bytes):
        plain = dump(value) if isinstance(value, Spec) else value
        value = json.dumps(plain, sort_keys=True, default=str).encode()
    return hashlib.blake2b(value, digest_size=8).hexdigest()
