"""GENEActiv: acceleration at the wrist, from windows in MATLAB files or from the recorder's own .bin files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from limbeck import signals
from limbeck.data import geneactiv_bin, geneactiv_labels, matlab
from limbeck.data.archive import Entry, find
from limbeck.data.discover import natural
from limbeck.data.geneactiv_bin import Header
from limbeck.data.recordings import Array, Findings, Reading, Recording, SensorData, Windowing
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task

if TYPE_CHECKING:
    import pandas as pd

RATE = 100.0
_WINDOW = r"ID-(\w+?)_CLASS-(\w+?)_Window-(\w+)\.mat"


class GENEActiv(SensorData):
    """Recordings of a GENEActiv at the wrist, three axes in g, 100 Hz; there is no public set of them.

    Two forms are read. A folder of windows, one a MATLAB file `ID-102_CLASS-13_Window-0001.mat`, as the persistence
    papers have them [Jeon 2022]: its one array with a side of 3. Or `.bin` files as the recorder writes them, each with
    its labels in a CSV of the same name beside it (`left.csv` for `left.bin`): columns `start` and `end`, as times of
    the recorder's clock (2020-01-30 09:17:11) or seconds from the first sample, and a column for each task; an empty
    cell says nothing, of two spans that overlap the later line holds, and samples without any label are left out.
    Without any such CSV there is no task.
    """

    kind: ClassVar[str] = "geneactiv"
    expected: ClassVar[str] = (
        "root is a folder (or a zip) of windows ID-<subject>_CLASS-<class>_Window-<number>.mat, or a folder of .bin "
        "files"
    )
    root: Path
    """The folder, or the zip of windows."""
    form: Literal["auto", "windows", "bin"] = "auto"
    """What is read: windows in MATLAB files, .bin recordings, or the one of these that is there."""
    classes: tuple[str, ...] = ()
    """The classes, in order; another label is then unknown, and missing. Where none is named, all that are found."""
    subject: str = ""
    """A regular expression looked for in the name of a .bin file, whose first group (or all of it) is the subject;
    where none is given, the Subject Code of its header, or else its name."""
    windows: Windowing = Windowing(length=500, stride=500, rate=RATE)

    def entries(self) -> list[Entry]:
        """The windows or recordings, in natural order of their names. Raises `UserError` where there is neither."""
        pattern = {"windows": _WINDOW, "bin": r".+\.bin", "auto": rf"{_WINDOW}|.+\.bin"}[self.form]
        found = find(self.root, pattern, self.expected)
        if len({_is_bin(e) for e in found}) > 1:
            raise UserError(f"{self.root}: both windows and .bin files are here; say which with --data.form")
        if _is_bin(found[0]) and found[0].member:
            raise UserError(f"{found[0].file}: .bin files are not read from a zip; unpack it")
        return sorted(found, key=lambda e: natural(e.name))

    def files(self) -> list[Path]:
        """The files on disk, label files included; a zip is one."""
        entries = self.entries()
        beside = [_labels_of(e) for e in entries if _is_bin(e)]
        return list(dict.fromkeys([*(e.file for e in entries), *(path for path in beside if path.is_file())]))

    def read(self) -> Reading:
        """A recording of each window, or of each labelled stretch without a gap of each .bin file."""
        findings = Findings()
        entries = self.entries()
        recordings, tasks = (self._bins if _is_bin(entries[0]) else self._windows)(entries, findings)
        return Reading(recordings, tasks, ("x", "y", "z"), "g", findings, RATE)

    def _windows(self, entries: Sequence[Entry], findings: Findings) -> tuple[list[Recording], tuple[Task, ...]]:
        named = [re.fullmatch(_WINDOW, e.name, re.IGNORECASE) for e in entries]
        names = [(found[1], found[2]) for found in named if found]
        task = Task.of("activity", self.classes or tuple(sorted({label for _, label in names}, key=natural)))
        recordings = []
        for entry, (subject, label) in zip(entries, names, strict=True):
            signal = _three_columns(entry, findings)
            if signal is not None:
                ids = np.full(len(signal), _id(task, label, entry.name, findings), np.int16)
                recordings.append(Recording(signal, RATE, {"activity": ids}, subject, entry.name[: -len(".mat")]))
        return recordings, (task,)

    def _bins(self, entries: Sequence[Entry], findings: Findings) -> tuple[list[Recording], tuple[Task, ...]]:
        tables = {e.name: geneactiv_labels.table(_labels_of(e)) for e in entries if _labels_of(e).is_file()}
        tasks = self._tasks(list(tables.values()))
        recordings: list[Recording] = []
        for entry in entries:
            if tables and entry.name not in tables:
                findings.add("recordings without a label file, left out", entry.name)
                continue
            try:
                head = geneactiv_bin.header(entry.file)
                traces = geneactiv_bin.traces(entry.file, head, findings)
            except UserError as error:
                findings.add("files that cannot be read, left out", str(error))
                continue
            table = tables.get(entry.name)
            spans = [] if table is None else geneactiv_labels.spans(table, _labels_of(entry).name, traces, findings)
            told = {t: [s for s in spans if s.texts.get(t.name)] for t in tasks}
            classes = {t: [_id(t, s.texts[t.name], s.line, findings) for s in of] for t, of in told.items()}
            subject = self._subject(entry, head, findings)
            for trace in traces:
                ids = {t.name: geneactiv_labels.spread(of, classes[t], trace) for t, of in told.items()}
                kept = np.any([v != IGNORE for v in ids.values()], axis=0) if ids else np.ones(len(trace.raw), bool)
                findings.note("samples without a label, left out", entry.name, (~kept).sum())
                for s in signals.pieces(kept):
                    signal, given = head.acceleration(trace.raw[s]), {name: v[s] for name, v in ids.items()}
                    start = trace.start - traces[0].start + s.start / trace.rate
                    recordings.append(Recording(signal, trace.rate, given, subject, entry.name, start))
        return recordings, tasks

    def _tasks(self, tables: Sequence["pd.DataFrame"]) -> tuple[Task, ...]:
        """The tasks of label files. Raises `UserError` where there are files, but no column has two classes."""
        texts: dict[str, set[str]] = {}
        for table in tables:
            for column in table.columns[2:]:
                texts.setdefault(column, set()).update(set(table[column]) - {""})
        if self.classes:
            classes = {column: self.classes for column, of in texts.items() if of & set(self.classes)}
        else:
            classes = {column: tuple(sorted(of, key=natural)) for column, of in texts.items()}
        tasks = tuple(Task.of(column, of) for column, of in classes.items() if len(of) > 1)
        if tables and not tasks:
            known = f" of the classes {', '.join(self.classes)}" if self.classes else ""
            raise UserError(f"{self.root}: no column of the label files ({', '.join(texts)}) has two classes{known}")
        return tasks

    def _subject(self, entry: Entry, head: Header, findings: Findings) -> str:
        """Whose recording it is. Raises `UserError` where the expression is none, or not found in the file's name."""
        stem = entry.name[: -len(".bin")]
        if not self.subject:
            findings.note(
                "recordings without a Subject Code, of the subject of their name", entry.name, not head.subject
            )
            return head.subject or stem
        try:
            found = re.search(self.subject, stem)
        except re.error as error:
            raise UserError(f"data.subject: {self.subject!r} is no regular expression: {error}") from None
        if found is None:
            raise UserError(f"data.subject: {self.subject!r} is not found in {stem!r}")
        return str(found[1] if found.groups() else found[0])


