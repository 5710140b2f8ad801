import io
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rich.console import Console

from limbeck.data.image_sets import ImageSet, ImageSets
from limbeck.data.inspect import check, describe, print_check, print_description
from limbeck.data.own_images import Images
from limbeck.data.recordings import Findings, Reading, Recording, SensorData, Windowing
from limbeck.data.scenes import Scenes
from limbeck.data.split import BySubject, RandomWindow
from limbeck.data.utkface import UTKFace
from limbeck.errors import UserError
from limbeck.tasks import Task
from tests.data.fake_faces import write

TASK = Task.of("activity", ("still", "walk", "[red]run"))


def recording(subject: str, label: int, seed: int, count: int = 200, rate: float = 20.0) -> Recording:
    signal = np.random.default_rng(seed).normal(0, 0.1, (count, 3)).astype(np.float32) + np.array([0, 0, 1], np.float32)
    return Recording(signal, rate, {"activity": np.full(count, label)}, subject, f"{subject}-{seed}")


class Made(SensorData):
    """Recordings that a test sets."""

    kind: ClassVar[str] = "made"
    held: ClassVar[list[Recording]] = []
    where: Path
    windows: Windowing = Windowing(length=100, stride=50, rate=20)

    def files(self) -> list[Path]:
        if not self.where.exists():
            raise UserError(f"{self.where}: no such file")
        return [self.where]

    def read(self) -> Reading:
        findings = Findings()
        findings.add("broken lines", "a.csv line 3", 7)
        return Reading(list(self.held), (TASK,), ("x", "y", "z"), "g", findings, 20.0)


def spec(tmp_path: Path, *recordings: Recording) -> Made:
    Made.held[:] = recordings
    (tmp_path / "a.csv").write_text(str([r.session for r in recordings]))
    return Made(where=tmp_path / "a.csv")


def whole(tmp_path: Path) -> Made:
    held = [recording(f"s{i}", label, 3 * i + label) for i in range(6) for label in range(3) if (i, label) != (0, 2)]
    return spec(tmp_path, *held, recording("s0", 0, 99, 60), recording("s1", 1, 98, 400, 40.0))


def shown(printed: Any, report: dict[str, Any]) -> str:
    out = io.StringIO()
    printed(report, Console(file=out, width=150))
    return out.getvalue()


def test_a_good_set_has_no_error_and_its_oddities_are_warnings(tmp_path: Path) -> None:
    report = check(whole(tmp_path))
    assert report["errors"] == []
    assert "7 broken lines (first: a.csv line 3)" in report["warnings"]
    assert report["facts"] == ["1 recordings resampled (first: s1-98: 40 Hz)"]
    assert "1 stretches shorter than a window, left out" in report["warnings"]
    assert report["subjects"]["s1"]["rates"] == [20, 40]
    assert report["subjects"]["s0"]["labels"] == {"activity": {"still": 260, "walk": 200}}
    assert report["sessions"]["s1-98"] == {"subject": "s1", "samples": 400, "rates": [40.0]}
    assert report["windows"] == 18 * 3
    json.dumps(report)
    text = shown(print_check, report)
    assert "54 windows; 3 warnings, no error" in text
    assert "note 1 recordings resampled" in text
    assert "broken lines" in text


def test_signals_that_cannot_be_right_are_found(tmp_path: Path) -> None:
    stuck = recording("s1", 1, 5)
    stuck.signal[:, 1] = 0.5
    twin = recording("s2", 1, 6)
    other = Recording(twin.signal.copy(), 20.0, twin.labels, "s3", "copy")
    report = check(spec(tmp_path, stuck, twin, other))
    assert any("s2-6 (subject s2) and copy (subject s3) hold the same signal" in line for line in report["errors"])
    assert any("1 recordings with a channel that never changes (first: s1-5)" in w for w in report["warnings"])
    metres = Recording(twin.signal * 9.81, 20.0, twin.labels, "s4", "metres")
    assert any("is the unit right?" in w for w in check(spec(tmp_path, metres))["warnings"])


