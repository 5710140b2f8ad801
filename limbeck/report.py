"""The report of runs: one HTML page that needs nothing but itself, and the same rows for the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import (
    ablation,
    checkpoint,
    cite,
    labelled,
    labels_report,
    made,
    notes,
    pictures_report,
    rate_figures,
    trajectory_report,
    truth,
    words,
)
from limbeck.compare import LEAK, Entry, Group, groups
from limbeck.domains import by_set
from limbeck.errors import UserError
from limbeck.figures import figures
from limbeck.finished import AreaScores, PixelScores, load, text
from limbeck.measures import SURE, Measure, chief
from limbeck.statistics import Estimate
from limbeck.verdict import cautions, listing, verdict

if TYPE_CHECKING:
    from rich.console import Console

NAMED, WIDE = 20, 11
"""Columns of a terminal that names and sizes take in a table, and that an interval does."""


def report(runs: Sequence[Path], out: Path) -> Path:
    """Writes the page of these run folders to `out` (as `report.html` in it, where it is a folder); says where it is.

    Raises `UserError` for a folder that is not a finished run, naming what is missing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    compared = _read(runs)
    page = Environment(
        loader=PackageLoader("limbeck"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {
        "text": text,
        "size": size,
        "grouped": lambda n: f"{n:,}",
        "duration": made.duration,
        "tested": words.subjects,
        "counted": words.counted,
    }
    shown = page.get_template("report.html.j2").render(
        title=_title(compared),
        groups=[_shown(g, str(i)) for i, g in enumerate(compared, 1)],
        leak=LEAK,
        sure=SURE,
        most_listed=words.LISTED,
        labels_about=labelled.ABOUT,
    )
    target = out / "report.html" if out.is_dir() else out
    # Undecodable bytes of a file name must not cost the whole page.
    checkpoint.write(target, shown.encode(errors="replace"))
    return target


def summary(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of the comparison as plain values: what data, split, method and model; seeds, sizes; and `scores`.

    `scores` are by task and metric, each with `mean`, `low`, `high` and what the interval is `over` (seeds, subjects).
    """
    return [_row(group, entry) for group in _read(runs) for entry in group.entries]


def print_table(runs: Sequence[Path], console: "Console") -> None:
    """Prints a table for each data set and split: two or three scores of each task, with intervals, or one where there
    is no room for all; and the verdict."""
    from rich.markup import escape
    from rich.table import Table

    for group in _read(runs):
        table = Table(
            title=escape(f"{group.data}, split {group.split}"),
            title_justify="left",
            caption_justify="left",
            show_lines=True,
        )
        table.caption = escape("; ".join([notes.note(group), *([f"† {LEAK}"] if group.leaky else [])]))
        table.add_column("model", overflow="fold")
        shown = {task: chief(group.measures(task)) for task in group.tasks}
        if sum(map(len, shown.values())) > (console.width - NAMED) // WIDE:
            shown = {task: measures[:1] for task, measures in shown.items()}
        for task, measures in shown.items():
            for place, head in enumerate(notes.heads(group)[task][: len(measures)]):
                table.add_column(escape(f"{'' if place else task}\n{head}"), justify="right", overflow="fold")
        table.add_column("size", justify="right")
        for entry in group.entries:
            told = [(t, m) for t, measures in shown.items() for m in measures]
            cells = [_cell(m, entry.estimate(t, m), group.leaky) for t, m in told]
            table.add_row(escape(f"{entry.method}\n{entry.role}"), *cells, size(entry.size.parameters))
        console.print(table)
        console.print(escape(verdict(group)))


def _read(folders: Sequence[Path]) -> list[Group]:
    if not folders:
        raise UserError("no run was named; give one or several run folders, as: limbeck report runs/a runs/b")
    return groups([load(at) for at in {at.resolve(): at for at in folders}.values()])


def _row(group: Group, entry: Entry) -> dict[str, Any]:
    estimates = {t: {m.key: entry.estimate(t, m) for m in group.measures(t)} for t in group.tasks}
    return {
        "data": group.data,
        "split": group.split,
        "leaky": group.leaky,
        "method": entry.method,
        "model": entry.model,
        "role": entry.role,
        "style": entry.style,
        "seeds": max((len(entry.scores(t)) for t in group.tasks), default=0),
        "runs": [run.at.name for run in entry.runs],
        "parameters": entry.size.parameters,
        "nodes": entry.size.nodes,
        "bytes": None if entry.size.parameters is None else 4 * entry.size.parameters,
        "scores": {t: {m: vars(e) for m, e in scores.items() if e} for t, scores in estimates.items()},
    }


def _cell(measure: Measure, estimate: Estimate | None, leaky: bool) -> str:
    if estimate is None:
        return "–"
    mark = "†" if leaky else ""
    return f"{measure.number(estimate.mean)}{mark}\n{measure.span(estimate.low, estimate.high)}".rstrip()


def size(count: int | None) -> str:
    """A count in short: 4.29 M, 16.2 k, 812; a dash where there is none."""
    if count is None:
        return "–"
    for power, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= power:
            return f"{count / power:.3g} {sign}"
    return str(count)


def _title(compared: Sequence[Group]) -> str:
    kinds = dict.fromkeys(run.recipe["kind"] for group in compared for run in group.runs)
    return f"{', '.join(kinds)} on {', '.join(dict.fromkeys(g.data for g in compared))}"


def _shown(group: Group, number: str) -> dict[str, Any]:
    """All that the template shows of a group."""
    first = group.runs[0]
    models, real = [m for run in group.runs for m in run.scored.models], truth.value_tasks(group)
    drawn = figures(group) | truth.panels(group) | rate_figures.panels(group)
    drawn["trajectories"] = trajectory_report.panel(group)
    labels, pictures, ablated = labels_report.section(group), pictures_report.section(group), ablation.section(group)
    papers = cite.bibtex(dict.fromkeys(key for run in group.runs for key in cite.keys_of(run.recipe, models)))
    return {
        "id": number,
        "group": group,
        "verdict": verdict(group),
        "cautions": cautions(group),
        "rows": [_row(group, entry) for entry in group.entries],
        "note": notes.note(group),
        "measures": {t: group.measures(t) for t in group.tasks},
        "heads": notes.heads(group),
        "judged": listing(list(dict.fromkeys(group.measures(t)[0].name for t in group.tasks))),
        "floors": notes.floors(group),
        "agreement": notes.agreement(group),
        "figures": drawn,
        "domains": by_set(group),
        "labels": labels,
        "pictures": pictures,
        "ablation": ablated,
        "dense": [t for t in group.tasks if isinstance(group.entries[0].scores(t)[0], (PixelScores, AreaScores))],
        "fed": any(row["event"] == "feedback" for run in group.runs for row in run.rows),
        "classes": [t for t in group.tasks if f"confusion {t}" in drawn],
        "values": {t: truth.sureness(group, t) for t in real},
        "without": [
            *(["truth"] if not real else []),
            *(["confusion"] if not any(f"confusion {t}" in drawn for t in group.tasks) else []),
            *(["subjects"] if not drawn["subjects"].figures else []),
            *(["trajectories"] if not drawn["trajectories"].figures else []),
            *(
                name
                for name, part in (("labels", labels), ("pictures", pictures), ("ablation", ablated))
                if part is None
            ),
        ],
        "card": first.card,
        "sets": list(zip(words.sizes(first.card).items(), first.card.get("parts", ()), strict=True)),
        "findings": [
            (of + what, n, one.get("findings_first", {}).get(what))
            for of, one in words.cards(first.card)
            for what, n in one.get("findings", {}).items()
        ],
        "dropped": [(of + w, n) for of, one in words.cards(first.card) for w, n in one.get("dropped", {}).items()],
        "recipe": made.recipes(group),
        "environment": made.environments(group.runs),
        "runs": [made.about(run) for run in group.runs],
        "papers": papers,
    }
