"""What made the runs of a report: their recipes, machines, commands, and what training cost."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.compare import Group
from limbeck.finished import STUDENT, Finished, leaves, text
from limbeck.measures import by_key


def duration(seconds: float) -> str:
    """A time in words: 41 s, 12 min 5 s, 2 h 3 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def recipes(group: Group) -> list[tuple[str, list[tuple[str, str]]]]:
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


def environments(runs: Sequence[Finished]) -> list[tuple[str, str]]:
    """What the runs were made with, but for times; several values where runs differ."""
    keys = dict.fromkeys(k for run in runs for k in run.environment if k not in ("seconds", "started"))
    return [(k, ", ".join(dict.fromkeys(text(run.environment.get(k)) for run in runs))) for k in keys]


def about(run: Finished) -> dict[str, Any]:
    """What the page tells of one run: what was kept, when, at what cost, and how to make it again."""
    key = str(run.recipe.get("select", "accuracy"))
    told = [m for s in run.scored.models[STUDENT].parts["test"].values() for m in s.measures if m.key == key]
    rule = (told or [by_key(key)])[0]
    kept = [
        f"step {s.step:,}{'' if stage == '.' else f' of {stage}'}, "
        + f"{rule.number(rule.good(s.score or 0.0))} {rule.unit}".rstrip()
        for stage, s in run.scored.selected.items()
    ]
    return {
        "name": run.at.name,
        "method": run.method,
        "seed": "–" if run.seed is None else run.seed,
        "started": run.environment.get("started", "–"),
        "seconds": run.environment.get("seconds"),
        "step": f"{1000 * run.cost['step']:,.0f} ms" if run.cost.get("step") else "–",
        "peak": f"{run.cost['peak'] / 2**20:,.0f} MB" if run.cost.get("peak") else "–",
        "remembered": ", ".join(f"{n / 2**20:.1f} MB by {term}" for term, n in run.cost.get("remembered", {}).items()),
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
