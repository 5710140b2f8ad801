"""Scores by data set, of tasks that several label."""

import json
from pathlib import Path

import pytest

from limbeck.compare import groups
from limbeck.domains import by_set
from limbeck.finished import load
from tests.fake_faces import FACES, write_face_run
from tests.fake_runs import write_run


def test_scores_by_data_set_are_means_over_seeds(tmp_path: Path) -> None:
    runs = [write_face_run(tmp_path / str(seed), seed=seed, images=60, every=True) for seed in (0, 1)]
    found = by_set(groups([load(at) for at in runs])[0])
    assert list(found) == [task.name for task in FACES]
    told = [
        json.loads((at / "scores.json").read_text())["models"]["student"]["parts"]["test"]["age"]["domains"]
        for at in runs
    ]
    assert found["age"].counts == {"fer2013": 60, "utkface": 60}
    for name, mean in zip(found["age"].counts, found["age"].rows[0], strict=True):
        assert mean == pytest.approx((told[0][name]["accuracy"] + told[1][name]["accuracy"]) / 2)


def test_what_one_set_labels_and_what_is_one_set_has_no_such_table(tmp_path: Path) -> None:
    assert by_set(groups([load(write_face_run(tmp_path / "a", images=60))])[0]) == {}
    assert by_set(groups([load(write_run(tmp_path / "b"))])[0]) == {}