def test_classes_too_few_subjects_have_and_impossible_splits_are_warned_of(tmp_path: Path) -> None:
    report = check(spec(tmp_path, recording("s1", 0, 1), recording("s2", 1, 2)))
    assert any("windows of 2 subjects: a split by subject needs 3" in w for w in report["warnings"])
    assert "task 'activity': no window of '[red]run'" in report["warnings"]
    assert any("'walk' only of 1 subjects (s2)" in w for w in report["warnings"])
    assert "no window of '[red]run'" in shown(print_check, report)


def test_what_stops_a_training_is_an_error_and_not_an_exception(tmp_path: Path) -> None:
    report = check(Made(where=tmp_path / "none.csv"))
    assert report["errors"] == [f"{tmp_path / 'none.csv'}: no such file"]
    assert "no such file" in shown(print_check, report).replace("\n", "")
    report = check(spec(tmp_path, recording("s1", 0, 1, 50)))
    assert "longer than every recording" in report["errors"][0]


def test_a_description_counts_windows_by_label_subject_and_part(tmp_path: Path) -> None:
    made = whole(tmp_path)
    report = describe(made)
    assert report["windows"] == 54
    assert report["tasks"]["activity"]["[red]run"]["subjects"] == {f"s{i}": 3 for i in range(1, 6)}
    assert sum(report["subjects"].values()) == 54
    assert sum(part["windows"] for part in report["parts"].values()) == 54
    assert sorted(s for part in report["parts"].values() for s in part["subjects"]) == [f"s{i}" for i in range(6)]
    assert report["leaky"] is False
    assert describe(made, RandomWindow())["leaky"] is True
    json.dumps(report)
    text = shown(print_description, report)
    assert "54 windows of 100 samples, 50 apart, 20 Hz" in text
    assert "[red]run" in text


def test_a_set_that_cannot_be_split_is_described_all_the_same(tmp_path: Path) -> None:
    report = describe(spec(tmp_path, recording("s1", 0, 1), recording("s2", 1, 2)))
    assert report["parts"] == {}
    assert "at least 3 subjects" in report["split"]
    assert "no split" in shown(print_description, report)
    with pytest.raises(UserError, match="longer than every recording"):
        describe(spec(tmp_path, recording("s1", 0, 1, 50)))


def faces(folder: Path, count: int = 70) -> UTKFace:
    """Photos of as many people: of one there is a copy that disagrees, one has no race, and one more is no image."""
    for i in range(count):
        write(folder / f"{4 * i % 80 + 1}_{i % 2}_{i % 5}_2017010900000{i:04}.jpg", i)
    write(folder / "30_0_0_20170110000000000.jpg", 3)
    write(folder / "61_1_20170109150557335.jpg", 900)
    (folder / "20_0_0_20170111000000000.jpg").write_bytes(b"none")
    return UTKFace(root=folder, size=8)


def test_a_set_of_images_is_checked_as_it_is_trained_on(tmp_path: Path) -> None:
    report = check(faces(tmp_path))
    assert report["errors"] == []
    assert (report["windows"], report["samples"]) == (70, "images")
    assert any("names with a missing field" in line for line in report["warnings"])
    assert any("copies of another image" in line for line in report["warnings"])
    lines = shown(print_check, report).splitlines()
    assert lines[0].endswith("utkface: 73 files")
    assert lines[-1] == f"70 images; {len(report['warnings'])} warnings, no error"
    assert check(UTKFace(root=tmp_path / "none"))["errors"]


def test_a_description_of_images_counts_them_and_lists_nobody(tmp_path: Path) -> None:
    report = describe(faces(tmp_path))
    assert report["tasks"]["gender"]["male"]["windows"] == 35
    text = shown(print_description, report)
    assert "utkface: 70 images each of a subject of its own" in text
    assert "8 x 8 pixels" in text
    assert "missing" in text
    assert "windows" not in text
    assert "0000012.jpg" not in text, "nobody is listed"
    sizes = [f"{name}: {part['windows']} images" for name, part in report["parts"].items()]
    assert text.splitlines()[-3:] == sizes


