"""The report of runs: one HTML page that needs nothing but itself, and the same rows for the terminal."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from limbeck import checkpoint, cite
from limbeck.compare import LEAK, Entry, Group, groups
from limbeck.errors import UserError
from limbeck.figures import figures
from limbeck.finished import Finished, leaves, load, text
from limbeck.statistics import Estimate
from limbeck.verdict import bounds, cautions, percent, verdict

if TYPE_CHECKING:
    from rich.console import Console

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "weighted_f1": "weighted-F1", "ece": "ECE"}


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
    page.filters |= {"text": text, "size": size, "grouped": lambda n: f"{n:,}", "duration": duration}
    shown = page.get_template("report.html.j2").render(
        title=_title(compared),
        groups=[_shown(g, str(i)) for i, g in enumerate(compared, 1)],
        leak=LEAK,
        metrics=METRICS,
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
    """Prints a table for each data set and split: accuracy and macro-F1 by task, with intervals; and the verdict."""
    from rich.markup import escape
    from rich.table import Table

    for group in _read(runs):
        table = Table(
            title=escape(f"{group.data}, split {group.split}"),
            title_justify="left",
            caption_justify="left",
            show_lines=True,
        )
        table.caption = escape("; ".join([_note(group), *([f"† {LEAK}"] if group.leaky else [])]))
        table.add_column("model", overflow="fold")
        for task in group.tasks:
            table.add_column(escape(f"{task}\naccuracy"), justify="right", overflow="fold")
            table.add_column("\nmacro-F1", justify="right", overflow="fold")
        table.add_column("size", justify="right")
        for entry in group.entries:
            cells = [_cell(entry.estimate(t, m), group.leaky) for t in group.tasks for m in ("accuracy", "macro_f1")]
            table.add_row(escape(f"{entry.method}\n{entry.model}"), *cells, size(entry.size.parameters))
        console.print(table)
        console.print(escape(verdict(group)))


def _read(folders: Sequence[Path]) -> list[Group]:
    if not folders:
        raise UserError("no run was named; give one or several run folders, as: limbeck report runs/a runs/b")
    return groups([load(at) for at in {at.resolve(): at for at in folders}.values()])


def _row(group: Group, entry: Entry) -> dict[str, Any]:
    estimates = {t: {m: entry.estimate(t, m) for m in METRICS} for t in group.tasks}
    return {
        "data": group.data,
        "split": group.split,
        "leaky": group.leaky,
        "method": entry.method,
        "model": entry.model,
        "style": entry.style,
        "seeds": max((len(entry.scores(t)) for t in group.tasks), default=0),
        "runs": [run.at.name for run in entry.runs],
        "parameters": entry.size.parameters,
        "nodes": entry.size.nodes,
        "bytes": None if entry.size.parameters is None else 4 * entry.size.parameters,
        "scores": {t: {m: vars(e) for m, e in scores.items() if e} for t, scores in estimates.items()},
    }


def _cell(estimate: Estimate | None, leaky: bool) -> str:
    if estimate is None:
        return "–"
    return f"{percent(estimate.mean)}{'†' if leaky else ''}\n{bounds(estimate)}".rstrip()


def size(count: int | None) -> str:
    """A count in short: 4.29 M, 16.2 k, 812; a dash where there is none."""
    if count is None:
        return "–"
    for power, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= power:
            return f"{count / power:.3g} {sign}"
    return str(count)


def duration(seconds: float) -> str:
    """A time in words: 41 s, 12 min 5 s, 2 h 3 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _note(group: Group) -> str:
    """What the numbers of a table are means of, and what their intervals are over."""
    found = [x for e in group.entries for t in group.tasks if (x := e.estimate(t, "accuracy"))]
    seeds = sorted({len(e.scores(t)) for e in group.students for t in group.tasks if e.scores(t)})
    over = sorted({x.over for x in found if x.over}, key=len, reverse=True)
    said = f"in %; mean over {' or '.join(map(str, seeds))} seeds" if seeds[-1:] > [1] else "in %; one seed"
    if over:
        said += f"; 95 % interval over {', or over '.join(over)} (bootstrap, widened by Student's t)"
    if any("seeds" in o for o in over):
        said += "; of other scores than accuracy over seeds alone, where there are several"
    return said + ("; none where there is one seed and one test subject" if not all(x.over for x in found) else "")


