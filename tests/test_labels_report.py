"""The report's section on generated labels."""

import json
from pathlib import Path

import pytest

from limbeck.compare import groups
from limbeck.finished import load
from limbeck.labels_report import section
from tests.fake_faces import FACES, face_family, write_face_run
from tests.test_charts import parsed


def test_it_has_rows_by_task_then_method_with_means_over_seeds(tmp_path: Path) -> None:
    (group,) = groups([load(at) for at in face_family(tmp_path, images=30)])
    found = section(group)
    assert found is not None
    assert [(row.summary.task, row.entry.name) for row in found.rows] == [
        (task.name, name) for task in FACES for name in ("mtl-dd", "single-dd")
    ]
    plain = [
        json.loads((tmp_path / f"mtl-dd-{seed}" / "labels.json").read_text())["rounds"][0]["tasks"]["age"]
        for seed in (0, 1, 2)
    ]
    row = found.rows[0]
    assert row.kept == round(sum(one["kept"] for one in plain) / 3)
    keys = [measure.key for measure in found.measures]
    assert row.estimates[keys.index("coverage")].mean == pytest.approx(sum(one["coverage"] for one in plain) / 3)
    assert row.threshold == "0.500 to 0.780 by class"
    assert found.asked[0][:4] == ("mtl-dd", "fer2013", "age", 7510)
    assert found.asked[0][5].startswith("60+ 1,210, 48-53 1,080")
    assert found.views == ["identity", "flip", "scale 0.9", "scale 1.1"]


def test_bars_tell_coverage_and_accuracy_of_each_task_and_method(tmp_path: Path) -> None:
    (group,) = groups([load(at) for at in face_family(tmp_path, images=30)])
    found = section(group)
    assert found is not None
    assert [figure.caption for figure in found.bars.figures] == ["Coverage, %", "Accuracy of kept, %"]
    for figure in found.bars.figures:
        assert len(parsed(figure.drawing).findall(".//rect")) == 6
    assert "mtl-dd" in found.bars.legend
    assert "mtl-domains" not in found.bars.legend


@pytest.mark.parametrize(
    ("threshold", "said"), [(0.9, "0.900"), (None, "none was sure enough"), ({"a": None}, "none was sure enough")]
)
def test_a_threshold_is_told_whatever_it_is(tmp_path: Path, threshold: object, said: str) -> None:
    at = write_face_run(tmp_path / "a", images=30)
    plain = json.loads((at / "labels.json").read_text())
    plain["rounds"][0]["tasks"]["age"]["threshold"] = threshold
    (at / "labels.json").write_text(json.dumps(plain))
    found = section(groups([load(at)])[0])
    assert found is not None
    assert found.rows[0].threshold == said


def test_without_generated_labels_there_is_none(tmp_path: Path) -> None:
    assert section(groups([load(write_face_run(tmp_path / "a", "mtl", images=30))])[0]) is None
