"""Scores by subject, of studies made up in the documented format with figures that were worked out by hand."""

import json
from collections.abc import Mapping
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from limbeck import recipes
from limbeck.people import conclude
from limbeck.study import run_named
from tests.toy_recipe import Toy

WINDOWS = {"s10": 20, "s1": 10, "s2": 30}
"""By subject, in no order."""
RIGHT = {
    ("a", 0): {"s1": 0.5, "s2": 0.8, "s10": 0.9},
    ("a", 1): {"s1": 0.7, "s2": 0.9, "s10": 0.8},
    ("b", 0): {"s1": 0.4, "s2": 0.6, "s10": 0.8},
    ("b", 1): {"s1": 0.6, "s2": 0.6, "s10": 0.7},
}
"""Accuracies by variant and seed. Means of a: 60, 85, 85; of b: 50, 60, 75."""


def classes(accuracies: Mapping[str, float]) -> dict[str, Any]:
    """Scores of a task of two classes; the macro-F1 is unlike the accuracy."""
    each = {s: {"n": WINDOWS.get(s, 10), "accuracy": a, "macro_f1": a / 2} for s, a in accuracies.items()}
    n, right = sum(one["n"] for one in each.values()), sum(round(each[s]["n"] * a) for s, a in accuracies.items())
    return {
        "n": n, "accuracy": right / n, "macro_f1": right / n / 2, "labels": ["x", "y"],
        "confusion": [[right, n - right], [0, 0]], "subjects": each,
    }  # fmt: skip


def errors(values: Mapping[str, float]) -> dict[str, Any]:
    """Scores of a heart rate."""
    each = {s: {"n": WINDOWS[s], "mae": v, "rmse": 2 * v, "r": 0.5, "within_5": 0.25, "bias": -v}
            for s, v in values.items()}  # fmt: skip
    return {"n": 60, "mae": 1.0, "rmse": 2.0, "r": 0.5, "within_5": 0.25, "bias": -1.0, "subjects": each, "unit": "bpm"}


def study(
    out: Path,
    cells: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]],
    split: str = "loso",
    compare: str | None = "variant",
    known: int = 3,
) -> Path:
    """A study's folder: cells by name, each its labels and the student's scores by task."""
    out.mkdir(exist_ok=True)
    (out / "study.json").write_text(json.dumps({"compare": compare, "grid": {"split.fold": [0, 1, 2]}}))
    (out / "cells.json").write_text(json.dumps({name: labels for name, (labels, _) in cells.items()}))
    for name, (_, tasks) in cells.items():
        at = out / "cells" / name
        at.mkdir(parents=True)
        models = {"student": {"parameters": 9, "parts": {"train": tasks, "test": tasks}}}
        for file, value in {
            "scores.json": {"selected": {}, "models": models}, "recipe.json": {"data": "made up"},
            "splits.json": {"split": {"kind": split}, "leaky": split == "random-window"},
            "data.json": {"name": "three", "digest": "0", "subjects": known},
        }.items():  # fmt: skip
            (at / file).write_text(json.dumps(value))
    return out


def left_out(out: Path, known: int = 3, compare: str | None = "variant") -> Path:
    """Each subject left out once, by variant and seed."""
    names, cells = sorted(WINDOWS, key=lambda s: int(s[1:])), {}
    for (variant, seed), (fold, name) in product(RIGHT, enumerate(names)):
        labels = {"seed": str(seed), "variant": variant, "split.fold": str(fold)}
        scores = {"activity": classes({name: RIGHT[variant, seed][name]})}
        cells[f"{variant}{seed}{fold}"] = labels, scores
    return study(out, cells, known=known, compare=compare)


def forget(out: Path, *cells: str) -> None:
    """Makes cells unfinished."""
    for cell in cells:
        (out / "cells" / cell / "scores.json").unlink()


