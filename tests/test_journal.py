"""The journal: whole lines, cut back to a step; and the sums that its rows are means of."""

import errno
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import UserError
from limbeck.journal import Journal, Sums, rows


def journal(path: Path, count: int = 3) -> tuple[Journal, list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    made = Journal(path / "metrics.jsonl", heard.append)
    for step in range(count):
        made.add({"event": "train", "step": step, "loss": 0.1 * step})
    return made, heard


def test_rows_come_back_as_they_were_and_are_told_on(tmp_path: Path) -> None:
    made, heard = journal(tmp_path)
    assert rows(made.path) == heard
    assert [r["loss"] for r in heard] == [0.0, 0.1, 0.2]
    assert rows(tmp_path / "absent") == []


def test_a_listener_gets_a_copy(tmp_path: Path) -> None:
    row = {"step": 1, "scores": {"a": {"accuracy": 0.5}}}
    Journal(tmp_path / "x", lambda heard: heard["scores"]["a"].update(accuracy=1.0)).add(row)
    assert row["scores"] == {"a": {"accuracy": 0.5}}


def test_cutting_forgets_later_rows_and_keeps_the_bytes_of_earlier_ones(tmp_path: Path) -> None:
    made, _ = journal(tmp_path, 3)
    before = made.path.read_bytes()
    made.add({"event": "train", "step": 3})
    made.add({"event": "eval", "step": 3})
    made.cut(2)
    assert made.path.read_bytes() == before
    made.cut(-1)
    assert made.path.read_bytes() == b""


@pytest.mark.parametrize("torn", ['{"event": "train", "st', '{"event"', "{", "\x00\x00\x00"])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: str) -> None:
    made, heard = journal(tmp_path, 2)
    whole = made.path.read_bytes()
    made.path.write_bytes(whole + torn.encode())
    assert rows(made.path) == heard
    made.cut(1)
    assert made.path.read_bytes() == whole
    made.add({"step": 2})
    assert len(rows(made.path)) == 3


def test_cutting_a_journal_that_is_not_there_makes_an_empty_one(tmp_path: Path) -> None:
    made = Journal(tmp_path / "new" / "metrics.jsonl", lambda row: None)
    made.cut(0)
    assert made.path.read_bytes() == b""


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, heard = journal(tmp_path, 1)

    def no_space(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", no_space)
        with pytest.raises(UserError, match="the disk is full"):
            made.add({"step": 1})
    assert len(heard) == 1, "what is not written is not told"


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 3), min_size=1, max_size=30))
def test_sums_on_the_host_are_those_on_a_device(steps: list[tuple[float, ...]]) -> None:
    # A device that is never reached: these values lie on the CPU, where its tensor form can add them up as well.
    here, there = Sums(torch.device("cpu")), Sums(torch.device("cuda"))
    for step in steps:
        for sums in (here, there):
            assert sums.add([torch.tensor(value) for value in step])
    assert here.count == there.count == len(steps)
    assert here.tensor().dtype == there.tensor().dtype == torch.float64
    assert torch.equal(here.tensor(), there.tensor())
    assert here.tensor().tolist() == pytest.approx(np.array(steps).sum(axis=0), abs=1e-6)


def test_sums_go_on_from_a_checkpoint_to_the_last_bit() -> None:
    values = [[torch.rand(()), torch.rand(())] for _ in range(9)]
    whole, first = Sums(torch.device("cpu")), Sums(torch.device("cpu"))
    assert first.tensor().shape == (0,)
    for one in values:
        whole.add(one)
    for one in values[:4]:
        first.add(one)
    second = Sums(torch.device("cpu"), first.tensor(), first.count)
    for one in values[4:]:
        second.add(one)
    assert torch.equal(second.tensor(), whole.tensor())
    assert second.count == whole.count == 9
    fresh = Sums(torch.device("cpu"), torch.zeros(0, dtype=torch.float64), 0)
    assert fresh.add(values[0])
    assert fresh.tensor().tolist() == [v.item() for v in values[0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_seen_at_its_step_and_in_the_sums(bad: float) -> None:
    sums = Sums(torch.device("cpu"))
    assert sums.add([torch.tensor(1.0), torch.tensor(2.0)])
    assert not sums.add([torch.tensor(1.0), torch.tensor(bad)])
    assert [math.isfinite(v) for v in sums.tensor().tolist()] == [True, False]
