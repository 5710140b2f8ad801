"""What a study's results have of ordered classes, and of thousands of people of one image each."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from limbeck import results
from limbeck.finished import ClassScores
from limbeck.tables import markdown
from tests.fake_faces import AGE, write_face_run


def study(out: Path, images: int, seeds: int = 2) -> Path:
    """Two variants of faces."""
    cells = {}
    for variant, lift in (("joint", 0.06), ("single", 0.0)):
        for seed in range(seeds):
            cells[f"{variant}-{seed}"] = {"seed": str(seed), "variant": variant}
            at = write_face_run(out / "cells" / f"{variant}-{seed}", "mtl", seed, lift, images=images)
            (at / "finished.json").write_text("{}")
    (out / "cells.json").write_text(json.dumps(cells))
    (out / "study.json").write_text(
        json.dumps({"name": "faces", "compare": "variant", "reference": "single", "grid": {}})
    )
    return out


def test_ordered_classes_have_columns_of_their_own_that_others_leave_empty(tmp_path: Path) -> None:
    results.write_csv(results.results(study(tmp_path, 40, 1)), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-8:] == ["n", "accuracy", "macro_f1", "weighted_f1", "ece", "loss", "one_off", "mae"]
    age, gender = (next(row for row in rows if row["task"] == task) for task in ("age", "gender"))
    assert float(age["mae"]) > 0
    assert (gender["one_off"], gender["mae"]) == ("", "")


def test_a_table_of_ordered_classes_tells_how_far_they_miss_and_over_what(tmp_path: Path) -> None:
    out = study(tmp_path, 700)
    page = markdown(out, results.summarise(out))
    assert "|  | runs | accuracy % | one-off % | MAE years | difference | so it is |" in page
    assert "|  | runs | accuracy % | macro-F1 % | difference | so it is |" in page
    assert "of an accuracy over seeds and samples (bootstrap), of one-off or MAE or macro-F1 over seeds" in page
    assert "| better |" in page
    assert "over samples and seeds" in page
    assert "subjects" not in page


def test_folds_of_ordered_classes_are_pooled_from_their_confusions(tmp_path: Path) -> None:
    out = study(tmp_path, 40)
    cells = json.loads((out / "cells.json").read_text())
    for number, labels in enumerate(cells.values()):
        labels |= {"seed": "0", "split.fold": str(number % 2)}
    (out / "cells.json").write_text(json.dumps(cells))
    for at in sorted((out / "cells").glob("joint-*")):
        plain = json.loads((at / "scores.json").read_text())
        age = plain["models"]["student"]["parts"]["test"]["age"]
        age["subjects"] = {f"{at.name} {name}": one for name, one in age["subjects"].items()}
        (at / "scores.json").write_text(json.dumps(plain))
    runs = next(
        runs
        for key, runs in results.tested(results.results(out), "variant").items()
        if (key.name, key.task) == ("joint", "age")
    )
    (pooled,) = results.pools(runs).values()
    assert isinstance(pooled, ClassScores)
    confusion = sum(np.array(run.scores.confusion) for run in runs.values() if isinstance(run.scores, ClassScores))
    apart = np.abs(np.subtract.outer(AGE.middles, AGE.middles))
    assert pooled.mae == pytest.approx((confusion * apart).sum() / confusion.sum())
    assert pooled.middles == AGE.middles
    assert [measure.key for measure in pooled.measures[:3]] == ["accuracy", "one_off", "mae"]
