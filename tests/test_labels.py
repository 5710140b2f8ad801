"""Generated labels: read as a run tells of them, and a study's table by what is compared."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from limbeck.errors import UserError
from limbeck.labelled import read, summaries
from limbeck.labels import conclude
from tests.fake_faces import FACES, write_face_run

KEPT = "accuracy_kept"


def study(out: Path, rounds: int = 1) -> Path:
    """Two variants with generated labels and one without, three seeds each."""
    cells = {}
    for variant, method, lift in (("DD", "mtl-dd", 0.05), ("single", "single-dd", 0.0), ("MTL", "mtl-domains", 0.0)):
        for seed in (0, 1, 2):
            name = f"{method}-{seed}"
            cells[name] = {"seed": str(seed), "variant": variant}
            at = write_face_run(out / "cells" / name, method, seed, lift, images=30, rounds=rounds)
            (at / "finished.json").write_text("{}")
    (out / "cells.json").write_text(json.dumps(cells))
    (out / "study.json").write_text(json.dumps({"name": "faces", "compare": "variant", "reference": "MTL", "grid": {}}))
    return out


def told(out: Path, method: str, task: str) -> list[dict[str, float]]:
    """What was held against hidden labels, by seed."""
    files = [out / "cells" / f"{method}-{seed}" / "labels.json" for seed in (0, 1, 2)]
    return [json.loads(file.read_text())["rounds"][0]["tasks"][task]["held"] for file in files]


def test_a_table_has_a_row_for_each_task_and_variant_with_intervals_over_seeds(tmp_path: Path) -> None:
    lines = conclude(study(tmp_path))
    assert lines[0] == "## Generated labels: data utkface + fer2013, split subject"
    head = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert head == ["", "task", "runs", "coverage %", "coverage of hidden %", "accuracy of kept %", "of all %",
                    "of all without views %"]  # fmt: skip
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:10]]
    assert [row[:3] for row in rows] == [[name, t.name, "3"] for t in FACES for name in ("DD", "single")]
    values = np.array([one[KEPT] for one in told(tmp_path, "mtl-dd", "age")]) * 100
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert rows[0][5] == f"{values.mean():.1f} [{max(0, low):.1f}, {min(100, high):.1f}]"
    assert lines[11].startswith("Coverage is the share")
    assert not any("MTL" in line for line in lines), "what generated nothing has no row"


def test_rounds_stand_apart_and_agree_with_the_one_before(tmp_path: Path) -> None:
    lines = conclude(study(tmp_path, rounds=2))
    assert "| round |" in lines[2]
    assert "agreement with the round before %" in lines[2]
    first, second = (next(line for line in lines if line.startswith(f"| DD | age | {n} |")) for n in (1, 2))
    assert first.endswith("|  |")
    assert second.endswith("| 91.0 [91.0, 91.0] |")


def test_a_study_without_generated_labels_has_no_table(tmp_path: Path) -> None:
    out = study(tmp_path)
    for file in out.glob("cells/*/labels.json"):
        if "single" in file.parent.name:
            file.unlink()
        else:
            file.write_text('{"rounds": [], "cells": {}}')
    assert conclude(out) == []


def test_what_nothing_is_known_of_has_no_column(tmp_path: Path) -> None:
    at = write_face_run(tmp_path / "a", images=30)
    plain = json.loads((at / "labels.json").read_text())
    for one in plain["rounds"][0]["tasks"].values():
        one |= {"held": None, "threshold": None, "kept": 0, "coverage": 0.0}
    (at / "labels.json").write_text(json.dumps(plain))
    found = read(at)
    assert found is not None
    (age, *_) = summaries([found])
    assert (age.round, age.task, age.told[0].threshold) == (1, "age", None)
    assert age.told[0].value("held.accuracy_kept") is None
    assert age.told[0].value("coverage") == 0


def test_a_file_of_another_shape_is_named_with_the_place(tmp_path: Path) -> None:
    at = write_face_run(tmp_path / "a", images=30)
    (at / "labels.json").write_text('{"rounds": [{"round": 1, "views": [], "tasks": {}}]}')
    with pytest.raises(UserError, match=r"labels\.json: rounds\.0\.teachers: Field required"):
        read(at)
    assert read(tmp_path) is None
