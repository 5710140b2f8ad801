"""`limbeck topology`: extraction and pictures by the command line, and mistakes told in one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.topology.diagrams import persistence
from limbeck.topology.shards import images, manifest, opened

Limbeck = Callable[[str], int]
WINDOWS = np.random.default_rng(0).normal(size=(9, 2, 40)).cumsum(-1).astype(np.float32) / 8
SMALL = "--subjects 2 --seconds 20"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of windows, good and bad."""
    monkeypatch.chdir(tmp_path)
    np.save("good.npy", WINDOWS)
    np.save("one.npy", WINDOWS[:, 0])
    np.save("flat.npy", np.zeros(5))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    broken = WINDOWS.copy()
    broken[7, 1, 3] = np.nan
    np.save("nan.npy", broken)
    Path("junk.npy").write_bytes(b"junk")
    Path("cut.npy").write_bytes(Path("good.npy").read_bytes()[:-20])
    return tmp_path


@pytest.mark.parametrize("verb", ["topology extract", "topology plot"])
def test_help_fits_a_screen_and_shows_an_example(
    limbeck: Limbeck, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"{verb} --help") == 0
    said = capsys.readouterr().out
    assert "Example: limbeck " + verb in said
    assert len(said.splitlines()) <= 40


def test_help_is_instant() -> None:
    code = """import sys
sys.argv = ["limbeck", *sys.argv[1:]]
from limbeck.cli import main
try:
    main()
finally:
    assert not {"torch", "numba", "numpy", "matplotlib"} & set(sys.modules)
"""
    for words in (["--help"], ["topology", "--help"], ["topology", "extract", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "topology" in done.stdout


def test_a_file_of_windows_is_extracted_and_again_only_checked(
    limbeck: Limbeck, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "topology extract good.npy --out made --images --image.sigma 0.1 --image.low -3 --image.high 3 --shard 4"
    assert limbeck(words) == 0
    assert "6 files, 6 of them made now: made" in capsys.readouterr().out
    assert limbeck(words) == 0
    assert "6 files, 0 of them made now: made" in capsys.readouterr().out
    np.testing.assert_array_equal(opened("made").pairs, persistence(WINDOWS).pairs)
    assert manifest("made")["image"]["sigma"] == 0.1
    assert sum(map(len, images("made"))) == 9


def test_both_filtrations_of_one_channel(limbeck: Limbeck, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck("topology extract one.npy --out made --filtration both --threads 1") == 0
    assert opened("made").shape == (9, 2)
    assert "9 windows of 2 channels" in capsys.readouterr().out


def test_a_range_that_does_not_fit_is_told_with_one_that_does(
    limbeck: Limbeck, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("large.npy", WINDOWS * 100)
    assert limbeck("topology extract large.npy --out made --images") == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warning"))
    better = said.partition("; ")[2].removesuffix(" holds nearly all")
    assert limbeck(f"topology extract large.npy --out made --images {better}") == 0
    said = capsys.readouterr().out
    assert "warning" not in said
    assert "1 other files there are of other windows or values" in said


def test_a_kind_of_recordings_is_extracted_and_drawn(
    limbeck: Limbeck, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"topology extract wearable {SMALL} --out made") == 0
    assert limbeck(f"topology plot wearable {SMALL} --window 2 --image.high 20 --image.low -20 --out a.svg") == 0
    drawn = Path("a.svg").read_text()
    assert "wearable, window 2" in drawn
    assert "x (m/s2)" in drawn
    assert "seconds" in drawn
    assert opened("made").shape[1] == 3


def test_a_window_of_a_file_is_drawn(limbeck: Limbeck, place: Path) -> None:
    assert limbeck("topology plot good.npy --window 8 --filtration both --out a.png") == 0
    assert limbeck("topology plot one.npy --out b.png") == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


BAD = {
    "a kind that nobody knows": ("extract weareable --out made", ["'weareable'", "'wearable'"]),
    "a field that nobody knows": ("extract wearable --subject 2 --out made", ["subject", "subjects"]),
    "a field of a file": ("extract good.npy --root DIR --out made", ["good.npy", "--root"]),
    "a value of an image": ("extract good.npy --images --image.sigma -1 --out made", ["image.sigma", "-1"]),
    "a field of an image": ("extract good.npy --images --image.sigmas 1 --out made", ["image.sigmas", "image.sigma"]),
    "an image that is not asked for": ("extract good.npy --image.sigma 1 --out made", ["--image.sigma", "--images"]),
    "a range turned over": ("extract good.npy --images --image.low 2 --out made", ["image", "low"]),
    "a file that is not there": ("extract nowhere.npy --out made", ["nowhere.npy"]),
    "a file of something else": ("extract junk.npy --out made", ["junk.npy"]),
    "a file that was cut": ("extract cut.npy --out made", ["cut.npy", "damaged"]),
    "objects": ("extract objects.npy --out made", ["objects.npy"]),
    "one dimension": ("extract flat.npy --out made", ["(5,)"]),
    "a value that is not finite": ("extract nan.npy --shard 2 --out made", ["window 7, channel 1", "not finite"]),
    "another filtration": ("extract good.npy --filtration up --out made", ["up", "sublevel"]),
    "no window in a shard": ("extract good.npy --shard 0 --out made", ["shard", "0"]),
    "a folder that is a file": ("extract good.npy --out junk.npy", ["junk.npy", "cannot be written"]),
    "a window too far": ("plot good.npy --window 9 --out a.png", ["--window 9", "0 to 8"]),
    "a window below": ("plot good.npy --window -1 --out a.png", ["--window -1", "0 to 8"]),
    "another format": ("plot good.npy --out a.jpg", ["'a.jpg'", ".png"]),
    "one dimension to draw": ("plot flat.npy --out a.png", ["(5,)"]),
    "no place to write": ("plot good.npy", ["--out"]),
    "a window of NaN": ("plot nan.npy --window 7 --out a.png", ["window 7", "channel 1", "not finite"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_clear_line_and_code_2(
    limbeck: Limbeck, place: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = BAD[case]
    assert limbeck(f"topology {words}") == 2
    said = capsys.readouterr().err
    line = next(line for line in said.splitlines() if line.startswith("error:"))
    assert said.rstrip().endswith(line)
    for word in expected:
        assert word in line
    assert not [p for p in place.iterdir() if p.suffix in (".png", ".jpg", ".tmp")]
