"""A run folder is read as it was written, and one that is not finished says what it lacks."""

import json
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import UserError
from limbeck.finished import (
    ClassScores,
    DepthScores,
    DirectionScores,
    Model,
    PixelScores,
    ValueScores,
    leaves,
    load,
    text,
)
from tests.fake_faces import write_face_run
from tests.fake_hearts import write_heart_run
from tests.fake_runs import write_run
from tests.fake_scenes import judged


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "a"))
    assert run.method == "smooth-distill"
    assert run.terms == ["exercise", "device", "soft(exercise, ema)", "soft(device, ema)"]
    assert run.scored.models["student"].parts["test"]["device"].labels == ["phone in pocket", "watch on wrist"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is not a run: there is no such folder"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["recipe.json", "splits.json", "data.json", "metrics.jsonl", "scores.json"])
def test_a_folder_that_lacks_a_file_is_named_with_the_file(tmp_path: Path, name: str) -> None:
    at = write_run(tmp_path / "a")
    (at / name).unlink()
    with pytest.raises(UserError, match=rf"a is not a finished run: it has no {name}"):
        load(at)


@pytest.mark.parametrize("name", ["recipe.json", "metrics.jsonl", "scores.json"])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    at = write_run(tmp_path / "a")
    whole = (at / name).read_text()
    (at / name).write_text(whole[: len(whole) - 5])
    with pytest.raises(UserError, match=name):
        load(at)


def test_scores_of_another_shape_are_an_error_that_says_where(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a")
    scores = json.loads((at / "scores.json").read_text())
    del scores["models"]["student"]["parts"]["test"]["device"]["confusion"]
    (at / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(UserError, match=r"scores.json: models.student.parts.test.device.confusion"):
        load(at)


def test_what_nobody_labelled_has_no_score(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a")
    scores = json.loads((at / "scores.json").read_text())
    scores["models"]["student"]["parts"]["test"]["device"]["ece"] = float("nan")
    (at / "scores.json").write_text(json.dumps(scores))
    assert load(at).scored.models["student"].parts["test"]["device"].ece is None


def test_a_network_a_task_has_its_curves_in_stages(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a", "single-task")
    lines = (at / "metrics.jsonl").read_text().splitlines()
    (at / "metrics.jsonl").unlink()
    for stage, part in (("single-exercise", lines[::2]), ("single-device", lines[1::2])):
        (at / stage).mkdir()
        (at / stage / "metrics.jsonl").write_text("\n".join(part))
    (at / "best").mkdir()
    (at / "best" / "model.json").write_text('{"parts": ["single-exercise", "single-device"]}')
    assert len(load(at).rows) == len(lines)
    (at / "single-device" / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match=r"single-device/metrics.jsonl"):
        load(at)


def test_leaves_are_field_paths_and_kinds_stand_at_their_own_path() -> None:
    nested = {"kind": "r", "data": {"kind": "d", "rate": 20.0}, "how": None, "ids": ["a", "b"]}
    assert dict(leaves(nested)) == {"kind": "r", "data": "d", "data.rate": 20.0, "how": None, "ids": ["a", "b"]}
    assert [text(v) for v in (None, True, ["a", 1], 2.5, "x")] == ["none", "true", "a,1", "2.5", "x"]


def test_scores_of_real_values_are_read_with_what_they_are_judged_by(tmp_path: Path) -> None:
    run = load(write_heart_run(tmp_path / "a", mixed=True))
    tests = run.scored.models["student"].parts["test"]
    assert isinstance(tests["device"], ClassScores)
    assert isinstance(tests["heart rate"], ValueScores)
    assert [tests[t].measures[0].key for t in ("device", "heart rate")] == ["accuracy", "mae"]
    assert tests["heart rate"].counts["S2"] == (120, tests["heart rate"].subjects["S2"].mae)
    assert set(tests["heart rate"].groups["activity"]) == {"rest", "walk", "run"}
    assert run.scored.models["peaks"].parts["test"]["heart rate"].coverage is None
    assert load(write_heart_run(tmp_path / "b", "soft")).method == "soft"
    assert run.rule == "best mean validation MAE"


def test_the_answers_of_each_window_are_read_where_they_were_kept(tmp_path: Path) -> None:
    kept, bare = (load(write_heart_run(tmp_path / str(n), traced=n == 1)) for n in (1, 0))
    assert len(kept.values["heart rate/student/value"]) == 720
    assert bare.values == {}
    (tmp_path / "1" / "values.npz").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"values\.npz cannot be read"):
        _ = load(tmp_path / "1").values


def test_classes_with_middles_are_classes_and_know_their_unit(tmp_path: Path) -> None:
    tests = load(write_face_run(tmp_path / "a", images=60)).scored.models["student"].parts["test"]
    age, gender = tests["age"], tests["gender"]
    assert isinstance(age, ClassScores)
    assert [measure.head for measure in age.measures[:3]] == ["accuracy %", "one-off %", "MAE years"]
    assert [measure.key for measure in gender.measures[:2]] == ["accuracy", "macro_f1"]
    assert age.value("mae") is not None
    assert set(age.domains) == {"utkface"}
    assert age.domains["utkface"].n == age.n


def test_rows_are_kept_by_stage_and_weights_are_told_from_losses(tmp_path: Path) -> None:
    run = load(write_face_run(tmp_path / "a", "mtl", images=60, balance="uncertainty"))
    assert list(run.journals) == ["."]
    assert run.rows == run.journals["."]
    assert run.terms == ["age", "gender", "expression"]
    assert run.weights == ["weight(age)", "weight(gender)", "weight(expression)"]


def test_scores_of_pixels_are_told_from_others_by_what_they_have() -> None:
    tasks = judged(0, {"segmentation": 0.7, "depth": 0.6, "normals": 0.6}, images=12, each=3)
    read = Model.model_validate({"parts": {"test": json.loads(json.dumps(tasks))}}).parts["test"]
    assert [type(s) for s in read.values()] == [PixelScores, DepthScores, DirectionScores]
    assert [s.measures[0].key for s in read.values()] == ["miou", "rel_err", "mean_angle"]
    assert read["depth"].measures[1].unit == "m"
    for task, scores in read.items():
        weights, values = zip(*scores.counts.values(), strict=True)
        assert np.average(values, weights=weights) == pytest.approx(scores.value(scores.measures[0].key))
        assert max(weights) <= 3
        assert scores.own == {n: s[scores.measures[0].key] for n, s in tasks[task]["subjects"].items()}
    assert Model(parts={"test": dict(read)}).parts["test"]["depth"] == read["depth"]
