"""WildPPG: a day outdoors with four devices on the body, the heart rate of each sample by the ECG at the sternum."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck import ecg
from limbeck.data import matlab
from limbeck.data.archive import Entry, find
from limbeck.data.ppg import HEART_RATE, PPGData, readable
from limbeck.data.recordings import Array, Findings, Reading, Recording

_COLOURS = {"green": "ppg_g", "red": "ppg_r", "infrared": "ppg_ir"}
_AXES = ("acc_x", "acc_y", "acc_z")


class WildPPG(PPGData):
    """WildPPG: 16 people for 13 hours, PPG of three colours at four places, 128 Hz.

    [Meier 2024]. The heart rate is that of the sternum's ECG (`ecg.heart_rate`), unknown where fewer than two intervals
    between its beats are to be trusted.
    """

    kind: ClassVar[str] = "wildppg"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    citation: ClassVar[str] = (
        "M. Meier, B. U. Demirel, C. Holz: WildPPG: A Real-World PPG Dataset of Long Continuous Recordings. NeurIPS "
        "2024, Datasets and Benchmarks"
    )
    root: Path
    """The folder of the files WildPPG_Part_<id>.mat, or a zip of it."""
    site: Literal["wrist", "sternum", "head", "ankle"] = "wrist"
    """Where on the body the PPG was."""
    colour: Literal["green", "red", "infrared"] = "green"
    """Of the light."""

    def entries(self) -> list[Entry]:
        """The files, one a participant, in order of their names. Raises `UserError` where there are none."""
        expected = "root is the folder (or a zip) of the files WildPPG_Part_<id>.mat"
        return find(self.root, r"WildPPG_Part_\w+\.mat", expected)

    def files(self) -> list[Path]:
        """The files on disk; a zip is one."""
        return list(dict.fromkeys(e.file for e in self.entries()))

    def raw(self) -> Reading:
        """A recording a participant. Raises `UserError` where no file can be read."""
        findings = Findings()
        channels = ("ppg", *(_AXES if self.acceleration else ()))
        recordings = readable((partial(self._participant, entry, findings) for entry in self.entries()), findings)
        return Reading(recordings, (HEART_RATE,), channels, "", findings, 128.0)

    def _participant(self, entry: Entry, findings: Findings) -> list[Recording]:
        held = matlab.load(entry, ("id", self.site, "sternum"))
        subject = entry.name[len("WildPPG_Part_") : -len(".mat")]
        findings.add("files that name another participant inside", entry.name, str(held.get("id", subject)) != subject)
        names = (_COLOURS[self.colour], *(_AXES if self.acceleration else ()))
        traces = [_trace(held, self.site, name) for name in names]
        heart, heart_rate = _trace(held, "sternum", "ecg")
        rate, count = traces[0][1], min(len(values) for values, _ in traces)
        absent = [n for n, (v, hz) in zip(names, traces, strict=True) if not len(v) or hz != rate]
        if absent or not len(heart):
            lacks = [f"{self.site}.{n}" for n in absent] + ([] if len(heart) else ["sternum.ecg"])
            findings.add("participants left out, for what they lack", f"{entry.name}: {', '.join(lacks)}")
            return []
        ends = {round(len(v) / hz, 1) for v, hz in (*traces, (heart, heart_rate))}
        findings.add("participants whose traces differ in length", entry.name, len(ends) > 1)
        beats = ecg.beats(heart, heart_rate)
        label = ecg.heart_rate(beats, np.arange(count) / rate, self.windows.length / (self.windows.rate or rate))
        findings.add("participants with too few beats for any heart rate", entry.name, int(np.isnan(label).all()))
        signal = np.stack([values[:count] for values, _ in traces], axis=1).astype(np.float32)
        return [Recording(signal, rate, {HEART_RATE.name: label}, subject, subject)]


def _trace(held: Mapping[str, Any], site: str, name: str) -> tuple[Array, float]:
    """The values `(T,)` of a sensor and their rate in Hz; none, and 0, where the file has no such numbers."""
    place = held.get(site)
    sensor = place.get(name) if isinstance(place, dict) else None
    values = np.atleast_1d(sensor.get("v", ())) if isinstance(sensor, dict) else np.empty(0)
    rate = sensor.get("fs") if isinstance(sensor, dict) else None
    if values.dtype.kind not in "iuf" or values.ndim != 1 or not isinstance(rate, (int, float)) or not rate > 0:
        return np.empty(0), 0.0
    return values, float(rate)