def _is_bin(entry: Entry) -> bool:
    return entry.name.lower().endswith(".bin")


def _labels_of(entry: Entry) -> Path:
    return entry.file.with_suffix(".csv")


def _id(task: Task, text: str, where: str, findings: Findings) -> int:
    """The class of a label; missing where it is unknown, which is counted."""
    if text in task.labels:
        return task.labels.index(text)
    findings.add(f"unknown labels of the task {task.name}, missing", f"{where}: {text}")
    return IGNORE


def _three_columns(entry: Entry, findings: Findings) -> Array | None:
    """The one array of numbers with a side of 3 in a MATLAB file, `(T, 3)` float32; none where it is not to be told."""
    try:
        held = matlab.load(entry, None)
    except UserError as error:
        findings.add("files that cannot be read, left out", str(error))
        return None
    arrays = [v for v in _arrays(held) if v.ndim == 2 and 3 in v.shape]
    if len(arrays) != 1:
        findings.add("files without one array with a side of 3, left out", f"{entry.name}: {len(arrays)} such arrays")
        return None
    return np.asarray(arrays[0] if arrays[0].shape[1] == 3 else arrays[0].T, np.float32)


def _arrays(held: Mapping[str, Any]) -> Iterator[Array]:
    """The arrays of numbers among variables, and in structs."""
    for value in held.values():
        if isinstance(value, dict):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
            yield value
