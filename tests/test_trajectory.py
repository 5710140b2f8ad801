"""Trajectories: where a map is highest, what is remembered, and a loss that is 0 where two maps are the same."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.errors import UserError
from limbeck.models.heads import MAP
from limbeck.objective import STUDENT, Scene
from limbeck.trajectory import (
    SHARP,
    Follow,
    Memory,
    Trajectory,
    Visit,
    attention,
    grid,
    highest,
    middles,
    soft_places,
)

IDS = torch.tensor([3, 5, 8])


def scene(student: Tensor, connector: Tensor, ids: Tensor = IDS) -> Scene:
    outputs = {STUDENT: Outputs({}, {MAP: student}), "connector": Outputs({}, {MAP: connector})}
    return Scene(Batch({}, {}, ids), outputs, {name: nn.Identity() for name in outputs}, 0.5)


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def follow(**values: Any) -> Follow:
    return Follow(Trajectory(**{"k": 4, "length": 3, **values}), IDS, "connector").double()


def test_attention_is_the_sum_of_squares_over_channels_of_norm_1() -> None:
    made = maps(0, 5, 4, 6)
    found = attention(made, (4, 6))
    energy = (made.numpy() ** 2).sum(axis=1)
    wanted = energy / np.sqrt((energy**2).sum(axis=(1, 2), keepdims=True))
    assert found.numpy() == pytest.approx(wanted)


def test_attention_on_a_smaller_grid_is_the_mean_of_its_cells_and_a_signal_has_one_row() -> None:
    made = maps(1, 2, 4, 6)
    energy = made.square().sum(1).view(3, 2, 2, 3, 2).mean(dim=(2, 4))
    assert torch.allclose(attention(made, (2, 3)), energy / energy.flatten(1).norm(dim=1)[:, None, None])
    assert attention(maps(2, 5, 12), (1, 6)).shape == (3, 1, 6)
    assert grid(made, maps(2, 7, 8, 3)) == (4, 3)
    assert grid(maps(2, 5, 12), maps(2, 5, 8)) == (1, 8)


def test_the_highest_cells_come_in_order_and_no_more_than_there_are() -> None:
    shown = torch.zeros(1, 3, 4)
    for value, (row, column) in enumerate([(2, 3), (0, 1), (1, 1)], 1):
        shown[0, row, column] = value
    assert highest(shown, 3).tolist() == [[5, 1, 11]]
    with pytest.raises(UserError, match=r"trajectory\.k is 13, but the maps have 12 cells"):
        highest(shown, 13)


def test_a_soft_place_is_the_softmax_mean_of_the_window_and_leaves_out_what_is_beyond_the_edge() -> None:
    shown = attention(maps(3, 2, 3, 4), (3, 4))
    at = torch.tensor([[0, 5, 11]] * 3)
    found = soft_places(shown, at, 1)
    for n in range(3):
        for p, cell in enumerate(at[n].tolist()):
            row, column = divmod(cell, 4)
            near = [(r, c) for r in range(3) for c in range(4) if max(abs(r - row), abs(c - column)) <= 1]
            share = np.exp([float(shown[n, r, c]) * 12**0.5 / SHARP for r, c in near])
            wanted = (share[:, None] * [((r + 0.5) / 3, (c + 0.5) / 4) for r, c in near]).sum(axis=0) / share.sum()
            assert found[n, p].tolist() == pytest.approx(wanted.tolist())


def test_a_place_of_a_flat_window_is_its_middle_and_a_sharp_peak_is_its_cell() -> None:
    flat, sharp = torch.ones(1, 5, 5), torch.zeros(1, 5, 5)
    sharp[0, 2, 3] = 100
    assert soft_places(flat, torch.tensor([[12]]), 1)[0, 0].tolist() == pytest.approx([0.5, 0.5])
    assert soft_places(sharp, torch.tensor([[12]]), 1)[0, 0].tolist() == pytest.approx([0.5, 0.7])


def test_soft_places_mean_the_same_on_a_grid_of_any_size() -> None:
    """A map and the same in four times the cells: what draws a place aside does so by as many cells, on average."""
    apart = {}
    for side in (8, 16, 32, 64):
        shown = attention(torch.randn(3, 2, side, side, generator=torch.Generator().manual_seed(0)), (side, side))
        at = highest(shown.flip(2), 10)
        cells = torch.stack([at // side, at % side], dim=2) + 0.5
        apart[side] = float((soft_places(shown, at, 1) * side - cells).abs().mean())
    assert min(apart.values()) > 0.2, "a student that looks elsewhere is told so"
    assert max(apart.values()) < 2 * min(apart.values())


def test_what_is_remembered_of_the_student_is_where_it_looks_by_itself() -> None:
    term = follow(k=3)
    student, connector = maps(50, 2, 6, 6), maps(51, 2, 6, 6)
    term(scene(student, connector))
    visits, _ = term.memory.visits(IDS, 1)
    ours, theirs = (attention(m, (6, 6)) for m in (student, connector))
    assert visits.own[:, 0].tolist() == highest(ours, 3).tolist()
    assert visits.at[:, 0].tolist() == highest(theirs, 3).tolist()
    assert visits.own.tolist() != visits.at.tolist()
    found = middles(visits.own[:, 0], ours)
    assert found.shape == (3, 3, 2)
    assert (found * 6 - 0.5).round().long().tolist() == [
        [[c // 6, c % 6] for c in row] for row in highest(ours, 3).tolist()
    ]


def test_attention_is_taken_in_single_precision_whatever_a_network_answers_in() -> None:
    made = maps(52, 8, 4, 4).bfloat16()
    assert attention(made, (4, 4)).dtype == torch.float32
    assert torch.equal(attention(made, (4, 4)), attention(made.float(), (4, 4)))


@pytest.mark.parametrize("values", [{}, {"compare": "moves"}, {"fade": 0.5, "radius": 2}, {"values": False}])
def test_the_loss_is_0_where_both_maps_are_the_same_visit_after_visit(values: dict[str, Any]) -> None:
    """S4-09."""
    term = follow(**values)
    shown = maps(4, 5, 4, 6)
    for _ in range(5):
        assert float(term(scene(shown, shown))) == 0


@pytest.mark.parametrize("values", [{}, {"compare": "moves"}, {"fade": 0.5, "radius": 2}, {"values": False}])
@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 16)])
def test_the_loss_is_positive_otherwise_and_its_gradient_is_that_of_finite_differences(
    values: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """S4-09."""
    term = follow(**values)
    for seed in (10, 12):
        term(scene(maps(seed, *shape), maps(seed + 1, *shape)))
    term.eval()  # which does not remember: the same is asked again and again
    student, connector = maps(14, *shape).requires_grad_(), maps(15, *shape).requires_grad_()
    assert float(term(scene(student, connector)).detach()) > 0
    assert torch.autograd.gradcheck(lambda x: term(scene(x, connector)), (student,), eps=1e-7, atol=1e-5)
    term(scene(student, connector)).backward()
    assert connector.grad is None, "what is followed does not learn from who follows"


def test_the_first_visit_is_compared_with_itself_and_later_ones_with_all_that_are_remembered() -> None:
    """Against the definition, in NumPy."""
    shown = [(maps(20 + 2 * n, 2, 3, 4), maps(21 + 2 * n, 2, 3, 4)) for n in range(5)]
    term = follow(k=2, length=3, fade=0.5)
    found = [float(term(scene(*each))) for each in shown]
    for now in range(5):
        ours = attention(shown[now][0], (3, 4))
        losses = []
        for n in range(3):
            total = weights = 0.0
            for age, visit in enumerate(range(now, max(-1, now - 3), -1)):
                theirs = attention(shown[visit][1], (3, 4))
                at = highest(theirs, 2)
                apart = (soft_places(ours, at, 1) - soft_places(theirs, at, 1)).abs().sum(dim=2)[n]
                apart += (ours.flatten(1).gather(1, at) - theirs.flatten(1).gather(1, at)).abs()[n]
                total, weights = total + 0.5**age * float(apart.mean()), weights + 0.5**age
            losses.append(total / weights)
        assert found[now] == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_length_of_one_visit_is_the_present_alone() -> None:
    term = follow(length=1)
    for seed in (40, 42):
        student, connector = maps(seed, 2, 3, 4), maps(seed + 1, 2, 3, 4)
        assert float(term(scene(student, connector))) == float(follow(length=1)(scene(student, connector))) > 0


def test_moves_compare_how_places_went_since_the_last_visit() -> None:
    term = follow(k=2, compare="moves")
    one, two = [(maps(n, 2, 3, 4), maps(n + 1, 2, 3, 4)) for n in (30, 32)]
    assert float(term(scene(*one))) == 0, "nothing has moved on the first visit"
    places = []
    for student, connector in (one, two):
        ours, theirs = (attention(m, (3, 4)) for m in (student, connector))
        at = highest(theirs, 2)
        places.append((soft_places(ours, at, 1), soft_places(theirs, at, 1)))
    moves = [places[1][who] - places[0][who] for who in (0, 1)]
    assert float(term(scene(*two))) == pytest.approx(float((moves[0] - moves[1]).abs().sum(2).mean()), rel=1e-5)


def test_the_memory_holds_the_last_visits_of_each_sample_and_its_size_is_said() -> None:
    """S4-08: no more than `length` visits, no more than `k` places, whatever comes; and so many bytes."""
    memory = Memory(IDS, k=2, length=3)
    bytes_each = 4 + 2 * 4 + 4 + 2 * 4 + 4
    assert memory.held == 3 * 3 * 2 * bytes_each + 3 * 4
    for number in range(7):
        some = IDS if number % 2 else IDS[:1]
        shape = (len(some), 2)
        filled = torch.full(shape, float(number))
        places = filled.unsqueeze(2).expand(*shape, 2)
        memory.add(some, Visit(filled.int(), places, filled, torch.zeros(*shape, 2), filled.int()))
    assert memory.held == 3 * 3 * 2 * bytes_each + 3 * 4
    visits, known = memory.visits(IDS, 3)
    assert known.all()
    assert visits.at[:, :, 0].tolist() == [[6, 5, 4], [5, 3, 1], [5, 3, 1]]
    assert visits.values[0, :, 0].tolist() == [6, 5, 4]
    fresh = Memory(IDS, k=2, length=3)
    _, known = fresh.visits(IDS, 2)
    assert not known.any()
    doubled = Memory(torch.arange(6), k=2, length=6)
    assert doubled.held - 6 * 4 == 4 * (memory.held - 3 * 4), "linear in samples x visits x places"


def test_the_memory_is_in_the_state_and_evaluation_does_not_add_to_it() -> None:
    one, two = follow(), follow()
    one(scene(maps(0, 2, 4, 4), maps(1, 2, 4, 4)))
    state = {k: v.clone() for k, v in one.state_dict().items()}
    two.load_state_dict(state)
    one.eval()
    one(scene(maps(2, 2, 4, 4), maps(3, 2, 4, 4)))
    assert all(torch.equal(v, state[k]) for k, v in one.state_dict().items())
    later = maps(4, 2, 4, 4), maps(5, 2, 4, 4)
    assert float(one.train()(scene(*later))) == float(two(scene(*later)))


def test_a_model_without_a_map_is_named_for_what_it_lacks() -> None:
    outputs = {name: Outputs({}, {"shared": torch.zeros(3, 4)}) for name in (STUDENT, "connector")}
    with pytest.raises(UserError, match="map"):
        follow()(Scene(Batch({}, {}, IDS), outputs, {}, 0.0))
