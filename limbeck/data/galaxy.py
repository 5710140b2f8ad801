"""GalaxyPPG: a Galaxy Watch and an E4 on the wrists in a laboratory, the heart rate by a Polar H10 at the chest."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from limbeck import ecg
from limbeck.data import clock
from limbeck.data.ppg import HEART_RATE, PPGData
from limbeck.data.recordings import Array, Findings, Reading, Recording
from limbeck.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_AXES = ("x", "y", "z")
_AHEAD = 9 * 3600.0
"""Seconds that the Polar's clock, set to Korea, is ahead of the watch's."""
_GAP = 25.0
"""Periods without a sample from which on a recording ends; less is bridged by straight lines."""
_DEVICES: Mapping[str, tuple[str, str, str, float, float, float]] = {
    "galaxy": ("GalaxyWatch", "PPG.csv", "ppg", -1.0, 1e-3, 25.0),
    "e4": ("E4", "BVP.csv", "value", 1.0, 1e-6, 64.0),
}
"""Folder, file and column of the PPG; its sign; seconds a unit of its times; its rate in Hz."""


class GalaxyPPG(PPGData):
    """GalaxyPPG: 24 people in the sessions of a laboratory, PPG at the wrist by a Galaxy Watch 5, 25 Hz.

    [Park 2025]. The heart rate is the mean of the Polar H10's in the 8 s around each sample. Only sessions of the event
    file, and the transitions between them, are read; each is a recording.
    """

    kind: ClassVar[str] = "galaxyppg"
    citation: ClassVar[str] = (
        "S. Park, D. Zheng, U. Lee: A PPG Signal Dataset Collected in Semi-Naturalistic Settings Using Galaxy Watch. "
        "Scientific Data 12, 2025, 892"
    )
    root: Path
    """The folder that holds the participants' folders P<k>."""
    device: Literal["galaxy", "e4"] = "galaxy"
    """Whose PPG is read: the watch's, turned over so that a beat points up, or the E4's (64 Hz)."""

    @property
    def turned(self) -> bool:
        return _DEVICES[self.device][3] < 0

    def participants(self) -> list[Path]:
        """Their folders, in order. Raises `UserError` where there are none."""
        root, inner = self.root.expanduser(), f"{_DEVICES[self.device][0]}/{_DEVICES[self.device][1]}"
        expected = f"root holds the folders P<k> (each with {inner}, PolarH10/HR.csv and Event.csv), unpacked"
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; {expected}")
        folders = [root, *root.glob("P*"), *root.glob("*/P*")]
        found = {f.name: f for f in folders if f.name[:1] == "P" and f.name[1:].isdigit() and f.is_dir()}
        if not found:
            raise UserError(f"{root}: no such data here; {expected}")
        return [found[name] for name in sorted(found, key=lambda name: int(name[1:]))]

    def files(self) -> list[Path]:
        """The files that are read, of every participant those that are there."""
        return [f for folder in self.participants() for f in self._files(folder).values() if f.is_file()]

    def _files(self, folder: Path) -> dict[str, Path]:
        device, file, *_ = _DEVICES[self.device]
        named = {"ppg": folder / device / file, "hr": folder / "PolarH10" / "HR.csv"}
        if self.acceleration:
            named["acc"] = folder / device / "ACC.csv"
        events = [f for f in sorted(folder.glob("*.csv")) if f.name.lower() == "event.csv"]
        return named | {"events": events[0] if events else folder / "Event.csv"}

    def raw(self) -> Reading:
        """A recording for each stretch without a gap of a session. Raises `UserError` where a file cannot be read."""
        findings, recordings, names = Findings(), list[Recording](), {"transition": 0}
        for folder in self.participants():
            files = self._files(folder)
            absent = [f for f in files.values() if not f.is_file()]
            if absent:
                findings.add("participants left out, for a file they lack", f"{absent[0].relative_to(folder.parent)}")
            else:
                recordings += self._participant(folder.name, files, names, findings)
        channels = ("ppg", *(("acc_x", "acc_y", "acc_z") if self.acceleration else ()))
        return Reading(
            recordings, (HEART_RATE,), channels, "", findings, _DEVICES[self.device][-1], {"activity": tuple(names)}
        )

    def _participant(
        self, name: str, files: Mapping[str, Path], names: dict[str, int], findings: Findings
    ) -> Iterator[Recording]:
        """Those of one participant; new activities are added to `names`."""
        times, values = self._signal(name, files, findings)
        polar = _numbers(files["hr"], ("phoneTimestamp", "hr"), findings).sort_values("phoneTimestamp")
        findings.add("heart rates of 0", f"{name}/{files['hr'].name}", int((polar["hr"] <= 0).sum()))
        polar = polar[polar["hr"] > 0]
        seconds, rates = polar["phoneTimestamp"].to_numpy() / 1e3 - _AHEAD, polar["hr"].to_numpy()
        for session, activity, begin, end in _sessions(files["events"], findings):
            where, inside = f"{name} {session}", np.flatnonzero((times >= begin) & (times <= end))
            findings.add("sessions without PPG", where, len(inside) < 2)
            for part in clock.stretches(times[inside], values[inside], inside, None, _GAP, where, findings):
                at = part.start + np.arange(len(part.signal)) / part.rate
                span = self.windows.length / (self.windows.rate or part.rate)
                label = ecg.mean_around(seconds, rates, at, span, least=4).astype(np.float32)
                ids = np.full(len(at), names.setdefault(activity, len(names)), np.int8)
                start = part.start - begin
                yield Recording(part.signal, part.rate, {HEART_RATE.name: label}, name, where, start, {"activity": ids})

    def _signal(self, name: str, files: Mapping[str, Path], findings: Findings) -> tuple[Array, Array]:
        """Seconds `(T,)` and values `(T, M)` of one participant's samples."""
        *_, column, sign, unit, _ = _DEVICES[self.device]
        ppg = _numbers(files["ppg"], ("timestamp", column, *(("status",) if self.device == "galaxy" else ())), findings)
        if self.device == "galaxy":
            good = ppg["status"].isin((0, 500))
            findings.add("samples of a bad status", f"{name}/{files['ppg'].name}", int((~good).sum()))
            ppg = ppg[good]
        times, values = ppg["timestamp"].to_numpy() * unit, sign * ppg[[column]].to_numpy()
        if not self.acceleration:
            return times, values
        moved = _numbers(files["acc"], ("timestamp", *_AXES), findings).sort_values("timestamp")
        at = moved["timestamp"].to_numpy() * unit
        axes = [np.interp(times, at, moved[a].to_numpy(), left=np.nan, right=np.nan) for a in _AXES]
        return times, np.column_stack([values, *axes])


