"""Labels for a pool, from a finished run to a table that is trained on."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limbeck import models
from limbeck.config import parse
from limbeck.data.labels import attached
from limbeck.data.synthetic import Wearable
from limbeck.labelling import Labelling
from limbeck.recipes import load
from limbeck.teachers import fingerprint

Limbeck = Callable[[str], int]


def simulated(where: str, subjects: int, seed: int, more: str = "") -> str:
    """The words for a simulated set."""
    values = {"subjects": subjects, "seconds": 12, "seed": seed, **dict(w.split("=") for w in more.split())}
    return f"--{where} wearable " + " ".join(f"--{where}.{name} {value}" for name, value in values.items())


SETS = (
    f"--data sensor-sets {simulated('data.sets.0.data', 4, 0)} --data.sets.0.tasks activity "
    f"{simulated('data.sets.1.data', 4, 1)} --data.sets.1.tasks position"
)
JOINT = "--method mtl-domains --student resnet1d --student.blocks 1 --plan.schedule cosine"
POOL = simulated("data", 3, 2, "windows.stride=60")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small joint network of two half-labelled sets."""
    from limbeck.config import arguments
    from limbeck.recipes import make

    at = tmp_path_factory.mktemp("label") / "run"
    words = f"{SETS} {JOINT} --plan.steps 30 --plan.batch 32"
    make("distill-2md-mtl", arguments(words.split())).run(at)
    return at


def test_a_pool_gets_labels_where_the_model_is_sure(limbeck: Limbeck, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    assert limbeck(f"label {run} {POOL} --rule fixed --rule.threshold 0.6 --out {out}") == 0
    with (out / "labels.csv").open() as file:
        lines = list(csv.DictReader(file))
    pool = Wearable(subjects=3, seconds=12, seed=2).load()
    assert lines == [], "the pool has labels of its own, and people's labels win"
    told = json.loads((out / "generated.json").read_text())
    assert told["told"]["activity"] == {"asked": 0, "given": 0, "threshold": 0.6}
    assert told["views"][0] == "identity"
    assert attached(pool, out).status("activity").tolist() == ["labelled"] * len(pool)


def test_missing_cells_of_a_pool_are_labelled_and_trained_on(limbeck: Limbeck, run: Path, tmp_path: Path) -> None:
    out, missing = tmp_path / "labels", f"{POOL} --data.missing 0.5"
    assert limbeck(f"label {run} {missing} --rule fixed --rule.threshold 0.3 --out {out}") == 0
    pool = Wearable(subjects=3, seconds=12, seed=2, missing=0.5).load()
    free = {task.name: ~task.present(pool.targets[task.name]) for task in pool.tasks}
    with (out / "labels.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(int(at.sum()) for at in free.values()) > 20
    assert all((float(line["confidence"]) >= 0.3) == (line["kept"] == "true") for line in lines)
    assert {line["subject"] for line in lines} <= set(pool.meta["subject"].tolist())
    made = attached(pool, out)
    name = fingerprint(models.load(run / "best")[0])
    for task in pool.tasks:
        given = made.generated[task.name]
        assert given.teachers == (name,)
        assert bool((given.shares.sum(dim=1) > 0).eq(given.given).all())
        assert not bool((given.given & ~free[task.name]).any())
    third = f"{simulated('data.sets.2.data', 3, 2, 'missing=0.5')} --data.sets.2.generated {out}"
    more = f"{SETS} {third} {JOINT} --plan.steps 4 --plan.batch 48 --out {tmp_path / 'more'}"
    assert limbeck(f"train distill-2md-mtl {more}") == 0
    cells = json.loads((tmp_path / "more" / "labels.json").read_text())["cells"]["wearable 3"]
    assert cells["position"]["generated"] > 0
    assert cells["position"]["teachers"] == [name]
    rows = [json.loads(line) for line in (tmp_path / "more" / "metrics.jsonl").read_text().splitlines()]
    assert "generated(position)" in next(row for row in rows if row["event"] == "train")["terms"]


def test_labels_by_precision_rest_on_the_runs_own_validation(limbeck: Limbeck, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    assert limbeck(f"label {run} {POOL} --data.missing 0.5 --rule.target 1.0 --rule.least 100000 --out {out}") == 0
    told = json.loads((out / "generated.json").read_text())["told"]
    assert {task: each["given"] for task, each in told.items()} == {"activity": 0, "position": 0}
    assert told["activity"]["threshold"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--data wearable --data.windows.length 60", "of window 100, these have window 60"),
        ("--data wearable --data.positions chest,hip", "other classes of 'position' than the model"),
        ("--data wearabel", "'wearabel'"),
    ],
)
def test_a_pool_that_does_not_fit_is_refused(
    limbeck: Limbeck, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert limbeck(f"label {run} {words} --out {tmp_path / 'labels'}") == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_what_is_labelled_names_its_rule() -> None:
    made = parse(Labelling, {"data": "wearable", "rule": "rate"})
    assert made.rule.kind == "rate"


def test_generated_labels_of_tasks_that_the_pool_lacks_bring_the_task(run: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from limbeck.labelling import label

    out = tmp_path / "labels"
    label(run, parse(Labelling, {"data": {"kind": "wearable", "positions": "wrist", "subjects": 3, "seconds": 12,
                                          "seed": 2, "windows": {"stride": 60}}, "rule": "rate"}), out)  # fmt: skip
    pool = Wearable(subjects=3, seconds=12, seed=2, positions=("wrist",)).load()
    assert [task.name for task in pool.tasks] == ["activity"]
    made = attached(pool, out)
    position = next(task for task in made.tasks if task.name == "position")
    assert position.labels == ("wrist", "ankle")
    assert set(made.status("position")) <= {"generated", "missing"}
    assert "generated" in made.status("position")
    shuffled = replace(pool.take(torch.arange(len(pool) - 1, -1, -1)))
    with pytest.raises(Exception, match="labels of other samples"):
        attached(shuffled, out)
    assert load(run).kind == "distill-2md-mtl"
