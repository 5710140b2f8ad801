"""What moved in training beside the model: a learning rate that tunes itself, and weights that follow their tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck import checkpoint
from limbeck.charts import Line, Style, legend, line_chart
from limbeck.compare import Entry, Group
from limbeck.figures import Figure, Panel, curves, style
from limbeck.finished import WEIGHT, Finished
from limbeck.rate_charts import range_chart, rate_chart

ADAPTIVE = "adaptive-clr"
RANGE = "range.json"


def panels(group: Group) -> dict[str, Panel]:
    """`rate`: the course of rates that tune themselves, `range`: the tests that found them, `weights` of tasks."""
    adaptive = [entry for entry in group.students if _schedule(entry.runs[0]) == ADAPTIVE]
    stages = [(entry, stage, rows) for entry in adaptive for stage, rows in entry.runs[0].journals.items()]
    return {
        "rate": Panel("", [figure for entry, stage, rows in stages for figure in _rate(entry, stage, rows)]),
        "range": Panel("", [figure for entry, stage, _ in stages for figure in _range(entry, stage)]),
        "weights": _weights(group),
    }


def _schedule(run: Finished) -> str | None:
    kind: str | None = run.recipe.get("plan", {}).get("schedule", {}).get("kind")
    return kind


def _named(entry: Entry, stage: str) -> str:
    return entry.name if stage == "." else f"{entry.name}, {stage}"


def _rate(entry: Entry, stage: str, rows: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """None where nothing was logged."""
    rates = [(row["step"], row["lr"]) for row in rows if row["event"] == "train"]
    cycles = [(row["step"], row["high"]) for row in rows if row["event"] == "cycle"]
    if not rates:
        return []
    name = _named(entry, stage)
    return [Figure(name, rate_chart(rates, cycles, style(entry), f"Learning rate of {name}"), scored=False)]


def _range(entry: Entry, stage: str) -> list[Figure]:
    """None where the rate was given, or the loss diverged at once."""
    path = entry.runs[0].at / stage / RANGE
    found = checkpoint.read_json(path) if path.is_file() else {"lrs": []}
    if not found["lrs"]:
        return []
    ends = f"diverged at {found['diverged']:.2g}" if found["diverged"] else "did not diverge"
    caption = f"{_named(entry, stage)}: {ends}; cycles between {found['low']:.2g} and {found['high']:.2g}"
    return [Figure(caption, range_chart(found, style(entry), f"Range test of {caption}"), scored=False)]


def _weights(group: Group) -> Panel:
    """A chart for each method, with a line for each task."""
    drawn, tasks = [], dict[str, Style]()
    for entry in group.students:
        found: list[Line] = []
        for name in dict.fromkeys(name for run in entry.runs for name in run.weights):

            def read(_: Entry, run: Finished, name: str = name) -> dict[float, float]:
                rows = (row for row in run.rows if row["event"] == "train")
                return {row["epoch"]: row["terms"][name] for row in rows if row["terms"].get(name) is not None}

            task = name.removeprefix(WEIGHT).replace(")", "", 1)
            own = tasks.setdefault(task, Style(len(tasks)))
            found += [Line(task, own, line.points) for line in curves([entry], read)]
        if found:
            drawn.append(Figure(entry.name, line_chart(found, f"Weights of tasks in {entry.name}", "epoch"), False))
    return Panel(legend(list(tasks.items())) if drawn else "", drawn)
