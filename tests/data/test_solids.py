"""Rays that meet solids, against what geometry says."""

import numpy as np
import pytest

from limbeck.data.solids import Balls, Boxes, Cylinders, Planes, Solids, nearest

AHEAD = np.array([[0.0], [0.0], [1.0]])


def ray(*to: float) -> np.ndarray:
    return np.array(to, float)[:, None] / to[2]


def test_a_ball_is_met_in_front_of_its_centre() -> None:
    balls = Balls(np.array([[0.0, 0, 5], [3, 4, 12]]), np.array([1.0, 2]))
    assert balls.meet(AHEAD)[:, 0] == pytest.approx([4, np.inf])
    far = balls.meet(ray(3, 4, 12))[1, 0]
    assert far == pytest.approx(12 * (13 - 2) / 13)  # along a ray through the centre, 13 m away
    assert balls.normals(ray(3, 4, 12) * far, np.array([1]))[:, 0] == pytest.approx([-3 / 13, -4 / 13, -12 / 13])


def test_a_ground_is_as_far_as_the_eye_is_high_over_how_steep_one_looks() -> None:
    ground = Planes(np.array([[0.0, 1, 0]]), np.array([1.5]), np.array([-np.inf]))
    slopes = np.array([0.1, 0.5, 2.0, -0.1])
    rays = np.stack([np.zeros(4), slopes, np.ones(4)])
    assert ground.meet(rays)[0] == pytest.approx([15, 3, 0.75, np.inf])
    assert ground.normals(rays[:, :1] * 15, np.array([0]))[:, 0].tolist() == [0, -1, 0]


def test_a_wall_ends_at_its_top_and_faces_the_eye_from_either_side() -> None:
    walls = Planes(np.array([[0.0, 0, 1], [1, 0, 0], [1, 0, 0]]), np.array([4.0, 2, -2]), np.array([-1.0, -9, -9]))
    assert walls.meet(ray(0, -0.2, 1))[0, 0] == 4
    assert walls.meet(ray(0, -0.3, 1))[0, 0] == np.inf
    rays = np.concatenate([ray(1, 0, 1), ray(-1, 0, 1)], axis=1)
    assert walls.meet(rays)[1:] == pytest.approx(np.array([[2, np.inf], [np.inf, 2]]))
    assert walls.normals(rays, np.array([1, 2])).T.tolist() == [[-1, 0, 0], [1, 0, 0]]


def test_a_cylinder_is_met_at_its_side_or_from_above_at_its_lid() -> None:
    one = Cylinders(np.array([[0.0, 6]]), np.array([1.0]), np.array([0.5]), np.array([2.0]))
    assert one.meet(ray(0, 1, 5))[0, 0] == pytest.approx(5)  # the side, 1 m below the eye
    assert one.meet(ray(0, 0.5, 5.5))[0, 0] == pytest.approx(5.5)  # the lid
    assert one.meet(ray(0, 0.2, 5))[0, 0] == np.inf  # above it
    assert one.meet(ray(0, 2.1, 5))[0, 0] == np.inf  # below it
    points = np.array([[0.0, 0.3], [1, 0.5], [5, 6.2]])
    assert one.normals(points, np.array([0, 0])).T.tolist() == [[0, 0, -1], [0, -1, 0]]
    assert one.single().normals(points.astype(np.float32), np.array([0, 0])).T.tolist() == [[0, 0, -1], [0, -1, 0]]


def test_a_box_is_met_at_the_face_that_is_turned_to_the_eye() -> None:
    boxes = Boxes(np.array([[0.0, 0, 10], [0, 0, 10]]), np.array([[1.0, 1, 2], [1, 1, 1]]), np.array([0, np.pi / 4]))
    assert boxes.meet(AHEAD)[:, 0] == pytest.approx([8, 10 - np.sqrt(2)])
    assert boxes.meet(ray(1.3, 0, 8))[:, 0].tolist() == [np.inf, np.inf]
    across = boxes.normals(np.array([[0.5], [0.0], [10 - np.sqrt(2) + 0.5]]), np.array([1]))[:, 0]
    assert across == pytest.approx([np.sqrt(0.5), 0, -np.sqrt(0.5)])


def test_the_nearest_hides_the_others_whatever_their_order() -> None:
    far, near = Balls(np.array([[0.0, 0, 9]]), np.array([1.0])), Balls(np.array([[0.0, 0, 4]]), np.array([0.5]))
    wall = Planes(np.array([[0.0, 0, 1]]), np.array([6.0]), np.array([-np.inf]))
    rays = np.concatenate([AHEAD, ray(0, -0.5, 1)], axis=1)
    for solids, which in (([far, wall, near], [2, 1]), ([near, wall, far], [0, 1])):
        depth, solid, normals = nearest(solids, rays)
        assert depth == pytest.approx([3.5, 6])
        assert solid.tolist() == which
        assert normals.T.tolist() == [[0, 0, -1], [0, 0, -1]]
    assert nearest([near], rays)[1].tolist() == [0, -1]
    assert np.isnan(nearest([near], rays)[2][:, 1]).all()


@pytest.mark.parametrize("single", [False, True])
def test_normals_are_of_length_1_and_point_to_the_eye(single: bool) -> None:
    random = np.random.default_rng(0)
    count = 20
    places = np.stack([random.uniform(-4, 4, count), random.uniform(0, 1, count), random.uniform(3, 9, count)], axis=1)
    sizes, draw = random.uniform(0.3, 0.8, count), random.uniform(0, 7, count)
    solids: list[Solids] = [
        Balls(places, sizes),
        Boxes(places + 0.5, random.uniform(0.2, 0.9, (count, 3)), draw),
        Cylinders(places[:, ::2] - 0.7, sizes, 1.2 - sizes, np.full(count, 1.5)),
        Planes(np.array([[0.0, 1, 0]]), np.array([1.5]), np.array([-np.inf])),
    ]
    rays = np.concatenate([random.uniform(-0.6, 0.6, (2, 4000)), np.ones((1, 4000))])
    if single:
        solids, rays = [s.single() for s in solids], rays.astype(np.float32)
    depth, solid, normals = nearest(solids, rays)
    met = solid >= 0
    assert set((solid[met] // count).tolist()) == {0, 1, 2, 3}
    assert depth.dtype == normals.dtype == rays.dtype
    assert np.linalg.norm(normals[:, met], axis=0) == pytest.approx(1, abs=1e-4)
    assert ((normals * rays)[:, met].sum(axis=0) < 1e-4).all()
