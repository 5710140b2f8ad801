"""Tables: windows that copy nothing, and rows that stay together."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.concat import concat
from limbeck.data.source import Chain, Column, Dense, Picked, Table, Windows, missing
from limbeck.tasks import IGNORE, Task
from tests.conftest import TASKS, table


def signal(length: int, channels: int) -> torch.Tensor:
    return torch.randn(length, channels, generator=torch.Generator().manual_seed(length))


@given(st.integers(1, 60), st.integers(1, 5), st.data())
def test_windows_are_those_of_numpy(length: int, channels: int, data: Any) -> None:
    size = data.draw(st.integers(1, length))
    starts = data.draw(st.lists(st.integers(0, length - size), max_size=6))
    x = signal(length, channels)
    windows = Windows(x, torch.tensor(starts, dtype=torch.long), size)
    reference = np.lib.stride_tricks.sliding_window_view(x.numpy(), size, axis=0)  # (T - L + 1, M, L)
    assert len(windows) == len(starts)
    assert windows.shape == (channels, size)
    index = torch.arange(len(starts)).flip(0)
    assert np.array_equal(windows[index].numpy(), reference[starts[::-1]])


def test_windows_copy_nothing_until_asked() -> None:
    x = signal(10_000, 3)
    windows = Windows(x, torch.arange(0, 9_900, 10), 100)
    part = windows.take(torch.arange(5))
    for one in (windows, part):
        assert one.signal.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    cut = windows[torch.tensor([0])]
    cut += 1
    assert torch.equal(x, signal(10_000, 3)), "what is given out is a copy"


def test_windows_of_a_part_of_a_signal_are_of_that_part() -> None:
    x = signal(100, 4)
    for part in (x[10:], x[:, 1:3], x[::2]):
        got = Windows(part, torch.tensor([3]), 5)[torch.tensor([0])]
        assert torch.equal(got[0], part[3:8].T)


@pytest.mark.parametrize("starts", [[-1], [91], [0, 1000]])
def test_a_window_that_leaves_the_signal_is_refused(starts: list[int]) -> None:
    with pytest.raises(ValueError, match="windows of 10 samples leave a signal of 100"):
        Windows(signal(100, 3), torch.tensor(starts), 10)
    with pytest.raises(ValueError, match="leave"):
        Windows(signal(5, 3), torch.tensor([0]), 10)


def test_no_window_at_all_is_a_column_too() -> None:
    none = torch.zeros(0, dtype=torch.long)
    for length in (0, 5, 100):
        windows = Windows(signal(100, 3)[:length], none, 10)
        assert len(windows) == 0
        assert windows[none].shape == (0, 3, 10)


COLUMNS: dict[str, Column] = {
    "dense": Dense(signal(30, 12).view(30, 3, 4)),
    "windows": Windows(signal(50, 3), torch.arange(30), 4),
    "chain": Chain([Dense(signal(10, 12).view(10, 3, 4)), Windows(signal(50, 3), torch.arange(0), 4),
                    Windows(signal(50, 3), torch.arange(20), 4)]),
    "picked": Picked(Dense(signal(60, 12).view(60, 3, 4)), torch.arange(59, 29, -1)),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_gives_the_rows_that_are_asked_for(name: str) -> None:
    column = COLUMNS[name]
    assert len(column) == 30
    assert column.shape == (3, 4)
    whole = torch.stack([column[torch.tensor([i])][0] for i in range(30)])
    for index in ([], [29], [0, 0, 7], list(range(29, -1, -1)), [12, 9, 10, 11]):
        at = torch.tensor(index, dtype=torch.long)
        assert torch.equal(column[at], whole[at])
        taken = column.take(at)
        assert len(taken) == len(index)
        assert taken.shape == (3, 4)
        assert torch.equal(taken[torch.arange(len(index))], whole[at])
    twice = column.take(torch.arange(5, 25)).take(torch.tensor([3, 1]))
    assert torch.equal(twice[torch.arange(2)], whole[[8, 6]])
    assert torch.equal(column.to(torch.device("cpu"))[torch.arange(30)], whole)


def test_columns_of_other_shapes_do_not_join() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        Chain([Dense(torch.zeros(2, 3)), Dense(torch.zeros(2, 4))])


def test_rows_of_a_part_keep_their_targets_provenance_and_numbers() -> None:
    whole = table(60, missing=0.2)
    for index in (torch.tensor([5, 3, 59]), np.array([5, 3, 59])):
        part = whole.take(index)
        batch = part.rows(torch.tensor([2, 0]))
        assert batch.ids.tolist() == [59, 5]
        assert torch.equal(batch.inputs["sensor"], whole.rows(torch.tensor([59, 5])).inputs["sensor"])
        assert batch.targets["side"].tolist() == whole.targets["side"][[59, 5]].tolist()
        assert part.meta["subject"].tolist() == whole.meta["subject"][[5, 3, 59]].tolist()
        assert part.take(torch.tensor([1])).ids.tolist() == [3]
    mask = np.zeros(60, dtype=bool)
    mask[[7, 9]] = True
    assert whole.take(mask).ids.tolist() == whole.take(torch.from_numpy(mask)).ids.tolist() == [7, 9]
    assert len(whole.take(np.zeros(60, dtype=bool))) == 0
    assert whole.shape("sensor") == (3, 40)


def test_columns_of_different_lengths_are_refused() -> None:
    whole = table(10)
    for field in ("targets", "meta"):
        broken = {k: v[:9] for k, v in getattr(whole, field).items()}
        with pytest.raises(ValueError, match=r"different lengths: \[9, 10\]"):
            dataclasses.replace(whole, **{field: broken})


def test_missing_targets_are_marked_by_kind() -> None:
    assert missing(TASKS[0], 3).tolist() == [IGNORE] * 3
    assert missing(Task("speed"), 2).isnan().all()


def test_a_table_on_its_device_is_itself() -> None:
    whole = table(10)
    assert whole.to(torch.device("cpu")) is whole
    moved = Table(TASKS, {"sensor": Dense(torch.zeros(2, 3))}, {}).to(torch.device("meta"))
    assert moved.ids.device.type == "meta"


def test_a_task_is_whole_where_no_label_is_missing_and_its_batches_say_so() -> None:
    full, holed = table(20), table(20)
    assert full.whole == {"activity", "side"} == full.rows(torch.arange(3)).whole
    holed.targets["side"][7] = IGNORE
    assert holed.whole == {"activity"}
    assert holed.rows(torch.tensor([0, 1])).whole == {"activity"}, "of the table, whatever the rows"
    assert holed.take(torch.arange(7)).whole == {"activity", "side"}
    assert holed.take(torch.arange(5, 9)).whole == {"activity"}
    assert concat([full, full]).whole == {"activity", "side"}
    assert concat([full, dataclasses.replace(full, tasks=TASKS[:1])]).whole == {"activity", "side"}
    del holed.targets["activity"]  # type: ignore[attr-defined]
    assert dataclasses.replace(holed).whole == frozenset(), "a task without targets has no label"


@pytest.mark.parametrize("task", [Task("rate", 5, span=(0, 5)), Task("speed")])
def test_a_real_label_that_is_missing_clears_it(task: Task) -> None:
    one = Table((task,), {"sensor": Dense(torch.zeros(3, 1))}, {task.name: torch.tensor([0.0, 1.0, 2.0])})
    two = Table((task,), {"sensor": Dense(torch.zeros(3, 1))}, {task.name: torch.tensor([0.0, torch.nan, 2.0])})
    assert one.whole == {task.name}
    assert two.whole == concat([one, two]).whole == frozenset()
