"""The laws of a study in words: how `table.md` and the terminal tell them, and the files beside it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck import checkpoint
from limbeck.law_plot import plot
from limbeck.laws import PARAMETERS, WITHIN, Curve, Fitted, curves, plain, unit
from limbeck.measures import Measure
from limbeck.tables import figures, grid, page

if TYPE_CHECKING:
    from rich.console import Console

BEYOND = "beyond"
NOTE = (
    "Laws: E(N) = a exp(-b N) + c, a N^-b + c, and the same of P parameters, a P^-b + c (the exponential law of their "
    "logarithm). Told is the one that AICc calls better by 2 or more, the exponential one where none is. Intervals are "
    "95 %: fits to errors drawn again over {over}; they take the law for true. It levels off at the smallest size, "
    f"from the smallest measured on, at which it lies within {WITHIN:.0%} of c; none is told beyond those measured. "
    "R^2: of exponential, power, and power of parameters."
)


def conclude(out: Path) -> list[str]:
    """Writes `scaling.json` and `scaling.svg`, and gives the lines that `table.md` has of them; none for a study
    without a size."""
    found = curves(out)
    if not found:
        return []
    size = checkpoint.read_json(out / "study.json")["size"]
    checkpoint.write_json(out / "scaling.json", {"size": size, "within": WITHIN, "curves": list(map(plain, found))})
    checkpoint.write(out / "scaling.svg", plot(found, size).encode())
    lines = []
    for heading, members in _groups(found):
        lines += [f"## By {size}: {heading}", "", *page(*_errors(members)), *page(*_laws(members))]
        lines += [*(f"- {doubt}" for doubt in _doubts(members)), ""]
    return [*lines, _note(found), "", f"![Errors by {size}](scaling.svg)", ""]


def print_laws(out: Path, console: "Console") -> None:
    """Prints what `table.md` has of the laws; nothing for a study without a size."""
    from rich.markup import escape

    found = curves(out)
    if not found:
        return
    size = checkpoint.read_json(out / "study.json")["size"]
    for heading, members in _groups(found):
        told = f"[bold]By {escape(size)}: {escape(heading)}[/]"
        console.print(told, grid(*_laws(members)), sep="\n", highlight=False)
        for doubt in _doubts(members):
            console.print(doubt, highlight=False, markup=False)
    console.print(_note(found), highlight=False, markup=False)


def _groups(found: Sequence[Curve]) -> Iterator[tuple[str, list[Curve]]]:
    """Heading and curves of each task, data set and split."""
    for group, task in dict.fromkeys((curve.group, curve.task) for curve in found):
        yield f"{group}: {task}", [curve for curve in found if (curve.group, curve.task) == (group, task)]


def _errors(members: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    sizes = sorted({value for curve in members for value in curve.points})
    cells = ([figures(c.measure, c.points.get(value)) for value in sizes] for c in members)
    rows = [[_name(c, members), *row] for c, row in zip(members, cells, strict=True)]
    return [unit(members[0].measure), *(f"{value:g}" for value in sizes)], rows


def _laws(members: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    head = ["", "law", f"c, {unit(members[0].measure)}", "levels off at", "R^2"]
    return head, [[_name(curve, members), *_law(curve)] for curve in members]


def _doubts(members: Sequence[Curve]) -> list[str]:
    """What must be known of each law; of those that share a doubt, together."""
    shared: dict[str, list[str]] = {}
    for curve in members:
        untold = [] if curve.better or curve.told.fit.a is None else ["which law it is cannot be told"]
        for doubt in [*curve.told.fit.doubts, *untold]:
            shared.setdefault(doubt, []).append(_name(curve, members))
    return [f"{', '.join(names)}: {doubt}" for doubt, names in shared.items()]


def _name(curve: Curve, members: Sequence[Curve]) -> str:
    """With the panel where the name alone does not tell it from another."""
    alone = sum(other.name == curve.name for other in members) == 1
    return curve.name if alone or not curve.panel else f"{curve.name}, {curve.panel}"


def _law(curve: Curve) -> list[str]:
    told, measure = curve.told, curve.measure
    if told.fit.a is None:
        return ["", "", "", ""]
    explained = ", ".join("" if f.fit.r2 is None else f"{f.fit.r2:.2f}" for f in curve.fits)
    return [formula(told, measure), figures(measure, told.fit.c), _saturation(curve), explained]


def formula(told: Fitted, measure: Measure) -> str:
    """As `5.2 exp(−0.4 N) + 8.9`."""
    a, b, c = (e.mean if e else math.nan for e in (told.fit.a, told.fit.b, told.fit.c))
    size = "P" if told.along == PARAMETERS else "N"
    shape = f"exp(−{b:.2g} {size})" if told.fit.law.name == "exponential" else f"{size}^−{b:.2g}"
    return f"{measure.scale * a:.3g} {shape} + {measure.number(c)}"


def _saturation(curve: Curve) -> str:
    """Sizes as they are; of parameters, rounded."""
    told, sizes = curve.told, list(curve.points)
    by_parameters = told.along == PARAMETERS
    last = max(curve.parameters.values()) if by_parameters else max(sizes)
    found = told.fit.saturation
    assert found is not None

    def word(value: float) -> str:
        shown = min(value, last)
        text = f"{round(shown, -3):,.0f}" if by_parameters else f"{shown:.2g}"
        return f"{BEYOND} {text}" if value > last else text

    bounds = f" [{word(found.low)}, {word(found.high)}]" if found.low is not None and found.high is not None else ""
    return word(found.mean) + bounds + (" parameters" if by_parameters else "")


def _note(found: Sequence[Curve]) -> str:
    over = dict.fromkeys(f.fit.c.over for curve in found for f in curve.fits if f.fit.c and f.fit.c.over)
    return NOTE.format(over=" or ".join(over) or "nothing (there is one seed and one subject)")