def test_a_study_that_leaves_each_subject_out_is_told_by_subject(tmp_path: Path) -> None:
    """S2-13."""
    assert conclude(left_out(tmp_path)) == [
        "## By subject: data three, split loso: activity",
        "",
        "| subject | a | b |",
        "|---|---|---|",
        "| s1 | 60.0 | 50.0 |",
        "| s2 | 85.0 | 60.0 |",
        "| s10 | 85.0 | 75.0 |",
        "| **mean** | 76.7 | 61.7 |",
        "| **standard deviation** | 14.4 | 12.6 |",
        "| **range** | 60.0–85.0 | 50.0–75.0 |",
        "",
        "Accuracy in % over a test subject's windows, mean over 2 runs of different seeds. At the foot each subject "
        "counts once, however many windows it has; in the tables further up each window does. The standard deviation "
        "is that of subjects (by n − 1). 3 of the data's 3 subjects are in the table.",
        "",
    ]


def test_the_file_has_a_line_for_each_cell_and_subject(tmp_path: Path) -> None:
    cells = {
        "one": ({"seed": "0", "variant": "a"}, {"activity": classes({"s10": 0.5, "s2": 0.8})}),
        "two": ({"seed": "0", "variant": "b"}, {"activity": classes({"s1": 0.4})}),
    }
    conclude(study(tmp_path, cells, split="subject"))
    assert (tmp_path / "subjects.csv").read_text().splitlines() == [
        "cell,data,split,seed,variant,leaky,model,task,subject,n,accuracy,macro_f1",
        "one,three,subject,0,a,false,student,activity,s2,30,0.8,0.4",
        "one,three,subject,0,a,false,student,activity,s10,20,0.5,0.25",
        "two,three,subject,0,b,false,student,activity,s1,10,0.4,0.2",
    ]


def test_errors_are_told_in_their_unit_and_beside_classes_in_one_file(tmp_path: Path) -> None:
    tasks = {"activity": classes({"s1": 0.5}), "heart rate": errors({"s1": 3.0, "s2": 5.0})}
    lines = conclude(study(tmp_path, {"one": ({"seed": "0", "variant": "a"}, tasks)}, known=51))
    table = lines[lines.index("## By subject: data three, split loso: heart rate") :]
    assert table[4:9] == [
        "| s1 | 3.00 |", "| s2 | 5.00 |", "| **mean** | 4.00 |", "| **standard deviation** | 1.41 |",
        "| **range** | 3.00–5.00 |",
    ]  # fmt: skip
    assert table[-2].startswith("MAE in bpm over a test subject's windows, of one run. ")
    assert table[-2].endswith("2 of the data's 51 subjects are in the table.")
    assert "1 of the data's 51 subjects is in the table." in lines[6]
    assert "**mean**" not in "".join(lines[:8]), "one subject has no mean over subjects"
    assert (tmp_path / "subjects.csv").read_text().splitlines() == [
        "cell,data,split,seed,variant,leaky,model,task,subject,n,accuracy,macro_f1,mae,rmse,r,within_5,bias",
        "one,three,loso,0,a,false,student,activity,s1,10,0.5,0.25,,,,,",
        "one,three,loso,0,a,false,student,heart rate,s1,10,,,3.0,6.0,0.5,0.25,-3.0",
        "one,three,loso,0,a,false,student,heart rate,s2,30,,,5.0,10.0,0.5,0.25,-5.0",
    ]


