"""What models cost where they are used: time, memory, bytes and operations, each measured in fresh processes.

limbeck bench runs/a runs/b
limbeck bench runs/study
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import checkpoint, edge, models
from limbeck.deployments import TORCH, Deployed, deployments
from limbeck.errors import UserError
from limbeck.plan import Plan
from limbeck.recipe import environment

if TYPE_CHECKING:
    from rich.console import Console

REPEATS, PROCESSES = 300, 3
"""Answers that are timed in a process, and processes for each model."""
EXPLAINED = (
    "RAM: the most that the process held since its imports (weights, working memory, and the pages of the runtime's "
    "code that the model needs), and in all. Saved: time, RAM and parameters against the slowest that is run alike."
)


@dataclass(frozen=True)
class Cost:
    """What one model costs for one sample on one thread: medians over the processes.

    - `median`, `p90`: milliseconds of an answer; `spread`: the lowest and highest median of a process.
    - `peak`: bytes of RAM that the process held at most. `added`: those that came with loading and running the model,
      after all imports. Both None where the system does not tell.
    - `bytes`: of an exported file, or else of the float32 weights and statistics.
    - `parameters` and `macs` (multiply-accumulates): None for a file alone.
    """

    name: str
    how: str
    median: float
    p90: float
    spread: tuple[float, float]
    peak: int | None
    added: int | None
    bytes: int
    parameters: int | None
    macs: int | None
    calls: int
    processes: int


def costs(found: Sequence[Deployed], repeats: int = REPEATS, processes: int = PROCESSES) -> list[Cost]:
    """What each model costs. They take turns, so that a machine that is busy for a while weighs on all alike."""
    if repeats < 2 or processes < 1:
        raise UserError(f"give --repeats of 2 or more and --processes of 1 or more, not {repeats} and {processes}")
    told = [[_process(model, repeats) for model in found] for _ in range(processes)]
    return [_cost(model, list(each)) for model, each in zip(found, zip(*told, strict=True), strict=True)]


def _process(model: Deployed, repeats: int) -> dict[str, Any]:
    """What `limbeck.gauge` tells of a model. Raises `UserError` with its last word where it ends otherwise."""
    asked = {"repeats": repeats, "path": str(model.path)} | {
        name: getattr(model, name) for name in ("how", "shape", "which", "modality")
    }
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-m", "limbeck.gauge", json.dumps(asked)],
        env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"{model.path} could not be measured by {model.how}: {said}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _cost(model: Deployed, told: Sequence[Mapping[str, Any]]) -> Cost:
    medians = [each["median"] for each in told]
    known = all(each["peak"] is not None and each["before"] is not None for each in told)
    size = None
    if model.weights:
        size = edge.measure(models.load(model.weights, model.which)[0], model.shape, model.modality)
    return Cost(
        model.name,
        model.how,
        statistics.median(medians),
        statistics.median(each["p90"] for each in told),
        (min(medians), max(medians)),
        round(statistics.median(each["peak"] for each in told)) if known else None,
        round(statistics.median(each["peak"] - each["before"] for each in told)) if known else None,
        size.bytes if size and model.how == TORCH else model.path.stat().st_size,
        size.parameters if size else None,
        size.macs if size else None,
        told[0]["calls"],
        len(told),
    )


def bench(paths: Sequence[Path], repeats: int, processes: int, console: "Console") -> list[Cost]:
    """Measures the models of run folders, studies' folders and `.onnx` files, prints a table, and writes `bench.json`
    into each folder (`NAME.bench.json` beside a file)."""
    if not paths:
        raise UserError("name at least one run folder or .onnx file, as: limbeck bench runs/a")
    by_path = {path: deployments(path) for path in dict.fromkeys(paths)}
    machine = {**environment(Plan(device="cpu")), "threads": 1, "load": _load()}
    every = costs([model for found in by_path.values() for model in found], repeats, processes)
    print_costs(every, console)
    left = list(every)
    for path, found in by_path.items():
        own, left = left[: len(found)], left[len(found) :]
        out = path.with_suffix(".bench.json") if path.suffix == ".onnx" else path / "bench.json"
        checkpoint.write_json(out, {"machine": machine, "models": [asdict(cost) for cost in own]})
        console.print(f"{out}", highlight=False, soft_wrap=True)
    return every


def _load() -> float | None:
    """Processes that wanted to run, in the mean of the last minute; None where the system does not tell."""
    return None if sys.platform == "win32" else round(os.getloadavg()[0], 2)


def print_costs(found: Sequence[Cost], console: "Console") -> None:
    """A table; what is saved is against the slowest model that is run the same way."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    heads = ("", "by", "ms (90 % below)", "RAM MB (in all)", "kB", "parameters", "million MACs", "saved")
    table = Table(*heads, box=box.SIMPLE_HEAD, padding=0)
    for cost in found:
        table.add_row(*map(escape, _cells(cost, slowest(found, cost.how))))
    console.print(table, highlight=False)
    how = f"medians of {found[0].processes} fresh processes, {found[0].calls} answers each"
    console.print(f"One sample on one thread: {how}. {EXPLAINED}", highlight=False)


def slowest(found: Sequence[Cost], how: str) -> Cost:
    """The slowest of those that are run in one way."""
    return max((cost for cost in found if cost.how == how), key=lambda cost: cost.median)


def _cells(cost: Cost, most: Cost) -> list[str]:
    saved = (f"{share:+.0%}".replace("-", "−") for share in shares(cost, most) if share is not None)
    ram = "" if cost.added is None or cost.peak is None else f"{cost.added / 1e6:.1f} ({cost.peak / 1e6:.0f})"
    return [
        cost.name,
        cost.how,
        f"{cost.median:.3f} ({cost.p90:.3f})",
        ram,
        f"{cost.bytes / 1e3:,.0f}",
        "" if cost.parameters is None else f"{cost.parameters:,}",
        "" if cost.macs is None else f"{cost.macs / 1e6:.2f}",
        "" if cost is most else " ".join(saved),
    ]


def shares(cost: Cost, other: Cost) -> tuple[float | None, float | None, float | None]:
    """By how much time, added RAM and parameters differ from another's, as shares of it (-0.9: 90 % less)."""
    pairs = ((cost.median, other.median), (cost.added, other.added), (cost.parameters, other.parameters))
    time, ram, parameters = (None if a is None or not b else a / b - 1 for a, b in pairs)
    return time, ram, parameters
