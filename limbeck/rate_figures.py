"""What moved in training beside the model: a learning rate that tunes itself, and weights that follow their tasks."""

from collections.abc import Iterator, Mapping, Sequence
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
    """A chart for each method, with a line for each task; below it, on the same axis, the ratios that moved them."""
    tasks = dict[str, Style]()
    drawn = [figure for entry in group.students if (figure := _balance(entry, tasks))]
    return Panel(legend(list(tasks.items())) if drawn else "", drawn)


def _balance(entry: Entry, tasks: dict[str, Style]) -> Figure | None:
    """None where no weight follows its task. `tasks` are those that have a style, which grow."""
    weights, ratios = list[Line](), list[Line]()
    for name in dict.fromkeys(name for run in entry.runs for name in run.weights):
        task = name.removeprefix(WEIGHT).replace(")", "", 1)
        weights += _course(entry, task, tasks, "train", "terms", name)
    for task in dict.fromkeys(t for run in entry.runs for row in _told(run, "feedback") for t in row["ratios"]):
        ratios += _course(entry, task, tasks, "feedback", "ratios", task)
    lines = [*weights, *ratios]
    if not lines:
        return None
    reach = max(line.points[-1][0] for line in lines)
    charts = (
        [line_chart(weights, f"Weights of tasks in {entry.name}", "epoch", "weight", reach=reach)] if weights else []
    )
    if ratios:
        label = f"How far the tasks have come towards their teachers in {entry.name}"
        charts.append(line_chart(ratios, label, "epoch", "ratio to teacher", 1.0, reach))
    return Figure(entry.name, "".join(charts), scored=False)


def _course(entry: Entry, task: str, tasks: dict[str, Style], event: str, part: str, name: str) -> list[Line]:
    """What the rows of an event tell by epoch of a task, under a name in a part of each."""
    own = tasks.setdefault(task, Style(len(tasks)))

    def read(_: Entry, run: Finished) -> dict[float, float]:
        return {row["epoch"]: row[part][name] for row in _told(run, event) if row[part].get(name) is not None}

    return [Line(task, own, line.points) for line in curves([entry], read)]


def _told(run: Finished, event: str) -> Iterator[Mapping[str, Any]]:
    return (row for row in run.rows if row["event"] == event)
