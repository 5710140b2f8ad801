import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from limbeck import recipes, study
from limbeck.config import parse
from limbeck.data.split import KFoldSubjects
from limbeck.errors import Interrupted, UserError
from limbeck.grid import Study, define, plain, read_study
from limbeck.observers import Observer
from limbeck.study import NAMED, find, run_named, run_study, summarise
from tests.fake_studies import scaling_study
from tests.toy_recipe import Toy

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy is a recipe like others, and nobody waits for long."""
    monkeypatch.setitem(recipes.RECIPES, "toy", Toy)
    monkeypatch.setattr(study, "POLL", 0.05)


def toys(**values: Any) -> Study:
    return parse(
        Study, {"name": "toys", "base": Toy(), "grid": {"method": ["plain", "good"]}, "seeds": [0, 1], **values}
    )


def ran(out: Path) -> list[str]:
    return [line.rpartition(" ")[0] for line in (out / "ran.txt").read_text().splitlines()]


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


# What a study is


def test_cells_are_the_product_of_seeds_variants_and_grid() -> None:
    made = toys(variants={"a": {}, "b": {"lam": 0.1, "split": "loso"}}, grid={"method": ["plain", "good"]})
    cells = made.cells()
    assert len(cells) == 8
    assert len({cell.name for cell in cells}) == 8
    labels, recipe = cells[-1]
    assert labels == {"seed": "1", "variant": "b", "method": "good"}
    assert (recipe.plan.seed, recipe.lam, recipe.split.kind, recipe.method) == (1, 0.1, "loso", "good")
    assert [cell.labels["seed"] for cell in cells] == ["0"] * 4 + ["1"] * 4


def test_the_device_and_the_threads_do_not_make_another_cell() -> None:
    here, there = toys(), toys(base=Toy().changed(plan={"device": "cpu", "threads": 2}))
    assert [c.name for c in here.cells()] == [c.name for c in there.cells()]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"grid": {"methd": ["plain"]}}, "did you mean 'method'"),
        ({"grid": {"method": ["plane"]}}, "method: Input should be 'plain'"),
        ({"grid": {"method": []}}, "method has no values"),
        ({"grid": {"plan.seed": [1]}}, "plan.seed is set by seed and by plan.seed"),
        ({"variants": {"x": {"method": "bad"}}}, "method is set by variant and by method"),
        ({"grid": {"lam": [0.1, 0.10]}}, "two cells are one and the same: lam 0.1, seed 0 and lam 0.1, seed 0"),
        ({"compare": "metod"}, "no axis 'metod'; did you mean 'method'"),
        ({"reference": "god"}, "no value of method 'god'; did you mean 'good'"),
        ({"sedes": [1]}, "did you mean 'seeds'"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_before_anything_runs(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        toys(**values)
    assert said in str(error.value)


def test_a_study_file_is_read_and_the_command_line_changes_its_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps({"recipe": "toy", "base": {"lam": 0.1}, "grid": {"method": ["good", "bad"]}, "seeds": [3]})
    )
    made = read_study(path, {"plan.epochs": "4", "seeds": "1,2"})
    assert (made.name, made.base.lam, made.base.plan.epochs, made.seeds) == ("mine", 0.1, 4, (1, 2))


@pytest.mark.parametrize(
    ("values", "paths", "said"),
    [
        ({"recipe": "toi"}, {}, "no recipe 'toi'; did you mean 'toy'"),
        ({"recipe": "toy", "gird": {}}, {}, "did you mean 'grid'"),
        ({"recipe": "toy", "base": {"lma": 1}}, {}, "did you mean 'lam'"),
        ({}, {}, "'recipe' must be the name of a recipe"),
        ({"recipe": "toy", "grid": {"split": ["loso"]}}, {"split.valid": "0.1"}, "the study itself varies split"),
        ({"recipe": "toy"}, {"plan.seed": "1"}, "give --seeds"),
    ],
)
def test_a_mistake_in_a_study_file_is_named(values: dict[str, Any], paths: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as error:
        define(values, "mine", paths)
    assert said in str(error.value)


def test_what_is_written_of_a_study_is_read_as_the_same_study(tmp_path: Path) -> None:
    made = toys(variants={"a": {}, "b": {"split": "loso"}}, compare="variant", reference="a")
    assert define(json.loads(json.dumps(plain(made))), "other name") == made


MOVEMENT = ({"data": "watch"}, {"data": "wisdm", "data.root": "x"}, {"data": "wearable", "plan.epochs": "4"})
SHAPES = (*MOVEMENT, {"data": "pamap2", "data.root": "x"}, {"data": "usc-had", "data.root": "x", "split.valid": "0.1"})
GIVEN: dict[str, tuple[dict[str, Any], ...]] = {
    "smooth-distill": MOVEMENT,
    "smooth-distill-ablation": MOVEMENT,
    "topology": SHAPES,
    "topology-loso": SHAPES,
    "face-transfer": ({"data.sets": "utkface:x,fer2013:y"}, {"data.sets": "images:x,adience:y,morph:z"}),
    "wearable-transfer": ({"data.sets.0.data.root": "x", "data.sets.1.data.root": "y"},),
    "joint-distill": ({}, {"data": "cityscapes", "data.root": "x"}, {"data": "wearable", "split": "subject"}),
    "joint-distill-sensitivity": ({}, {"data": "nyuv2", "data.root": "x", "plan.epochs": "4"}),
    "ppg-scaling": ({"data": "pulse"}, {"data": "ieee-spc", "data.root": "x"}, {"data": "wildppg", "data.root": "x"}),
    "ppg-transfer": ({"sets": "pulse,ieee-spc:x"}, {"sets": "wildppg:x,ppg-dalia:y,galaxyppg:z", "plan.epochs": "4"}),
}


@pytest.mark.parametrize("name", NAMED)
def test_every_named_study_has_cells_on_every_data_set(name: str) -> None:
    for given in GIVEN[name]:
        assert find(name, given).cells()


def test_the_study_of_the_paper_has_all_methods_splits_and_variants() -> None:
    cells = find("smooth-distill").cells()
    assert len(cells) == 3 * 2 * 6 * 2
    _, released = next(c for c in cells if c.labels["variant"] == "as_released")
    assert (released.student.variant, released.data.windows.borders, released.data.windows.label) == (
        "as_released", "cross", "last"
    )  # fmt: skip


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(UserError, match="did you mean 'smooth-distill'"):
        find("smooth-destill")


# How it runs


def test_a_study_runs_every_cell_once_and_then_only_loads(tmp_path: Path) -> None:
    outcome = run_study(toys(), tmp_path)
    assert (outcome.cells, outcome.finished, outcome.failed) == (4, 4, {})
    first = (tmp_path / "results.csv").read_bytes()
    run_study(toys(), tmp_path)
    assert Counter(ran(tmp_path)) == Counter(["plain 0", "plain 1", "good 0", "good 1"])
    assert (tmp_path / "results.csv").read_bytes() == first


def test_a_folder_of_another_study_is_refused_with_the_first_difference(tmp_path: Path) -> None:
    run_study(toys(), tmp_path)
    with pytest.raises(UserError, match=r"holds a study of other values: base.lam was 0.5, now 0.1"):
        run_study(toys(base=Toy(lam=0.1)), tmp_path)
    with pytest.raises(UserError, match=r"seeds was \[0, 1\], now \[0\]"):
        run_study(toys(seeds=[0]), tmp_path)
    run_study(toys(base=Toy().changed(plan={"device": "cpu"})), tmp_path)


def test_a_cell_that_fails_is_recorded_and_tried_again_next_time(tmp_path: Path) -> None:
    made = toys(grid={"method": ["raises", "plain"]}, seeds=[0])
    outcome = run_study(made, tmp_path)
    assert outcome.failed == {"method raises, seed 0": "ZeroDivisionError: one by nought"}
    failed = json.loads((tmp_path / "cells" / made.cells()[0].name / "failed.json").read_text())
    assert failed["error"] == "ZeroDivisionError: one by nought"
    assert any("in run" in line for line in failed["traceback"])
    assert "- failed: method raises, seed 0: ZeroDivisionError" in (tmp_path / "table.md").read_text()
    run_study(made, tmp_path)
    assert ran(tmp_path) == ["raises 0", "plain 0", "raises 0"]


def test_a_study_with_failures_ends_in_one_line_by_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"recipe": "toy", "grid": {"method": ["raises", "plain"]}}))
    console = Console(file=StringIO(), width=200)
    with pytest.raises(UserError, match="1 of 2 cells failed") as error:
        run_named(str(path), {}, tmp_path / "out", console=console)
    assert "\n" not in str(error.value)
    said = console.file.getvalue()
    assert "1/2 method raises, seed 0: failed: ZeroDivisionError: one by nought" in said
    assert "2/2 method plain, seed 0: finished" in said
    assert "results.csv" in said


class Stopping(Observer):
    """Presses Ctrl-C at the third cell."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.begun = error, 0

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.begun += 1
        if self.begun == 3:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped at step 3")])