def test_means_over_subjects_are_of_those_that_all_columns_have(tmp_path: Path) -> None:
    out = left_out(tmp_path)
    forget(out, "b12")
    lines = conclude(out)
    assert lines[6] == "| s10 | 85.0 | 80.0 |"
    assert "mean over 1 to 2 runs of different seeds. " in lines[-2]
    forget(out, "b02")
    lines = conclude(out)
    assert lines[4:10] == [
        "| s1 | 60.0 | 50.0 |", "| s2 | 85.0 | 60.0 |", "| s10 | 85.0 |  |", "| **mean** | 72.5 | 55.0 |",
        "| **standard deviation** | 17.7 | 7.1 |", "| **range** | 60.0–85.0 | 50.0–60.0 |",
    ]  # fmt: skip
    assert "The foot is of the 2 subjects that all columns have. 3 of the data's 3 subjects" in lines[-2]
    forget(out, "b01", "b11")
    lines = conclude(out)
    assert lines[7] == "", "one subject is no spread"
    assert "There is no foot: not even two subjects are in all columns." in lines[-2]


def test_folds_are_no_columns_even_where_they_are_all_that_varies(tmp_path: Path) -> None:
    """A study without `compare` compares the first axis of its grid, and a subject has but one fold."""
    out = left_out(tmp_path, compare=None)
    lines = conclude(out)
    assert lines[0] == "## By subject: data three, split loso, variant a: activity"
    assert lines[2:7] == [
        "| subject | student |", "|---|---|", "| s1 | 60.0 |", "| s2 | 85.0 |", "| s10 | 85.0 |"
    ]  # fmt: skip


def test_subjects_that_several_folds_test_are_averaged_over_those(tmp_path: Path) -> None:
    cells = {
        f"{seed}{fold}": (
            {"seed": str(seed), "variant": "a", "split.fold": str(fold)},
            {"activity": classes({"s1": accuracy, "s2": 0.5})},
        )
        for (seed, fold), accuracy in zip(product((0, 1), (0, 1)), (0.2, 0.4, 0.4, 0.8), strict=True)
    }
    lines = conclude(study(tmp_path, cells, split="random-window"))
    assert lines[0] == "## By subject: data three, split random-window (leaky): activity"
    assert lines[4:6] == ["| s1 | 45.0 |", "| s2 | 50.0 |"]
    assert "mean over 4 runs of different seeds and folds. " in lines[-2]


def test_what_was_not_tested_on_subjects_has_no_table_and_no_file(tmp_path: Path) -> None:
    tasks = {"activity": classes({"s1": 0.5}) | {"subjects": {}}}
    assert conclude(study(tmp_path, {"one": ({"seed": "0", "variant": "a"}, tasks)})) == []
    assert not (tmp_path / "subjects.csv").exists()


@pytest.mark.parametrize(("count", "file", "lines"), [(60, True, True), (61, True, False), (501, False, False)])
def test_too_many_subjects_are_in_no_table_and_very_many_in_no_file(
    tmp_path: Path, count: int, file: bool, lines: bool
) -> None:
    tasks = {"activity": classes({f"photo {i}": 0.5 for i in range(count)})}
    assert bool(conclude(study(tmp_path, {"one": ({"seed": "0", "variant": "a"}, tasks)}))) is lines
    assert (tmp_path / "subjects.csv").exists() is file


def test_subjects_are_on_the_page_and_not_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.RECIPES, "toy", Toy)
    values = {"recipe": "toy", "base": {"split": "loso"}, "variants": {"plain": {}, "good": {"method": "good"}},
              "grid": {"split.fold": list(range(12))}, "compare": "variant"}  # fmt: skip
    (tmp_path / "mine.json").write_text(json.dumps(values))
    out, console = tmp_path / "out", Console(file=StringIO(), width=200)
    run_named(str(tmp_path / "mine.json"), {}, out, console=console)
    before, found, after = (out / "table.md").read_text().partition("## By subject: data toys, split loso: activity\n")
    assert found
    assert "| **mean** |" in after
    assert "12 of the data's 12 subjects" in after
    assert "## data toys, split loso: activity" in before
    assert len((out / "subjects.csv").read_text().splitlines()) == 1 + 2 * 12 * 2, "of the student, and of trees"
    said = console.file.getvalue()
    assert "By subject" not in said
    assert "s11" not in said
    assert str(out / "subjects.csv") in said
