"""Activity data sets in their makers' layouts: WISDM (2019), MHEALTH, and the sleep postures of Smooth-Distill."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from limbeck import signals
from limbeck.data import lines
from limbeck.data.archive import Entry, find
from limbeck.data.recordings import Array, Findings, Reading, Recording, SensorData, Windowing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task


class _Files(SensorData):
    """A data set in a folder or a zip. `pattern` is what its files are called, `expected` says so to the user."""

    pattern: ClassVar[str]
    expected: ClassVar[str]
    root: Path
    """The folder or zip it lies in."""

    def entries(self) -> list[Entry]:
        """The files, in order of their names. Raises `UserError` where there are none."""
        return find(self.root, self.pattern, self.expected)

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.entries()))


def _parts(entry: Entry, pattern: str) -> tuple[str, ...]:
    """The groups of a pattern that the entry's name is known to match."""
    matched = re.fullmatch(pattern, entry.name, re.IGNORECASE)
    if matched is None:
        raise ValueError(f"{entry.name!r} does not match {pattern!r}")
    return matched.groups()


class WISDM(_Files):
    """WISDM smartphone and smartwatch activity set, accelerometers: 51 subjects, 18 activities, 20 Hz.

    [Weiss 2019]. The rate of each stretch is measured: some watches recorded bursts at 100 Hz, some phones at 25 or 50.
    """

    kind: ClassVar[str] = "wisdm"
    licence: ClassVar[str] = "CC BY 4.0 (UCI Machine Learning Repository, data set 507)"
    citation: ClassVar[str] = (
        "G. M. Weiss, K. Yoneda, T. Hayajneh: Smartphone and Smartwatch-Based Biometrics Using Activities of Daily "
        "Living. IEEE Access 7, 2019, 133190-133202"
    )
    pattern: ClassVar[str] = r"data_(\d+)_accel_(phone|watch)\.txt"
    expected: ClassVar[str] = (
        "root is wisdm-dataset.zip, the folder that holds it, or one it was unpacked to "
        "(files data_<subject>_accel_<phone|watch>.txt)"
    )
    codes: ClassVar[str] = "ABCDEFGHIJKLMOPQRS"
    positions: tuple[Literal["phone", "watch"], ...] = ("phone", "watch")
    """Which devices are read."""
    windows: Windowing = Windowing(length=100, stride=60, rate=20)

    def entries(self) -> list[Entry]:
        """The files of the positions, in order of their names. Raises `UserError` where there are none."""
        kept = [e for e in super().entries() if _parts(e, self.pattern)[1].lower() in self.positions]
        if not kept:
            raise UserError(f"{self.root}: no file of the positions {', '.join(self.positions) or '(none given)'}")
        return kept

    def read(self) -> Reading:
        """A recording for each stretch of one activity, without gaps and of one rate, on one device."""
        findings = Findings()
        activities = (
            *("walking", "jogging", "stairs", "sitting", "standing", "typing", "brushing teeth", "soup", "chips"),
            *(
                "pasta",
                "drinking",
                "sandwich",
                "kicking",
                "catch",
                "dribbling",
                "writing",
                "clapping",
                "folding clothes",
            ),
        )
        tasks = (Task.of("activity", activities), Task.of("position", ("phone", "watch")))
        recordings: list[Recording] = []
        for entry in self.entries():
            subject, device = (p.lower() for p in _parts(entry, self.pattern))
            held = lines.records(entry.read(), entry.name, findings)
            findings.add("empty files", entry.name, not len(held))
            findings.add("lines of another subject than the file's", entry.name, (held.subject != int(subject)).sum())
            held = held.where(held.time > 0, "lines with timestamp 0", entry.name, findings)
            held = held.where(~held.repeats(), "repeated lines", entry.name, findings)
            known = np.array([*(self.codes.find(c) if len(c) == 1 else -1 for c in held.names), -1], np.int16)
            labels = np.where(known < 0, IGNORE, known).astype(np.int16)[held.code]
            _oddities(labels, activities, entry.name, findings)
            position = ("phone", "watch").index(device)
            recordings += _runs(held, labels, position, subject, f"{subject} {device}", entry.name, findings)
        return Reading(recordings, tasks, ("x", "y", "z"), "m/s2", findings, 20.0)


