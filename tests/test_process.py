"""One process alone, and randomness by purpose. Several processes are in test_parallel."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck import process
from limbeck.errors import UserError


def test_one_process_is_the_leader_of_a_world_of_one() -> None:
    assert (process.rank(), process.world(), process.active()) == (0, 1, False)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert process.total(x) is x
    assert process.from_leader({"a": 1}) == {"a": 1}
    assert process.anywhere(True) is True
    assert process.anywhere(False) is False


def test_joining_needs_torchrun() -> None:
    assert "WORLD_SIZE" not in os.environ
    with process.joined():
        assert not process.active()


def test_seeds_of_purposes_are_pinned_so_that_old_runs_can_be_made_again() -> None:
    assert process.fold(0, "order", 0) == 3471081512423777433
    assert process.fold(7, "step", 3, 1) == 1958210200142726177


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.text(max_size=8))
def test_a_folded_seed_is_one_that_torch_takes_and_depends_on_every_key(seed: int, step: int, word: str) -> None:
    one = process.fold(seed, word, step)
    assert 0 <= one < 2**63
    assert one == process.fold(seed, word, step)
    assert one != process.fold(seed + 1, word, step)
    assert one != process.fold(seed, word, step + 1)
    torch.Generator().manual_seed(one)


def test_seeding_a_step_is_seeding_torch() -> None:
    process.seed(123, torch.device("cpu"))
    ours = torch.rand(3)
    torch.manual_seed(123)
    assert torch.equal(ours, torch.rand(3))


def test_a_generator_leaves_the_global_one_alone() -> None:
    before = torch.random.get_rng_state()
    one, two = (torch.randperm(9, generator=process.generator(1, "x")).tolist() for _ in range(2))
    assert one == two
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_device_that_is_not_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert process.device() == process.device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="no device 'gpu'"):
        process.device("gpu")
    with pytest.raises(UserError, match="no CUDA here"):
        process.device("cuda:1")


def test_auto_takes_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert process.device() == torch.device("cuda", 3)