def _title(compared: Sequence[Group]) -> str:
    kinds = dict.fromkeys(run.recipe["kind"] for group in compared for run in group.runs)
    return f"{', '.join(kinds)} on {', '.join(dict.fromkeys(g.data for g in compared))}"


def _shown(group: Group, number: str) -> dict[str, Any]:
    """All that the template shows of a group."""
    first = group.runs[0]
    models = [m for run in group.runs for m in run.scored.models]
    papers = cite.bibtex(dict.fromkeys(key for run in group.runs for key in cite.keys_of(run.recipe, models)))
    return {
        "id": number,
        "group": group,
        "verdict": verdict(group),
        "cautions": cautions(group),
        "rows": [_row(group, entry) for entry in group.entries],
        "note": _note(group),
        "floors": _floors(group),
        "agreement": _agreement(group),
        "figures": figures(group),
        "card": first.card,
        "audit": first.splits["audit"],
        "recipe": _recipes(group),
        "environment": _environments(group.runs),
        "runs": [_about(run) for run in group.runs],
        "papers": papers,
    }


def _floors(group: Group) -> dict[str, str]:
    """By task, the accuracy of always answering the test's commonest class."""
    found = {t: group.entries[0].scores(t)[0].confusion for t in group.tasks if group.entries[0].scores(t)}
    return {t: percent(max(map(sum, rows)) / max(1, sum(map(sum, rows)))) for t, rows in found.items()}


def _agreement(group: Group) -> list[str]:
    """How often a student names the class that its teacher names, mean over seeds."""
    said = []
    for entry in group.students:
        for teacher in entry.runs[0].scored.agreement:
            found = [run.scored.agreement.get(teacher, {}) for run in entry.runs]
            shares = {t: [v for f in found if (v := f.get(t)) is not None] for t in group.tasks}
            told = ", ".join(f"{percent(fmean(values))} % ({task})" for task, values in shares.items() if values)
            said.append(f"The {entry.name} student names the class that {teacher} names on {told} of the windows")
    return said


def _recipes(group: Group) -> list[tuple[str, list[tuple[str, str]]]]:
    """Field paths with their values: one value where all runs agree, else the runs' names with each value."""
    fields = {run.at.name: dict(leaves(run.recipe)) for run in group.runs}
    paths = dict.fromkeys(path for values in fields.values() for path in values)
    shown = []
    for path in paths:
        by_value: dict[str, list[str]] = {}
        for name, values in fields.items():
            by_value.setdefault(text(values[path]) if path in values else "—", []).append(name)
        shown.append(
            (path, [(value, "" if len(by_value) == 1 else ", ".join(names)) for value, names in by_value.items()])
        )
    return shown


def _environments(runs: Sequence[Finished]) -> list[tuple[str, str]]:
    """What the runs were made with, but for times; several values where runs differ."""
    keys = dict.fromkeys(k for run in runs for k in run.environment if k not in ("seconds", "started"))
    return [(k, ", ".join(dict.fromkeys(text(run.environment.get(k)) for run in runs))) for k in keys]


def _about(run: Finished) -> dict[str, Any]:
    kept = [
        f"step {s.step:,}{'' if stage == '.' else f' of {stage}'}, {percent(s.score or 0.0)} %"
        for stage, s in run.scored.selected.items()
    ]
    return {
        "name": run.at.name,
        "method": run.method,
        "seed": "–" if run.seed is None else run.seed,
        "started": run.environment.get("started", "–"),
        "seconds": run.environment.get("seconds"),
        "kept": f"{'; '.join(kept)} ({run.rule})",
        "command": command(run.recipe, f"runs/{run.at.name}"),
    }


def command(recipe: Mapping[str, Any], out: str) -> str:
    """The command line that trains a recipe again: every value of it, spelt out."""
    words = ["limbeck", "train", str(recipe["kind"])]
    for path, value in leaves({k: v for k, v in recipe.items() if k != "kind"}):
        # A part that is always of one kind has it for its own name; there is nothing to choose.
        if path != value:
            words += [f"--{path}", text(value)]
    return shlex.join([*words, "--out", out])