def test_people_of_several_images_are_counted_and_listed_where_they_are_few(tmp_path: Path) -> None:
    for i in range(40):
        write(tmp_path / f"p{i % 5}" / f"{i}.png", i, "PNG")
    (tmp_path / "labels.csv").write_text(
        "file,subject,side\n" + "".join(f"p{i % 5}/{i}.png,p{i % 5},{'lr'[i % 2]}\n" for i in range(40))
    )
    made = Images(root=tmp_path, labels=tmp_path / "labels.csv", file="file", subject="subject", size=8)
    text = shown(print_description, describe(made))
    assert "40 images of 5 subjects" in text
    assert "train: 24 images of subjects p" in text


def test_a_joined_set_tells_what_each_set_labels_and_generates(tmp_path: Path) -> None:
    one, two = faces(tmp_path / "a"), faces(tmp_path / "b", 80)
    sets = (ImageSet(data=one, tasks=("age", "gender")), ImageSet(data=two, tasks=("race",), hidden=("gender",)))
    made = ImageSets(sets=sets, size=8)
    report = describe(made)
    assert list(report["sets"]) == ["utkface 1", "utkface 2"]
    assert report["cells"]["utkface 1"]["race"] == {"labelled": 0, "generated": 0, "missing": 70}
    text = shown(print_description, report)
    assert "utkface 1 + utkface 2: 150 images each of a subject of its own" in text
    assert "utkface 2: 80 images of 80 subjects" in text
    assert "70 / 0 / 0" in text
    assert "hidden" in text
    assert "utkface 2: copies of another image" in text
    assert sum(line.startswith("utkface 2: 1 copies") for line in check(made)["warnings"]) == 1


def test_what_was_generated_is_told_with_confidence_and_teachers(tmp_path: Path) -> None:
    report = describe(ImageSets(sets=(ImageSet(data=faces(tmp_path)),), size=8))
    report["cells"]["utkface"]["age"] = {
        "labelled": 3, "generated": 60, "missing": 8, "confidence": 0.9314, "teachers": ["0123456789abcdef", "fe"],
    }  # fmt: skip
    text = shown(print_description, report)
    assert "3 / 60 / 8" in text
    assert "confidence 0.931" in text
    assert "by 01234567, fe" in text


def test_a_set_with_maps_is_described_by_its_pixels_and_its_official_parts() -> None:
    spec = Scenes(train=20, test=6, size=(16, 32), tasks=())
    report = describe(spec)
    assert {name: part["windows"] for name, part in report["parts"].items()} == {"train": 17, "valid": 3, "test": 6}
    assert report["tasks"] == {}
    assert sum(report["pixels"]["segmentation"].values()) == 26 * 16 * 32
    assert report["pixels"]["depth"].keys() == {"values", "missing"}
    for task, labels in report["pixels"].items():
        for label, count in labels.items():
            assert count == sum(part["pixels"][task][label] for part in report["parts"].values())
    assert report["values"].keys() == {"depth"}
    assert 1 < report["values"]["depth"]["lowest"] < report["values"]["depth"]["median"] < 60
    text = shown(print_description, report)
    assert "16 x 32 pixels" in text
    assert "scenes: 26 images each of a subject of its own" in text
    assert f"depth: {report['values']['depth']['lowest']} to " in text
    share = 100 * report["pixels"]["segmentation"]["wall"] / (26 * 16 * 32)
    (line,) = (line for line in text.splitlines() if " wall " in line)
    assert f"{share:.2f} %" in line
    assert text.splitlines()[-3:] == ["train: 17 images", "valid: 3 images", "test: 6 images"]
    assert describe(spec, BySubject())["parts"]["test"]["windows"] == 5


def test_a_set_with_maps_is_checked_for_classes_that_few_subjects_have() -> None:
    report = check(Scenes(train=2, test=1, size=(8, 16)))
    assert report["errors"] == []
    assert report["files"] == {}
    assert any("task 'segmentation': no image of 'pole'" in line for line in report["warnings"])
    assert "3 images" in shown(print_check, report)
