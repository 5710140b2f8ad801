"""The IEEE Signal Processing Cup 2015: pulse waves of people on a treadmill, heart rates from their ECG."""

import re
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from limbeck.data import matlab
from limbeck.data.archive import Entry, find
from limbeck.data.ppg import HEART_RATE, PPGData, per_window, quality
from limbeck.data.recordings import Array, Findings, Reading, Recording
from limbeck.errors import UserError

RATE = 125.0


class IEEESPC(PPGData):
    """IEEE Signal Processing Cup 2015: 20 people running on a treadmill or moving their arms, wrist PPG, 125 Hz.

    [Zhang 2015]. The 12 of the training set are `train 01` to `train 12`, the 8 of the test set `test 1` to `test 8`;
    the extra training recording S04_T01 is of test person 4, and belongs to the test set here. A session is a file.
    """

    kind: ClassVar[str] = "ieee-spc"
    citation: ClassVar[str] = (
        "Z. Zhang, Z. Pi, B. Liu: TROIKA: A General Framework for Heart Rate Monitoring Using Wrist-Type "
        "Photoplethysmographic Signals During Intensive Physical Exercise. IEEE Transactions on Biomedical Engineering "
        "62(2), 2015, 522-531"
    )
    pattern: ClassVar[str] = r"(?:(DATA|TEST)|REF|BPM|True)_(\d\d_TYPE\d\d|S\d\d_T\d\d)(_BPMtrace)?\.mat"
    expected: ClassVar[str] = (
        "root is the folder with Training_data, TestData, TrueBPM and Extra_TrainingData, or a zip of it "
        "(files DATA_<nn>_TYPE<nn>.mat and TEST_S<nn>_T<nn>.mat with their BPM traces)"
    )
    root: Path
    """The folder or zip it lies in."""
    ppg: Literal["first", "second", "mean"] = "first"
    """Which of the two sensors on the wrist is read."""
    part: Literal["all", "training", "test"] = "all"
    """The 12 people of the training set, the 8 of the test set, or both."""

    def files(self) -> list[Path]:
        """The files on disk that are read; a zip is one."""
        signals, traces = self._entries()
        return list(dict.fromkeys(e.file for e in (*signals, *traces.values())))

    def raw(self) -> Reading:
        """A recording of each file that can be read and has its BPM trace."""
        findings = Findings()
        signals, traces = self._entries()
        recordings = []
        for entry in signals:
            trace = traces.pop(_key(entry), None)
            if trace is None:
                findings.add("recordings without a BPM trace, left out", entry.name)
                continue
            values, bpm = _variable(entry, "sig", findings), _variable(trace, "BPM0", findings)
            if values is None or bpm is None:
                continue
            if values.ndim != 2 or len(values) not in (5, 6):
                findings.add("recordings without 5 or 6 channels, left out", f"{entry.name}: shape {values.shape}")
                continue
            recordings.append(self._recording(entry, values[-5:], bpm.ravel(), findings))
        for trace in traces.values():
            findings.add("BPM traces without a recording", trace.name)
        channels = ("ppg", "acc_x", "acc_y", "acc_z") if self.acceleration else ("ppg",)
        return Reading(recordings, (HEART_RATE,), channels, "", findings, RATE)

    def _recording(self, entry: Entry, values: Array, bpm: Array, findings: Findings) -> Recording:
        """The recording of two pulse waves and three accelerations `(5, T)`."""
        sensors = values[{"first": slice(0, 1), "second": slice(1, 2), "mean": slice(0, 2)}[self.ppg]].T
        wave = sensors.mean(axis=1, keepdims=True)
        signal = np.concatenate([wave, values[2:].T], axis=1) if self.acceleration else wave
        stem = entry.name.rpartition(".")[0]
        number = _key(entry)
        subject = f"test {int(number[1:3])}" if number.startswith("S") else f"train {number[:2]}"
        labels = {HEART_RATE.name: per_window(bpm, len(signal), RATE, stem, findings)}
        seconds = self.windows.length / (self.windows.rate or RATE)
        context = {"signal": quality(sensors, RATE, seconds)}  # a mean of two sensors hides that one of them is clipped
        return Recording(signal.astype(np.float32), RATE, labels, subject, stem, context=context)

    def _entries(self) -> tuple[list[Entry], dict[str, Entry]]:
        """The recordings, and the BPM traces by what is common to the names of both. Raises `UserError` without any."""
        found = find(self.root, self.pattern, self.expected)
        if self.part != "all":
            found = [e for e in found if _key(e).startswith("S") == (self.part == "test")]
        signals = [e for e in found if _groups(e)[0] and not _groups(e)[2]]
        if not signals:
            raise UserError(f"{self.root}: no recording of the part {self.part}; {self.expected}")
        return signals, {_key(e): e for e in reversed(found) if e not in signals}


def _groups(entry: Entry) -> tuple[str | None, ...]:
    matched = re.fullmatch(IEEESPC.pattern, entry.name, re.IGNORECASE)
    return matched.groups() if matched else (None, None, None)


def _key(entry: Entry) -> str:
    """What is common to the names of a recording and its BPM trace, such as 01_TYPE01 or S02_T01."""
    return (_groups(entry)[1] or "").upper()


def _variable(entry: Entry, name: str, findings: Findings) -> Array | None:
    """A variable of numbers of a file; none where there is none, which is counted."""
    try:
        held = matlab.load(entry, (name,)).get(name)
    except UserError as error:
        findings.add("files that cannot be read, left out", str(error))
        return None
    if held is None or np.asarray(held).dtype.kind not in "iuf":
        findings.add("files without their variable, left out", f"{entry.name}: {name}")
        return None
    return np.asarray(held)
