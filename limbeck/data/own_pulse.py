"""Your own pulse waves: a folder of CSV or Parquet files with a column of PPG and one of heart rates."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from limbeck import signals
from limbeck.data import clock
from limbeck.data.discover import natural
from limbeck.data.parts import Folder, Part, nominal
from limbeck.data.ppg import HEART_RATE, PPGData
from limbeck.data.recordings import Findings, Reading, Recording

Array = np.ndarray[Any, Any]

ACTIVITY = "activity"


class PulseRecordings(PPGData, Folder):
    """A folder of CSV, TSV or Parquet files with pulse waves and heart rates of any rates, and subjects.

    The heart rate of a window is the mean over its seconds, where it is known for half of them. It may stand on some
    lines only: between two values at most 10 s apart it goes on a straight line. Lines with a heart rate but without
    a pulse wave count too.
    """

    kind: ClassVar[str] = "ppg-recordings"
    ppg: str = "ppg"
    """Column of the pulse wave."""
    heart_rate: str = "heart_rate"
    """Column of the heart rate, bpm; empty cells and 0 are unknown."""
    axes: tuple[str, ...] = ("acc_x", "acc_y", "acc_z")
    """Columns of the accelerometer, which are read where `acceleration` is set."""
    down: bool = False
    """Whether a beat points down in the files, as in the raw light of many sensors; the wave is then turned over."""
    activity: str = ""
    """Column of what the person did, by which errors are told apart; none if empty."""

    @property
    def turned(self) -> bool:
        return self.down

    @field_validator("axes")
    @classmethod
    def _three(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) != 3:
            raise ValueError("three columns, such as acc_x,acc_y,acc_z")
        return value

    def raw(self) -> Reading:
        """A recording of each stretch without a gap. Raises `UserError` where to go on would be to guess."""
        findings = Findings()
        columns = (self.ppg, *(self.axes if self.acceleration else ()))
        labels = (self.activity,) if self.activity else ()
        parts = self.parts(self.layouts(findings), columns, labels, (self.heart_rate,), findings)
        names = self._activities(parts)
        channels = ("ppg", *(("acc_x", "acc_y", "acc_z") if self.acceleration else ()))
        contexts = {ACTIVITY: names} if self.activity else {}
        recordings = [self._recording(part, names, findings) for part in parts]
        return Reading(recordings, (HEART_RATE,), channels, self.unit, findings, nominal(parts), contexts)

    def _activities(self, parts: Sequence[Part]) -> tuple[str, ...]:
        texts = (part.labels[self.activity] for part in parts if self.activity in part.labels)
        return tuple(sorted({name for text in texts for name in text.names}, key=natural))

    def _recording(self, part: Part, names: tuple[str, ...], findings: Findings) -> Recording:
        made, labels, context = part.stretch, dict[str, Array](), dict[str, Array]()
        if self.heart_rate in part.values:
            seconds = self.windows.length / (self.windows.rate or made.rate)
            labels[HEART_RATE.name] = _around(self._trace(part, findings), round(seconds * made.rate))
        if self.activity in part.labels:
            texts = part.labels[self.activity]
            context[ACTIVITY] = np.array([*map(names.index, texts.names), -1], np.int16)[texts.codes]
        sign = np.array([-1 if self.down and n == 0 else 1 for n in range(made.signal.shape[1])], np.float32)
        return Recording(sign * made.signal, made.rate, labels, part.subject, part.session, made.start, context)

    def _trace(self, part: Part, findings: Findings) -> Array:
        """The heart rate at each sample `(T,)`, NaN where unknown."""
        seconds, bpm = part.values[self.heart_rate]
        findings.add("heart rates that are no number above 0", part.session, int((bpm <= 0).sum()))
        at = np.arange(len(part.stretch.signal)) / part.stretch.rate
        return clock.between(seconds, np.where(bpm > 0, bpm, np.nan), at)


def _around(bpm: Array, length: int) -> Array:
    """The mean `(T,)` of what is known among the `length` samples around each; NaN where that is less than half."""
    padded = np.pad(bpm, (length // 2, length - length // 2), constant_values=np.nan)
    starts = np.arange(len(bpm))
    known = signals.mean(np.isfinite(padded).astype(np.float32), starts, length)
    return np.where(known >= 0.5, signals.mean(padded, starts, length), np.float32(np.nan))
