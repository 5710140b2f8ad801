"""A simulator of pulse waves under motion: any amount of data whose heart rate is known, from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from limbeck import process
from limbeck.data.ppg import HEART_RATE, PPGData
from limbeck.data.recordings import Array, Findings, Reading, Recording

GRAVITY = 9.80665
HARMONICS = 4
BOUT, TRANSITION, BLOCK = (20.0, 60.0), 2.0, 10.0
"""Seconds: of one bout at least and at most, of the change to the next, and of a stretch that loses its labels."""
SETTLE = 18.0
"""Seconds in which a heart goes two thirds of the way to what a bout asks of it."""
LOCKED = 0.35
"""Share of the moving bouts in which steps, or arm swings, come at nearly the pace of the heart."""
OFFSET = 50.0
"""Of the raw pulse wave, in its own amplitudes."""


@dataclass(frozen=True)
class Effort:
    """What a person does: the share of the heart's reserve that it takes, steps a second, the swing of the arm (m/s2,
    root mean square), and how much of the pulse wave's amplitude it shakes."""

    reserve: float
    steps: float
    swing: float
    shake: float


EFFORTS = {
    "rest": Effort(0.05, 0.0, 0.05, 0.0),
    "walk": Effort(0.35, 1.8, 1.8, 1.0),
    "run": Effort(0.75, 2.7, 7.0, 1.6),
}


@dataclass(frozen=True)
class Simulated:
    """One subject's recording, all `(T,)` but the acceleration.

    - `wave` is what the sensor gives, `clean` the pulse wave in it; `acceleration` `(T, 3)` m/s2.
    - `bpm` is the heart rate at a moment, `beats` the number of beats since the start (its whole numbers are beats).
    - `activity` indexes `EFFORTS`; `cadence` is steps a second, 0 at rest.
    """

    subject: str
    rate: float
    wave: Array
    clean: Array
    acceleration: Array
    bpm: Array
    beats: Array
    activity: Array
    cadence: Array

    def heart_rate(self, seconds: float) -> Array:
        """Beats within so many seconds around each sample, as bpm `(T,)`; NaN where those leave the recording."""
        half = round(seconds * self.rate / 2)
        count = np.append(self.beats, self.beats[-1] + self.bpm[-1] / 60 / self.rate)  # at the end of the last sample
        made = np.full(len(self.beats), np.nan)
        inside = count[2 * half :] - count[: -2 * half]
        made[half : half + len(inside)] = inside * 30 * self.rate / half
        return made


