"""The command line: help, bad input, and the verbs on a small run."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.recipes import RECIPES
from tests.recipes.running import SMALL

Limbeck = Callable[[str], int]
VERBS = ("", "demo", "doctor", "train", "resume", "export", "study", "evaluate", "predict", "report", "cite", "label",
         "bench", "data list", "data check", "data describe", "topology extract", "topology plot")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run."""
    at = tmp_path_factory.mktemp("trained") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "limbeck", "train", "smooth-distill", *SMALL.split(), "--out", str(at)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trained" in done.stdout
    return at


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_fits_a_small_screen_and_shows_an_example(
    limbeck: Limbeck, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert limbeck(f"{verb} --help") == 0
    said = capsys.readouterr().out
    assert "Example: limbeck " + verb in said
    assert len(said.splitlines()) <= 24
    assert max(map(len, said.splitlines())) <= 80


def test_help_does_not_import_torch() -> None:
    code = """import sys
sys.argv = ["limbeck", "--help"]
from limbeck.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_fields_of_a_recipe_are_listed_with_their_defaults(
    limbeck: Limbeck, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck("train smooth-distill --help") == 0
    said = capsys.readouterr().out
    assert "Example: limbeck train smooth-distill" in said
    assert re.search(r"--beta\s+0.999", said)
    assert "--plan.optimiser.lr" in said


def recordings(folder: Path, subjects: int = 4, classes: tuple[str, ...] = ("walk", "run"), rows: int = 300) -> Path:
    """A folder of CSV files, one a subject, at 20 Hz."""
    folder.mkdir(parents=True, exist_ok=True)
    for subject in range(subjects):
        draw = np.random.default_rng(subject)
        lines = ["time,ax,ay,az,activity"]
        for row in range(rows * len(classes)):
            x = draw.normal(size=3) + row // rows
            lines.append(f"{row / 20},{x[0]:.4f},{x[1]:.4f},{x[2]:.4f},{classes[row // rows]}")
        (folder / f"s{subject}.csv").write_text("\n".join(lines) + "\n")
    return folder


OWN = "--data recordings --data.subject_from file --plan.steps 2"
BAD = {
    "a misspelt field": ("train smooth-distill --alfa 1", ["alfa", "alpha"]),
    "a misspelt nested field": ("train smooth-distill --plan.epoch 1", ["plan.epoch", "plan.epochs"]),
    "a misspelt kind": ("train smooth-distill --student mtl-nett", ["mtl-nett", "mtl-net"]),
    "a misspelt recipe": ("train smoth-distill", ["smoth-distill", "smooth-distill"]),
    "a misspelt verb": ("tran", ["tran", "train"]),
    "a wrong type": ("train smooth-distill --plan.batch many", ["plan.batch", "many"]),
    "a value out of range": ("train smooth-distill --alpha 2", ["alpha", "2"]),
    "a field that is needed": ("train smooth-distill --data wisdm", ["--data.root"]),
    "a network that cannot be": (
        f"train smooth-distill {OWN} --data.root own --student resnet1d --student.kernel 4", ["kernel", "4"]),
    "a weight between two tasks where there is one": (
        f"train smooth-distill {OWN} --data.root own --alpha 0.7", ["alpha", "two tasks"]),
    "a feature that no network has": (
        f"train smooth-distill {OWN} --data.root own --how feature --how.name shard", ["shard", "shared"]),
    "another split to evaluate by": ("evaluate own --split random-window", ["--split", "--data"]),
    "a word that is no field": ("train smooth-distill alpha 1", ["alpha"]),
    "a missing folder": (f"train smooth-distill {OWN} --data.root nowhere/at/all", ["nowhere/at/all"]),
    "an empty folder": (f"train smooth-distill {OWN} --data.root empty", ["empty"]),
    "an empty file": (f"train smooth-distill {OWN} --data.root hollow", ["hollow", "line of data"]),
    "no known column": (f"train smooth-distill {OWN} --data.root strange", ["strange.csv"]),
    "no rate": (f"train smooth-distill {OWN} --data.root timeless", ["--data.rate"]),
    "a window longer than every recording": (
        f"train smooth-distill {OWN} --data.root own --data.windows.length 100000", ["100000"]),
    "one class only": (f"train smooth-distill {OWN} --data.root lonely", ["activity", "nothing to learn"]),
    "one subject only": (f"train smooth-distill {OWN} --data.root alone", ["3 subjects", "random-window"]),
    "a class absent from training": (
        f"train smooth-distill {OWN} --data.root absent --split.test_subjects odd --split.valid_subjects s1",
        ["activity", "'jump'", "--absent accept"]),
    "a loss that is not finite": (
        f"train smooth-distill {OWN}0 --data.root own --plan.optimiser.lr 1e30 --tensorboard",
        ["not finite", "activity", "lr", "nothing was saved"]),
    "a folder that cannot be written": ("train smooth-distill --data wearable --out file/run", ["file/run"]),
    "a run folder that is none": ("resume own", ["own", "recipe.json"]),
    "a report of nothing": ("report", ["limbeck report runs/a"]),
    "a report of a folder that is no run": ("report own", ["own"]),
    "a column named twice": (f"train smooth-distill {OWN} --data.root own --data.channels ax,ay,ax", ["'ax'", "twice"]),
    "a label named twice": (
        f"train smooth-distill {OWN} --data.root own --data.labels activity,activity", ["'activity'", "twice"]),
    "a rate that is none": (
        f"train smooth-distill {OWN} --data.root own --data.windows.rate inf", ["windows.rate", "inf"]),
    "a rate that cannot be reached": (
        f"train smooth-distill {OWN} --data.root own --data.windows.rate 1e-6", ["20 Hz", "1e-06 Hz"]),
    "an unknown kind of recordings": ("data check wisdom", ["wisdom", "wisdm"]),
    "an unknown recipe to cite": ("cite smooth", ["smooth"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with what is wrong in each."""
    at = tmp_path_factory.mktemp("bad")
    recordings(at / "own")
    recordings(at / "alone", subjects=1)
    recordings(at / "lonely", classes=("walk",))
    recordings(at / "absent")
    recordings(at / "odd", subjects=1, classes=("walk", "jump"))
    shutil.copy(at / "odd" / "s0.csv", at / "absent" / "odd.csv")
    for name in ("empty", "hollow", "strange", "timeless"):
        (at / name).mkdir()
    (at / "hollow" / "s0.csv").write_text("")
    (at / "strange" / "strange.csv").write_text("colour,shape\nred,round\nblue,square\n")
    (at / "timeless" / "s0.csv").write_text("ax,ay,az,activity\n" + "1,2,3,walk\n" * 300 + "2,3,4,run\n" * 300)
    (at / "file").write_text("")
    return at


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_clear_line_and_code_2(
    limbeck: Limbeck, place: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words, expected = BAD[case]
    out = f"out-{list(BAD).index(case)}"
    assert limbeck(words + (f" --out {out}" if words.startswith("train") and "--out" not in words else "")) == 2
    said = capsys.readouterr().err
    line = next(line for line in said.splitlines() if line.startswith("error:"))
    assert "Traceback" not in said
    assert said.rstrip().endswith(line)
    for word in expected:
        assert word in line
    assert not list(place.rglob("*.tmp"))
    assert not (place / out).exists()


@pytest.mark.parametrize("theirs", ["notes.txt", "tensorboard/notes.txt", "another/recipe.json"])
def test_what_fails_takes_nothing_with_it_that_is_not_its_own(
    limbeck: Limbeck, place: Path, theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text("{}")
    assert limbeck(f"train smooth-distill {OWN}0 --data.root own --plan.optimiser.lr 1e30 --out {tmp_path}") == 2
    assert (tmp_path / theirs).read_text() == "{}"


def test_recordings_are_looked_at_by_the_fields_that_training_is_told(
    limbeck: Limbeck, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"data check recordings --data.root {place / 'own'} --data.subject_from file") == 0
    told = capsys.readouterr().out
    assert limbeck(f"data check recordings --root {place / 'own'} --subject_from file") == 0
    assert capsys.readouterr().out == told


def test_ctrl_c_outside_of_training_says_how_to_go_on(
    limbeck: Limbeck, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.doctor.examine", interrupted)
    assert limbeck("doctor") == 130
    assert capsys.readouterr().err.strip() == "stopped; the same command goes on where it was"


def test_debug_shows_where_it_went_wrong(limbeck: Limbeck, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck("train smooth-distill --alfa 1 --debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_finished_run_is_only_loaded(limbeck: Limbeck, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck(f"resume {trained}") == 0
    assert "only loaded" in capsys.readouterr().out


def test_evaluate_scores_student_teacher_and_pair(
    limbeck: Limbeck, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"evaluate {trained}") == 0
    said = capsys.readouterr().out
    assert "ema" in said
    assert "student and ema agree" in said


def test_evaluate_takes_other_recordings_whole(
    limbeck: Limbeck, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"evaluate {trained} --data.seed 7 --data.subjects 2") == 0
    assert "wearable, all" in capsys.readouterr().out


def test_predict_export_and_report_of_a_run(
    limbeck: Limbeck, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    channels = json.loads((trained / "data.json").read_text())["channels"]
    signal = np.random.default_rng(0).normal(size=(450, len(channels))) + 5
    rows = "\n".join(f"{i / 50}," + ",".join(f"{v:.3f}" for v in row) for i, row in enumerate(signal))
    (tmp_path / "walk.csv").write_text("time," + ",".join(channels) + "\n" + rows + "\n")
    walk, labels, edge = (tmp_path / name for name in ("walk.csv", "labels.csv", "edge.csv"))
    assert limbeck(f"predict {trained} {walk} --out {labels} --plot {tmp_path / 'p.png'}") == 0
    lines = labels.read_text().splitlines()
    assert "activity" in lines[0]
    assert len(lines) == 1 + 450 // 100
    assert (tmp_path / "p.png").stat().st_size > 5000
    assert limbeck(f"export {trained}") == 0
    assert limbeck(f"predict {trained / 'export' / 'student.onnx'} {walk} --out {edge}") == 0
    assert [r.split(",")[2] for r in edge.read_text().splitlines()] == [r.split(",")[2] for r in lines]
    assert limbeck(f"report {trained} --out {tmp_path / 'page.html'}") == 0
    assert "<svg" in (tmp_path / "page.html").read_text()


def test_cite_names_the_paper(limbeck: Limbeck, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck("cite smooth-distill") == 0
    assert "2507.00061" in capsys.readouterr().out


def test_doctor_finds_a_sound_machine(limbeck: Limbeck, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck("doctor") == 0
    assert "torch" in capsys.readouterr().out


def test_data_list_names_every_kind(limbeck: Limbeck, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck("data list") == 0
    said = capsys.readouterr().out
    assert all(kind in said for kind in ("watch", "wisdm", "mhealth", "sleep", "recordings", "wearable"))
    assert "smooth-distill" in RECIPES
