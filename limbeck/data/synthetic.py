"""A simulator of worn tri-axial accelerometers: any amount of data whose truth is known, from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from limbeck import process
from limbeck.data.recordings import Findings, Reading, Recording, SensorData
from limbeck.errors import unknown
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]

GRAVITY = 9.80665
HARMONICS = 4
BOUT, TRANSITION, BLOCK = 20.0, 1.0, 10.0
"""Seconds: of one bout of an activity at most, of the change to the next, and of a stretch that loses its labels."""


@dataclass(frozen=True)
class Motion:
    """How a body does something. By position: `tilt` (degrees between the device's x axis and the vertical) and `swing`
    (root mean square of the periodic part, m/s2). `cadence` in Hz; `sharp`: share of amplitude a harmonic keeps of the
    one below it; `fidget`: root mean square of slow movement without a period, m/s2."""

    cadence: float
    sharp: float
    fidget: float
    tilt: dict[str, float]
    swing: dict[str, float]


def _motion(cadence: float, sharp: float, fidget: float, tilt: tuple[int, ...], swing: tuple[float, ...]) -> Motion:
    return Motion(
        cadence, sharp, fidget, dict(zip(POSITIONS, tilt, strict=True)), dict(zip(POSITIONS, swing, strict=True))
    )


POSITIONS = ("wrist", "ankle", "chest", "hip", "upper arm")
MOTIONS = {
    "lying": _motion(0.25, 0.2, 0.10, (80, 85, 85, 85, 80), (0.05, 0.03, 0.10, 0.06, 0.05)),
    "sitting": _motion(0.27, 0.2, 0.20, (65, 20, 15, 40, 30), (0.06, 0.04, 0.10, 0.06, 0.06)),
    "standing": _motion(0.28, 0.2, 0.25, (30, 5, 5, 10, 15), (0.08, 0.06, 0.10, 0.08, 0.07)),
    "walking": _motion(0.95, 0.65, 0.7, (25, 10, 8, 10, 18), (1.8, 4.2, 1.6, 1.9, 1.6)),
    "stairs": _motion(0.77, 0.60, 0.8, (30, 16, 14, 16, 22), (1.7, 3.7, 1.6, 1.8, 1.5)),
    "running": _motion(1.35, 0.60, 1.2, (60, 20, 14, 16, 45), (6.5, 10.0, 6.0, 6.5, 6.2)),
    "cycling": _motion(1.15, 0.35, 0.6, (60, 25, 40, 45, 50), (0.8, 2.8, 0.6, 1.1, 0.8)),
    "stairs down": _motion(0.98, 0.70, 0.8, (28, 12, 6, 12, 20), (1.9, 4.4, 1.9, 2.2, 1.8)),
    "jumping": _motion(1.60, 0.70, 1.2, (50, 6, 6, 8, 35), (7.0, 9.0, 7.0, 7.5, 7.0)),
    "rowing": _motion(0.45, 0.45, 0.6, (75, 60, 25, 60, 55), (2.4, 0.8, 1.8, 1.2, 2.1)),
    "ironing": _motion(0.60, 0.40, 0.6, (70, 6, 14, 12, 40), (1.2, 0.1, 0.2, 0.2, 0.7)),
    "brushing teeth": _motion(2.80, 0.40, 0.5, (110, 6, 8, 10, 50), (2.2, 0.1, 0.2, 0.2, 0.8)),
}


@dataclass(frozen=True)
class Simulated:
    """One device on one subject: `signal` `(T, 3)` float32, m/s2; its truth `activity` and `cadence` (Hz) `(T,)`."""

    subject: str
    position: str
    signal: Array
    activity: Array
    cadence: Array


class Wearable(SensorData):
    """Simulated accelerometers worn by simulated people; tasks: activity, and position where there are several.

    A recording is the gravity that a posture leaves on the device's axes, turned by how the subject wears it, plus
    harmonics of a cadence that drifts, slow movement without a period, and sensor noise. Bouts of the activities follow
    each other in random order and blend within a second. Subjects differ in cadence, vigour, gait and mounting as much
    as neighbouring activities do, so that these cannot be told apart perfectly. A subject is the same however many
    there are.
    """

    kind: ClassVar[str] = "wearable"
    subjects: int = Field(12, gt=0)
    activities: int = Field(6, ge=2, le=len(MOTIONS))
    """How many activities: the first of lying, sitting, standing, walking, stairs, running, cycling, stairs down,
    jumping, rowing, ironing, brushing teeth."""
    positions: tuple[str, ...] = Field(("wrist", "ankle"), min_length=1)
    """Where devices are worn: wrist, ankle, chest, hip, upper arm."""
    seconds: float = Field(60.0, gt=0)
    """Of each activity, for each subject and position."""
    rate: float = Field(50.0, ge=10)
    """Hz."""
    noise: float = Field(0.3, ge=0)
    """Sensor noise, m/s2 (standard deviation of a sample)."""
    missing: float = Field(0.0, ge=0, lt=1)
    """Share of the labels that is missing, for each task on its own, in blocks of 10 s."""
    shift: float = Field(0.0, ge=0)
    """How far these devices are from the usual ones: at 1 turned by 40 degrees, 20 % too sensitive, 0.5 m/s2 off zero
    and worn by people who move 15 % more slowly. Two sets of different shift are two domains."""
    seed: int = 0

    @field_validator("positions")
    @classmethod
    def _known(cls, positions: tuple[str, ...]) -> tuple[str, ...]:
        for position in positions:
            if position not in POSITIONS:
                raise unknown("position", position, POSITIONS)
        return tuple(dict.fromkeys(positions))

    def files(self) -> list[Path]:
        """None: nothing is read."""
        return []

    def read(self) -> Reading:
        """The recordings with their labels, of which the share `missing` is not given."""
        tasks = [Task.of("activity", tuple(MOTIONS)[: self.activities])]
        if len(self.positions) > 1:
            tasks.append(Task.of("position", self.positions))
        recordings = [self._recording(made, tasks) for made in self.simulate()]
        return Reading(recordings, tuple(tasks), ("x", "y", "z"), "m/s2", Findings(), self.rate)

    def simulate(self) -> Iterator[Simulated]:
        """The signals and their truth, subject by subject and position by position."""
        for number in range(self.subjects):
            for position in self.positions:
                yield self._simulated(f"{number + 1}", position)

    def _random(self, *keys: str) -> np.random.Generator:
        return np.random.default_rng(process.fold(self.seed, "wearable", *keys))

    def _recording(self, made: Simulated, tasks: list[Task]) -> Recording:
        worn = np.full(len(made.signal), self.positions.index(made.position), np.int16)
        labels = {task.name: {"activity": made.activity.copy(), "position": worn}[task.name] for task in tasks}
        for name, values in labels.items():
            random = self._random("missing", name, made.subject, made.position)
            block = int(BLOCK * self.rate)
            lost = random.random(-(-len(values) // block)) < self.missing
            values[np.repeat(lost, block)[: len(values)]] = IGNORE
        return Recording(made.signal, self.rate, labels, made.subject, f"{made.subject} {made.position}")

    def _simulated(self, subject: str, position: str) -> Simulated:
        from scipy.ndimage import uniform_filter1d

        random = self._random("signal", subject, position)
        bouts, lengths = self._bouts(random)
        each = np.repeat(np.arange(len(bouts)), lengths)
        table = self._parameters(subject, position, bouts, random)
        smooth = max(1, round(TRANSITION * self.rate))
        values = uniform_filter1d(table[each], smooth, axis=0, mode="nearest")
        cadence = values[:, 0] * (1 + 0.04 * self._slow(random, len(each), 1, 5.0)[:, 0])
        phase = np.exp(2j * np.pi * (np.cumsum(cadence, dtype=np.float64) / self.rate % 1)).astype(np.complex64)
        moved = np.zeros((len(each), 3), np.float32)
        for harmonic, turned in enumerate(np.cumprod(np.tile(phase, (HARMONICS, 1)), axis=0)):
            at = 5 + 6 * harmonic
            moved += values[:, at : at + 3] * turned.real[:, None] + values[:, at + 3 : at + 6] * turned.imag[:, None]
        moved *= 1 + 0.15 * self._slow(random, len(each), 3, 2.0)
        moved += values[:, 1:2] * self._slow(random, len(each), 3, 0.3)
        signal = (values[:, 2:5] + moved) @ self._worn(subject, position).T + np.float32(0.5 * self.shift)
        signal += np.float32(self.noise) * random.standard_normal(signal.shape, np.float32)
        return Simulated(subject, position, signal, bouts[each].astype(np.int16), cadence)

    def _bouts(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Activity and number of samples of each bout."""
        parts = int(np.ceil(self.seconds / BOUT))
        bouts = random.permutation(np.repeat(np.arange(self.activities), parts))
        return bouts, np.full(len(bouts), max(1, round(self.seconds * self.rate / parts)))

    def _parameters(self, subject: str, position: str, bouts: Array, random: np.random.Generator) -> Array:
        """Of each bout `(R, 5 + 6 * HARMONICS)`: cadence, fidgeting, gravity, and the harmonics' cosines and sines."""
        person, habit = self._random("person", subject), self._random("habit", subject, position)
        pace = (1 - 0.15 * self.shift) * np.exp(0.10 * person.standard_normal())
        vigour = np.exp(0.22 * person.standard_normal())
        rows = []
        for name in list(MOTIONS)[: self.activities]:
            motion = MOTIONS[name]
            shared = np.random.default_rng(process.fold(0, "wearable", "gait", name, position))
            gait = shared.standard_normal((HARMONICS, 6)) + 0.45 * habit.standard_normal((HARMONICS, 6))
            gait *= motion.sharp ** np.arange(HARMONICS)[:, None]
            strength = np.sqrt(2) * motion.swing[position] * vigour * np.exp(0.15 * habit.standard_normal())
            gait *= strength / np.linalg.norm(gait)
            tilt = motion.tilt[position] + 5 * habit.standard_normal()
            rows.append([motion.cadence * pace, motion.fidget * vigour, tilt, *gait.ravel()])
        table = np.array(rows)[bouts]
        spread = random.standard_normal((len(bouts), 4))
        lean, side = np.deg2rad(table[:, 2] + 6 * spread[:, 0]), 0.6 + 0.4 * spread[:, 1]
        gravity = GRAVITY * np.stack([np.cos(lean), np.sin(lean) * np.cos(side), np.sin(lean) * np.sin(side)], axis=1)
        pace_of_bout, force = np.exp(0.05 * spread[:, 2:3]), np.exp(0.12 * spread[:, 3:4])
        made = [table[:, :1] * pace_of_bout, table[:, 1:2] * force, gravity, table[:, 3:] * force]
        return np.concatenate(made, axis=1).astype(np.float32)

    def _worn(self, subject: str, position: str) -> Array:
        """How the device turns and scales what it feels, `(3, 3)`: by the subject's mounting and the domain."""
        from scipy.spatial.transform import Rotation

        random = self._random("mounting", subject, position)
        mounting = Rotation.from_rotvec(0.14 * random.standard_normal(3))
        if random.random() < 0.1:
            mounting = mounting * Rotation.from_rotvec([np.pi, 0, 0])
        domain = Rotation.from_rotvec(np.deg2rad(40) * self.shift * np.ones(3) / np.sqrt(3))
        return np.asarray((domain * mounting).as_matrix() * (1 + 0.2 * self.shift), np.float32)

    def _slow(self, random: np.random.Generator, count: int, channels: int, seconds: float) -> Array:
        """Noise of unit variance that forgets itself within some seconds, `(count, channels)` float32."""
        from scipy.signal import lfilter

        kept = np.exp(-1 / (seconds * self.rate))
        white = random.standard_normal((count, channels), np.float32)
        return np.asarray(lfilter([np.sqrt(1 - kept**2)], [1, -kept], white, axis=0), np.float32)
