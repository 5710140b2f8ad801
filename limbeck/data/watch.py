"""The watch recordings of shoulder exercises that the package `seglearn` carries: real data without a download."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck.data import pickles
from limbeck.data.recordings import Findings, Reading, Recording, SensorData, Windowing
from limbeck.errors import UserError
from limbeck.tasks import Task

Sensor = Literal["accelerometer", "gyroscope"]

_EXERCISES = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward elevation",
    "IR": "internal rotation",
    "ER": "external rotation",
    "TRAP": "trapezius",
    "ROW": "row",
}
_CHANNELS = {"accelerometer": ("ax", "ay", "az"), "gyroscope": ("wx", "wy", "wz")}
_UNITS = {"accelerometer": "g", "gyroscope": "rad/s"}


class Watch(SensorData):
    """Shoulder exercises seen by a smart watch: 10 subjects, 7 exercises, both arms, 140 recordings at 50 Hz.

    [Burns 2018, arXiv:1802.01489]; needs the extra `watch`.
    """

    kind: ClassVar[str] = "watch"
    licence: ClassVar[str] = "BSD-3-Clause (as the package seglearn)"
    citation: ClassVar[str] = (
        "D. M. Burns, N. Leung, M. Hardisty, C. M. Whyne, P. Henry, S. McLachlin: Shoulder physiotherapy exercise "
        "recognition: machine learning the inertial signals from a smartwatch. Physiological Measurement 39(7), 2018"
    )
    sensors: tuple[Sensor, ...] = ("accelerometer",)
    """Which of the watch's sensors are channels: accelerometer (g), gyroscope (rad/s), or both."""
    windows: Windowing = Windowing(length=100, stride=50, rate=50)

    def files(self) -> list[Path]:
        """The one file, found without importing the package. Raises `UserError` where the package is not installed."""
        found = find_spec("seglearn")
        if found is None or found.origin is None:
            raise UserError("the data set 'watch' needs the extra 'watch': pip install 'limbeck[watch]'")
        path = Path(found.origin).parent / "data" / "watch_dataset.npy"
        if not path.is_file():
            raise UserError(f"the installed seglearn has no {path}; install it anew: pip install 'limbeck[watch]'")
        return [path]

    def read(self) -> Reading:
        """The 140 recordings. Raises `UserError` where the file does not hold what it should."""
        (path,) = self.files()
        held = pickles.load(path)
        needed = ("X", "y", "side", "subject", "X_labels", "y_labels")
        if not isinstance(held, dict) or any(key not in held for key in needed):
            raise UserError(f"{path}: expected a dict with {', '.join(needed)}")
        channels = [c for s in self.sensors for c in _CHANNELS[s]]
        columns = [list(held["X_labels"]).index(c) for c in channels]
        tasks = (
            Task.of("exercise", tuple(_EXERCISES.get(name, name) for name in held["y_labels"])),
            Task.of("side", ("left", "right")),
        )
        recordings = [_recording(held, i, columns) for i in range(len(held["X"]))]
        unit = ", ".join(_UNITS[s] for s in self.sensors)
        return Reading(recordings, tasks, tuple(channels), unit, Findings(), 50.0)


def _recording(held: dict[str, Any], row: int, columns: list[int]) -> Recording:
    signal = np.ascontiguousarray(held["X"][row][:, columns], dtype=np.float32)
    exercise, side = int(held["y"][row]), int(held["side"][row])
    labels = {"exercise": np.full(len(signal), exercise), "side": np.full(len(signal), side)}
    return Recording(signal, 50.0, labels, str(int(held["subject"][row])), f"recording {row}")
