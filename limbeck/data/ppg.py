"""Pulse waves (PPG) with a heart rate: what all such data sets share, from the raw signal to windows."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import field_validator

from limbeck import signals
from limbeck.data.recordings import Array, Findings, Reading, Recording, SensorData, Windowing, counted
from limbeck.data.source import Column, Dense, Table
from limbeck.errors import UserError
from limbeck.tasks import Task

HEART_RATE = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")
"""Class k is centred at 30 + k bpm."""
LOWEST, HIGHEST = 30.0, 210.0
"""bpm that heart rates are clamped to."""
SECONDS, STEP = 8.0, 2.0
"""Of the windows that data sets give a heart rate for, and from one to the next."""
QUALITY = ("good", "flat", "clipped")
"""What the raw signal of a window is, `meta["signal"]`; see `quality`."""


class PPGData(SensorData, ABC):
    """A set of pulse waves. A concrete one says which files there are and reads them raw; the rest is shared."""

    windows: Windowing = Windowing(length=200, stride=50, rate=25.0, label="middle")
    band: tuple[float, float] | None = (0.5, 4.0)
    """Hz that are kept, by a Butterworth filter of order 4; none filters nothing."""
    filtering: Literal["zero-phase", "one-pass"] = "zero-phase"
    """Forwards and backwards, which delays nothing; or forwards only, as a device can."""
    resampling: Literal["recording", "window"] = "recording"
    """recording: the whole of it, by a polyphase filter. window: each window by its Fourier series, as published."""
    drop: tuple[Literal["flat", "clipped"], ...] = ()
    """Windows left out: flat (unchanged for half a second), clipped (three equal samples at an extreme)."""
    acceleration: bool = False
    """Whether the accelerometer's three channels are inputs too, filtered alike, where the set has them."""

    @field_validator("band")
    @classmethod
    def _rises(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] < value[1]:
            raise ValueError("two rising frequencies in Hz, such as 0.5,4, or none")
        return value

    @property
    def turned(self) -> bool:
        """Whether `raw` turns the pulse wave over, because a beat points down in the files: so must who predicts."""
        return False

    @abstractmethod
    def raw(self) -> Reading:
        """The recordings as they are in the files: the first channel is the pulse wave.

        Labels of `HEART_RATE` are bpm `(T,)` float32 at the signal's own rate: at a sample the heart rate of the window
        *around* it, NaN where unknown. `Reading.rate` is the nominal raw rate.
        """

    def read(self) -> Reading:
        """The recordings band-passed, with heart rates clamped (counted) and the quality of the signal as context."""
        raw = self.raw()
        made: list[Recording] = []
        while raw.recordings:  # what was filtered is let go: a day of many people fills a memory
            made += self._prepared(raw.recordings.pop(0), raw.findings)
        return replace(raw, recordings=made, contexts={**raw.contexts, "signal": QUALITY})

    def _prepared(self, recording: Recording, findings: Findings) -> list[Recording]:
        """The stretches of a raw recording that are finite, filtered."""
        spans = [slice(0, len(recording.signal))]
        if not np.isfinite(recording.signal).all():
            finite = np.asarray(np.isfinite(recording.signal).all(axis=1))
            findings.add("samples that are not finite", recording.session, int((~finite).sum()))
            spans = signals.pieces(finite)
        labels = dict(recording.labels)
        if HEART_RATE.name in labels:
            labels[HEART_RATE.name] = _clamped(labels[HEART_RATE.name], recording.session, findings)
        context = dict(recording.context)
        if "signal" not in context:
            seconds = self.windows.length / (self.windows.rate or recording.rate)
            context["signal"] = quality(recording.signal[:, :1], recording.rate, seconds)
        recording, made = replace(recording, labels=labels, context=context), []
        for span in spans:
            part = _part(recording, span)
            if self.band is not None:
                part = replace(part, signal=signals.bandpass(part.signal, part.rate, self.band, self.filtering))
            made.append(part)
        return made

    def cut(self, reading: Reading, name: str = "") -> Table:
        """The table of windows; flat and clipped ones are counted, and left out where `drop` says so.

        Raises `UserError` where no window is left, or where windows are no whole number of raw samples.
        """
        rate = self.windows.rate or reading.rate
        if rate is None:
            raise ValueError(f"{self.kind}: a reading of pulse waves says its rate")
        if self.resampling == "recording":
            whole = replace(reading, recordings=[_complete(r, rate) for r in reading.recordings])
            table = SensorData.cut(self, whole, name)
        else:
            raw = self.model_copy(update={"windows": self._raw_windows(rate, reading.rate or rate)})
            table = SensorData.cut(raw, reading, name)
        table = self._judged(table)
        if self.resampling == "window":
            table = replace(table, inputs={k: self._even(v) for k, v in table.inputs.items()})
        band = {"band": list(self.band), "order": 4, "how": self.filtering} if self.band else None
        shape = {"rate": rate, "window": self.windows.length, "stride": self.windows.stride}
        prepared = {"filter": band, "resampling": self.resampling, "turned": self.turned}
        return replace(table, card={**table.card, **shape, **prepared})

    def _raw_windows(self, rate: float, raw: float) -> Windowing:
        """The same seconds at the raw rate."""
        length, stride = self.windows.length * raw / rate, self.windows.stride * raw / rate
        if not (length.is_integer() and stride.is_integer()):
            raise UserError(
                f"resampling: windows of {self.windows.length} samples, {self.windows.stride} apart at {rate:g} Hz are "
                f"no whole numbers of samples at {raw:g} Hz; say resampling recording"
            )
        return self.windows.changed(length=int(length), stride=int(stride), rate=raw)

    def _judged(self, table: Table) -> Table:
        """The table without the windows to drop; all flat and clipped ones are in its card, with the first of them."""
        counts, first = dict(table.card["findings"]), dict(table.card["findings_first"])
        dropped, keep = dict(table.card["dropped"]), np.ones(len(table), bool)
        for what in QUALITY[1:]:
            found = np.flatnonzero(table.meta["signal"] == what)
            if not len(found):
                continue
            if what in self.drop:
                keep[found], dropped[f"{what} windows"] = False, len(found)
            else:
                counts[f"{what} windows"] = len(found)
                first[f"{what} windows"] = f"{table.meta['session'][found[0]]} at {table.meta['start'][found[0]]:g} s"
        if not keep.any():
            raise UserError(f"{self.kind}: every window is {' or '.join(self.drop)}, and drop leaves those out")
        card = {**table.card, "findings": counts, "findings_first": first, "dropped": dropped}
        if keep.all():
            return replace(table, card=card)
        kept = table.take(keep)
        card["subjects"] = len(set(kept.meta["subject"].tolist()))
        card["tasks"] = {t.name: counted(t, kept.targets[t.name]) for t in kept.tasks}
        return replace(kept, card=card, ids=torch.arange(len(kept)))

    def _even(self, column: Column) -> Dense:
        """Windows of raw samples at the rate and length of this spec."""
        made = torch.empty(len(column), column.shape[0], self.windows.length)
        for at in torch.arange(len(column)).split(512):
            made[at] = torch.from_numpy(signals.fourier(column[at].numpy(), self.windows.length))
        return Dense(made)


