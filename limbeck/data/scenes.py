"""Simulated images of rooms and streets, with the classes, depths and surface normals of every pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from limbeck import process
from limbeck.batch import IMAGE
from limbeck.data.pixel_data import TRAIN, Decoded, Decoder, Frame, PixelData
from limbeck.data.recordings import Findings
from limbeck.data.split import TEST
from limbeck.data.worlds import LABELS, Camera, World, made, painted, seen
from limbeck.tasks import Task

Array = np.ndarray[Any, Any]

FARTHEST, BASELINE = 60.0, 0.12
"""Metres: beyond which no depth is measured, and between the two eyes of the stereo camera that measures it."""
TASKS = (
    Task.of("segmentation", LABELS),
    Task("depth", unit="m", quantity="depth"),
    Task("normals", quantity="direction"),
)


class Scenes(PixelData):
    """Simulated rooms and streets; tasks: segmentation, depth in metres, and normals if asked for.

    Boxes, balls, barrels, people and poles stand on a ground between walls, under a sky or a ceiling; the nearest hides
    the others. A ray through the middle of each pixel says what is there. Sizes, colours and patterns of the classes
    overlap, so that neither tells a class or a distance: shape and place do. Depth is missing as it is for a stereo
    camera: in the sky, far away, at what only one eye sees, and in spots. Normals are in the camera's axes (to the
    right, down, ahead) and point to it. Every scene is a subject of its own, and the same however many there are and
    however large the image is.
    """

    kind: ClassVar[str] = "scenes"
    threaded: ClassVar[bool] = False
    size: tuple[int, int] = (32, 64)
    """Pixels of an image: height,width."""
    train: int = Field(600, ge=1)
    """Scenes to train on."""
    test: int = Field(200, ge=1)
    """Scenes to test on."""
    tasks: tuple[str, ...] = ("segmentation", "depth")
    """Which of segmentation, depth and normals; all where none is named."""
    objects: float = Field(7, ge=0, le=40)
    """Objects of a scene, on average."""
    camouflage: float = Field(0.6, ge=0, le=1)
    """How far colours are from telling a class: at 0 each class has its own, at 1 they tell nothing."""
    noise: float = Field(0.03, ge=0)
    """Of the sensor (standard deviation of a channel, from black to white 1)."""
    blur: float = Field(0.008, ge=0, le=0.1)
    """By movement, at most: standard deviation over the width of the image."""
    holes: float = Field(0.03, ge=0, lt=1)
    """Share of the depths lost in spots."""
    seed: int = 0

    def files(self) -> list[Path]:
        """None: nothing is read."""
        return []

    def available(self) -> tuple[Task, ...]:
        return TASKS

    def frames(self, findings: Findings) -> Sequence[Frame]:
        counts = {TRAIN: self.train, TEST: self.test}
        return [Frame(f"{part} {i + 1}", f"{part} {i + 1}", part) for part, n in counts.items() for i in range(n)]

    def decoder(self) -> Decoder:
        return lambda frame, *_: self.simulated(frame.name)

    def simulated(self, name: str) -> Decoded:
        """The scene of that name, such as `train 1`."""
        stand, photo, measure = (self._random(name, what) for what in ("world", "photo", "depth"))
        camera, world = made(stand, self.objects, self.camouflage)
        height, width = self.size
        truth = seen(world, camera.rays(height, width))
        maps: Decoded = {IMAGE: self._photo(camera, world, photo)}
        maps["segmentation"] = truth.classes.reshape(height, width)
        maps["depth"] = self._measured(truth.depth.reshape(height, width), camera, measure)
        maps["normals"] = (camera.turned().T @ truth.normals).reshape(3, height, width)
        return maps

    def _random(self, *keys: str) -> np.random.Generator:
        return np.random.default_rng(process.fold(self.seed, "scenes", *keys))

    def _photo(self, camera: Camera, world: World, random: np.random.Generator) -> Array:
        """The image, uint8 `(3, H, W)`: two rays a pixel, the camera's movement, light, and noise."""
        from scipy.ndimage import gaussian_filter1d

        height, width = self.size
        quarters = camera.rays(2 * height, 2 * width).astype(np.float32).reshape(3, height, 2, width, 2)
        rays, world = np.concatenate([quarters[:, :, i, :, i].reshape(3, -1) for i in (0, 1)], axis=1), world.single()
        image = painted(world, rays, seen(world, rays)).reshape(3, 2, height, width).mean(axis=1)
        sigma = float(random.uniform(0, self.blur)) * width
        if sigma > 0.1:
            image = gaussian_filter1d(image, sigma, axis=2, mode="nearest")
        side, exposure = np.linspace(-1, 1, width) ** 2, np.exp(random.normal(0, 0.15))
        corners = np.linspace(-1, 1, height)[:, None] ** 2 + side
        image *= exposure * (1 - random.uniform(0, 0.2) * corners)
        image += self.noise * random.standard_normal(image.shape, np.float32)
        return np.asarray((image.clip(0, 1) * 255).round(), np.uint8)

    def _measured(self, depth: Array, camera: Camera, random: np.random.Generator) -> Array:
        """Depths as a stereo camera has them, NaN where it has none."""
        height, width = depth.shape
        # Where the other eye, on the right, has it: what lies behind something further right is hidden from it.
        place = (np.arange(width) + 0.5) / width - BASELINE * camera.focal / depth
        others = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
        hidden = np.zeros(depth.shape, bool)
        hidden[:, :-1] = others[:, 1:] <= place[:, :-1]
        lost = hidden | (place < 0) | (depth > FARTHEST)
        waves, phases = random.normal(0, 6, (6, 2)), random.uniform(0, 2 * np.pi, 6)
        if self.holes:
            down, right = np.arange(height)[:, None] / width, np.arange(width) / width
            spots = sum(np.sin(2 * np.pi * (a * down + b * right) + p) for (a, b), p in zip(waves, phases, strict=True))
            lost |= spots > np.quantile(spots, 1 - self.holes)
        return np.where(lost, np.nan, depth)
