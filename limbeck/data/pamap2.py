"""PAMAP2: everyday activities with sensors at hand, chest and ankle, as published or in the sensors' own units."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from limbeck import signals
from limbeck.data import clock, lines
from limbeck.data.archive import Entry, find
from limbeck.data.recordings import Array, Findings, Reading, Recording, SensorData, Windowing
from limbeck.errors import UserError
from limbeck.tasks import Task

RATE = 100.0
THIRD = 3
"""Of the rows, one in so many is kept."""
_LONG = 10
"""Rows without a value beyond which a recording ends; fewer are bridged by straight lines."""

PROTOCOL = {
    24: "rope jumping",
    1: "lying",
    2: "sitting",
    3: "standing",
    4: "walking",
    5: "running",
    6: "cycling",
    7: "Nordic walking",
    12: "ascending stairs",
    13: "descending stairs",
    16: "vacuum cleaning",
    17: "ironing",
}
"""Activities by their number in the files, in the order of the published classes."""
OPTIONAL = {
    9: "watching TV",
    10: "computer work",
    11: "car driving",
    18: "folding laundry",
    19: "house cleaning",
    20: "playing soccer",
}

_SENSORS = ("temp", *(f"{what}_{axis}" for what in ("acc16", "acc6", "gyro", "mag") for axis in "xyz"))
CHANNELS = ("heart_rate", *(f"{place}_{name}" for place in ("hand", "chest", "ankle") for name in _SENSORS))
_COLUMNS = [2, *(3 + 17 * place + column for place in range(3) for column in range(13))]
"""Of the channels; the four columns of orientation, which each place ends with, are invalid by the makers' word."""

# Ranges by which the published preparation scales each channel: preprocessing_pamap2_2.py of github.com/jeunsom/TDA_KD
# (MIT licence), which has them from F. Moya Rueda, TU Dortmund.
_LOW = np.array((
    *(0, 0, -114.755, -104.301, -73.0384, -61.1938, -61.8086, -61.4193, -27.8044, -17.8495, -14.2647, -103.941),
    *(-200.043, -163.608, 0, -29.0888, -38.1657, -57.2366, -32.9627, -39.7561, -56.0108, -10.1563, -5.06858),
    *(-3.99487, -70.0627, -122.48, -66.6847, 0, -155.068, -155.617, -156.179, -60.3067, -61.9064, -62.2629),
    *(-14.162, -13.0401, -14.0196, -172.865, -137.908, -102.232),
))  # fmt: skip
_HIGH = np.array((
    *(202, 35.5, 47.6314, 155.532, 157.76, 45.5484, 62.2598, 61.728, 21.8452, 13.1222, 14.2184, 137.544),
    *(109.181, 100.543, 38.5625, 26.386, 153.582, 37.2936, 23.9101, 61.9328, 36.9676, 15.5171, 5.97964),
    *(2.94183, 80.4739, 39.7391, 95.8415, 35.4375, 157.232, 157.293, 150.99, 61.9509, 62.0461, 60.9357),
    *(17.4204, 13.5882, 13.9617, 91.4247, 92.867, 146.651),
))  # fmt: skip


