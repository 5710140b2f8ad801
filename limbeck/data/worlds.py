"""Rooms and streets made up by chance, and what a camera in them sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck import process
from limbeck.data.solids import Balls, Boxes, Cylinders, Planes, Solids, nearest

Array = np.ndarray[Any, Any]

LABELS = ("ground", "wall", "sky", "box", "ball", "barrel", "person", "pole")
GROUND, WALL, SKY, BOX, BALL, BARREL, PERSON, POLE = range(len(LABELS))
SHARES = {BOX: 0.30, BALL: 0.20, BARREL: 0.22, PERSON: 0.18, POLE: 0.10}
"""How likely an object is of each class."""


@dataclass(frozen=True)
class Camera:
    """How a camera looks: `focal` length over the width of the image, `pitch` downwards and `roll`, radians."""

    focal: float
    pitch: float
    roll: float

    def turned(self) -> Array:
        """The camera's axes (to the right, down, ahead) in those of the world, `(3, 3)`, by column."""
        (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (self.pitch, self.roll))
        pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        return np.asarray(pitch @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]))

    def rays(self, height: int, width: int) -> Array:
        """Directions in the world `(3, H * W)` through the middles of pixels, of depth 1."""
        down, right = np.meshgrid(
            (np.arange(height) + 0.5 - height / 2) / width, (np.arange(width) + 0.5) / width - 0.5, indexing="ij"
        )
        seen = np.stack([right / self.focal, down / self.focal, np.ones_like(right)])
        return np.asarray(self.turned() @ seen.reshape(3, -1))


@dataclass(frozen=True)
class World:
    """What stands before a camera. Of each of the P solids, in order: its class `(P,)`, two colours `(2, P, 3)`, and
    two waves (radians a metre, `(2, P, 3)`) whose product blends them. `sun` `(3,)` points to the light; `haze` `(3,)`
    is a colour, which takes over in so many metres of `sight` `(1,)`."""

    solids: Sequence[Solids]
    classes: Array
    colours: Array
    waves: Array
    sun: Array
    haze: Array
    sight: Array

    def single(self) -> "World":
        """The same in numbers of single precision, which are quicker."""
        look = (each.astype(np.float32) for each in (self.colours, self.waves, self.sun, self.haze, self.sight))
        return World([each.single() for each in self.solids], self.classes, *look)


@dataclass(frozen=True)
class Truth:
    """What is seen at each ray: class, depth (m, infinite in the sky), normal in the world's axes (NaN in the sky), and
    the number of the solid (-1 for the sky)."""

    classes: Array
    depth: Array
    normals: Array
    solid: Array


def made(random: np.random.Generator, objects: float, camouflage: float) -> tuple[Camera, World]:
    """A camera and what stands before it."""
    eye = random.uniform(1.1, 2.2)
    camera = Camera(1 / (2 * np.tan(np.deg2rad(random.uniform(28, 44)))), *np.deg2rad(random.normal([7, 0], [5, 1.5])))
    planes, far, side = _surroundings(random, eye)
    parts = [planes, *_objects(random, random.poisson(objects), eye, far, side)]
    solids = [solid for solid, _ in parts]
    classes = np.concatenate([of for _, of in parts])
    colours = _colours(random, classes, camouflage)
    waves = random.normal(0, 1, (2, len(classes), 3)) * np.exp(random.uniform(0, 2, (2, len(classes), 1)))
    sun = random.normal([0, -1, -0.5], [0.6, 0.3, 0.5])
    haze, sight = random.uniform(0.5, 0.9) + random.normal(0, 0.05, 3), np.exp(random.uniform(2.7, 4.5, 1))
    return camera, World(solids, classes, colours, waves, sun / np.linalg.norm(sun), haze, sight)


def seen(world: World, rays: Array) -> Truth:
    """What is at each ray `(3, N)`."""
    depth, solid, normals = nearest(world.solids, rays)
    return Truth(np.where(solid < 0, SKY, world.classes[solid]), depth, normals, solid)


def painted(world: World, rays: Array, truth: Truth) -> Array:
    """The colour at each ray, `(3, N)`, from 0 to 1."""
    colour, fog = np.empty_like(rays), world.haze[:, None]
    sky = np.flatnonzero(truth.solid < 0)
    up = -rays[1, sky] / np.sqrt((rays[:, sky] ** 2).sum(axis=0))
    clouds = 0.06 * np.sin(5 * rays[0, sky] + world.waves[0][0, 0]) * np.sin(11 * rays[1, sky] + world.waves[0][0, 1])
    colour[:, sky] = fog + (world.colours[1][0][:, None] - fog) * up.clip(0, 1) ** 0.5 * 0.6 + clouds
    at = np.flatnonzero(truth.solid >= 0)
    solid, depth = truth.solid[at], truth.depth[at]
    points = rays[:, at] * depth
    one, two = (np.sin(np.einsum("ij,ji->i", wave[solid], points)) for wave in world.waves)
    blend = 0.5 + 0.5 * one * two * np.exp(-depth / 15)
    first, second = (c[solid].T for c in world.colours)
    light = 0.45 + 0.55 * (world.sun @ truth.normals[:, at]).clip(0)
    thick = np.exp(-depth / world.sight)
    colour[:, at] = fog + ((first + (second - first) * blend) * light - fog) * thick
    return colour


