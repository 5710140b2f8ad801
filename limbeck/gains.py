"""By how much each method of a study is better than single-task learning over all tasks: Delta_m, for `table.md`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import checkpoint
from limbeck.finished import STUDENT, AreaScores, PixelScores, Scores
from limbeck.gain import average_gain, headline_gain
from limbeck.grid import in_words, label_of
from limbeck.measures import Measure
from limbeck.results import Group, compared, pools, results, tested
from limbeck.statistics import Estimate, over_seeds
from limbeck.tables import figures, grid, page

if TYPE_CHECKING:
    from rich.console import Console

SINGLE = ("single-task", "single task")
"""What a gain is against where a study has it, and else against the study's reference."""
AVERAGE = Measure("average", "Δm", "%", places=2)
HEADLINE = Measure("headline", "Δm by one score", "%", places=2)
ABOUT = (
    "Δm is the mean over tasks of the relative change against {reference}, signed so that more is better, each task's "
    "being the mean over its two first scores; by one score it is over what each task is judged by alone. Runs are "
    "paired by seed; intervals are 95 % over seeds by Student's t."
)
Repeat = tuple[str, ...]
Tasks = dict[str, Scores]


@dataclass(frozen=True)
class Gain:
    """Both Delta_m of one method in percent, over `runs` pairs of runs; None where they cannot be told."""

    name: str
    runs: int
    average: Estimate | None
    headline: Estimate | None


@dataclass(frozen=True)
class Gains:
    """The methods of one table against a reference."""

    group: Group
    reference: str
    rows: Sequence[Gain]


def gains(out: Path) -> list[Gains]:
    """A table for each data set, split and whatever else is not compared, of the cells that are finished; only of
    studies that ask for every pixel."""
    study = checkpoint.read_json(out / "study.json")
    named = None if study["reference"] is None else label_of(study["reference"])
    found: dict[Group, dict[str, dict[Repeat, Tasks]]] = {}
    for key, runs in tested(results(out), compared(study)).items():
        if key.model == STUDENT:
            variant = found.setdefault(key.group, {}).setdefault(key.name, {})
            for repeat, scores in pools(runs).items():
                variant.setdefault(repeat, {})[key.task] = scores
    return [
        made for group, variants in found.items() if _dense(variants) and (made := _against(group, variants, named))
    ]


def _dense(variants: Mapping[str, Mapping[Repeat, Tasks]]) -> bool:
    every = (s for runs in variants.values() for tasks in runs.values() for s in tasks.values())
    return any(isinstance(scores, (PixelScores, AreaScores)) for scores in every)


def _against(group: Group, variants: Mapping[str, Mapping[Repeat, Tasks]], named: str | None) -> Gains | None:
    """The gains against single-task learning or what is named; None where neither is finished."""
    reference = next((name for name in (*SINGLE, named) if name in variants), None)
    if reference is None:
        return None
    base, rows = variants[reference], []
    for name, runs in variants.items():
        pairs = [(runs[r], base[r]) for r in runs if r in base and runs[r].keys() == base[r].keys()]
        if name != reference and pairs:
            both = (_over([how(*pair) for pair in pairs]) for how in (average_gain, headline_gain))
            rows.append(Gain(name, len(pairs), *both))
    return Gains(group, reference, rows) if rows else None


def _over(values: Sequence[float]) -> Estimate | None:
    return None if any(map(math.isnan, values)) else over_seeds(values, (-math.inf, math.inf))


def conclude(out: Path) -> list[str]:
    """Writes `gains.json`, and gives the lines that `table.md` has of it; neither where there is nothing to tell."""
    found = gains(out)
    if not found:
        return []
    checkpoint.write_json(out / "gains.json", list(map(_plain, found)))
    lines = []
    for one in found:
        lines += [f"## Over all tasks: {in_words(dict(one.group))}", "", *page(_head(), _cells(one))]
        lines += [ABOUT.format(reference=one.reference), ""]
    return lines


def print_gains(out: Path, console: "Console") -> None:
    """Prints the same for the terminal."""
    from rich.markup import escape

    for one in gains(out):
        heading = escape(f"over all tasks: {in_words(dict(one.group))}")
        said = escape(ABOUT.format(reference=one.reference))
        console.print(f"[bold]{heading}[/]", grid(_head(), _cells(one)), said, sep="\n", highlight=False)


def _head() -> list[str]:
    return ["", "runs", AVERAGE.head, HEADLINE.head]


def _cells(found: Gains) -> Iterator[list[str]]:
    for row in found.rows:
        both = (figures(m, e, "+") for m, e in ((AVERAGE, row.average), (HEADLINE, row.headline)))
        yield [row.name, str(row.runs), *both]


def _plain(found: Gains) -> dict[str, Any]:
    return {
        "group": dict(found.group),
        "reference": found.reference,
        "rows": [asdict(row) for row in found.rows],
    }
