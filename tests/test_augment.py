"""Augmentation: rotations are rotations, labels stay, and what is drawn is a function of the seed."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from limbeck.augment import Augment, ImageAugment, random_rotations, rotate
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


def images(count: int = 60, channels: int = 3, height: int = 12, width: int = 9) -> Batch:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=draw)
    return Batch({"image": x, "pi": torch.ones(count, 2)}, {"a": torch.arange(count)}, torch.arange(count))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [0, 1, 4])
def test_a_shifted_image_is_a_cut_of_the_padded_one_as_numpy_pads(channels: int, crop: int) -> None:
    before = images(channels=channels)
    torch.manual_seed(0)
    after = ImageAugment(flip=True, crop=crop)(before).inputs["image"]
    seen = set()
    for x, y in zip(before.inputs["image"].numpy(), after.numpy(), strict=True):
        padded = np.pad(x, ((0, 0), (crop, crop), (crop, crop)), mode="reflect")
        cuts = {
            (top, left, mirrored): cut[:, :, ::-1] if mirrored else cut
            for top in range(2 * crop + 1)
            for left in range(2 * crop + 1)
            for mirrored in (False, True)
            for cut in (padded[:, top : top + 12, left : left + 9],)
        }
        matches = [place for place, cut in cuts.items() if np.array_equal(cut, y)]
        assert matches
        seen |= set(matches)
    for place in range(3):
        assert len({each[place] for each in seen}) == (2 if place == 2 else 2 * crop + 1)


def test_half_of_the_images_are_mirrored_and_shifts_are_uniform() -> None:
    ramp = torch.arange(0, 90, 3, dtype=torch.uint8).expand(4000, 1, 30, 30).clone()
    torch.manual_seed(0)
    after = ImageAugment(flip=True, crop=2)(Batch({"image": ramp}, {}, torch.arange(4000))).inputs["image"]
    mirrored = after[:, 0, 0, 20] < after[:, 0, 0, 10]
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)
    shift = (after[~mirrored][:, 0, 0, 15].long() - 45) // 3
    assert sorted(set(shift.tolist())) == [-2, -1, 0, 1, 2]
    assert torch.bincount(shift + 2).float().div(len(shift)).tolist() == pytest.approx([0.2] * 5, abs=0.03)


def test_an_enlarged_image_keeps_its_middle() -> None:
    """A disc of radius 10 has the area that its factor says, and stays where it is."""
    at = torch.arange(41) - 20
    disc = (255 * ((at[:, None] ** 2 + at**2) <= 100)).to(torch.uint8).expand(500, 1, 41, 41)
    torch.manual_seed(0)
    after = ImageAugment(scale=0.3)(Batch({"image": disc}, {}, torch.arange(500))).inputs["image"]
    factor = (after.eq(255).flatten(1).sum(1) / disc[0].eq(255).sum()).sqrt()
    assert 0.69 < factor.min() < 0.75
    assert 1.25 < factor.max() < 1.32
    assert torch.equal(after, after.flip(2))
    assert torch.equal(after, after.flip(3))


def test_light_changes_as_defined_and_is_cut_off_at_black_and_white() -> None:
    before = images()
    x = before.inputs["image"].double()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    torch.manual_seed(0)
    brighter = ImageAugment(brightness=0.2)(before).inputs["image"].double()
    inner = (brighter > 0) & (brighter < 255)
    for image, light, use in zip(x, brighter, inner, strict=True):
        assert len(set((light - image)[use].tolist())) <= 2, "one offset an image, but for rounding"
        assert (light - image)[use].abs().max() <= 52
    torch.manual_seed(0)
    stretched = ImageAugment(contrast=0.5)(before).inputs["image"].double()
    inner = (stretched > 0) & (stretched < 255) & ((x - mean).abs() > 50)
    gains = [((s - m) / (i - m))[u] for s, i, m, u in zip(stretched, x, mean, inner, strict=True)]
    assert all(gain.std() < 0.02 for gain in gains)
    assert min(gain.mean() for gain in gains) < 0.6
    assert max(gain.mean() for gain in gains) > 1.4
    assert ImageAugment(brightness=1)(before).inputs["image"].dtype == torch.uint8


def test_images_are_changed_as_the_generator_says_and_labels_and_the_table_stay() -> None:
    augment, before = ImageAugment(flip=True, crop=3, scale=0.2, brightness=0.2, contrast=0.2), images()
    x, drawn = before.inputs["image"].clone(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(augment(before).inputs["image"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    after = augment(before)
    assert not after.pure
    assert after.targets is before.targets
    assert after.inputs["pi"] is before.inputs["pi"]
    assert torch.equal(before.inputs["image"], x)


def test_no_change_of_images_is_false_and_too_large_a_shift_is_told() -> None:
    assert not ImageAugment()
    assert torch.equal(ImageAugment()(images()).inputs["image"], images().inputs["image"])
    for some in ({"flip": True}, {"crop": 1}, {"scale": 0.1}, {"brightness": 0.1}, {"contrast": 0.1}):
        assert ImageAugment(**some)
    with pytest.raises(UserError, match=r"augment\.crop is 9, and images have 9 pixels a side: give fewer"):
        ImageAugment(crop=9)(images())
    for wrong in ({"crop": -1}, {"scale": 0.6}, {"contrast": 2}):
        with pytest.raises(ValidationError):
            ImageAugment(**wrong)