class Pulse(PPGData):
    """Simulated pulse waves of the wrist, with what an accelerometer beside them feels; bouts of rest, walk and run.

    A heart follows the effort of each bout slowly, wanders, and speeds up with each breath. Every beat leaves a pulse
    with a dicrotic notch; breathing changes its height and the baseline. Motion adds what the arm does, delayed and by
    way of the tissue, at a cadence that in some bouts is nearly that of the heart. Subjects differ in all of it. A
    subject is the same however many there are.
    """

    kind: ClassVar[str] = "pulse"
    subjects: int = Field(12, gt=0)
    seconds: float = Field(300.0, ge=10)
    """Of each subject's one recording."""
    rate: float = Field(64.0, ge=16)
    """Hz of the raw signal."""
    motion: float = Field(1.0, ge=0)
    """How strongly motion shakes the pulse wave; at 0 it does not."""
    noise: float = Field(0.1, ge=0)
    """Sensor noise, in amplitudes of the pulse (standard deviation of a sample)."""
    missing: float = Field(0.0, ge=0, lt=1)
    """Share of the labels that is missing, in blocks of 10 s."""
    seed: int = 0

    def files(self) -> list[Path]:
        """None: nothing is read."""
        return []

    def raw(self) -> Reading:
        """The raw recordings with their heart rates, of which the share `missing` is not given."""
        channels = ("ppg", "acc_x", "acc_y", "acc_z") if self.acceleration else ("ppg",)
        recordings = [self._recording(made) for made in self.simulate()]
        contexts = {"activity": tuple(EFFORTS)}
        return Reading(recordings, (HEART_RATE,), channels, "", Findings(), self.rate, contexts)

    def simulate(self) -> Iterator[Simulated]:
        """The signals and their truth, subject by subject."""
        for number in range(self.subjects):
            yield self._simulated(f"{number + 1}")

    def _random(self, *keys: str) -> np.random.Generator:
        return np.random.default_rng(process.fold(self.seed, "pulse", *keys))

    def _recording(self, made: Simulated) -> Recording:
        signal = made.wave[:, None]
        if self.acceleration:
            signal = np.concatenate([signal, made.acceleration], axis=1)
        bpm = made.heart_rate(self.windows.length / (self.windows.rate or self.rate)).astype(np.float32)
        block = int(BLOCK * self.rate)
        lost = self._random("missing", made.subject).random(-(-len(bpm) // block)) < self.missing
        bpm[np.repeat(lost, block)[: len(bpm)]] = np.nan
        context = {"activity": made.activity}
        return Recording(signal, self.rate, {HEART_RATE.name: bpm}, made.subject, made.subject, context=context)

    def _simulated(self, subject: str) -> Simulated:
        person, random = self._random("person", subject), self._random("signal", subject)
        count = round(self.seconds * self.rate)
        activity = self._activity(random, count)
        breath = np.cumsum(self._breathing(person, random, activity)) / self.rate % 1
        bpm = self._heart(person, random, activity, breath)
        beats = np.concatenate([[0.0], np.cumsum(bpm)[:-1]]) / 60 / self.rate
        cadence = self._cadence(person, random, activity, bpm)
        acceleration = self._acceleration(person, random, activity, cadence)
        clean = self._pulses(person, random, beats, bpm, breath)
        wave = OFFSET + clean + self.motion * self._shaken(person, random, activity, acceleration)
        wave += self.noise * random.standard_normal(count)
        return Simulated(
            subject, self.rate, wave.astype(np.float32), clean, acceleration.astype(np.float32), bpm, beats,
            activity.astype(np.int16), cadence,
        )  # fmt: skip

    def _activity(self, random: np.random.Generator, count: int) -> Array:
        """What is done at each sample: bouts in random order, none twice in a row, the first at rest."""
        made, now = np.zeros(count, np.int64), 0
        at = int(random.uniform(*BOUT) * self.rate)
        while at < count:
            now = (now + int(random.integers(1, len(EFFORTS)))) % len(EFFORTS)
            end = at + int(random.uniform(*BOUT) * self.rate)
            made[at:end], at = now, end
        return made

    def _breathing(self, person: np.random.Generator, random: np.random.Generator, activity: Array) -> Array:
        """Breaths a second."""
        own = np.exp(0.15 * person.standard_normal())
        usual = self._followed(np.array([0.24, 0.36, 0.55])[activity] * own, TRANSITION)
        return np.asarray(usual * np.exp(0.15 * self._slow(random, len(activity), 8.0)))

    def _heart(self, person: np.random.Generator, random: np.random.Generator, activity: Array, breath: Array) -> Array:
        """Beats a minute: towards what the effort asks, wandering, and quicker while breathing in."""
        resting, highest = 64 + 8 * person.standard_normal(), 188 + 8 * person.standard_normal()
        reserve = np.array([effort.reserve for effort in EFFORTS.values()]) * np.exp(0.12 * person.standard_normal(3))
        share = self._followed(reserve[activity], SETTLE) + 0.03 * self._slow(random, len(activity), 20.0)
        sinus = 0.05 * np.exp(0.4 * person.standard_normal()) * np.maximum(1 - 1.5 * share, 0.1)
        bpm = (resting + (highest - resting) * share) * (1 + sinus * np.sin(2 * np.pi * breath))
        return np.asarray(np.clip(bpm, 38.0, 205.0))

    def _cadence(self, person: np.random.Generator, random: np.random.Generator, activity: Array, bpm: Array) -> Array:
        """Steps a second: a person's own, varying by bout, or nearly a beat (or two) of that bout's heart."""
        usual = np.array([effort.steps for effort in EFFORTS.values()]) * np.exp(0.06 * person.standard_normal())
        made = np.zeros(len(activity))
        edges = [0, *(np.flatnonzero(np.diff(activity)) + 1), len(activity)]
        for begin, end in pairwise(edges):
            pace = usual[activity[begin]] * np.exp(0.06 * random.standard_normal())
            heart = bpm[(begin + end) // 2] / 60 * np.exp(0.06 * random.standard_normal())
            near = heart * (2 if activity[begin] == 2 and heart < 1.5 else 1)
            made[begin:end] = near if activity[begin] and random.random() < LOCKED else pace
        return made * np.exp(0.02 * self._slow(random, len(made), 5.0))

    def _acceleration(
        self, person: np.random.Generator, random: np.random.Generator, activity: Array, cadence: Array
    ) -> Array:
        """What is felt at the wrist, m/s2 `(T, 3)`: gravity, and arm swings at half the cadence with harmonics."""
        swing = np.array([effort.swing for effort in EFFORTS.values()])[activity]
        swing = self._followed(swing, TRANSITION) * np.exp(0.15 * self._slow(random, len(activity), 4.0))
        angle = np.pi * np.cumsum(cadence) / self.rate  # of the arm, which swings once in two steps
        gait = person.standard_normal((HARMONICS, 2, 3)) * np.array([0.5, 1.0, 0.4, 0.4])[:, None, None]
        gait /= np.linalg.norm(gait)
        turns = np.arange(1, HARMONICS + 1) * angle[:, None]
        moved = np.sqrt(6) * swing[:, None] * (np.cos(turns) @ gait[:, 0] + np.sin(turns) @ gait[:, 1])
        moved += 0.3 * swing[:, None] * np.stack([self._slow(random, len(angle), 0.15) for _ in range(3)], axis=1)
        down = person.standard_normal(3) * np.array([1.0, 1.0, 0.5]) + np.array([0.0, 0.0, 1.0])
        return np.asarray(moved + GRAVITY * down / np.linalg.norm(down) + 0.03 * random.standard_normal(moved.shape))

    def _pulses(
        self, person: np.random.Generator, random: np.random.Generator, beats: Array, bpm: Array, breath: Array
    ) -> Array:
        """The pulse wave without motion, amplitude about 1: a steep rise, a notch, a second wave; and breathing."""
        draw = person.standard_normal(4)
        at, depth, width = 0.42 + 0.03 * draw[0], 0.45 + 0.1 * draw[1], 0.10 * np.exp(0.15 * draw[2])
        # At high rates the second wave comes later in the beat and is weaker: it is bound to time, not to phase.
        late = np.clip(bpm / 70, 0.8, 2.2)
        phase = beats % 1
        first = _bump(phase - 0.2, np.where(phase % 1 < 0.2, 0.6, 1.0) * width)
        second = depth / late * _bump(phase - at * late**0.4, 1.3 * width)
        breathing = np.sin(2 * np.pi * breath - 0.8)
        height = np.exp(0.08 * breathing + 0.15 * self._slow(random, len(beats), 15.0))
        baseline = 0.25 * np.exp(0.4 * draw[3]) * breathing + 0.5 * self._slow(random, len(beats), 10.0)
        return np.asarray(2.2 * height * (first + second) + baseline)

    def _shaken(
        self, person: np.random.Generator, random: np.random.Generator, activity: Array, acceleration: Array
    ) -> Array:
        """What motion adds: the acceleration in a direction of its own that wanders, late and softened by the tissue,
        and a part that no accelerometer feels."""
        moved = acceleration - acceleration.mean(axis=0)
        way = person.standard_normal(3) + 0.5 * np.stack([self._slow(random, len(moved), 20.0) for _ in range(3)], 1)
        felt = self._followed((moved * way).sum(axis=1), 0.06 * np.exp(0.3 * person.standard_normal()))
        swing = np.array([effort.swing for effort in EFFORTS.values()])[activity]
        felt /= self._followed(swing, TRANSITION) * np.linalg.norm(way, axis=1)
        felt = felt + 0.4 * felt * np.abs(felt) + 0.5 * self._slow(random, len(moved), 0.2)
        shake = np.array([effort.shake for effort in EFFORTS.values()]) * np.exp(0.3 * person.standard_normal())
        return np.asarray(self._followed(shake[activity], TRANSITION) * felt)

    def _followed(self, values: Array, seconds: float) -> Array:
        """Values `(T,)` that follow the given ones within some seconds."""
        from scipy.signal import lfilter

        kept = np.exp(-1 / (seconds * self.rate))
        return np.asarray(lfilter([1 - kept], [1, -kept], values, zi=[kept * values[0]])[0])

    def _slow(self, random: np.random.Generator, count: int, seconds: float) -> Array:
        """Noise `(count,)` of unit variance that forgets itself within some seconds."""
        from scipy.signal import lfilter

        kept = np.exp(-1 / (seconds * self.rate))
        first = kept * random.standard_normal()
        return np.asarray(lfilter([np.sqrt(1 - kept**2)], [1, -kept], random.standard_normal(count), zi=[first])[0])


def _bump(distance: Array, width: Array | float) -> Array:
    """A bump `(T,)` around a phase, the same in the beats before and after."""
    return np.asarray(sum(np.exp(-0.5 * ((distance + turn) / width) ** 2) for turn in (-1, 0, 1)))
