"""Checkpoints: whole or not there, checked when read, and clear when the disk refuses."""

import errno
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.plan import SGD, Adam, AdamW

STATE = {"a": torch.arange(6.0).view(2, 3), "count": torch.tensor(3), "none": torch.zeros(0)}
INFO = {"best": 0.1 + 0.2, "names": ["x", "ü"], "nothing": None}


def saved(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(folder, step, STATE | {"step": torch.tensor(step)}, INFO)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    saved(tmp_path, 7)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    step, tensors, info = found
    assert step == 7
    assert info == INFO
    for name, value in STATE.items():
        assert torch.equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


def test_the_newest_two_are_kept_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    saved(tmp_path, 2, 10, 9, 100)
    assert files(tmp_path) == ["step-00000010", "step-00000100"]
    assert files(tmp_path / "step-00000100") == ["manifest.json", "state.safetensors"]


def test_an_empty_or_absent_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "absent") is None


def test_tensors_that_share_memory_are_saved_too(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    checkpoint.save_tensors(tmp_path / "x.safetensors", tied.state_dict() | {"part": tied[0].weight[0]})
    assert (tmp_path / "x.safetensors").is_file()


def damage(path: Path, how: str) -> None:
    state, manifest = path / "state.safetensors", path / "manifest.json"
    data = bytearray(state.read_bytes())
    match how:
        case "truncated":
            state.write_bytes(data[:-3])
        case "empty":
            state.write_bytes(b"")
        case "flipped":
            data[-5] ^= 1
            state.write_bytes(data)
        case "no tensors":
            state.unlink()
        case "no manifest":
            manifest.unlink()
        case "manifest of nothing":
            manifest.write_text("null")
        case "manifest cut":
            manifest.write_text(manifest.read_text()[:40])
        case "manifest changed":
            manifest.write_text(manifest.read_text().replace('"step": 2', '"step": 3'))
        case "info changed":
            manifest.write_text(manifest.read_text().replace("0.30000000000000004", "0.31"))
        case "binary manifest":
            manifest.write_bytes(b"\xff\xfe\x00")


DAMAGES = ["truncated", "empty", "flipped", "no tensors", "no manifest", "manifest of nothing", "manifest cut",
           "manifest changed", "info changed", "binary manifest"]  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(tmp_path: Path, how: str) -> None:
    saved(tmp_path, 1, 2)
    for _ in range(2):  # again at the same step: what was set aside before does not stand in the way
        damage(tmp_path / "step-00000002", how)
        found = checkpoint.newest(tmp_path)
        assert found is not None
        assert (found[0], int(found[1]["step"])) == (1, 1)
        assert files(tmp_path) == ["damaged-step-00000002", "step-00000001"]
        saved(tmp_path, 2)


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    for path in list(tmp_path.iterdir()):
        damage(path, "flipped")
    assert checkpoint.newest(tmp_path) is None


@settings(max_examples=60)
@given(st.data())
def test_no_flipped_bit_anywhere_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("flip")
    saved(folder, 1, 2)
    path = folder / "step-00000002" / data.draw(st.sampled_from(["state.safetensors", "manifest.json"]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    before = json.loads((folder / "step-00000002" / "manifest.json").read_text())
    path.write_bytes(content)
    found = checkpoint.newest(folder)
    assert found is not None
    if found[0] == 2:  # a bit of JSON's white space or of how a number is spelt
        assert json.loads((folder / "step-00000002" / "manifest.json").read_text()) == before


def test_a_file_is_written_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "x.json"
    checkpoint.write_json(path, {"a": 1})

    def crash(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write_json(path, {"a": 2})
    assert checkpoint.read_json(path) == {"a": 1}
    checkpoint.tidy(tmp_path / "deep")
    assert files(path.parent) == ["x.json"]


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".run.json.7.tmp", "best/.student.safetensors.7.tmp", "last/.step-00000002.7.tmp/state", "best/kept"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".lock").touch()
    checkpoint.tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".lock", "best", "kept", "last"]


def no_space(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "how"),
    [("os.fsync", no_space), ("pathlib.Path.mkdir", no_space), ("pathlib.Path.rename", no_space),
     ("limbeck.checkpoint.json.dumps", no_space)],
)  # fmt: skip
def test_a_full_disk_is_told_and_what_was_saved_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, how: Any
) -> None:
    saved(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(where, how)
        with pytest.raises(UserError, match="the disk is full"):
            saved(tmp_path, 2)
    assert files(tmp_path) == ["step-00000001"]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[0] == 1
    saved(tmp_path, 2)
    assert files(tmp_path) == ["step-00000001", "step-00000002"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="choose a folder you may write to"):
        checkpoint.write(tmp_path / "x", b"")


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    for attempt in (
        lambda: checkpoint.write(tmp_path / "runs" / "x", b""),
        lambda: checkpoint.save_tensors(tmp_path / "runs" / "x", {}),
        lambda: checkpoint.save(tmp_path / "runs", 1, {}, {}),
    ):
        with pytest.raises(UserError, match="cannot be written"):
            attempt()


def test_json_that_is_missing_or_torn_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.json is missing"):
        checkpoint.read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"x\.json is not JSON"):
        checkpoint.read_json(tmp_path / "x.json")