def _oddities(labels: Array, activities: tuple[str, ...], where: str, findings: Findings) -> None:
    """Counts what is odd about the activities of a file, whose labels are `(N,)`."""
    findings.add("lines of an unknown activity code", where, (labels == IGNORE).sum())
    absent = [a for i, a in enumerate(activities) if i not in labels]
    findings.add("activities absent from a file", f"{where}: {', '.join(absent)}", len(absent) if len(labels) else 0)


def _runs(
    held: lines.Records, labels: Array, position: int, subject: str, device: str, where: str, findings: Findings
) -> Iterator[Recording]:
    """The stretches of one file. A session is one activity from its beginning to the next one's."""
    seen: dict[int, int] = {}
    for begin, end in zip(*signals.label_runs([labels]), strict=True):
        label = int(labels[begin])
        seen[label] = seen.get(label, 0) + 1
        code = held.names[held.code[begin]]
        session = f"{device} {code}" + (f" {seen[label]}" if seen[label] > 1 else "")
        findings.add("activities that resume later in a file", f"{where}: {code}", seen[label] > 1)
        seconds = (held.time[begin:end] - held.time[begin]) / 1e9
        steps = np.diff(seconds)
        findings.add("timestamps that go back", session, (steps < 0).sum())
        findings.add("timestamps that repeat", session, (steps == 0).sum())
        findings.add("gaps", session, (steps > signals.GAP / 20).sum())
        elapsed = np.concatenate([[0.0], np.cumsum(np.where(steps < 0, 1 / 20, steps))])
        for span, rate in signals.steady(seconds, 20.0):
            values, ids = held.values[begin:end][span], labels[begin:end][span]
            known = {"activity": ids, "position": np.full(len(ids), position, np.int16)}
            yield Recording(values, rate, known, subject, session, float(elapsed[span.start]))


class MHealth(_Files):
    """MHEALTH: 10 subjects, 12 activities and the null class, accelerometers at three positions, 50 Hz.

    [Banos 2014]. Chest, left ankle and right lower arm; each becomes a recording of its own.
    """

    kind: ClassVar[str] = "mhealth"
    citation: ClassVar[str] = (
        "O. Banos, R. Garcia, J. A. Holgado-Terriza, M. Damas, H. Pomares, I. Rojas, A. Saez, C. Villalonga: "
        "mHealthDroid: a novel framework for agile development of mobile health applications. IWAAL 2014"
    )
    pattern: ClassVar[str] = r"mHealth_subject(\d+)\.log"
    expected: ClassVar[str] = "root is the folder MHEALTHDATASET or its zip (files mHealth_subject<k>.log)"
    keep_null: bool = True
    """Whether samples of none of the 12 activities (72 % or so) are a class, as published, or are left out."""
    windows: Windowing = Windowing(length=100, stride=60, rate=50)

    def read(self) -> Reading:
        """A recording for each position of each unbroken stretch."""
        findings = Findings()
        activities = (
            *("null", "standing", "sitting", "lying", "walking", "climbing stairs", "waist bends forward"),
            *("frontal elevation of arms", "knees bending", "cycling", "jogging", "running", "jump front and back"),
        )
        places = {"chest": 0, "left ankle": 5, "right lower arm": 14}
        tasks = (Task.of("activity", activities[not self.keep_null :]), Task.of("position", tuple(places)))
        recordings = []
        for entry in self.entries():
            (subject,) = _parts(entry, self.pattern)
            values, rows = lines.table(entry.read(), "\t", 24, entry.name, findings)
            findings.add("empty files", entry.name, not len(values))
            known = np.isin(values[:, 23], np.arange(13))
            findings.add("lines of an unknown activity", entry.name, (~known).sum())
            labels = np.where(known, values[:, 23], IGNORE).astype(np.int16)
            if not self.keep_null:
                labels = np.where(labels > 0, labels - 1, np.where(labels == 0, -1, IGNORE)).astype(np.int16)
            spans = _unbroken(rows, labels != -1)
            for number, (place, column) in enumerate(places.items()):
                for span in spans:
                    signal = values[span, column : column + 3].astype(np.float32)
                    ids = {"activity": labels[span], "position": np.full(len(signal), number, np.int16)}
                    recordings.append(
                        Recording(signal, 50.0, ids, subject, f"{subject} {place}", float(rows[span][0]) / 50)
                    )
        return Reading(recordings, tasks, ("x", "y", "z"), "m/s2", findings, 50.0)