def _surroundings(random: np.random.Generator, eye: float) -> tuple[tuple[Planes, Array], float, float]:
    """The ground and the walls with their classes; how far ahead and aside objects may stand, m."""
    if random.random() < 0.4:
        far, side, high = random.uniform(4, 9), random.uniform(2, 4), random.uniform(0.7, 1.8)
        normals = [(0, 1, 0), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0)]
        offsets, tops = [eye, far, side, side * random.uniform(0.7, 1.3), -high], [-np.inf] * 5
    else:
        far, side = random.uniform(12, 30), random.uniform(3, 9)
        turn = random.normal(0, 0.12)
        across, along = (np.cos(turn), 0, np.sin(turn)), (-np.sin(turn), 0, np.cos(turn))
        normals, offsets, tops = [(0, 1, 0)], [eye], [-np.inf]
        for normal, offset in ((across, side), (tuple(-np.array(across)), side), (along, far * 1.1)):
            if random.random() < 0.6:
                normals.append(normal)
                offsets.append(offset)
                tops.append(-random.uniform(0.5, 7))
    classes = np.array([GROUND] + [WALL] * (len(offsets) - 1))
    return (Planes(np.array(normals, float), np.array(offsets), np.array(tops)), classes), far, side


def _objects(
    random: np.random.Generator, count: int, eye: float, far: float, side: float
) -> list[tuple[Solids, Array]]:
    """Objects on the ground, with the class of each solid."""
    kinds = random.choice(list(SHARES), count, p=list(SHARES.values()))
    ahead = 1.5 * (min(far, 14) / 1.5) ** random.uniform(0, 1, count) + 0.6
    aside = random.uniform(-1, 1, count) * np.minimum(side * 0.9, 0.3 + ahead * 0.8)
    grown = np.exp(random.normal(0, 0.35, count))
    draw = random.uniform(0, 1, (count, 3))
    is_ = {kind: np.flatnonzero(kinds == kind) for kind in SHARES}

    i = is_[BOX]
    sides = np.stack([0.2 + 0.4 * draw[i, 0], 0.15 + 0.6 * draw[i, 1], 0.2 + 0.4 * draw[i, 2]], 1) * grown[i, None]
    boxes = Boxes(np.stack([aside[i], eye - sides[:, 1], ahead[i]], 1), sides, 7 * draw[i, 0])

    i = is_[PERSON]
    tall = 1.65 * np.exp(0.4 * np.log(grown[i]))
    wide = tall * (0.10 + 0.05 * draw[i, 0])
    round_ = is_[BALL]
    radius = np.concatenate([(0.12 + 0.35 * draw[round_, 0]) * grown[round_], 0.085 * tall, 1.05 * wide])
    high = np.concatenate([eye - radius[: len(round_)], eye - 0.93 * tall, eye - 0.75 * tall])
    at = np.concatenate([round_, i, i])
    balls = Balls(np.stack([aside[at], high, ahead[at]], 1), radius)

    b, p = is_[BARREL], is_[POLE]
    at = np.concatenate([b, p, i])
    radius = np.concatenate([(0.15 + 0.25 * draw[b, 0]) * grown[b], 0.05 + 0.06 * draw[p, 0], wide])
    top = eye - np.concatenate([(0.4 + 0.9 * draw[b, 1]) * grown[b], 2.2 + 2.5 * draw[p, 1], 0.75 * tall])
    cylinders = Cylinders(np.stack([aside[at], ahead[at]], 1), radius, top, np.full(len(at), eye))
    return [
        (boxes, np.full(len(boxes), BOX)),
        (balls, np.repeat([BALL, PERSON], [len(round_), 2 * len(i)])),
        (cylinders, np.repeat([BARREL, POLE, PERSON], [len(b), len(p), len(i)])),
    ]


def _colours(random: np.random.Generator, classes: Array, camouflage: float) -> Array:
    """Two colours of each solid, `(2, P, 3)`: its class's own, and any."""
    own = np.random.default_rng(process.fold(0, "scenes", "colours")).uniform(0.1, 0.9, (len(LABELS), 3))[classes]
    first, second = random.uniform(0.05, 0.95, (2, len(classes), 3))
    first = own + (first - own) * camouflage
    return np.stack([first, first + (second - first) * (0.25 + 0.5 * camouflage)])
