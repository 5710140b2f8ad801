"""Your own recordings: a folder of CSV or Parquet files becomes recordings and tasks without a line of Python."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from limbeck.data import clock, discover
from limbeck.data.columns import Columns, Texts, read
from limbeck.data.layout import SUFFIXES, Layout, layout
from limbeck.data.recordings import Findings, Reading, Recording, SensorData
from limbeck.errors import UserError, unknown
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]

SESSION = "session"
"""The column that tells sessions apart where none is named; files need not have it."""
MOST = 200
"""Classes that a task may have; a column of more is no label."""


@dataclass(frozen=True)
class Part:
    """A recording whose labels are still texts: by column, codes `(T,)` into the names of its file, -1 if missing."""

    stretch: clock.Stretch
    subject: str
    session: str
    labels: Mapping[str, Texts]


class Recordings(SensorData):
    """A folder of CSV, TSV or Parquet files, nested or not, with times, channels, subjects and any number of labels.

    Short holes (lost or bad lines, empty cells) are bridged by straight lines, longer ones end a recording:
    `clock.stretches` says how. An empty label cell is a missing label. All that was odd, and every choice that was made
    here, is in the findings.
    """

    kind: ClassVar[str] = "recordings"
    root: Path
    """The folder, or one file."""
    channels: tuple[str, ...] = ()
    """Columns that are the signal; where none is named, all columns of numbers that are nothing else."""
    time: str = "time"
    """Column of the times: numbers of any unit, or dates (ISO 8601). Files without one need `rate`."""
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    """Unit of numeric times; auto tells it from the median step."""
    rate: float | None = Field(None, gt=0)
    """Hz, where there is no time column."""
    gap: float = Field(5.0, gt=1)
    """A step of more than this many sampling periods ends a recording."""
    subject: str = "subject"
    """Column of the subjects."""
    subject_from: str = "column"
    """column, file (its name without the ending), folder (that the file lies in), or a regular expression looked for in
    the path below `root`, whose first group (or all of it) is the subject."""
    session: str = SESSION
    """Column of the sessions; a file without it is one session."""
    labels: tuple[str, ...] = ()
    """Columns that are tasks; where none is named, those called label..., activity or position and those of text."""
    unit: str = ""
    """Unit of the channels, for the card."""

    def files(self) -> list[Path]:
        """The files, in natural order of their paths. Raises `UserError` where there is none."""
        if self.root.is_file():
            return [self.root]
        if not self.root.is_dir():
            raise UserError(f"data.root: there is no folder {str(self.root)!r}")
        inside = [p for p in self.root.rglob("*") if p.is_file() and not p.name.startswith(".")]
        files = [p for p in inside if p.suffix.lower() in SUFFIXES]
        if not files:
            others = ", ".join(sorted({p.suffix or p.name for p in inside})) or "nothing"
            raise UserError(f"data.root: {str(self.root)!r} holds no {' or '.join(SUFFIXES)} file, but {others}")
        return sorted(files, key=lambda p: discover.natural(self._name(p)))

    def read(self) -> Reading:
        """The recordings. Raises `UserError`, naming the file and the flag, where to go on would be to guess."""
        findings = Findings()
        channels, labels, parts = self.parts(True, findings)
        tasks = [task for column in labels if (task := self._task(column, parts, findings))]
        if not tasks:
            raise UserError(f"no label column ({', '.join(labels)}) has two classes, so there is nothing to learn")
        samples: Counter[float] = Counter()
        for part in parts:
            samples[part.stretch.rate] += len(part.stretch.signal)
        recordings = [_recording(part, tasks) for part in parts]
        return Reading(recordings, tuple(tasks), channels, self.unit, findings, samples.most_common(1)[0][0])

    def parts(self, labelled: bool, findings: Findings) -> tuple[tuple[str, ...], tuple[str, ...], list[Part]]:
        """The channels, the label columns (none unless `labelled`) and the stretches. Raises `UserError` as `read`."""
        files = self.files()
        layouts = [made for path in files if (made := layout(path, self._name(path), findings))]
        if not layouts:
            raise UserError(f"data.root: none of the {len(files)} files in {str(self.root)!r} holds a line of data")
        known = {self.time, self.subject, self.session, *self.labels}
        channels = self.channels or discover.channels(layouts, known, findings)
        labels = self.labels if self.labels or not labelled else discover.labels(layouts, known | {*channels}, findings)
        for label in labels:
            if not any(label in made.kinds for made in layouts):
                raise unknown(f"label column in {layouts[0].name}:", label, layouts[0].kinds)
        parts = [part for made in layouts for part in self._file(made, channels, labels, findings)]
        if not parts:
            odd = ", ".join(f"{what}: {count}" for what, count in findings.counts.items())
            raise UserError(f"data.root: no file in {str(self.root)!r} holds two usable samples in a row ({odd})")
        return channels, labels, _since_session(parts)

    def _name(self, path: Path) -> str:
        return path.name if path == self.root else path.relative_to(self.root).as_posix()

    def _file(self, file: Layout, channels: Sequence[str], labels: Sequence[str], findings: Findings) -> Iterator[Part]:
        """The stretches of one file, by subject and session."""
        sessions = self.session in file.kinds or self.session not in ("", SESSION)
        keys = [*([self.subject] if self.subject_from == "column" else []), *([self.session] if sessions else [])]
        self._check(file, channels, keys)
        given = [column for column in labels if column in file.kinds]
        for column in labels:
            findings.add(f"file without the label column {column!r}", file.name, column not in given)
        dates = self.time in file.kinds and file.kinds[self.time] != "number"
        numbers = dict.fromkeys(channels, "float32")
        if self.time in file.kinds and not dates:
            numbers[self.time] = "float64"
        columns = read(file, numbers, [*given, *keys], self.time if dates else "", findings)
        groups = list(self._groups(file, columns, findings))
        seconds = self._seconds(file, columns, dates, [rows for *_, rows in groups], findings)
        signal = np.stack([columns.numbers[channel] for channel in channels], axis=1)
        for subject, session, rows in groups:
            for stretch in clock.stretches(
                seconds[rows], signal[rows], columns.lines[rows], self.rate, self.gap, file.name, findings
            ):
                at = rows[stretch.rows]
                texts = {c: Texts(columns.texts[c].codes[at], columns.texts[c].names) for c in given}
                yield Part(stretch, subject, session, texts)

    def _check(self, file: Layout, channels: Sequence[str], keys: Sequence[str]) -> None:
        """Raises `UserError` where the file lacks a column that is needed."""
        if self.time not in file.kinds and self.rate is None:
            raise UserError(
                f"{file.name} has no time column {self.time!r}; {file.known}; name it with --data.time (to predict: "
                "--time), or give the rate in Hz with --data.rate (to predict: --rate)"
            )
        for channel in channels:
            if channel not in file.kinds:
                raise unknown(f"channel column in {file.name}:", channel, file.kinds)
        for key in keys:
            if key not in file.kinds:
                raise UserError(
                    f"{file.name} has no column {key!r}; {file.known}; name the column with --data.subject or "
                    "--data.session, or take the subject from elsewhere with --data.subject_from file or folder"
                )

    def _groups(self, file: Layout, columns: Columns, findings: Findings) -> Iterator[tuple[str, str, Array]]:
        """Subject, session and rows, in their order in the file."""
        count = len(columns.lines)
        whole = Texts(np.zeros(count, np.int64), ("",))
        by_column = self.subject_from == "column"
        subjects = columns.texts[self.subject] if by_column else Texts(whole.codes, (self._subject(file),))
        sessions = columns.texts.get(self.session, Texts(whole.codes, (file.name,)))
        for what, texts in (("subject", subjects), ("session", sessions)):
            absent = np.flatnonzero(texts.codes < 0)
            if len(absent):
                findings.add(f"line without a {what}", f"{file.name}:{columns.lines[absent[0]]}", len(absent))
        code = np.where(
            (subjects.codes < 0) | (sessions.codes < 0), -1, subjects.codes * len(sessions.names) + sessions.codes
        )
        order = np.argsort(code, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
            if len(rows) and code[rows[0]] >= 0:
                yield subjects.names[subjects.codes[rows[0]]], sessions.names[sessions.codes[rows[0]]], rows

    def _subject(self, file: Layout) -> str:
        """The subject by the name of the file."""
        if self.subject_from == "file":
            return file.path.stem
        if self.subject_from == "folder":
            return file.path.resolve().parent.name
        try:
            found = re.search(self.subject_from, file.name)
        except re.error as error:
            raise UserError(f"data.subject_from: {self.subject_from!r} is no regular expression: {error}") from None
        if not found:
            raise UserError(
                f"data.subject_from: {self.subject_from!r} is not found in {file.name!r}; it is column, file, folder "
                "or a regular expression such as 'subject(\\d+)'"
            )
        return found.group(1) if found.re.groups else found.group()

    def _seconds(
        self, file: Layout, columns: Columns, dates: bool, groups: Sequence[Array], findings: Findings
    ) -> Array:
        """The time of each row; by its line where the file has no time column."""
        if self.time not in file.kinds:
            return columns.lines / (self.rate or 1.0)
        times = columns.numbers[self.time]
        if dates or not groups:
            return times
        unit = clock.unit_of(times[np.concatenate(groups)], file.name) if self.time_unit == "auto" else self.time_unit
        findings.add(f"file with times in {unit}", file.name)
        return times / clock.PER_SECOND[unit]

    def _task(self, column: str, parts: Sequence[Part], findings: Findings) -> Task | None:
        """The task of a label column; none where nobody asked for it and it has one class only."""
        texts = [part.labels[column] for part in parts if column in part.labels]
        names = {t.names[code] for t in texts for code in np.unique(t.codes) if code >= 0}
        if len(names) > MOST:
            raise UserError(
                f"the column {column!r} has {len(names)} different texts, more than a label has; name the label "
                "columns with --data.labels"
            )
        if "." in column:  # tasks name modules, and those may not have one
            raise UserError(f"the label column {column!r} has a point in its name, which a task may not; rename it")
        if len(names) > 1:
            return Task.of(column, tuple(sorted(names, key=discover.natural)))
        if self.labels:
            raise UserError(
                f"data.labels: {column!r} has {f'one class only, {min(names)!r}' if names else 'no label at all'}, so "
                "there is nothing to learn"
            )
        findings.add(f"column with less than two classes, no task: {column}", f"{self.root.name}")
        return None


def _since_session(parts: Sequence[Part]) -> list[Part]:
    """The same, with starts from the beginning of their session."""
    first: dict[tuple[str, str], float] = {}
    for p in parts:
        key = p.subject, p.session
        first[key] = min(first.get(key, p.stretch.start), p.stretch.start)
    return [replace(p, stretch=replace(p.stretch, start=p.stretch.start - first[p.subject, p.session])) for p in parts]


def _recording(part: Part, tasks: Sequence[Task]) -> Recording:
    labels = {}
    for task in tasks:
        if task.name in part.labels:
            texts = part.labels[task.name]
            index = {label: i for i, label in enumerate(task.labels)}
            table = np.array([*(index.get(name, IGNORE) for name in texts.names), IGNORE], np.int16)
            labels[task.name] = table[texts.codes]
    made = part.stretch
    return Recording(made.signal, made.rate, labels, part.subject, part.session, made.start)


def read_signal(
    path: Path, channels: tuple[str, ...], rate: float | None, time: str = "time"
) -> tuple[list[tuple[Array, float, float]], Findings]:
    """The signal of one file without labels: stretches `(signal (T, M) float32, rate Hz, start seconds)`, and findings.

    `rate` is for files without the column `time`. Raises `UserError` as `Recordings.read` does.
    """
    findings = Findings()
    spec = Recordings(root=path, channels=channels, rate=rate, time=time, subject_from="file", session="")
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r}")
    *_, parts = spec.parts(False, findings)
    return [(p.stretch.signal, p.stretch.rate, p.stretch.start) for p in parts], findings
