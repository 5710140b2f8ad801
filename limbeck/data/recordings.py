"""From recordings to windows: resample, cut, label, and keep where each window came from."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck import signals
from limbeck.config import Spec
from limbeck.data import cache
from limbeck.data.base import Data
from limbeck.data.source import Table, Windows
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Recording:
    """One stretch of one device on one subject.

    - `signal` `(T, M)` float32, at `rate` Hz (as measured) without gaps (a gap ends a recording).
    - `labels`, by task: class ids `(T,)` of each sample, `tasks.IGNORE` (or NaN for a regression) where unknown.
      A task that is not named is missing throughout.
    - `start`: seconds from the beginning of the session.
    - `context`, by what it is: ids `(T,)` of circumstances that are no task, -1 where unknown.
    """

    signal: Array
    rate: float
    labels: Mapping[str, Array]
    subject: str
    session: str
    start: float = 0.0
    context: Mapping[str, Array] = field(default_factory=dict)


class Windowing(Spec):
    """How recordings become windows."""

    kind: ClassVar[str] = "windowing"
    length: int = Field(100, gt=0)
    """Samples a window, at `rate`."""
    stride: int = Field(60, gt=0)
    """Samples from one window to the next."""
    first: int = Field(0, ge=0)
    """Samples of each stretch before its first window."""
    rate: float | None = Field(None, gt=0)
    """Hz that every recording is resampled to; the data set's own where not given."""
    label: Literal["last", "middle", "majority"] = "majority"
    """A window's label is its last sample's (as published), its middle one's, or the most frequent one (for reals, the
    mean)."""
    borders: Literal["cut", "ends", "cross"] = "cut"
    """cut: no window crosses a recording or a change of label. ends: none crosses a recording, and those are kept whose
    first and last label agree (as published for PAMAP2). cross: windows of one joined signal (as published)."""
    tolerance: float = Field(0.02, ge=0)
    """A recording whose rate is off by no more than this share is taken as it is; 1000 resamples nothing."""


@dataclass
class Findings:
    """What was odd in the files: how often, where first. Nothing odd is used silently, and nothing odd is a crash."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)
    """What of it is only to be known: a choice that was made, not something amiss."""

    @property
    def told(self) -> str:
        """What was odd, behind a colon; empty where nothing was."""
        odd = [f"{n} {what} (first: {self.first[what]})" for what, n in self.counts.items() if what not in self.facts]
        return f": {'; '.join(odd)}" if odd else ""

    def note(self, what: str, where: str, count: int = 1) -> None:
        """Counts a fact, as `add` does an oddity."""
        self.add(what, where, count)
        if count and what not in self.facts:
            self.facts.append(what)

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Counts an oddity; `where` names the file and line (or second) of the first of its kind."""
        if count:
            self.counts[what] = self.counts.get(what, 0) + int(count)
            self.first.setdefault(what, where)


@dataclass(frozen=True)
class Reading:
    """All that a data set holds before windows are cut.

    `rate` is the nominal one, Hz; none where recordings differ. `contexts` names the ids of each circumstance.
    """

    recordings: list[Recording]
    tasks: tuple[Task, ...]
    channels: tuple[str, ...]
    unit: str
    findings: Findings
    rate: float | None = None
    contexts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SensorData(Data, ABC):
    """A set of recordings. A concrete one says which files there are and how they are read; the rest is shared."""

    windows: Windowing = Windowing()

    @abstractmethod
    def read(self) -> Reading:
        """The recordings, and what was odd about them."""

    def load(self) -> Table:
        """The table of windows; from the cache where the same files were read by the same spec before.

        Raises `UserError` where there are no files, no usable recording or no window.
        """
        name = self.digest()
        return cache.table(name, type(self), lambda _: self.cut(self.read(), name))

    def cut(self, reading: Reading, name: str = "") -> Table:
        """The table of windows of a reading; `name` becomes its digest. Raises `UserError` where there is no window."""
        table = windowed(reading, self.windows, self.kind)
        about = {k: v for k, v in (("licence", self.licence), ("citation", self.citation)) if v}
        return replace(table, card={**table.card, **about}, digest=name)