class PAMAP2(SensorData):
    """PAMAP2: 9 subjects, 12 activities, heart rate and 39 channels of sensors at hand, chest and ankle, 100 Hz.

    [Reiss 2012]. Published is what the persistence papers train on [Jeon 2022]: rows without one of the activities are
    taken out and the rest is joined, the heart rate is held until the next one, missing values are 0, channels are
    scaled to 0..1 by fixed ranges (0.99 above), and every third row is kept; a session is a file, and times in it are
    those of the joined rows. Plain keeps the sensors' units: short holes are bridged by straight lines, longer ones and
    gaps end a recording, signals are filtered down to 33.3 Hz, and no window crosses a change of activity; a session is
    a bout of one activity.
    """

    kind: ClassVar[str] = "pamap2"
    licence: ClassVar[str] = "CC BY 4.0 (UCI Machine Learning Repository, data set 231)"
    citation: ClassVar[str] = (
        "A. Reiss, D. Stricker: Introducing a New Benchmarked Dataset for Activity Monitoring. 16th International "
        "Symposium on Wearable Computers (ISWC), 2012, 108-109"
    )
    pattern: ClassVar[str] = r"(Protocol|Optional)/subject(\d+)\.dat"
    expected: ClassVar[str] = (
        "root is the folder PAMAP2_Dataset, one that holds it, or its zip (files Protocol/subject<k>.dat)"
    )
    root: Path
    """The folder or zip it lies in."""
    prepared: Literal["published", "plain"] = "published"
    """How rows become signals."""
    part: Literal["protocol", "optional", "both"] = "protocol"
    """Which of the folders is read; the second adds six classes behind the 12."""
    windows: Windowing = Windowing(length=100, stride=22, first=22, rate=RATE / THIRD, label="last", borders="ends")

    @property
    def activities(self) -> dict[int, str]:
        """The classes, in order, by their number in the files."""
        return PROTOCOL if self.part == "protocol" else PROTOCOL | OPTIONAL

    def entries(self) -> list[Entry]:
        """The files of the part, in order of their names. Raises `UserError` where there are none."""
        found = find(self.root, self.pattern, self.expected, folders=1)
        kept = [e for e in found if self.part in ("both", _names(e)[0])]
        if not kept:
            raise UserError(f"{self.root}: no file of the part {self.part}; {self.expected}")
        return kept

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.entries()))

    def read(self) -> Reading:
        """The recordings: one a file as published, or one for each stretch of one activity without a gap."""
        findings = Findings()
        published = self.prepared == "published"
        recordings = [r for e in self.entries() for r in (self._published if published else self._plain)(e, findings)]
        unit = "" if published else "bpm, deg C, m/s2, rad/s, uT"
        tasks = (Task.of("activity", tuple(self.activities.values())),)
        return Reading(recordings, tasks, CHANNELS, unit, findings, RATE / THIRD if published else RATE)

    def _rows(self, entry: Entry, findings: Findings) -> tuple[Array, Array, Array]:
        """Seconds `(T,)`, classes `(T,)` or -1, and channels `(T, 40)` with NaN."""
        values, _ = lines.table(entry.read(), " ", 54, entry.name, findings, missing=True)
        findings.add("empty files", entry.name, not len(values))
        given = values[:, 1]
        known = np.isin(given, [0, *PROTOCOL, *OPTIONAL])
        findings.add("lines of an unknown activity, left out", entry.name, (~known).sum())
        classes = np.full(len(values), -1, np.int16)
        for number, activity in enumerate(self.activities):
            classes[given == activity] = number
        findings.note("lines of no activity, left out", entry.name, (known & (classes < 0)).sum())
        return values[:, 0], classes, values[:, _COLUMNS]

    def _published(self, entry: Entry, findings: Findings) -> Iterator[Recording]:
        """All rows of the activities of a file as one recording at 33.3 Hz."""
        seconds, classes, values = self._rows(entry, findings)
        kept = classes >= 0
        seconds, classes, values = seconds[kept], classes[kept], values[kept]
        findings.note("gaps between rows that are joined", entry.name, len(signals.breaks(seconds, RATE)))
        values[:, 0] = _held(values[:, 0])
        lost = np.isnan(values)
        findings.note("rows with a missing value, taken as 0", entry.name, lost.any(axis=1).sum())
        values[lost] = 0
        scaled = (values - _LOW) / (_HIGH - _LOW)
        beyond = (scaled > 1) | (scaled < 0)
        findings.note("rows with a value beyond its channel's range, clipped", entry.name, beyond.any(axis=1).sum())
        scaled[scaled > 1] = 0.99
        scaled = np.maximum(scaled, 0)[::THIRD].astype(np.float32)
        # Published windows end before the last row: range(22, rows - 100, 22).
        labels, stem = classes[::THIRD][:-1], _names(entry)
        yield Recording(scaled[:-1], RATE / THIRD, {"activity": labels}, stem[1], " ".join(stem))

    def _plain(self, entry: Entry, findings: Findings) -> Iterator[Recording]:
        """The stretches of a file."""
        seconds, classes, values = self._rows(entry, findings)
        if not len(seconds):
            return
        values[:, 0] = clock.between(seconds, values[:, 0], seconds)
        findings.add("rows with holes bridged by straight lines", entry.name, _bridge(values))
        names, (part, subject) = tuple(self.activities.values()), _names(entry)
        seen: dict[int, int] = {}
        for begin, end in zip(*signals.label_runs([classes]), strict=True):
            label, times = int(classes[begin]), seconds[begin:end]
            if label < 0:
                continue
            seen[label] = seen.get(label, 0) + 1
            session = f"{part} {subject} {names[label]} {seen[label]}"
            findings.add("gaps", session, len(signals.breaks(times, RATE)))
            for span, rate in signals.steady(times, RATE):
                signal = values[begin:end][span].astype(np.float32)
                ids, start = np.full(len(signal), label, np.int16), float(times[span.start] - times[0])
                yield Recording(signal, rate, {"activity": ids}, subject, session, start)


def _bridge(values: Array) -> int:
    """Puts straight lines over the short holes of each channel of `(T, M)`, and says in how many rows."""
    bridged, at = np.zeros(len(values), bool), np.arange(len(values))
    for channel in values.T:
        missing = np.isnan(channel)
        begins, ends = signals.label_runs([missing])
        short = missing[begins] & (ends - begins <= _LONG) & (begins > 0) & (ends < len(values))
        holes = np.repeat(short, ends - begins)
        if holes.any():
            channel[holes] = np.interp(at[holes], at[~missing], channel[~missing])
            bridged |= holes
    return int(bridged.sum())


def _names(entry: Entry) -> tuple[str, str]:
    """Part and subject of a file, by its name."""
    matched = re.fullmatch(PAMAP2.pattern, entry.name, re.IGNORECASE)
    if matched is None:
        raise ValueError(f"{entry.name!r} does not match {PAMAP2.pattern!r}")
    return matched[1].lower(), matched[2]


def _held(values: Array) -> Array:
    """Values `(T,)` of which each is held until the next; NaN before the first."""
    at = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)