@pytest.mark.parametrize("spec", [Adam(), AdamW(), SGD(), SGD(momentum=0.0)])
def test_an_optimiser_goes_on_as_if_it_had_never_stopped(tmp_path: Path, spec: Adam | AdamW | SGD) -> None:
    def fresh() -> list[nn.Parameter]:
        return [nn.Parameter(torch.linspace(-1, 1, 5)), nn.Parameter(torch.linspace(-1, 2, 6).view(2, 3))]

    def steps(optimiser: torch.optim.Optimizer, weights: list[nn.Parameter], count: int) -> None:
        for _ in range(count):
            optimiser.zero_grad()
            torch.stack([(w**4).sum() for w in weights]).sum().backward()
            optimiser.step()

    one, two = fresh(), fresh()
    first, second = spec.build(one), spec.build(two)
    steps(first, one, 3)
    tensors, plain = checkpoint.flat_optimiser(first)
    checkpoint.save(tmp_path, 3, tensors | {f"w{i}": w for i, w in enumerate(one)}, {"optimiser": plain})
    found = checkpoint.newest(tmp_path)
    assert found is not None
    _, tensors, info = found
    for number, weight in enumerate(two):
        weight.data.copy_(tensors[f"w{number}"])
    checkpoint.restore_optimiser(second, tensors, info["optimiser"])
    steps(first, one, 3)
    steps(second, two, 3)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_arrays_come_back_by_any_name_and_objects_are_refused(tmp_path: Path) -> None:
    arrays = {
        "heart rate/student/value": np.linspace(0, 1, 5, dtype=np.float32),
        "subject": np.array(["S1", "ü", ""]),
        "file": np.array([np.nan, -np.inf]),
        "allow_pickle": np.zeros((0, 3), np.int64),
    }
    checkpoint.write_arrays(tmp_path / "deep" / "values.npz", arrays)
    first = (tmp_path / "deep" / "values.npz").read_bytes()
    with np.load(tmp_path / "deep" / "values.npz", allow_pickle=False) as stored:
        assert set(stored) == set(arrays)
        for name, array in arrays.items():
            assert stored[name].dtype == array.dtype
            assert np.array_equal(stored[name], array, equal_nan=array.dtype.kind == "f")
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        checkpoint.write_arrays(tmp_path / "deep" / "values.npz", {"x": np.array([{}, None], dtype=object)})
    assert (tmp_path / "deep" / "values.npz").read_bytes() == first
    checkpoint.write_arrays(tmp_path / "again.npz", arrays)
    assert (tmp_path / "again.npz").read_bytes() == first, "the same arrays are the same bytes"
    assert files(tmp_path / "deep") == ["values.npz"]
    assert {k: v.tolist() for k, v in checkpoint.read_arrays(tmp_path / "again.npz").items() if k != "file"} == {
        k: v.tolist() for k, v in arrays.items() if k != "file"
    }
    assert checkpoint.read_arrays(tmp_path / "none.npz") == {}
    for damaged in (first[:100], b"", b"\x00" * 50):
        (tmp_path / "again.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"again\.npz cannot be read"):
            checkpoint.read_arrays(tmp_path / "again.npz")