def _sessions(path: Path, findings: Findings) -> Iterator[tuple[str, str, float, float]]:
    """(name, activity, begin, end in seconds) of the sessions and of the transitions from one to the next."""
    import pandas as pd

    events = _frame(path, ("timestamp", "session", "status"))
    events["timestamp"] = pd.to_numeric(events["timestamp"], errors="coerce")
    findings.add("broken lines", f"{path.parent.name}/{path.name}", int(events.isna().any(axis=1).sum()))
    events = events.dropna().sort_values("timestamp", kind="stable")
    rows = [(t / 1e3, str(n), str(s).strip().upper()) for t, n, s in events.itertuples(index=False)]
    seen: Counter[str] = Counter()
    for i, (begin, name, status) in enumerate(rows):
        after = rows[i + 1 :]
        if status == "ENTER":
            end, _, closing = next((row for row in after if row[1] == name), (0.0, "", ""))
            findings.add("sessions without an end", f"{path.parent.name} {name}", closing != "EXIT")
            seen[name] += 1
            if closing == "EXIT":
                yield name + (f" {seen[name]}" if seen[name] > 1 else ""), name, begin, end
        elif after and after[0][2] == "ENTER":
            yield f"{name} to {after[0][1]}", "transition", begin, after[0][0]


def _numbers(path: Path, columns: Sequence[str], findings: Findings) -> "pd.DataFrame":
    """Columns of a CSV file as numbers; lines that lack one of them are left out and counted. Raises `UserError`."""
    import pandas as pd

    frame: pd.DataFrame = _frame(path, columns).apply(pd.to_numeric, errors="coerce")
    whole = frame.notna().all(axis=1)
    findings.add("broken lines", f"{path.parent.parent.name}/{path.parent.name}/{path.name}", int((~whole).sum()))
    return frame[whole]


def _frame(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """Columns of a CSV file as they are. Raises `UserError` where it cannot be read or lacks one."""
    import pandas as pd

    try:
        frame: pd.DataFrame = pd.read_csv(path, low_memory=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    lacking = [c for c in columns if c not in frame]
    if lacking:
        raise UserError(f"{path}: no column {', '.join(lacking)}; it has {', '.join(map(str, frame))}")
    return frame.loc[:, list(columns)]