def windowed(reading: Reading, how: Windowing, name: str) -> Table:
    """The windows of all recordings, with targets, provenance and a card.

    A window without any label is dropped and counted, unless the reading has no tasks at all. Raises `UserError` where
    no window is left.
    """
    rate = how.rate or _own_rate(reading, how.tolerance, name)
    findings = deepcopy(reading.findings)
    parts = [p for r in reading.recordings for p in _even(r, rate, how.tolerance, findings)]
    if not parts:
        raise UserError(f"{name}: no usable recording in the files{findings.told}")
    signal = np.concatenate([p.signal for p in parts])
    labels = {t.name: np.concatenate([_labels(p, t) for p in parts]) for t in reading.tasks}
    lengths = np.array([len(p.signal) for p in parts])
    begins = np.cumsum(lengths) - lengths
    starts, dropped = _starts(begins, lengths, labels, how, rate)
    targets = {t.name: _targets(t, labels[t.name], starts, how) for t in reading.tasks}
    if targets:
        some = torch.stack([t.present(targets[t.name]) for t in reading.tasks]).any(dim=0)
        dropped["windows without a label"] = int((~some).sum())
        starts, targets = starts[some.numpy()], {k: v[some] for k, v in targets.items()}
    if not len(starts):
        count = dropped["windows without a label"]
        raise UserError(f"{name}: no window has a label; all {count} windows were dropped{findings.told}")
    owner = np.searchsorted(begins, starts + (how.length - 1 if how.borders == "cross" else 0), side="right") - 1
    meta = {
        "subject": np.array([p.subject for p in parts])[owner],
        "session": np.array([p.session for p in parts])[owner],
        "start": np.array([p.start for p in parts])[owner] + (starts - begins[owner]) / rate,
    }
    for what, names in reading.contexts.items():
        ids = np.concatenate([p.context.get(what, np.full(len(p.signal), -1)) for p in parts])
        meta[what] = np.array([*names, ""])[ids[starts + how.length // 2]]
    card = {
        "name": name,
        "rate": rate,
        "window": how.length,
        "stride": how.stride,
        "subjects": len(set(meta["subject"].tolist())),
        "recordings": len(parts),
        "findings": findings.counts,
        "findings_first": findings.first,
        "facts": findings.facts,
        "tasks": {t.name: counted(t, targets[t.name]) for t in reading.tasks},
        "dropped": {why: n for why, n in dropped.items() if n},
    }
    column = Windows(torch.from_numpy(signal), torch.from_numpy(starts), how.length)
    return Table(reading.tasks, {"sensor": column}, targets, meta, card | _about(reading))


def counted(task: Task, target: Tensor) -> dict[str, int]:
    """How many windows each label has, by name; those without one as "missing". For reals: known ones as "values"."""
    known = target[task.present(target)]
    missing = {"missing": len(target) - len(known)} if len(known) < len(target) else {}
    if known.is_floating_point():
        return {"values": len(known)} | missing
    counts = torch.bincount(known, minlength=task.classes or 0).tolist()
    return {task.labels[c] if task.labels else str(c): n for c, n in enumerate(counts)} | missing


def _about(reading: Reading) -> dict[str, Any]:
    """What a card says of the recordings as they were read; rates in whole Hz, the most frequent first."""
    rates = Counter(round(r.rate) or r.rate for r in reading.recordings)
    return {
        "unit": reading.unit,
        "channels": list(reading.channels),
        "modality": "sensor",
        "seconds": round(sum(len(r.signal) / r.rate for r in reading.recordings), 3),
        "rates": {f"{hz:g} Hz": n for hz, n in rates.most_common()},
    }


def _own_rate(reading: Reading, tolerance: float, name: str) -> float:
    """The nominal rate, or the one that all recordings share."""
    if reading.rate is not None or not reading.recordings:
        return reading.rate or 1.0
    rates = np.array([r.rate for r in reading.recordings])
    middle = float(np.median(rates))
    if (np.abs(rates / middle - 1) > tolerance).any():
        raise UserError(
            f"{name}: recordings have rates from {rates.min():g} to {rates.max():g} Hz; "
            f"say which one windows are to have, such as windows.rate {middle:.3g}"
        )
    return middle


def _even(recording: Recording, rate: float, tolerance: float, findings: Findings) -> list[Recording]:
    """The recording at `rate`, in pieces without values that are not finite; empty ones are left out."""
    spans = [slice(0, len(recording.signal))] if len(recording.signal) else []
    if not np.isfinite(recording.signal).all():
        finite = np.asarray(np.isfinite(recording.signal).all(axis=1))
        findings.add("samples that are not finite", recording.session, int((~finite).sum()))
        spans = signals.pieces(finite)
    off = abs(recording.rate / rate - 1)
    if off > min(tolerance, 0.005):
        where = f"{recording.session}: {recording.rate:.4g} Hz"
        findings.note("recordings resampled", where, off > tolerance)
        findings.add("recordings off the rate, taken as it", where, off <= tolerance)
    made = []
    for span in spans:
        signal, labels = recording.signal[span], {k: v[span] for k, v in recording.labels.items()}
        context = {k: v[span] for k, v in recording.context.items()}
        start = recording.start + span.start / recording.rate
        if off > tolerance:
            at = signals.nearest(len(signal), recording.rate, rate)
            signal, labels = signals.resample(signal, recording.rate, rate), {k: v[at] for k, v in labels.items()}
            context = {k: v[at] for k, v in context.items()}
        signal = signal.astype(np.float32, copy=False)
        made.append(replace(recording, signal=signal, rate=rate, labels=labels, start=start, context=context))
    return made


def _labels(recording: Recording, task: Task) -> Array:
    """The labels of a task `(T,)`; class ids as int16 where they fit, for they are as many as samples."""
    given = recording.labels.get(task.name)
    if given is None:
        real = task.classes is None or task.span is not None
        return np.full(len(recording.signal), np.nan if real else IGNORE, np.float32 if real else np.int16)
    if len(given) != len(recording.signal):
        raise ValueError(
            f"{recording.session}: {len(given)} labels of {task.name!r} for {len(recording.signal)} samples"
        )
    return given if given.dtype.kind == "f" else given.astype(np.int16, copy=False)


def _starts(
    begins: Array, lengths: Array, labels: Mapping[str, Array], how: Windowing, rate: float
) -> tuple[Array, dict[str, int]]:
    """First samples of the windows, and what the borders cost."""
    total = int(lengths.sum())
    classes = [v for v in labels.values() if v.dtype.kind != "f"]
    if how.borders == "cross":
        firsts, ends = np.array([0]), np.array([total])
    elif how.borders == "ends":
        firsts, ends = begins, begins + lengths
    else:
        firsts, ends = signals.label_runs(classes or [np.zeros(total, np.int8)], begins)
    short = ends - firsts < how.first + how.length
    if short.all():
        longest, what = (
            (int(lengths.max()), "recording")
            if lengths.max() < how.first + how.length
            else (int((ends - firsts).max()), "stretch of unchanged labels (a missing one is a change)")
        )
        wider = "; --data.windows.borders ends or cross cuts windows across them" if what != "recording" else ""
        behind = f", behind the first {how.first}," if how.first else ""
        raise UserError(
            f"windows.length: a window of {how.length} samples ({how.length / rate:.3g} s at {rate:.4g} Hz){behind} is "
            f"longer than every {what}; the longest has {longest} samples ({longest / rate:.3g} s){wider}"
        )
    lost = {
        "stretches shorter than a window": int(short.sum()),
        "samples of stretches shorter than a window": int((ends - firsts)[short].sum()),
    }
    starts = signals.window_starts(firsts + how.first, ends, how.length, how.stride)
    if how.borders == "ends":
        differ = np.zeros(len(starts), dtype=bool)
        for values in classes:
            differ |= values[starts] != values[starts + how.length - 1]
        if differ.all():
            raise UserError(f"windows.borders: the first and last label of all {len(starts)} windows differ")
        lost["windows whose first and last label differ"] = int(differ.sum())
        starts = starts[~differ]
    return starts, lost


def _targets(task: Task, labels: Array, starts: Array, how: Windowing) -> Tensor:
    """The target of each window: int64 class ids, or float32 for a regression."""
    real = labels.dtype.kind == "f"
    if how.label == "majority" and (real or how.borders != "cut"):
        return torch.from_numpy((signals.mean if real else signals.majority)(labels, starts, how.length))
    at = starts + (how.length // 2 if how.label == "middle" else how.length - 1)
    return torch.from_numpy(labels[at].astype(np.float32 if real else np.int64))
