"""USC-HAD: everyday activities with one sensor at the hip, a file for each trial of each activity."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck.data import matlab
from limbeck.data.archive import Entry, find
from limbeck.data.recordings import Findings, Reading, Recording, SensorData, Windowing
from limbeck.errors import UserError
from limbeck.tasks import Task

RATE = 100.0
ACTIVITIES = (
    *("walk forward", "walk left", "walk right", "upstairs", "downstairs", "run"),
    *("jump", "sit", "stand", "sleep", "elevator up", "elevator down"),
)
_FIELDS = ("sensor_readings", "subject", "activity_number", "activity_numbr", "trial", "comments")
_COLUMNS = {"acceleration": ("acc_x", "acc_y", "acc_z"), "gyroscope": ("gyro_x", "gyro_y", "gyro_z")}
_UNITS = {"acceleration": "g", "gyroscope": "deg/s"}


class USCHAD(SensorData):
    """USC-HAD: 14 subjects, 12 activities in 5 trials each, acceleration and rotation at the right hip, 100 Hz.

    [Zhang 2012]. Subject, activity and trial are those of the file's name, which is right where a file says otherwise
    inside. A session is a trial. Windows are of 5 s, without overlap.
    """

    kind: ClassVar[str] = "usc-had"
    citation: ClassVar[str] = (
        "M. Zhang, A. A. Sawchuk: USC-HAD: A Daily Activity Dataset for Ubiquitous Activity Recognition Using Wearable "
        "Sensors. ACM Conference on Ubiquitous Computing (UbiComp), Workshop on Situation, Activity and Goal Awareness "
        "(SAGAware), 2012"
    )
    pattern: ClassVar[str] = r"Subject(\d+)/a(\d+)t(\d+)\.mat"
    expected: ClassVar[str] = (
        "root is USC-HAD.zip, the folder that holds it, or one it was unpacked to (files Subject<k>/a<activity>t<trial>"
        ".mat)"
    )
    root: Path
    """The folder or zip it lies in."""
    sensors: tuple[Literal["acceleration", "gyroscope"], ...] = ("acceleration",)
    """Which sensors are read: acceleration (g), gyroscope (degrees per second), or both, in that order."""
    windows: Windowing = Windowing(length=500, stride=500, rate=RATE)

    def entries(self) -> list[Entry]:
        """The files, by subject, activity and trial. Raises `UserError` where there are none."""
        return sorted(find(self.root, self.pattern, self.expected, folders=1), key=_numbers)

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.entries()))

    def read(self) -> Reading:
        """A recording of each file that can be read."""
        if not self.sensors or len(set(self.sensors)) < len(self.sensors):
            raise UserError(f"data.sensors: name {' or '.join(_COLUMNS)} or both, each once")
        findings = Findings()
        channels = tuple(c for s in self.sensors for c in _COLUMNS[s])
        unit = ", ".join(_UNITS[s] for s in self.sensors)
        recordings = [made for entry in self.entries() if (made := self._recording(entry, findings)) is not None]
        _absent(recordings, findings)
        return Reading(recordings, (Task.of("activity", ACTIVITIES),), channels, unit, findings, RATE)

    def _recording(self, entry: Entry, findings: Findings) -> Recording | None:
        """The recording of a file; none where it holds none, which is counted."""
        numbers = subject, activity, trial = _numbers(entry)
        if not 1 <= activity <= len(ACTIVITIES):
            findings.add("files of an unknown activity, left out", entry.name)
            return None
        try:
            held = matlab.load(entry, _FIELDS)
        except UserError as error:
            findings.add("files that cannot be read, left out", str(error))
            return None
        values = np.asarray(held.get("sensor_readings", ()))
        if values.dtype.kind not in "iuf" or values.ndim != 2 or values.shape[1] != 6:
            findings.add("files without sensor_readings of 6 columns, left out", f"{entry.name}: shape {values.shape}")
            return None
        _oddities(held, numbers, entry.name, findings)
        wanted = np.concatenate([values[:, 3 * list(_COLUMNS).index(s) :][:, :3] for s in self.sensors], axis=1)
        labels = {"activity": np.full(len(values), activity - 1, np.int16)}
        session = f"Subject{subject} a{activity}t{trial}"
        return Recording(wanted.astype(np.float32), RATE, labels, str(subject), session)


def _numbers(entry: Entry) -> tuple[int, int, int]:
    """Subject, activity and trial of a file, by its name."""
    matched = re.fullmatch(USCHAD.pattern, entry.name, re.IGNORECASE)
    if matched is None:
        raise ValueError(f"{entry.name!r} does not match {USCHAD.pattern!r}")
    subject, activity, trial = map(int, matched.groups())
    return subject, activity, trial


def _oddities(held: Mapping[str, Any], numbers: tuple[int, int, int], where: str, findings: Findings) -> None:
    """Counts where a file says of itself other than its name does."""
    misspelt = "activity_number" not in held and "activity_numbr" in held
    findings.note("files that spell activity_number as activity_numbr", where, misspelt)
    findings.note("files with comments", f"{where}: {held.get('comments')}", "comments" in held)
    inside = (held.get("subject"), held.get("activity_number", held.get("activity_numbr")), held.get("trial"))
    for what, own, number in zip(("subject", "activity", "trial"), inside, numbers, strict=True):
        odd = own is not None and str(own).strip() != str(number)
        findings.add(f"files of another {what} inside than in the name, which is trusted", f"{where}: {own}", odd)


def _absent(recordings: list[Recording], findings: Findings) -> None:
    """Counts the activities that a subject has no file of."""
    seen: dict[str, set[int]] = {}
    for r in recordings:
        seen.setdefault(r.subject, set()).update(r.labels["activity"][:1].tolist())
    for subject, of in seen.items():
        absent = [name for i, name in enumerate(ACTIVITIES) if i not in of]
        findings.add("activities that a subject has no file of", f"Subject{subject}: {', '.join(absent)}", len(absent))
