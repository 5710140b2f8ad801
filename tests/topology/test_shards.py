"""Extraction into files: the same whatever is killed, damaged or done twice, and read back as it was."""

import errno
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from rich.console import Console

from limbeck.data.source import Dense
from limbeck.errors import UserError
from limbeck.topology import column, shards
from limbeck.topology.diagrams import persistence
from limbeck.topology.images import PersistenceImage
from limbeck.topology.shards import each, extract, images, manifest, opened
from tests.conftest import table
from tests.test_floors import FILES, imports
from tests.topology import killed
from tests.topology.killed import IMAGE, WINDOWS

ROOT = Path(__file__).parents[2]
SOME = WINDOWS[:6]


def contents(at: Path) -> dict[str, bytes]:
    """The files of an extraction; what a killed process left must not be among them."""
    return {f.name: f.read_bytes() for f in at.iterdir() if f.name != ".lock"}


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What killed extractions left, and how they ended."""
    where = tmp_path_factory.mktemp("deaths")
    words = [sys.executable, "-m", "tests.topology.killed", str(where)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "in use by another process" in done.stderr
    return where, json.loads(done.stdout)


def test_killed_before_any_change_to_the_folder_it_ends_as_if_never_killed(
    deaths: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    where, ends = deaths
    killed.make(tmp_path, 2)
    assert len(ends["changes"]) > 15, "there are so many places to die at"
    assert set(ends["changes"][:-1]) == {-9}
    for number in range(len(ends["changes"])):
        at = where / f"change-{number}"
        if number < len(ends["changes"]) - 1:
            with pytest.raises(UserError, match=r"manifest\.json is missing: .*cut; extract into it again"):
                opened(at)
        killed.make(at, 2)
        assert contents(at) == contents(tmp_path)


def test_killed_at_any_time_it_ends_as_if_never_killed(deaths: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    where, ends = deaths
    assert 0 < ends["kills"][0][1] < 2 * len(WINDOWS), "the first was killed half-way"
    killed.make(tmp_path, 1)
    killed.make(where / "times", 1)
    assert contents(where / "times") == contents(tmp_path)


def test_two_processes_at_once_write_what_one_does(deaths: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    where, ends = deaths
    assert ends["at once"] == [0, 0]
    killed.make(tmp_path, 1)
    assert contents(where / "at-once") == contents(tmp_path)


@pytest.mark.parametrize("shard", [1, 4, 5, 6, 100])
def test_all_diagrams_come_back_whatever_the_size_of_a_shard(tmp_path: Path, shard: int) -> None:
    made = extract(SOME, tmp_path, shard=shard, filtration="both")
    found, expected = opened(tmp_path), persistence(SOME, "both")
    assert found.shape == expected.shape == (made.manifest["windows"], made.manifest["channels"])
    for name in ("pairs", "offsets", "essential"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert [len(part) for part in each(tmp_path)] == [min(shard, 6 - at) for at in range(0, 6, shard)]


def test_arrays_tensors_files_and_columns_are_the_same_signals(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", SOME)
    kinds = {
        "array": SOME,
        "strided": np.repeat(SOME, 2, axis=2)[:, :, ::2],
        "file": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "tensor": torch.from_numpy(SOME),
        "column": Dense(torch.from_numpy(SOME)),
    }
    for name, signals in kinds.items():
        extract(signals, tmp_path / name, shard=4)
        assert contents(tmp_path / name) == contents(tmp_path / "array")
    windows = table().inputs["sensor"]
    extract(windows, tmp_path / "windows", shard=7)
    expected = persistence(windows[torch.arange(len(windows))].numpy())
    np.testing.assert_array_equal(opened(tmp_path / "windows").pairs, expected.pairs)


def test_one_channel_may_go_without_its_axis(tmp_path: Path) -> None:
    extract(SOME[:, 0], tmp_path, shard=4)
    np.testing.assert_array_equal(opened(tmp_path).pairs, persistence(SOME[:, :1]).pairs)


def test_images_come_back_within_the_error_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "FLOATS", 1000)  # so that some windows of a shard are drawn, and read, at a time
    extract(SOME, tmp_path / "a", IMAGE, shard=4)
    true = IMAGE.render(persistence(SOME))
    parts = list(images(tmp_path / "a"))
    assert max(map(len, parts)) == 1
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    assert 0 < np.abs(np.concatenate(parts) - true).max() <= 1 / 510 + 1e-6
    plain = IMAGE.changed(peak=False, weight="persistence")
    assert extract(SOME, tmp_path / "b", plain, shard=4).manifest["stored"] == "float16"
    true = plain.render(persistence(SOME))
    np.testing.assert_allclose(np.concatenate(list(images(tmp_path / "b"))), true, rtol=2**-11, atol=2**-25)


def test_values_that_float16_does_not_hold_are_refused(tmp_path: Path) -> None:
    huge = IMAGE.changed(peak=False, weight="persistence", high=3e5, sigma=10.0, low=-3e5)
    with pytest.raises(UserError, match=r"too large to be stored; leave image\.peak"):
        extract(SOME * 1e5, tmp_path, huge)


def test_done_again_nothing_is_made_or_touched(tmp_path: Path) -> None:
    first = extract(SOME, tmp_path, IMAGE, shard=4)
    times = {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("*.safetensors")}
    again = extract(SOME, tmp_path, IMAGE, shard=4)
    assert (first.made, again.made, again.others) == (4, 0, 0)
    assert first.manifest == again.manifest == manifest(tmp_path)
    assert times == {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("*.safetensors")}


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 4]) + data[-8:]


@pytest.mark.parametrize("kind", ["diagrams", "images"])
@pytest.mark.parametrize(
    "harm",
    [flipped, lambda d: d[:3] + b"\x7f" + d[4:], lambda d: d[: len(d) // 2], lambda d: b"", lambda d: d + b"\0"],
    ids=["bit", "header", "cut", "empty", "longer"],
)
def test_a_damaged_file_is_found_made_again_and_told(tmp_path: Path, kind: str, harm: Callable[[bytes], bytes]) -> None:
    extract(SOME, tmp_path, IMAGE, shard=4)
    whole = contents(tmp_path)
    name = manifest(tmp_path)["shards"][1][kind]
    (tmp_path / name).write_bytes(harm(whole[name]))
    read: Callable[[Path], Any] = opened if kind == "diagrams" else lambda at: list(images(at))
    with pytest.raises(UserError, match=f"{name} is damaged: extract into {tmp_path} again"):
        read(tmp_path)
    with pytest.warns(UserWarning, match=f"{name} is damaged, and is made again"):
        made = extract(SOME, tmp_path, IMAGE, shard=4)
    assert (made.made, made.damaged) == (1, (name,))
    assert contents(tmp_path) == whole


def test_damage_is_told_on_a_console_where_there_is_one(tmp_path: Path) -> None:
    extract(SOME, tmp_path)
    name = manifest(tmp_path)["shards"][0]["diagrams"]
    (tmp_path / name).write_bytes(b"")
    said = io.StringIO()
    extract(SOME, tmp_path, console=Console(file=said, width=400))
    assert f"{name} is damaged, and is made again" in said.getvalue()


def test_a_file_that_is_gone_is_told_and_made_again(tmp_path: Path) -> None:
    extract(SOME, tmp_path)
    (tmp_path / manifest(tmp_path)["shards"][0]["diagrams"]).unlink()
    with pytest.raises(UserError, match="is missing: extract into"):
        opened(tmp_path)
    assert extract(SOME, tmp_path).made == 1


def test_a_damaged_manifest_is_told_and_written_again(tmp_path: Path) -> None:
    extract(SOME, tmp_path)
    whole = (tmp_path / "manifest.json").read_text()
    for text in (whole.replace('"windows": 6', '"windows": 5', 1), "[]", "{}"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UserError, match="is damaged: extract into"):
            opened(tmp_path)
    extract(SOME, tmp_path)
    assert (tmp_path / "manifest.json").read_text() == whole


def test_other_signals_or_values_make_other_files_and_leave_those_alone(tmp_path: Path) -> None:
    extract(SOME, tmp_path, IMAGE, shard=2)
    before = contents(tmp_path)
    changed = SOME.copy()
    changed[4, 0, 7] += 1
    variants: list[tuple[dict[str, Any], int, int]] = [
        ({"signals": changed}, 2, 2),  # of three shards one is another
        ({"signals": np.concatenate([SOME, changed[:2]])}, 0, 0),  # two more windows that are known
        ({"signals": SOME.astype(np.float64)}, 6, 6),
        ({"image": IMAGE.changed(sigma=0.2)}, 3, 3),  # the same diagrams
        ({"filtration": "superlevel"}, 6, 6),
        ({"shard": 3}, 4, 6),
    ]
    for number, (values, made, others) in enumerate(variants):
        at = tmp_path.with_name(f"{tmp_path.name}-{number}")
        shutil.copytree(tmp_path, at)
        done = extract(**{"signals": SOME, "out": at, "image": IMAGE, "shard": 2, **values})
        assert (done.made, done.others) == (made, others), values
        assert {k: v for k, v in contents(at).items() if k in before and k != "manifest.json"} == {
            k: v for k, v in before.items() if k != "manifest.json"
        }
        assert done.manifest["digest"] != manifest(tmp_path)["digest"] or "image" in values or "filtration" in values


def test_every_file_that_answers_are_made_by_is_in_their_names() -> None:
    seen, left = set(), {"topology.diagrams", "topology.images"}
    while left:
        name = left.pop()
        seen.add(name)
        left |= {other for other in imports(FILES[name]) if other.startswith("topology.")} - seen
    assert sorted(seen) == [f"topology.{name}" for name in column.CODE]


def no_space(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "how"),
    [("os.fsync", no_space), ("pathlib.Path.replace", no_space),
     ("pathlib.Path.mkdir", no_space)],
)  # fmt: skip
def test_a_full_disk_is_one_clear_line_and_nothing_half_written_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, how: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(where, how)
        with pytest.raises(UserError, match="the disk is full; free some room"):
            extract(SOME, tmp_path / "out", IMAGE)
    with pytest.raises(UserError, match="is missing"):
        opened(tmp_path / "out")
    assert not list(tmp_path.rglob("*.safetensors"))
    assert extract(SOME, tmp_path / "out", IMAGE).made == 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_value_that_is_not_finite_is_named_by_its_window_of_all(tmp_path: Path) -> None:
    broken = SOME.copy()
    broken[5, 1, 3] = np.inf
    with pytest.raises(UserError, match="window 5, channel 1 has a value that is not finite"):
        extract(broken, tmp_path / "a", shard=2)
    with pytest.raises(UserError, match="window 5, channel 0 has a value that is not finite"):
        extract(broken[:, 1], tmp_path / "b", shard=2)


@pytest.mark.parametrize(
    ("values", "said"),
    [({"signals": np.zeros(5)}, r"not of shape \(5,\)"), ({"signals": np.zeros((0, 2, 5))}, r"shape \(0, 2, 5\)"),
     ({"signals": np.zeros((2, 1, 0))}, "no samples"), ({"signals": np.array([["a"]])}, "expected numbers"),
     ({"shard": 0}, "at least 1 window, not 0"), ({"filtration": "up"}, "'up'"), ({"threads": 0}, "threads is 0"),
     ({"signals": Dense(torch.zeros(0, 2, 5))}, "no windows"), ({"out": ROOT / "README.md"}, "cannot be written")],
)  # fmt: skip
def test_what_cannot_be_extracted_is_told(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        extract(**{"signals": SOME, "out": tmp_path / "out", **values})


def test_diagrams_alone_have_no_images_to_read(tmp_path: Path) -> None:
    extract(SOME, tmp_path)
    with pytest.raises(UserError, match="holds diagrams alone"):
        next(images(tmp_path))


def test_classes_beyond_the_image_are_counted(tmp_path: Path) -> None:
    x = np.array([[0.0, 0.5, 0.2, 9.0, -5.0, 0.0]])  # (0.2, 0.5) is seen; (0, 9) reaches beyond
    made = extract(x, tmp_path, PersistenceImage())
    assert (made.manifest["shards"][0]["pairs"], made.manifest["shards"][0]["outside"]) == (2, 1)
