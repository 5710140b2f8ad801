"""The simulator of rooms and streets: the same each time, at any size, and hard in the ways it says."""

import numpy as np
import pytest
import torch

from limbeck.data.scenes import BASELINE, Scenes
from limbeck.data.split import Official
from limbeck.data.worlds import LABELS, Camera
from limbeck.errors import UserError

ALL = ("segmentation", "depth", "normals")


def test_a_table_has_official_parts_and_every_scene_is_a_subject() -> None:
    table = Scenes(train=5, test=3, tasks=ALL).load()
    assert [t.name for t in table.tasks] == list(ALL)
    assert not table.targets
    assert table.meta["part"].tolist() == ["train"] * 5 + ["test"] * 3
    assert len(set(table.meta["subject"].tolist())) == 8
    batch = table.rows(torch.tensor([7, 0]))
    assert batch.inputs["image"].shape == (2, 3, 32, 64)
    assert batch.inputs["image"].dtype == torch.uint8
    assert batch.targets["segmentation"].shape == batch.targets["depth"].shape == (2, 32, 64)
    assert batch.targets["segmentation"].dtype == torch.int64
    assert batch.targets["depth"].dtype == batch.targets["normals"].dtype == torch.float32
    normals = batch.targets["normals"]
    known = ~normals.isnan().any(dim=1)
    assert torch.equal(~known, batch.targets["segmentation"] == LABELS.index("sky"))
    assert torch.allclose(normals.norm(dim=1)[known], torch.ones(()), atol=2e-3)
    assert len(Official().split(table).test) == 3


def test_a_scene_is_the_same_each_time_however_many_there_are_and_another_by_seed() -> None:
    one, more = Scenes(train=2, test=1).load(), Scenes(train=4, test=1, objects=7).load()
    first, again = (t.rows(torch.tensor([1])) for t in (one, more))
    assert torch.equal(first.inputs["image"], again.inputs["image"])
    assert torch.equal(first.targets["depth"].nan_to_num(), again.targets["depth"].nan_to_num())
    other = Scenes(train=2, test=1, seed=1).load().rows(torch.tensor([1]))
    assert not torch.equal(first.inputs["image"], other.inputs["image"])
    images = one.rows(torch.arange(3)).inputs["image"].float()
    assert all((images[i] - images[j]).abs().mean() > 5 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_scene_is_the_same_at_twice_the_size() -> None:
    coarse, fine = (Scenes(size=size, noise=0, holes=0) for size in ((32, 64), (64, 128)))
    for number in range(4):
        small, large = (spec.simulated(f"train {number}") for spec in (coarse, fine))
        halved = large["image"].reshape(3, 32, 2, 64, 2).mean(axis=(2, 4))
        assert np.abs(halved - small["image"]).mean() < 4
        quarters = large["segmentation"].reshape(32, 2, 64, 2).transpose(0, 2, 1, 3).reshape(32, 64, 4)
        plain = (quarters == quarters[..., :1]).all(axis=2)
        assert plain.mean() > 0.8
        assert (quarters[..., 0] == small["segmentation"])[plain].mean() > 0.99
        depths = large["depth"].reshape(32, 2, 64, 2).transpose(0, 2, 1, 3).reshape(32, 64, 4)
        near = np.ptp(depths, axis=2) < 0.1 * small["depth"]
        assert near.mean() > 0.3
        assert depths.mean(axis=2)[near] == pytest.approx(small["depth"][near], rel=0.1)


def test_depth_is_missing_in_the_sky_and_where_only_one_eye_sees() -> None:
    spec, camera, random = Scenes(holes=0), Camera(0.8, 0, 0), np.random.default_rng(0)
    depth = np.full((4, 100), 20.0)
    depth[:, 60:70] = 2.0  # something near, before a wall
    depth[0] = np.inf
    measured = spec._measured(depth, camera, random)
    assert np.isnan(measured[0]).all()
    near, far = (100 * BASELINE * 0.8 / d for d in (2.0, 20.0))  # disparities, in pixels: 4.8 and 0.48
    lost = np.flatnonzero(np.isnan(measured[1]))
    assert lost.tolist() == [*range(int(60 - (near - far)) + 1, 60)]  # left of it: hidden from the right eye
    assert measured[1][60:].tolist() == depth[1][60:].tolist()
    spots = Scenes(holes=0.2)._measured(np.full((40, 80), 5.0), camera, random)
    assert np.isnan(spots).mean() == pytest.approx(0.2, abs=0.03)


def test_colours_alone_do_not_tell_the_class() -> None:
    """The likeliest class by colour, told by the very pixels that are asked for, is right far less often than not."""
    table = Scenes(train=60, test=1, tasks=("segmentation",)).load()
    batch = table.rows(torch.arange(60))
    bins = (batch.inputs["image"] // 32).long()
    colours = ((bins[:, 0] * 8 + bins[:, 1]) * 8 + bins[:, 2]).flatten()
    classes = batch.targets["segmentation"].flatten()
    counts = torch.zeros(512, 8).index_put((colours, classes), torch.ones(()), accumulate=True)
    right = counts.argmax(dim=1)[colours] == classes
    recalls = [right[classes == c].float().mean().item() for c in range(8)]
    assert sum(recalls) / 8 < 0.4
    shares = torch.bincount(classes, minlength=8) / len(classes)
    assert shares.min() > 0.003
    assert shares[LABELS.index("pole")] < 0.03 < 0.2 < shares[LABELS.index("wall")]


def test_tasks_are_chosen_and_unknown_ones_told() -> None:
    table = Scenes(train=2, test=1, tasks=("depth",), size=(8, 16)).load()
    assert list(table.dense) == ["depth"]
    assert [t.name for t in Scenes(train=1, test=1, tasks=()).wanted()] == list(ALL)
    with pytest.raises(UserError, match="no task of scenes data 'depht'; did you mean 'depth'"):
        Scenes(tasks=("depht",)).load()
    with pytest.raises(ValueError, match="8 to 2048 pixels"):
        Scenes(size=(4, 64))
