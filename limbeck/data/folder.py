"""Your own recordings: a folder of CSV or Parquet files becomes recordings and tasks without a line of Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from limbeck.config import parse
from limbeck.data import discover
from limbeck.data.parts import Folder, Part, nominal
from limbeck.data.recordings import Findings, Reading, Recording
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]

MOST = 200
"""Classes that a task may have; a column of more is no label."""


class Recordings(Folder):
    """A folder of CSV, TSV or Parquet files, nested or not, with times, channels, subjects and any number of labels.

    An empty label cell is a missing label; `Folder` says what becomes of holes.
    """

    kind: ClassVar[str] = "recordings"
    channels: tuple[str, ...] = ()
    """Columns that are the signal; where none is named, all columns of numbers that are nothing else."""
    labels: tuple[str, ...] = ()
    """Columns that are tasks; where none is named, those called label..., activity or position and those of text."""

    def read(self) -> Reading:
        """The recordings. Raises `UserError`, naming the file and the flag, where to go on would be to guess."""
        findings = Findings()
        layouts = self.layouts(findings)
        known = {self.time, self.subject, self.session, *self.labels}
        channels = self.channels or discover.channels(layouts, known, findings)
        labels = self.labels or discover.labels(layouts, known | {*channels}, findings)
        parts = self.parts(layouts, channels, labels, (), findings)
        tasks = [task for column in labels if (task := self._task(column, parts, findings))]
        if not tasks:
            raise UserError(f"no label column ({', '.join(labels)}) has two classes, so there is nothing to learn")
        recordings = [_recording(part, tasks) for part in parts]
        return Reading(recordings, tuple(tasks), channels, self.unit, findings, nominal(parts))

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
    given = {"channels": channels, "rate": rate, "time": time}
    spec = parse(Recordings, {"root": path, "subject_from": "file", "session": "", **given})
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r}")
    parts = spec.parts(spec.layouts(findings), channels, (), (), findings)
    return [(p.stretch.signal, p.stretch.rate, p.stretch.start) for p in parts], findings
