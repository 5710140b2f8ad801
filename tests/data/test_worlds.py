"""What is seen of a world, against its own geometry."""

import numpy as np
import pytest

from limbeck.data.solids import Balls, Planes
from limbeck.data.worlds import LABELS, SKY, Camera, World, made, painted, seen


def world(*solids: Balls | Planes) -> World:
    count = sum(map(len, solids))
    colours, waves = np.full((2, count, 3), 0.5), np.ones((2, count, 3))
    return World(list(solids), np.arange(count), colours, waves, np.array([0.0, -1, 0]), np.ones(3), np.array([50.0]))


def test_depth_is_along_the_cameras_axis_and_a_straight_camera_looks_to_the_middle() -> None:
    camera, wall = Camera(0.8, 0, 0), Planes(np.array([[0.0, 0, 1]]), np.array([7.0]), np.array([-np.inf]))
    truth = seen(world(wall), camera.rays(9, 15))
    assert truth.depth == pytest.approx(7)  # everywhere, though corners are further away
    assert camera.rays(9, 15).reshape(3, 9, 15)[:, 4, 7].tolist() == [0, 0, 1]
    assert camera.rays(9, 15).reshape(3, 9, 15)[0, 4, 14] == pytest.approx(7 / 15 / 0.8)


def test_of_a_camera_that_looks_down_the_ground_has_the_depth_of_the_formula() -> None:
    height, pitch, focal = 1.4, np.deg2rad(12), 0.9
    ground = Planes(np.array([[0.0, 1, 0]]), np.array([height]), np.array([-np.inf]))
    truth = seen(world(ground), Camera(focal, pitch, 0).rays(20, 40))
    down = ((np.arange(20) + 0.5 - 10) / 40 / focal)[:, None]
    expected = height / (down * np.cos(pitch) + np.sin(pitch))  # of depth 1 a ray falls by so much
    assert truth.depth.reshape(20, 40) == pytest.approx(np.where(expected > 0, expected, np.inf) + np.zeros((20, 40)))
    normals = Camera(focal, pitch, 0).turned().T @ truth.normals[:, -1]
    assert normals == pytest.approx([0, -np.cos(pitch), -np.sin(pitch)])


def test_normals_agree_with_the_slope_of_the_depth() -> None:
    """The cross product of two neighbouring differences of points, where nothing lies between them."""
    checked = 0
    for seed in range(4):
        camera, made_up = made(np.random.default_rng(seed), 8, 0.5)
        truth = seen(made_up, camera.rays(120, 240))
        rays = camera.turned().T @ camera.rays(120, 240)
        points = np.where(np.isfinite(truth.depth), rays * truth.depth, np.nan).reshape(3, 120, 240)
        normals = (camera.turned().T @ truth.normals).reshape(3, 120, 240)[:, :-1, :-1]
        cross = np.cross(np.diff(points, axis=1)[:, :, :-1], np.diff(points, axis=2)[:, :-1], axis=0)
        cross /= np.linalg.norm(cross, axis=0)
        plain = np.isfinite(cross).all(axis=0)
        solid = truth.solid.reshape(120, 240)
        for other in (solid[1:, :-1], solid[:-1, 1:]):
            plain &= solid[:-1, :-1] == other
        agreement = (cross * normals).sum(axis=0)[plain]
        assert (agreement > 0.98).mean() > 0.95  # but for the edges of a solid with itself
        checked += plain.sum()
    assert checked > 50000


def test_the_class_and_colour_of_a_pixel_are_those_of_the_solid_that_is_seen() -> None:
    ball = Balls(np.array([[0.0, 0, 4], [0, 0, 8]]), np.array([1.0, 3]))
    truth = seen(world(ball), Camera(1, 0, 0).rays(3, 3))
    assert truth.classes.reshape(3, 3)[1].tolist() == [1, 0, 1]
    sky = seen(world(Balls(np.array([[0.0, 0, -4]]), np.array([1.0]))), Camera(1, 0, 0).rays(3, 3))
    assert set(sky.classes) == {SKY}
    assert np.isinf(sky.depth).all()


def test_in_many_worlds_every_class_is_seen_and_colours_are_in_range() -> None:
    found = set()
    for seed in range(12):
        camera, made_up = made(np.random.default_rng(seed), 9, 0.8)
        rays = camera.rays(24, 48)
        truth = seen(made_up, rays)
        found |= set(truth.classes.tolist())
        colours = painted(made_up, rays, truth)
        assert np.isfinite(colours).all()
        assert -0.3 < colours.min() < colours.max() < 1.5
        alike = painted(made_up.single(), rays.astype(np.float32), seen(made_up.single(), rays.astype(np.float32)))
        assert (np.abs(alike - colours) < 1e-2).mean() > 0.98
    assert found == set(range(len(LABELS)))