def _unbroken(rows: Array, keep: Array) -> list[slice]:
    """The stretches of kept lines between which none is missing; `rows` `(N,)` are their numbers."""
    ends = [*(np.flatnonzero(np.diff(rows) > 1) + 1).tolist(), len(rows)]
    begins = [0, *ends[:-1]]
    return [
        slice(a + s.start, a + s.stop) for a, b in zip(begins, ends, strict=True) for s in signals.pieces(keep[a:b])
    ]


class Sleep(_Files):
    """The sleep postures of Smooth-Distill: 12 postures, accelerometers at neck, chest and belly, 50 Hz.

    [Vu 2025, arXiv:2507.00061]. Files are `<anything>_<posture>_<position>.txt`; the subject is taken to be what stands
    before the first `_`. Lines are `t,x,y,z;`, or `x,y,z` after a header.
    """

    kind: ClassVar[str] = "sleep"
    postures: ClassVar[tuple[str, ...]] = (
        *("up", "upright", "rightup", "right", "rightdown", "downright"),
        *("down", "downleft", "leftdown", "left", "leftup", "upleft"),
    )
    places: ClassVar[tuple[str, ...]] = ("co", "nguc", "bung")
    pattern: ClassVar[str] = r"(.+)_([a-z]+)_([a-z]+)\.txt"
    expected: ClassVar[str] = f"files are <subject>_<posture>_<position>.txt, position one of {', '.join(places)}"
    windows: Windowing = Windowing(length=100, stride=60, rate=50)

    def read(self) -> Reading:
        """A recording for each stretch without a gap of each file."""
        findings = Findings()
        tasks = (Task.of("posture", self.postures), Task.of("position", ("neck", "chest", "belly")))
        recordings = []
        for entry in self.entries():
            whole, posture, place = _parts(entry, self.pattern)
            if posture.lower() not in self.postures or place.lower() not in self.places:
                findings.add("files of an unknown posture or position", entry.name)
                continue
            ids = (self.postures.index(posture.lower()), self.places.index(place.lower()))
            content = entry.read()
            first = content.lstrip(b"\xef\xbb\xbf \r\n").split(b"\n", 1)[0]
            timed = not re.search(rb"[A-Za-z]", first) and first.count(b",") == 3
            values, rows = lines.table(content, ",", 4 if timed else 3, entry.name, findings)
            findings.add("empty files", entry.name, not len(values))
            seconds = _seconds(values[:, 0], entry.name, findings) if timed and len(values) > 1 else rows / 50.0
            findings.add("gaps", entry.name, (np.diff(seconds) > signals.GAP / 50).sum())
            findings.add("timestamps that go back", entry.name, (np.diff(seconds) < 0).sum())
            for span, rate in signals.steady(seconds, 50.0):
                signal = values[span, -3:].astype(np.float32)
                labels = {t.name: np.full(len(signal), i, np.int16) for t, i in zip(tasks, ids, strict=True)}
                start = float(seconds[span.start] - seconds[0])
                recordings.append(Recording(signal, rate, labels, whole.split("_")[0], entry.name[:-4], start))
        return Reading(recordings, tasks, ("x", "y", "z"), "", findings, 50.0)


def _seconds(times: Array, where: str, findings: Findings) -> Array:
    """Times `(T,)` in s, ms, us or ns as seconds; the unit is the one that makes their rate about 50 Hz."""
    rate = signals.rate_of(times)
    for unit in (1.0, 1e3, 1e6, 1e9):
        if 0.5 < rate * unit / 50 < 2:
            return np.asarray((times - times[0]) / unit)
    findings.add("files whose times make no sense, taken to be at 50 Hz", where)
    return np.arange(len(times)) / 50.0
