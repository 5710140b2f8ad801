"""Tables: windows that copy nothing, rows that stay together, and an order that is a function of seed and step."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck import process
from limbeck.data.source import Chain, Column, Dense, Order, Picked, Table, Windows, concat, missing
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


def test_data_sets_join_with_the_labels_that_each_lacks_marked() -> None:
    other = Task("speed")
    one = table(20)
    two = table(30, seed=1)
    two = dataclasses.replace(
        two, tasks=(TASKS[1], other), targets={"side": two.targets["side"], "speed": torch.arange(30.0)},
        card={"name": "two"},
    )  # fmt: skip
    both = concat([one, two.take(torch.arange(4, 30))])
    assert both.tasks == (*TASKS, other)
    assert len(both) == 46
    assert (both.targets["activity"][20:] == IGNORE).all()
    assert both.targets["speed"][:20].isnan().all()
    assert both.targets["speed"][20:].tolist() == list(range(4, 30))
    assert both.ids.tolist() == list(range(46))
    assert both.meta["domain"].tolist() == ["toy"] * 20 + ["two"] * 26
    crossing = both.rows(torch.tensor([45, 0, 20])).inputs["sensor"]
    for got, (source, row) in zip(crossing, ((two, 29), (one, 0), (two, 4)), strict=True):
        assert torch.equal(got, source.rows(torch.tensor([row])).inputs["sensor"][0])


def test_a_joined_set_is_named_by_its_sets_and_by_which_rows_of_them() -> None:
    one, two = table(20), table(20, seed=1)
    joined = [concat([one, two]), concat([two, one]), concat([one.take(torch.arange(9)), two]),
              concat([one.take(torch.arange(1, 10)), two])]  # fmt: skip
    assert len({t.digest for t in joined}) == 4
    assert concat([one, two]).digest == joined[0].digest


def test_sets_that_mean_different_things_do_not_join() -> None:
    one = table(5)
    other = dataclasses.replace(one, tasks=(Task.of("activity", ("still", "run", "walk")), TASKS[1]))
    with pytest.raises(ValueError, match="disagree on the task 'activity'"):
        concat([one, other])
    with pytest.raises(ValueError, match="different modalities"):
        concat([one, dataclasses.replace(one, inputs={"ppg": one.inputs["sensor"]})])


def test_missing_targets_are_marked_by_kind() -> None:
    assert missing(TASKS[0], 3).tolist() == [IGNORE] * 3
    assert missing(Task("speed"), 2).isnan().all()


def test_a_table_on_its_device_is_itself() -> None:
    whole = table(10)
    assert whole.to(torch.device("cpu")) is whole
    moved = Table(TASKS, {"sensor": Dense(torch.zeros(2, 3))}, {}).to(torch.device("meta"))
    assert moved.ids.device.type == "meta"


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 9), st.integers(0, 5))
def test_an_epoch_is_a_permutation_in_full_batches_but_the_last(rows: int, batch: int, seed: int, epoch: int) -> None:
    """A last batch of one row is left out: statistics over a batch need two."""
    order = Order(rows, batch, seed)
    parts = [order.at(epoch * order.per_epoch + i) for i in range(order.per_epoch)]
    lone = rows % batch == 1 and rows > batch > 1
    seen = torch.cat(parts).tolist()
    assert set(seen) <= set(range(rows))
    assert len(set(seen)) == len(seen) == rows - lone
    assert all(len(p) == batch for p in parts[:-1])
    assert 1 <= len(parts[-1]) <= batch


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_the_rows_of_a_step_do_not_depend_on_which_were_asked_before(steps: list[int]) -> None:
    walked = Order(50, 8, 3)
    for step in steps:
        assert torch.equal(walked.at(step), Order(50, 8, 3).at(step))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    order, other = Order(100, 100, 0), Order(100, 100, 1)
    orders = [order.at(0), order.at(1), order.at(2), other.at(0)]
    assert len({tuple(o.tolist()) for o in orders}) == 4
    before = torch.random.get_rng_state()
    Order(10, 5, 0).at(3)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_a_batch_without_overlap(monkeypatch: pytest.MonkeyPatch, world: int) -> None:
    whole = [Order(33, 16, 0).at(s) for s in range(6)]
    monkeypatch.setattr(process, "world", lambda: world)
    shares: list[list[torch.Tensor]] = []
    for rank in range(world):
        monkeypatch.setattr(process, "rank", lambda rank=rank: rank)
        shares.append([Order(33, 16, 0).at(s) for s in range(6)])
    for step, batch in enumerate(whole):
        dealt = [share[step].tolist() for share in shares]
        assert sorted(row for share in dealt for row in share) == sorted(batch.tolist())
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


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
