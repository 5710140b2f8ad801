"""Augmentation: rotations are rotations, labels stay, and what is drawn is a function of the seed."""

import math

import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from limbeck.augment import Augment, random_rotations, rotate
from limbeck.batch import Batch
from limbeck.errors import UserError
from tests.conftest import table


def batch(channels: int = 6) -> Batch:
    x = torch.randn(50, channels, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Batch({"sensor": x, "pi": torch.ones(50, 2)}, {"a": torch.arange(50)}, torch.arange(50))


def rotations(largest: float, count: int = 4000) -> torch.Tensor:
    torch.manual_seed(0)
    return random_rotations(count, largest, torch.zeros(1, dtype=torch.float64))


def test_rotations_keep_lengths_and_hands() -> None:
    r = rotations(math.pi, 200)
    assert torch.allclose(r @ r.transpose(1, 2), torch.eye(3).double().expand(200, 3, 3), atol=1e-12)
    assert torch.allclose(torch.linalg.det(r), torch.ones(200).double())


def test_angles_are_uniform_up_to_the_largest_and_axes_go_every_way() -> None:
    turned = Rotation.from_matrix(rotations(math.radians(60)).numpy()).as_rotvec()
    angles = (turned**2).sum(1) ** 0.5
    assert angles.max() <= math.radians(60) + 1e-9
    assert angles.mean() == pytest.approx(math.radians(30), rel=0.05)
    assert abs(turned / angles[:, None]).mean(0) == pytest.approx([0.5, 0.5, 0.5], abs=0.03)


def test_a_window_is_turned_as_scipy_turns_it_every_sensor_alike() -> None:
    x = batch().inputs["sensor"]
    r = rotations(math.pi, 50)
    turned = rotate(x, r)
    for row in (0, 7, 49):
        for sensor in (0, 3):
            expected = Rotation.from_matrix(r[row].numpy()).apply(x[row, sensor : sensor + 3].T.numpy()).T
            assert torch.allclose(turned[row, sensor : sensor + 3], torch.from_numpy(expected))


def test_only_triples_of_channels_turn() -> None:
    with pytest.raises(UserError, match="tri-axial"):
        Augment(rotation=10)(batch(4))
    assert Augment(scale=0.1, jitter=0.1)(batch(4)).inputs["sensor"].shape == (50, 4, 40)


def test_scaling_and_jitter_are_of_the_size_given() -> None:
    x = batch().inputs["sensor"]
    torch.manual_seed(0)
    scaled = Augment(scale=0.2)(batch()).inputs["sensor"] / x
    factor = scaled[:, 0, 0]
    assert torch.allclose(scaled, factor.view(-1, 1, 1).expand_as(scaled))
    assert 0.8 <= factor.min() < 0.85
    assert 1.15 < factor.max() <= 1.2
    noise = Augment(jitter=0.3)(batch()).inputs["sensor"] - x
    assert noise.std().item() == pytest.approx(0.3, rel=0.05)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)


def test_only_the_windows_change_and_the_batch_is_no_longer_pure() -> None:
    before = batch()
    x = before.inputs["sensor"].clone()
    after = Augment(rotation=90, scale=0.5, jitter=1.0)(before)
    assert not after.pure
    assert after.inputs["pi"] is before.inputs["pi"]
    assert after.targets is before.targets
    assert after.inputs["sensor"].dtype == x.dtype
    assert torch.equal(before.inputs["sensor"], x), "the table's own windows stay"
    assert not torch.equal(after.inputs["sensor"], x)


def test_it_is_a_function_of_the_generator() -> None:
    augment = Augment(rotation=90, scale=0.5, jitter=1.0)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(augment(table(9).rows(torch.arange(9))).inputs["sensor"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_nothing_to_do_is_false_and_changes_nothing() -> None:
    assert not Augment()
    assert all((Augment(rotation=1), Augment(scale=0.1), Augment(jitter=0.1)))
    assert torch.equal(Augment()(batch()).inputs["sensor"], batch().inputs["sensor"])
    assert Augment(jitter=1)(batch().with_inputs({"sensor": torch.zeros(0, 3, 4)})).inputs["sensor"].shape == (0, 3, 4)


@pytest.mark.parametrize("values", [{"rotation": 181}, {"rotation": -1}, {"scale": 1}, {"jitter": -0.1}])
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Augment(**values)
