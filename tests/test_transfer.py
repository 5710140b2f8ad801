import hashlib
import json
import shutil
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from limbeck import transfer
from limbeck.errors import Interrupted, UserError
from limbeck.grid import Study, define
from limbeck.scoring import evaluate
from limbeck.study import run_named, run_study
from limbeck.transfer import conclude, examine, matrices
from tests.fake_studies import scores, write_cell

SMALL = {
    "method": "hard-sharing", "student": "resnet1d", "student.blocks": 1, "student.width": 4, "plan.steps": 3,
    "plan.evaluations": 1, "plan.device": "cpu",
}  # fmt: skip
WORN = {"data": "wearable", "data.subjects": 5, "data.seconds": 20, "data.positions": ["wrist"], "data.activities": 3}
SETS = {"usual": WORN, "turned": {**WORN, "data.shift": 1.0}}


def across(**values: Any) -> Study:
    study = {"recipe": "smooth-distill", "base": SMALL, "variants": SETS, "across": "variant", "compare": "variant"}
    return define({**study, **values}, "across")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two data sets."""
    at = tmp_path_factory.mktemp("across")
    assert run_study(across(), at).finished == 2
    return at


def test_each_run_is_tested_on_all_of_the_other_set(out: Path) -> None:
    kept = {told["on"]: told for path in (out / "transfer").glob("*.json") for told in [json.loads(path.read_text())]}
    assert set(kept) == set(SETS)
    [matrix] = matrices(out)
    assert (matrix.task, matrix.sets) == ("activity", ("usual", "turned"))
    for (trained, tested), run in (((t["cell"], on), out / "cells" / t["cell"]) for on, t in kept.items()):
        fresh = evaluate(run, SETS[tested])
        assert kept[tested]["models"] == json.loads(json.dumps(fresh["models"]))
        assert kept[tested]["part"] == "all"
        row = next(name for name in SETS if name != tested)
        expected = fresh["models"]["student"]["activity"]["accuracy"]
        assert matrix.scores[row, tested].mean == pytest.approx(expected), trained
    assert matrix.rows == ["usual", "turned", "trees"]


def test_a_set_itself_is_tested_by_its_test_part_alone(out: Path) -> None:
    [matrix] = matrices(out)
    for cell, labels in json.loads((out / "cells.json").read_text()).items():
        own = json.loads((out / "cells" / cell / "scores.json").read_text())["models"]["student"]["parts"]["test"]
        name = labels["variant"]
        assert matrix.scores[name, name].mean == pytest.approx(own["activity"]["accuracy"])


def test_table_and_terminal_show_the_matrix(out: Path) -> None:
    page = (out / "table.md").read_text()
    assert "## Across data sets: split subject: activity" in page
    assert "| accuracy % | usual | turned |" in page
    assert "| difference, points | usual | turned |" in page
    assert page.count(" (own) |") == 2
    told = json.loads((out / "transfer.json").read_text())
    assert len(told[0]["scores"]) == 6
    console = Console(file=StringIO(), width=160)
    transfer.print_transfer(out, console)
    assert "Across data sets: activity" in console.file.getvalue()


def test_what_is_tested_is_not_tested_again_and_a_refusal_is(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    examine(across(), out, said.append)
    assert said == []
    before = {path: path.read_bytes() for path in (out / "transfer").glob("*.json")}
    one = next(iter(before))
    one.unlink()

    def refuses(run: Path, paths: Any) -> dict[str, Any]:
        raise UserError("windows of another rate")

    monkeypatch.setattr(transfer, "evaluate", refuses)
    examine(across(), out, said.append)
    assert len(said) == 1
    assert "tested on" in said[0]
    page = "\n".join(conclude(out))
    assert "not tested" in page
    assert ": windows of another rate" in page
    monkeypatch.undo()
    examine(across(), out, said.append)
    assert len(said) == 2
    assert {path: path.read_bytes() for path in before} == before
    conclude(out)


def test_a_study_that_is_cut_while_it_tests_goes_on(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = []

    def stops(run: Path, paths: Any) -> dict[str, Any]:
        if tested:
            raise KeyboardInterrupt
        tested.append(run)
        return evaluate(run, paths)

    monkeypatch.setattr(transfer, "evaluate", stops)
    with pytest.raises(Interrupted, match="2 of 2 cells finished; all is saved"):
        run_study(across(), tmp_path)
    assert len(list((tmp_path / "transfer").glob("*.json"))) == 1
    monkeypatch.undo()
    run_named(str(tmp_path), {}, None)
    for name in ("table.md", "transfer.json", "results.csv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def made_up(out: Path, error: dict[tuple[str, str], float], seeds: int = 3) -> Path:
    """Runs on two sets of heart rates, whose errors by set trained on and tested on are given."""
    out.mkdir(exist_ok=True)
    (out / "study.json").write_text(json.dumps({"across": "variant"}))
    people, labels = {"A": ("1", "2", "3"), "B": ("4", "5", "6")}, {}
    everybody = {name: (*members, *(f"more {m}" for m in members)) for name, members in people.items()}
    for (trained, tested), mae in error.items():
        for seed in range(seeds):
            cell = f"cell-{trained}-{seed}"
            labels[cell] = {"seed": str(seed), "variant": trained}
            if trained == tested:
                write_cell(out / "cells" / cell, mae, seed, 100, data=trained, subjects=people[trained])
            else:
                told = {"heart rate": scores(mae, np.random.default_rng(seed), everybody[tested])}
                (out / "transfer").mkdir(exist_ok=True)
                (out / "transfer" / f"{cell}-on-{tested}.json").write_text(
                    json.dumps({"cell": cell, "on": tested, "models": {"student": told}})
                )
    (out / "cells.json").write_text(json.dumps(labels))
    return out


def test_what_is_lost_is_told_on_the_same_subjects(tmp_path: Path) -> None:
    error = {("A", "A"): 5.0, ("B", "B"): 6.0, ("A", "B"): 9.0, ("B", "A"): 5.0}
    [matrix] = matrices(made_up(tmp_path, error))
    assert matrix.scores["A", "B"].over == "subjects and seeds"
    lost = matrix.gaps["A", "B"]
    assert (lost.mean, lost.verdict) == (pytest.approx(3.0, abs=0.2), "worse")
    assert matrix.gaps["B", "A"].verdict == "no difference shown"
    assert ("A", "A") not in matrix.gaps
    assert matrix.rows == ["A", "B", "peaks"]
    page = "\n".join(conclude(tmp_path))
    assert "| MAE bpm | A | B |" in page
    assert "] worse |" in page


def test_folds_are_held_against_each_other_on_the_people_that_test_each(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"across": "variant"}))
    people, labels = {"A": ("1", "2", "3", "4"), "B": ("5", "6", "7", "8")}, {}
    (tmp_path / "transfer").mkdir()
    for trained, tested, seed, fold in product("AB", "AB", range(2), range(2)):
        cell = f"cell-{trained}-{seed}-{fold}"
        labels[cell] = {"seed": str(seed), "variant": trained, "split.fold": str(fold)}
        draw = np.random.default_rng(seed)
        if trained == tested:
            folds = people[trained][2 * fold : 2 * fold + 2]
            write_cell(tmp_path / "cells" / cell, 5.0, seed, 100, data=trained, subjects=folds)
        else:
            # Each fold's model is 3 bpm worse, and fold 1's is far off on whom fold 0 tests, which tells nothing.
            told = scores(8.0, draw, people[tested])
            for subject in people[tested][:2] if fold else ():
                told["subjects"][subject]["mae"] += 50
            answer = {"cell": cell, "on": tested, "models": {"student": {"heart rate": told}}}
            (tmp_path / "transfer" / f"{cell}-on-{tested}.json").write_text(json.dumps(answer))
    (tmp_path / "cells.json").write_text(json.dumps(labels))
    [matrix] = matrices(tmp_path)
    for places in (("A", "B"), ("B", "A")):
        gap = matrix.gaps[places]
        assert (gap.mean, gap.verdict, gap.over) == (pytest.approx(3.0, abs=0.3), "worse", "subjects and seeds")
    assert ("peaks", "A") in matrix.gaps


def test_an_answer_of_other_weights_or_recordings_is_made_again(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    answers = sorted((copy / "transfer").glob("*.json"))
    said: list[str] = []
    examine(across(), copy, said.append)
    assert said == []
    for field in ("weights", "digest"):
        before = {path: path.read_bytes() for path in answers}
        told = json.loads(answers[0].read_text())
        answers[0].write_text(json.dumps({**told, field: "other", "models": {}}))
        said.clear()
        examine(across(), copy, said.append)
        assert len(said) == 1, field
        assert {path: path.read_bytes() for path in answers} == before
    told = json.loads(answers[0].read_text())
    weights = copy / "cells" / told["cell"] / "best" / "student.safetensors"
    assert told["weights"] == [hashlib.sha256(weights.read_bytes()).hexdigest()]
    one, other = (copy / "cells" / json.loads(path.read_text())["cell"] for path in answers)
    assert told["digest"] == json.loads((other / "data.json").read_text())["digest"]
    assert one != other


def test_a_set_that_has_changed_since_its_own_runs_is_not_tested_on(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    first, second = (json.loads(path.read_text()) for path in sorted((copy / "transfer").glob("*.json")))
    card = copy / "cells" / second["cell"] / "data.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"digest": "older"}))
    for path in (copy / "transfer").glob("*.json"):
        path.unlink()
    examine(across(), copy, lambda line: None)
    [matrix] = matrices(copy)
    [why] = matrix.refused.values()
    assert f"the recordings have changed since {card.parent} read them" in why
    assert first["cell"] in json.loads((copy / "cells.json").read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "name two data sets or more, each with its folder, as --sets ieee-spc:DIR,wildppg:DIR"),
        ("wisdm:a", "name two data sets or more"),
        ("wisdm:a,wisdm:b", "--sets names wisdm twice"),
        ("wisdm:a,wisdn:b", "did you mean 'wisdm'"),
    ],
)
def test_sets_that_are_none_are_refused(words: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        define({"recipe": "smooth-distill", "across": "variant"}, "x", {"sets": words} if words else {})
    assert said in str(error.value)


def test_sets_are_named_with_their_folders_on_the_command_line() -> None:
    made = define({"recipe": "smooth-distill", "across": "variant"}, "x", {"sets": "wisdm:some/dir, wearable"})
    assert made.variants == {"wisdm": {"data": "wisdm", "data.root": "some/dir"}, "wearable": {"data": "wearable"}}
    assert [cell.recipe.data.kind for cell in made.cells()] == ["wisdm", "wearable"]


def test_a_study_of_one_set_says_nothing_across(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"name": "older"}')
    assert conclude(tmp_path) == []
