"""PPG-DaLiA: daily life with an E4 on the wrist, from the synchronised pickles or from the E4's own CSV files."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck import ecg, signals
from limbeck.data import archive, lines, pickles
from limbeck.data.ppg import HEART_RATE, PPGData, per_window, readable
from limbeck.data.recordings import Array, Findings, Reading, Recording
from limbeck.errors import UserError

ACTIVITIES = ("transient", "sitting", "stairs", "table soccer", "cycling", "driving", "lunch", "walking", "working")
_WORDS = ("no_activity", "baseline", "stairs", "soccer", "cycling", "driving", "lunch", "walking", "working")
"""What S<k>_activity.csv calls them, or part of it."""
_PER_ACTIVITY = 16
"""Samples of PPG for each activity, which stand at 4 Hz."""
_PER_G = 64
"""Of the E4's own unit of acceleration."""


class DaLiA(PPGData):
    """PPG-DaLiA: 15 people for 2.5 hours of eight activities, PPG at the wrist, 64 Hz.

    [Reiss 2019]. In a pickle the heart rate is the official one of each 8 s, by a chest ECG. The E4's CSV files have no
    such truth, and are not synchronised with the chest belt that has it.
    """

    kind: ClassVar[str] = "ppg-dalia"
    licence: ClassVar[str] = "CC BY 4.0 (UCI Machine Learning Repository, data set 495)"
    citation: ClassVar[str] = (
        "A. Reiss, I. Indlekofer, P. Schmidt, K. Van Laerhoven: Deep PPG: Large-Scale Heart Rate Estimation with "
        "Convolutional Neural Networks. Sensors 19(14), 2019, 3079"
    )
    root: Path
    """The folder PPG_FieldStudy, or one of its folders S<k>."""
    form: Literal["auto", "pickle", "csv"] = "auto"
    """What is read: S<k>.pkl, the CSV files of S<k>_E4 (a folder or a zip), or the first of these that is there."""
    truth: Literal["official", "device"] = "official"
    """With device, the heart rate of CSV files is what the E4 itself made of the same PPG (HR.csv): no reference."""

    def subjects(self) -> dict[str, Path]:
        """The pickle, or the E4's folder or zip, of each participant. Raises `UserError` where there are none."""
        root = self.root.expanduser()
        expected = "root is the folder PPG_FieldStudy, unpacked (S<k>/S<k>.pkl, or S<k>/S<k>_E4 with BVP.csv)"
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; {expected}")
        ends = {"auto": ("_E4.zip", "_E4", ".pkl"), "pickle": (".pkl",), "csv": ("_E4.zip", "_E4")}[self.form]
        found = {
            path.name.removesuffix(end): path
            for end in ends
            for under in ("", "S*/", "*/S*/")
            for path in root.glob(f"{under}S*{end}")
            if path.name.removesuffix(end)[1:].isdigit()
        }
        if not found:
            raise UserError(f"{root}: no such data here; {expected}")
        return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))

    def files(self) -> list[Path]:
        """The pickles, or all files of the E4."""
        return [file for path in self.subjects().values() for file in _files(path)]

    def raw(self) -> Reading:
        """A recording a participant. Raises `UserError` where no file is what it should be, or has a heart rate."""
        findings = Findings()
        readers = (partial(self._participant, name, path, findings) for name, path in self.subjects().items())
        recordings = [r for r in readable(readers, findings) if len(r.signal)]
        channels = ("ppg", *(("acc_x", "acc_y", "acc_z") if self.acceleration else ()))
        return Reading(recordings, (HEART_RATE,), channels, "", findings, 64.0, {"activity": ACTIVITIES})

    def _participant(self, name: str, path: Path, findings: Findings) -> list[Recording]:
        return [(self._pickle if path.suffix == ".pkl" else self._csv)(name, path, findings)]

    def _pickle(self, name: str, path: Path, findings: Findings) -> Recording:
        held = pickles.load(path)
        pulse, label = _array(held, path, "signal", "wrist", "BVP").ravel(), _array(held, path, "label").ravel()
        findings.add("files that name another participant inside", path.name, str(held.get("subject", name)) != name)
        trace = per_window(label, len(pulse), 64.0, path.name, findings)
        moved = _array(held, path, "signal", "wrist", "ACC") if self.acceleration else None
        ids = _array(held, path, "activity").ravel() if "activity" in held else np.empty(0)
        known = np.isin(ids, np.arange(len(ACTIVITIES)))
        findings.add("unknown activities", path.name, (~known).sum())
        codes = np.append(np.where(known, ids, -1), -1).astype(np.int8)
        context = codes[np.minimum(np.arange(len(pulse)) // _PER_ACTIVITY, len(ids))]
        return _recording(name, pulse, 64.0, moved, 32.0, trace, context)

    def _csv(self, name: str, path: Path, findings: Findings) -> Recording:
        if self.truth == "official":
            raise UserError(
                f"{path}: the E4's files hold no reference heart rate; that is in {name}.pkl (--data.form auto or "
                "pickle); --data.truth device takes what the E4 itself made of its PPG"
            )
        pulse, rate, start = _sensor(path, "BVP", 1, findings)
        findings.add("rates other than 64 Hz", f"{name}: {rate:g} Hz", rate != 64)
        values, per_second, first = _sensor(path, "HR", 1, findings)
        moved, moved_rate, _ = _sensor(path, "ACC", 3, findings) if self.acceleration else (None, 32.0, 0.0)
        at, span = np.arange(len(pulse)) / rate, self.windows.length / (self.windows.rate or rate)
        label = ecg.mean_around(first - start + np.arange(len(values)) / per_second, values[:, 0], at, span, least=4)
        findings.add("heart rates by the E4 itself", name)
        context = _intervals(path.with_name(f"{name}_activity.csv"), at, findings)
        return _recording(name, pulse[:, 0], rate, moved, moved_rate, label, context)


def _recording(
    name: str, pulse: Array, rate: float, moved: Array | None, moved_rate: float, label: Array, context: Array
) -> Recording:
    """A participant's recording: PPG `(T,)`, and acceleration `(T', 3)` in g (or 1/64 g) brought to its rate."""
    channels = [pulse[:, None]]
    if moved is not None:
        strong = len(moved) > 0 and np.median(np.linalg.norm(moved, axis=1)) > 8
        channels.append(signals.resample(moved / (_PER_G if strong else 1), moved_rate, rate))
    count = min(map(len, channels))
    signal = np.concatenate([c[:count] for c in channels], axis=1).astype(np.float32)
    labels = {HEART_RATE.name: label[:count].astype(np.float32)}
    return Recording(signal, rate, labels, name, name, context={"activity": context[:count]})


def _files(path: Path) -> list[Path]:
    """A pickle or a zip itself, the files of a folder; and the participant's activities, which lie beside an E4's."""
    if path.suffix == ".pkl":
        return [path]
    beside = path.with_name(f"{path.name.partition('_')[0]}_activity.csv")
    inside = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    return [*inside, *([beside] if beside.is_file() else [])]


def _array(held: Any, path: Path, *keys: str) -> Array:
    """An array of numbers deep in a pickle. Raises `UserError` where it is not there."""
    value = held
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise UserError(f"{path}: no numbers under {'.'.join(keys)}, as the official S<k>.pkl have")
    return value


def _sensor(path: Path, sensor: str, columns: int, findings: Findings) -> tuple[Array, float, float]:
    """An E4 file: values `(T, columns)`, rate in Hz, seconds since 1970 of the first. Raises `UserError` without it."""
    (entry,) = archive.find(path, rf"{sensor}\.csv", f"the E4's {sensor}.csv should be there")
    rows, _ = lines.table(entry.read(), ",", columns, f"{path.name}/{entry.name}", findings)
    if len(rows) < 2 or not rows[1, 0] > 0:
        raise UserError(f"{path}: {entry.name} does not begin with a time and a rate")
    return rows[2:], float(rows[1, 0]), float(rows[0, 0])


def _intervals(path: Path, at: Array, findings: Findings) -> Array:
    """The activity at each of the seconds `at` `(T,)`, by a file of lines `# NAME,seconds`; -1 where unknown."""
    ids = np.full(len(at), -1, np.int8)
    if not path.is_file():
        return ids
    findings.add("activities timed from the E4's start, which their file does not say", path.name)
    for number, line in enumerate(path.read_text("latin-1").splitlines()):
        name, _, begins = line.lstrip("# ").lower().partition(",")
        named = [i for i, word in enumerate(_WORDS) if word in name]
        try:
            ids[at >= float(begins)] = named[0] if named else -1
        except ValueError:
            findings.add("broken lines", f"{path.name}: {line}", number > 0)
    return ids
