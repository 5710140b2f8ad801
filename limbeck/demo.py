"""The main job on real embedded recordings: three methods under one rule, an exported student, a report."""

from pathlib import Path

from rich.console import Console

from limbeck import edge, report
from limbeck.observers import Bar
from limbeck.recipes import make

SHORT = {"plan.epochs": 12, "plan.evaluations": 6}
METHODS = ("smooth-distill", "hard-sharing", "single-task")


def demo(out: Path, seed: int, console: Console) -> Path:
    """Trains on smart-watch recordings of shoulder exercises (exercise and side; whole subjects held out), exports the
    student, writes the report and prints the table. Gives the page. What is finished already is not made again."""
    runs = []
    for method in METHODS:
        recipe = make("smooth-distill", {"method": method, "plan.seed": seed, **SHORT}, preset="recommended")
        recipe.run(out / method, [Bar(Console(stderr=True))])
        runs.append(out / method)
    valid = recipe.split.split(recipe.data.load()).valid
    parity = edge.export_run(out / METHODS[0], valid)
    page = report.report(runs, out / "report.html")
    report.print_table(runs, console)
    exported = out / METHODS[0] / "export" / "student.onnx"
    console.print(f"{exported} {parity}\n{page}", highlight=False, soft_wrap=True)
    return page