def readable(readers: Iterable[Callable[[], list[Recording]]], findings: Findings) -> list[Recording]:
    """The recordings of all participants whose files can be read; the others are counted.

    Raises the `UserError` of the first of them where none can be read.
    """
    made: list[Recording] = []
    refused: list[UserError] = []
    read = 0
    for reader in readers:
        try:
            made += reader()
            read += 1
        except UserError as error:
            refused.append(error)
    if refused and not read:
        raise refused[0]
    for refusal in refused:
        findings.add("participants left out, whose files cannot be read", str(refusal))
    return made


def quality(signal: Array, rate: float, seconds: float) -> Array:
    """What the raw signal is in the window of so many seconds around each sample: indices into `QUALITY`, int8 `(T,)`.

    flat: some channel of `(T, M)` does not change for half a second. Else clipped: some channel has its largest or its
    smallest value three times in a row, which a wave that is not cut off hardly ever has.
    """
    made, length, half = np.zeros(len(signal), np.int8), round(seconds * rate), math.ceil(rate / 2)
    for values in signal.T:
        starts, ends = signals.plateaus(values, 3)
        if not len(starts):
            continue
        extreme = np.isin(values[starts], (np.fmin.reduce(values), np.fmax.reduce(values)))
        for what, of, count in ((2, extreme, 3), (1, ends - starts >= half, half)):
            if of.any():
                inside = signals.holding(starts[of], ends[of], count, length // 2, length, len(values))
                made[inside & (made != 1)] = what
    return made


def per_window(values: Array, count: int, rate: float, where: str, findings: Findings) -> Array:
    """The label trace `(count,)` of a recording with a heart rate for each 8 s, every 2 s; what is odd is counted.

    `values` `(K,)` bpm; what is not above 0 is missing. A value stands in the middle of its window, samples between two
    are in between, those outside of the first and the last are NaN.
    """
    values = np.asarray(values, np.float64)
    expected = max(math.floor((count / rate - SECONDS) / STEP + 1e-9) + 1, 0)
    if len(values) != expected:
        told = f"{where}: {len(values)} heart rates for {expected} windows"
        findings.add("recordings with another number of heart rates than windows", told)
        # K windows last between these two: a last step may have been too short for one more.
        low, high = (count / (STEP * (len(values) - 1) + SECONDS + more) for more in (STEP, 0.0))
        if len(values) and not low / 1.02 <= rate <= high * 1.02:
            told = f"{where}: {len(values)} heart rates are of {high:.4g} Hz, not {rate:g}"
            findings.add("rate other than declared", told)
    known = np.isfinite(values) & (values > 0)
    findings.add("heart rates that are no number above 0", where, int((~known).sum()))
    return trace(np.where(known, values, np.nan), count, rate, SECONDS / 2, STEP)


def trace(values: Array, count: int, rate: float, first: float, step: float) -> Array:
    """Values `(K,)` at `first`, `first + step`, ... seconds as a label of each of `count` samples, float32.

    In between on straight lines; NaN outside, but for a sample that rounding may have moved there.
    """
    made = np.full(count, np.nan, np.float32)
    if not len(values):
        return made
    at = first + step * np.arange(len(values))
    seconds = np.arange(count) / rate
    inside = (seconds > at[0] - 1 / rate) & (seconds < at[-1] + 1 / rate)
    made[inside] = np.interp(seconds[inside], at, values)
    own = np.rint(at * rate).astype(np.int64)  # a value is kept where its neighbour is missing
    made[own[own < count]] = values[own < count]
    return made


def _clamped(bpm: Array, where: str, findings: Findings) -> Array:
    """Heart rates `(T,)` within the range, float32; NaN stays."""
    outside = (bpm < LOWEST) | (bpm > HIGHEST)
    what = f"samples with a heart rate outside of {LOWEST:g} to {HIGHEST:g} bpm, clamped"
    findings.add(what, where, int(outside.sum()))
    return np.clip(bpm, LOWEST, HIGHEST).astype(np.float32)


def _part(recording: Recording, span: slice) -> Recording:
    """Some samples of a recording."""
    return replace(
        recording,
        signal=recording.signal[span],
        labels={k: v[span] for k, v in recording.labels.items()},
        context={k: v[span] for k, v in recording.context.items()},
        start=recording.start + span.start / recording.rate,
    )


def _complete(recording: Recording, rate: float) -> Recording:
    """The recording without the end that is less than one sample at `rate`: resampled, it would make one of it."""
    samples = math.floor(len(recording.signal) * rate / recording.rate + 1e-9)
    return _part(recording, slice(0, math.floor(samples * recording.rate / rate + 1e-9)))
