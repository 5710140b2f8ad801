"""The order of rows is a function of seed and step, and each data set has its share of every batch (S5-07)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck import process
from limbeck.data.order import Order, Shares
from limbeck.errors import UserError


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


@given(
    st.lists(st.integers(0, 2), min_size=3, max_size=60),
    st.lists(st.floats(0.5, 5), min_size=3, max_size=3),
    st.integers(12, 40),
)
def test_every_batch_has_the_share_of_each_set(groups: list[int], weights: list[float], batch: int) -> None:
    order = Shares(torch.tensor(groups), weights, batch, 0)
    present = [w if number in groups else 0.0 for number, w in enumerate(weights)]
    exact = [w / sum(present) * batch for w in present]
    for step in (0, 1, 7):
        counts = torch.tensor(groups)[order.at(step)].bincount(minlength=3).tolist()
        assert sum(counts) == batch
        assert all(abs(n - e) < 1 for n, e in zip(counts, exact, strict=True)), (counts, exact)


def test_a_set_goes_round_whole_before_it_begins_again_and_the_passes_say_how_often() -> None:
    groups = torch.tensor([0] * 7 + [1] * 50)
    order = Shares(groups, [1, 1], 10, 3)
    drawn = torch.cat([order.at(step)[:5] for step in range(7)])
    for turn in drawn.view(5, 7):
        assert turn.sort().values.tolist() == list(range(7))
    assert len({tuple(turn.tolist()) for turn in drawn.view(5, 7)}) > 1, "each pass is a draw of its own"
    assert order.passes(7) == [5.0, 0.7]
    assert order.per_epoch == process.batches(57, 10)


def test_a_set_smaller_than_its_share_is_in_a_batch_more_than_once() -> None:
    rows = Shares(torch.tensor([0, 0, 1, 1, 1, 1]), [3, 1], 8, 0).at(0)
    assert rows[:6].bincount().tolist() == [3, 3]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_shares_do_not_depend_on_which_steps_were_asked_before(steps: list[int]) -> None:
    groups = torch.arange(30) % 3
    asked = Shares(groups, [1, 2, 3], 9, 5)
    for step in steps:
        assert torch.equal(asked.at(step), Shares(groups, [1, 2, 3], 9, 5).at(step))


def test_a_share_too_small_for_a_batch_is_refused() -> None:
    with pytest.raises(UserError, match=r"a batch of 4 has no place for data set 1, whose share is 0.05"):
        Shares(torch.tensor([0, 1]), [0.95, 0.05], 4, 0)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_part_the_shares_without_overlap(monkeypatch: pytest.MonkeyPatch, world: int) -> None:
    groups = torch.arange(40) % 2
    whole = Shares(groups, [1, 1], 12, 0).at(4)
    monkeypatch.setattr(process, "world", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(process, "rank", lambda rank=rank: rank)
        parts.append(Shares(groups, [1, 1], 12, 0).at(4))
    assert torch.cat(parts).sort().values.tolist() == whole.sort().values.tolist()
