"""A folder of CSV or Parquet files as stretches of signal, each with subject, session, labels and other values."""

import re
from abc import ABC
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from limbeck.data import clock, discover
from limbeck.data.columns import Columns, Texts, read
from limbeck.data.layout import SUFFIXES, Layout, layout
from limbeck.data.recordings import Findings, SensorData
from limbeck.errors import UserError, unknown

Array = np.ndarray[Any, Any]

SESSION = "session"
"""The column that tells sessions apart where none is named; files need not have it."""


@dataclass(frozen=True)
class Part:
    """A recording whose labels are still texts: by column, codes `(T,)` into the names of its file, -1 if missing.

    `values`, by column of numbers that is no channel: seconds from its first sample and values, `(K,)` each, NaN where
    a cell is empty. They are of all lines from its first to its last, those without a signal too.
    """

    stretch: clock.Stretch
    subject: str
    session: str
    labels: Mapping[str, Texts]
    values: Mapping[str, tuple[Array, Array]]


class Folder(SensorData, ABC):
    """A folder of CSV, TSV or Parquet files, nested or not, with times, channels and subjects.

    Short holes (lost or bad lines, empty cells) are bridged by straight lines, longer ones end a recording:
    `clock.stretches` says how. All that was odd, and every choice that was made here, is in the findings.
    """

    root: Path
    """The folder, or one file."""
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

    def layouts(self, findings: Findings) -> list[Layout]:
        """How each file that holds a line is written. Raises `UserError` as `files` does, and where none holds one."""
        files = self.files()
        layouts = [made for path in files if (made := layout(path, self._name(path), findings))]
        if not layouts:
            raise UserError(f"data.root: none of the {len(files)} files in {str(self.root)!r} holds a line of data")
        return layouts

    def parts(
        self,
        layouts: Sequence[Layout],
        channels: Sequence[str],
        labels: Sequence[str],
        values: Sequence[str],
        findings: Findings,
    ) -> list[Part]:
        """The stretches of files, with labels and values by column. Raises `UserError` where to go on would be to
        guess."""
        for what, wanted in (("channel", channels), ("label column", labels), ("column", values)):
            twice = [column for column, count in Counter(wanted).items() if count > 1]
            if twice:
                raise UserError(f"the {what} {twice[0]!r} is named twice")
        for what, wanted in (("label column", labels), ("column", values)):
            for column in wanted:
                if not any(column in made.kinds for made in layouts):
                    raise unknown(f"{what} in {layouts[0].name}:", column, layouts[0].kinds)
        parts = [part for made in layouts for part in self._file(made, channels, labels, values, findings)]
        if not parts:
            odd = ", ".join(f"{what}: {count}" for what, count in findings.counts.items())
            raise UserError(f"data.root: no file in {str(self.root)!r} holds two usable samples in a row ({odd})")
        return _since_session(parts)

    def _name(self, path: Path) -> str:
        return path.name if path == self.root else path.relative_to(self.root).as_posix()

    def _file(
        self,
        file: Layout,
        channels: Sequence[str],
        labels: Sequence[str],
        values: Sequence[str],
        findings: Findings,
    ) -> Iterator[Part]:
        """The stretches of one file, by subject and session."""
        sessions = self.session in file.kinds or self.session not in ("", SESSION)
        keys = [*([self.subject] if self.subject_from == "column" else []), *([self.session] if sessions else [])]
        self._check(file, channels, keys)
        given = [column for column in labels if column in file.kinds]
        beside = [column for column in values if column in file.kinds]
        for column in (*labels, *values):
            findings.add(f"file without the label column {column!r}", file.name, column not in file.kinds)
        dates = self.time in file.kinds and file.kinds[self.time] != "number"
        numbers = dict.fromkeys((*channels, *beside), "float32")
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
                lines = rows[stretch.rows[0] : stretch.rows[-1] + 1]
                yield Part(
                    stretch,
                    subject,
                    session,
                    {c: Texts(columns.texts[c].codes[at], columns.texts[c].names) for c in given},
                    {c: (seconds[lines] - stretch.start, columns.numbers[c][lines]) for c in beside},
                )

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
        findings.note(f"file with times in {unit}", file.name)
        return times / clock.PER_SECOND[unit]


def nominal(parts: Sequence[Part]) -> float:
    """The rate, Hz, that most samples have."""
    samples: Counter[float] = Counter()
    for part in parts:
        samples[part.stretch.rate] += len(part.stretch.signal)
    return samples.most_common(1)[0][0]


def _since_session(parts: Sequence[Part]) -> list[Part]:
    """The same, with starts from the beginning of their session."""
    first: dict[tuple[str, str], float] = {}
    for p in parts:
        key = p.subject, p.session
        first[key] = min(first.get(key, p.stretch.start), p.stretch.start)
    return [replace(p, stretch=replace(p.stretch, start=p.stretch.start - first[p.subject, p.session])) for p in parts]