def test_a_study_that_is_stopped_says_how_to_go_on_and_does(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(Interrupted, match=r"2 of 4 cells finished.*limbeck study .*a --workers 1"):
        run_study(toys(), tmp_path / "a", observers=[Stopping(error)])
    assert len(table(tmp_path / "a")) == 2 * 3
    run_named(str(tmp_path / "a"), {}, None)
    run_study(toys(), tmp_path / "b")
    assert (tmp_path / "a" / "results.csv").read_bytes() == (tmp_path / "b" / "results.csv").read_bytes()


def test_sigterm_stops_as_ctrl_c_does(tmp_path: Path) -> None:
    class Terminates(Observer):
        def begins(self, at: Path, step: int, steps: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="0 of 4"):
        run_study(toys(), tmp_path, observers=[Terminates()])
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_cell_in_use_elsewhere_is_looked_at_again_later(tmp_path: Path) -> None:
    at = tmp_path / "cells" / toys().cells()[0].name
    at.mkdir(parents=True)
    lock = FileLock(at / ".lock", thread_local=False)
    lock.acquire()
    threading.Timer(0.4, lock.release).start()
    assert run_study(toys(), tmp_path).finished == 4
    assert ran(tmp_path)[-1] == "plain 0"
    assert len(ran(tmp_path)) == 4


def test_a_cell_that_is_finished_elsewhere_meanwhile_is_not_run_here(tmp_path: Path) -> None:
    cell = toys().cells()[0]
    at = tmp_path / "cells" / cell.name
    at.mkdir(parents=True)
    lock = FileLock(at / ".lock", thread_local=False)
    lock.acquire()

    def finish() -> None:
        cell.recipe.write(at)
        lock.release()

    threading.Timer(0.4, finish).start()
    assert run_study(toys(), tmp_path).finished == 4
    assert "plain 0" not in ran(tmp_path)


SCRIPT = """
from pathlib import Path
from limbeck.grid import Study
from limbeck.study import run_study
from tests.toy_recipe import Toy

if __name__ == "__main__":
    methods = ["dies", "raises", "plain", "good", "bad"]
    study = Study(name="toys", base=Toy(seconds=0.3), grid={"method": methods}, seeds=(0,))
    run_study(study, Path("OUT"), workers=2)
"""


def comes(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """Waits for it; whether it came."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_several_processes_outlive_one_that_dies_and_leave_with_a_killed_parent_and_all_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "a"
    (tmp_path / "script.py").write_text(SCRIPT.replace("OUT", str(out)))
    made = toys(base=Toy(seconds=0.3), grid={"method": ["dies", "raises", "plain", "good", "bad"]}, seeds=[0])
    dies, raises = (out / "cells" / cell.name / "failed.json" for cell in made.cells()[:2])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    started = subprocess.Popen([sys.executable, str(tmp_path / "script.py")], env=environment)
    try:
        assert comes(lambda: bool(list(out.glob("cells/*/scores.json"))) and dies.exists() and raises.exists())
    finally:
        started.kill()
        started.wait()
    assert "its process was killed (signal 9)" in dies.read_text()
    assert "ZeroDivisionError: one by nought" in raises.read_text()
    workers = {Path(f"/proc/{line.split()[-1]}") for line in (out / "ran.txt").read_text().splitlines()}
    assert len(workers) >= 2
    assert comes(lambda: not any(worker.exists() for worker in workers))
    assert run_study(made, out).finished == 4
    assert Counter(ran(out))["plain 0"] <= 2
    (tmp_path / "b" / "cells" / made.cells()[0].name).mkdir(parents=True)
    (tmp_path / "b" / "cells" / made.cells()[0].name / "died").touch()
    run_study(made, tmp_path / "b")
    assert (out / "results.csv").read_bytes() == (tmp_path / "b" / "results.csv").read_bytes()


def test_observers_and_several_processes_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="workers=1"):
        run_study(toys(), tmp_path, workers=2, observers=[Observer()])
    with pytest.raises(UserError, match="1 or more"):
        run_study(toys(), tmp_path, workers=0)


# What it says


def test_results_have_a_row_for_each_cell_model_part_and_task(tmp_path: Path) -> None:
    run_study(toys(grid={"method": ["plain"], "split": ["subject", "random-window"]}), tmp_path)
    rows = table(tmp_path)
    assert len(rows) == 4 * 3
    leaky = [row for row in rows if row["split"] == "random-window (leaky)"]
    assert len(leaky) == 6
    assert {row["leaky"] for row in leaky} == {"true"}
    assert {(row["model"], row["part"]) for row in rows} == {
        ("student", "train"),
        ("student", "test"),
        ("trees", "test"),
    }
    assert list(rows[0])[:4] == ["cell", "data", "split", "seed"]


def test_a_table_says_what_is_better_what_is_worse_and_what_cannot_be_told(tmp_path: Path) -> None:
    made = toys(
        grid={"method": ["plain", "alike", "good", "bad"]}, seeds=[0, 1, 2], compare="method", reference="plain"
    )
    run_study(made, tmp_path)
    rows = {row.key.name or row.key.model: row for row in summarise(tmp_path)}
    verdicts = {name: row.difference and row.difference.verdict for name, row in rows.items()}
    assert verdicts == {
        "plain": None, "alike": "no difference shown", "good": "better", "bad": "worse", "trees": "worse"
    }  # fmt: skip
    assert rows["good"].difference.over == "subjects and seeds"
    assert (rows["good"].scores["accuracy"].over, rows["good"].scores["macro_f1"].over) == (
        "subjects and seeds",
        "seeds",
    )
    assert rows["trees"].scores["accuracy"].over == "subjects"
    assert rows["good"].difference.mean == pytest.approx(
        rows["good"].scores["accuracy"].mean - rows["plain"].scores["accuracy"].mean
    )
    shown = (tmp_path / "table.md").read_text()
    assert "## data toys, split subject: activity" in shown
    assert "| accuracy % | macro-F1 % | difference | so it is |" in shown
    assert "Difference: of accuracy to plain, in points, over subjects and seeds." in shown
    assert "of an accuracy over seeds and subjects (bootstrap), of macro-F1 over seeds, or over subjects where" in shown
    assert "] | better |" in shown
    assert "4" in shown.split("comparisons, ")[1]
    assert "leaky" not in shown


def test_a_leaky_split_is_marked_wherever_it_is_named(tmp_path: Path) -> None:
    run_study(toys(grid={"method": ["plain", "good"], "split": ["subject", "random-window"]}), tmp_path / "a")
    console = Console(file=StringIO(), width=200)
    study.print_table(summarise(tmp_path / "a"), console)
    for shown in ((tmp_path / "a" / "table.md").read_text(), console.file.getvalue()):
        assert "data toys, split random-window (leaky)" in shown
        assert "Leaky split: " in shown
    made = toys(grid={"split": ["subject", "random-window"]}, compare="split", reference="subject")
    run_study(made, tmp_path / "b")
    assert "| random-window (leaky) | 2 |" in (tmp_path / "b" / "table.md").read_text()


def test_one_seed_is_compared_over_subjects_alone(tmp_path: Path) -> None:
    run_study(toys(seeds=[0], compare="method", reference="plain"), tmp_path)
    good = next(row for row in summarise(tmp_path) if row.key.name == "good")
    assert (good.scores["accuracy"].over, good.scores["macro_f1"].over, good.difference.over) == (
        "subjects",
        "subjects",
        "subjects",
    )
    assert (good.scores["macro_f1"].low, good.scores["macro_f1"].high) == (0.2, 0.8)
    assert "Over subjects alone: there is one seed" in (tmp_path / "table.md").read_text()


def test_folds_of_other_subjects_are_pooled_to_one_score_a_seed(tmp_path: Path) -> None:
    values: dict[str, Any] = {"base": Toy(split=KFoldSubjects(folds=3)), "seeds": [0, 1]}
    run_study(toys(**values, grid={"method": ["plain", "good"], "split.fold": [0, 1, 2]}, reference="plain"), tmp_path)
    rows = {row.key.name: row for row in summarise(tmp_path)}
    assert rows["good"].runs == 6
    tests = [r for r in table(tmp_path) if (r["model"], r["part"], r["method"]) == ("student", "test", "good")]
    by_seed = [sum(float(r["accuracy"]) for r in tests if r["seed"] == seed) / 3 for seed in "01"]
    assert rows["good"].scores["accuracy"].mean == pytest.approx(sum(by_seed) / 2)
    assert (rows["good"].scores["accuracy"].over, rows["good"].scores["macro_f1"].over) == (
        "subjects and seeds",
        "seeds",
    )
    assert rows["good"].difference.verdict == "better"


def test_a_study_can_be_summed_up_before_it_is_finished(tmp_path: Path) -> None:
    made = toys(reference="plain")
    with pytest.raises(Interrupted):
        run_study(made, tmp_path, observers=[Stopping(Interrupted("stop"))])
    assert {row.runs for row in summarise(tmp_path)} == {1}
    assert "2 of 4 cells are finished." in (tmp_path / "table.md").read_text()


def test_trees_differ_where_the_data_do_and_stand_once_where_they_do_not(tmp_path: Path) -> None:
    run_study(toys(), tmp_path / "a")
    assert [row.key.name for row in summarise(tmp_path / "a") if row.key.model == "trees"] == [""]
    made = toys(grid={"split.fold": [0, 1]}, base=Toy(split=KFoldSubjects(folds=3)),
                variants={"one": {"split.folds": 3}, "two": {"split.folds": 4}}, compare="variant")  # fmt: skip
    run_study(made, tmp_path / "b")
    assert [row.key.name for row in summarise(tmp_path / "b") if row.key.model == "trees"] == ["one", "two"]


def test_a_teacher_that_several_methods_share_stands_once_and_one_of_each_method_does_not(tmp_path: Path) -> None:
    run_study(toys(), tmp_path)
    for number, path in enumerate(sorted((tmp_path / "cells").glob("*/scores.json"))):
        told = json.loads(path.read_text())
        told["models"]["shared"] = told["models"]["trees"] | {"parameters": 7}
        own = json.loads(json.dumps(told["models"]["shared"]))
        for parts in own["parts"].values():
            for scores in parts.values():
                scores["accuracy"] -= number / 100
        told["models"]["own"] = own
        path.write_text(json.dumps(told))
    names = {
        model: [row.key.name for row in summarise(tmp_path) if row.key.model == model] for model in ("shared", "own")
    }
    assert names == {"shared": [""], "own": ["plain", "good"]}


def test_cells_that_read_other_contents_of_the_same_recordings_are_not_put_into_one_table(tmp_path: Path) -> None:
    out = scaling_study(tmp_path, blocks=(1, 2), seeds=(0,))
    assert summarise(out)
    path = out / "cells" / "cell-0-scratch-2" / "data.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "other"}))
    with pytest.raises(UserError, match="the recordings changed while the study was run") as error:
        summarise(out)
    assert f"9 (as {out / 'cells' / 'cell-0-scratch-1'}) and 1 (as {path.parent})" in str(error.value)
    recipe = path.parent / "recipe.json"
    recipe.write_text(json.dumps({"kind": "ppg-heart-rate", "data": {"kind": "another"}}))
    assert summarise(out), "another spec of the data is a variant, and its label tells so"


def test_a_study_of_changed_recordings_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    run_study(toys(seeds=[0]), tmp_path)
    path = next(tmp_path.glob("cells/*/data.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "older"}))
    before = ran(tmp_path)
    with pytest.raises(UserError, match="the recordings changed while the study was run"):
        run_study(toys(seeds=[0]), tmp_path)
    assert ran(tmp_path) == before


@pytest.mark.parametrize(
    ("more", "paths", "said"),
    [
        ({"compare": "variant", "reference": "a"}, {"variant": "b"}, "--variant leaves out 'a', the study's reference"),
        ({"compare": "lam", "reference": 0.1}, {"lam": "0.2,0.3"}, "--lam leaves out '0.1', the study's reference"),
        ({"reference": 0.1}, {"lam": "0.2,0.3"}, "--lam leaves out '0.1', the study's reference"),
    ],
)
def test_narrowing_that_leaves_out_the_reference_names_it(
    more: dict[str, Any], paths: dict[str, str], said: str
) -> None:
    values = {"recipe": "toy", "grid": {"lam": [0.1, 0.2, 0.3]}, "variants": {"a": {}, "b": {"method": "good"}}, **more}
    with pytest.raises(UserError) as error:
        define(values, "mine", paths)
    assert said in str(error.value)
    assert define(values, "mine", {"variant": "a", "lam": "0.1,0.2"}).cells()


def test_differences_can_be_taken_against_another_value_without_training_again(tmp_path: Path) -> None:
    run_study(toys(reference="plain"), tmp_path)
    before = ran(tmp_path)
    assert "to plain" in (tmp_path / "table.md").read_text()
    again = find(str(tmp_path), {"reference": "good"})
    run_study(again, tmp_path)
    assert ran(tmp_path) == before
    assert "to good" in (tmp_path / "table.md").read_text()
    assert find(str(tmp_path)).reference == "good"
    with pytest.raises(UserError, match="no value of method 'god'; did you mean 'good'"):
        find(str(tmp_path), {"reference": "god"})


def test_narrowing_may_name_another_reference() -> None:
    values = {"recipe": "toy", "variants": {"a": {}, "b": {"method": "good"}}, "reference": "a"}
    assert define(values, "mine", {"variant": "b", "reference": "b"}).reference == "b"


def test_what_a_study_varies_can_be_narrowed_on_the_command_line() -> None:
    values = {"recipe": "toy", "grid": {"lam": [0.1, 0.2, 0.3]}, "variants": {"a": {}, "b": {"method": "good"}}}
    made = define(values, "mine", {"lam": "0.1,0.3", "variant": "b", "seeds": "4"})
    assert [(c.labels["lam"], c.labels["variant"], c.recipe.lam) for c in made.cells()] == [
        ("0.1", "b", 0.1), ("0.3", "b", 0.3),
    ]  # fmt: skip
    with pytest.raises(UserError, match="no variant 'bb'"):
        define(values, "mine", {"variant": "bb"})
