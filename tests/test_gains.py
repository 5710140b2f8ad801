"""What a study tells of all tasks together."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from limbeck import gains, people, results
from limbeck.gain import average_gain, headline_gain
from limbeck.tables import markdown
from tests.fake_scenes import judged, write_study

SKILLS = {
    "hard sharing": {"segmentation": 0.7, "depth": 0.6}, "joint": {"segmentation": 0.8, "depth": 0.7},
    "single-task": {"segmentation": 0.72, "depth": 0.55},
}  # fmt: skip


def test_gains_are_against_single_task_learning_paired_by_seed(tmp_path: Path) -> None:
    out = write_study(tmp_path, SKILLS)
    (found,) = gains.gains(out)
    assert found.reference == "single-task"
    assert [(row.name, row.runs) for row in found.rows] == [("hard sharing", 3), ("joint", 3)]
    for row in found.rows:
        for told, how in ((row.average, average_gain), (row.headline, headline_gain)):
            each = [how(judged(s, SKILLS[row.name]), judged(s, SKILLS["single-task"])) for s in range(3)]
            assert told is not None
            assert (told.mean, told.low, told.high) == pytest.approx(
                (np.mean(each), *stats.t.interval(0.95, 2, np.mean(each), stats.sem(each)))
            )
    lines = gains.conclude(out)
    assert lines[0] == "## Over all tasks: data scenes, split official"
    assert lines[2] == "|  | runs | Δm % | Δm by one score % |"
    joint = found.rows[1].average
    assert joint is not None
    assert lines[5].startswith(f"| joint | 3 | {joint.mean:+.2f} [{joint.low:+.2f}, {joint.high:+.2f}] | ")
    assert "against single-task, signed" in lines[-2]
    (plain,) = json.loads((out / "gains.json").read_text())
    assert plain["rows"][1]["average"]["mean"] == joint.mean
    text = io.StringIO()
    gains.print_gains(out, Console(file=text, width=200))
    assert f"{joint.mean:+.2f}" in text.getvalue()


def test_without_single_task_learning_they_are_against_the_reference_or_none(tmp_path: Path) -> None:
    skills = {name: each for name, each in SKILLS.items() if name != "single-task"}
    (found,) = gains.gains(write_study(tmp_path / "a", skills))
    assert (found.reference, [row.name for row in found.rows]) == ("hard sharing", ["joint"])
    assert gains.conclude(write_study(tmp_path / "b", skills, reference=None)) == []
    assert not (tmp_path / "b" / "gains.json").exists()


def test_one_seed_has_no_interval_and_other_tasks_are_no_pair(tmp_path: Path) -> None:
    (found,) = gains.gains(write_study(tmp_path, SKILLS | {"depth alone": {"depth": 0.5}}, seeds=1))
    assert [row.name for row in found.rows] == ["hard sharing", "joint"]
    assert found.rows[0].average is not None
    assert found.rows[0].average.low is None


def test_no_gain_is_told_over_a_score_of_nothing(tmp_path: Path) -> None:
    out = write_study(tmp_path, SKILLS, seeds=1)
    at = out / "cells" / "single-task-0" / "scores.json"
    plain = json.loads(at.read_text())
    plain["models"]["student"]["parts"]["test"]["segmentation"]["pixel_accuracy"] = 0.0
    at.write_text(json.dumps(plain))
    (found,) = gains.gains(out)
    assert found.rows[0].average is None
    assert found.rows[0].headline is not None
    assert "| joint | 1 |  | +" in "\n".join(gains.conclude(out))


def test_the_tables_of_a_study_tell_of_pixels(tmp_path: Path) -> None:
    out = write_study(tmp_path, SKILLS)
    rows = results.summarise(out)
    page = markdown(out, rows)
    assert "|  | runs | mIoU % | pixel accuracy % | difference | so it is |" in page
    assert "|  | runs | relative error | absolute error m | difference | so it is |" in page
    assert "Difference: of relative error to hard sharing (lower is better), over samples and seeds." in page
    assert "of an mIoU or a relative error over seeds and samples (bootstrap), of pixel accuracy or" in page
    assert "subjects" not in page
    joint = next(row for row in rows if (row.key.name, row.key.task) == ("joint", "segmentation"))
    told = [judged(s, SKILLS["joint"])["segmentation"]["miou"] for s in range(3)]
    assert joint.scores["miou"].mean == pytest.approx(np.mean(told))
    assert joint.difference is not None
    assert joint.difference.verdict == "better"
    results.write_csv(results.results(out), tmp_path / "results.csv")
    head = (tmp_path / "results.csv").read_text().splitlines()[0]
    assert head.endswith("n,miou,pixel_accuracy,loss,rel_err,abs_err,rmse,delta_1,delta_2,delta_3")


def test_subjects_stand_with_their_own_scores(tmp_path: Path) -> None:
    lines = people.conclude(write_study(tmp_path, SKILLS, seeds=1))
    own = [judged(0, each)["segmentation"]["subjects"]["scene 3"]["miou"] for each in SKILLS.values()]
    assert any(line.startswith("mIoU in % over a test subject's windows") for line in lines)
    assert "| scene 3 | " + " | ".join(f"{100 * v:.1f}" for v in own) + " |" in lines
