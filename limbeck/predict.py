"""A model's answers along a recording: a row for each window, with its times, written as CSV or JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from limbeck import deployed, signals, timeline
from limbeck.batch import IMAGE
from limbeck.data.folder import read_signal
from limbeck.data.layout import layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError, unknown
from limbeck.predict_images import predict_images
from limbeck.predict_pixels import predict_pixels
from limbeck.rows import answers, show, write
from limbeck.tasks import Task
from limbeck.timeline import Array, Row, Segment

CHUNK = 256
AT_REST = {"g": 1.0, "m/s2": 9.81, "m/s^2": 9.81, "m/s²": 9.81, "mg": 1000.0}
"""The length of the acceleration that a resting sensor shows, by unit."""


def predict_file(
    source: Path,
    recording: Path,
    rate: float | None,
    stride: int | None,
    out: Path | None,
    plot: Path | None,
    console: Console,
    time: str = "time",
    channels: tuple[str, ...] = (),
    domain: str | None = None,
) -> list[Row]:
    """Answers for a CSV or Parquet file by the model of a run folder or an `.onnx` file, and what was odd about it; of
    a model of images, for an image, a folder or a zip of them.

    Written to `out` and drawn to `plot`; a table in the terminal where neither is given. Of a model that answers for
    every pixel `out` may be a folder, which takes the maps. `rate` (Hz) is for a file
    without times, `time` names the column of a file that has them, `channels` those that are the model's, in its order,
    where they are called otherwise. `domain` is the data set to answer as, where the model keeps some apart.
    """
    model = deployed.opened(source, domain)
    if deployed.modality(model.card) == IMAGE:
        if rate or stride or plot or channels:
            raise UserError(f"{source} reads images; rate, stride, channels and plot are for recordings")
        if deployed.pixelwise(model.card):
            return _predict_pixels(model, recording, out, console)
        rows = predict_images(model, model.tasks, model.card, recording, console)
    else:
        rows = _predict_recording(model, recording, rate, stride, plot, console, time, channels)
    if out:
        write(rows, model.tasks, out)
    for path in filter(None, (out, plot)):
        console.print(f"{len(rows)} {deployed.input_name(model.card)}s: {path}", highlight=False, markup=False)
    if not out and not plot:
        show(rows, model.tasks, console)
    return rows


def _predict_pixels(
    model: deployed.TorchModel | deployed.EdgeModel, images: Path, out: Path | None, console: Console
) -> list[Row]:
    """Maps of images, which go to a folder; a table in the terminal where none is given."""
    rows = predict_pixels(model, model.tasks, model.card, images, out, console)
    if out:
        console.print(f"{len(rows)} images: {out}", highlight=False, markup=False)
    else:
        show(rows, model.tasks, console)
    return rows


def _predict_recording(
    model: deployed.TorchModel | deployed.EdgeModel,
    recording: Path,
    rate: float | None,
    stride: int | None,
    plot: Path | None,
    console: Console,
    time: str,
    channels: tuple[str, ...],
) -> list[Row]:
    """Answers along a recording, with what was odd about it, drawn to `plot`."""
    columns = _columns(recording, tuple(model.card["channels"]), channels, time)
    for column, channel in zip(columns, model.card["channels"], strict=True):
        if column != channel:
            console.print(f"the column {column!r} is read as {channel}", highlight=False, markup=False)
    segments, findings = read_signal(recording, columns, rate, time)
    for what, count in findings.counts.items():
        console.print(f"{what}: {count} (first: {findings.first[what]})", highlight=False, markup=False)
    for line in doubts(model.card, segments):
        console.print(f"warning: {line}", style="yellow", highlight=False, markup=False)
    rows = predict(model, model.tasks, model.card, segments, stride)
    if plot:
        timeline.plot(rows, model.tasks, model.card, segments, plot)
    return rows


def _columns(recording: Path, ours: tuple[str, ...], given: tuple[str, ...], time: str) -> tuple[str, ...]:
    """The columns that are the model's channels: those given, those of their names, or the only column of numbers."""
    if given and len(given) != len(ours):
        raise UserError(f"--channels names {len(given)} columns, the model reads {len(ours)}: {', '.join(ours)}")
    made = layout(recording, recording.name, Findings()) if recording.is_file() else None
    wanted = given or ours
    lacking = [c for c in wanted if made and c not in made.kinds]
    if made is None or not lacking:
        return wanted
    numbers = tuple(column for column, kind in made.kinds.items() if kind == "number" and column != time)
    if len(ours) == 1 and not given and len(numbers) == 1:
        return numbers
    error = unknown(f"channel column in {recording.name}:", lacking[0], made.kinds)
    raise UserError(f"{error}; name the columns that are {', '.join(ours)} with --channels")


def predict(
    model: Callable[[Array], Mapping[str, Array]],
    tasks: Sequence[Task],
    card: Mapping[str, Any],
    segments: Sequence[Segment],
    stride: int | None = None,
) -> list[Row]:
    """A row for each window of gap-free `segments`, which are filtered and resampled as the card says.

    `model` maps windows `(B, M, L)` to probabilities `(B, C)` by task, as `deployed.opened` gives one. `stride` is in
    samples at the card's rate; windows do not overlap where it is not given. What is left of a segment after its last
    whole window gets no row. Raises `UserError` for other channels, NaN, a rate below half the card's, no whole window.
    """
    if stride is not None and stride < 1:
        raise UserError(f"the stride is in samples from one window to the next, so at least 1, not {stride}")
    cut = [_windows(segment, card, stride or card["window"]) for segment in segments]
    starts = np.concatenate([at for _, at in cut]) if cut else np.empty(0)
    if not len(starts):
        longest = max((len(signal) / rate for signal, rate, _ in segments), default=0.0)
        raise UserError(
            f"the recording is too short: its longest stretch without a gap is {longest:.3g} s, "
            f"a window is {card['window'] / card['rate']:.3g} s ({card['window']} samples at {card['rate']:g} Hz)"
        )
    windows = (stretch[at : at + CHUNK] for stretch, _ in cut for at in range(0, len(stretch), CHUNK))
    told = [model(np.ascontiguousarray(signals.fourier(some, card["window"]))) for some in windows]
    columns = {task.name: answers(task, np.concatenate([t[task.name] for t in told])) for task in tasks}
    length = card["window"] / card["rate"]
    return [
        {
            "start": round(float(start), 6),
            "end": round(float(start) + length, 6),
            "tasks": {name: column[number] for name, column in columns.items()},
        }
        for number, start in enumerate(starts)
    ]


def doubts(card: Mapping[str, Any], segments: Sequence[Segment]) -> list[str]:
    """What a user should know before trusting the answers, a line each."""
    length = card["window"] / card["rate"]
    short = [len(signal) / rate for signal, rate, _ in segments if len(signal) / rate < length]
    skipped = (
        f"{len(short)} of {len(segments)} stretches between gaps ({sum(short):.3g} s together) are shorter than "
        f"a window ({length:.3g} s) and get no answer"
    )
    return [
        line
        for line in (skipped if short else None, flat_warning(card, segments), unit_warning(card, segments))
        if line
    ]


def flat_warning(card: Mapping[str, Any], segments: Sequence[Segment]) -> str | None:
    """A line where no channel changes for the length of a window or more; None where none of it is so."""
    length = card["window"] / card["rate"]
    flat = [
        (begin + still.start / rate, seconds)
        for signal, rate, begin in segments
        for still in signals.pieces((signal[1:] == signal[:-1]).all(axis=1))
        if (seconds := (still.stop - still.start + 1) / rate) >= length
    ]
    if not flat:
        return None
    seconds, first = sum(each for _, each in flat), flat[0][0]
    return f"nothing changes in {seconds:.3g} s of the recording (first: at {first:.4g} s): answers there mean nothing"


def unit_warning(card: Mapping[str, Any], segments: Sequence[Segment]) -> str | None:
    """A line where the median length of the acceleration is far from what a sensor shows in the unit trained on.

    None where it is not, where the unit is not one of acceleration, or where no three channels are known for its axes.
    """
    expected = AT_REST.get(re.split(r"[\s,;]", card["unit"].strip())[0].lower())
    axes = _acceleration(card["channels"])
    if expected is None or not axes or not segments:
        return None
    seen = float(np.nanmedian(np.concatenate([np.linalg.norm(signal[:, axes], axis=1) for signal, *_ in segments])))
    if expected / 3 <= seen <= expected * 3:
        return None
    like = [unit for unit in ("g", "m/s2", "mg") if AT_REST[unit] / 3 <= seen <= AT_REST[unit] * 3]
    looks = f", as in {like[0]} (or without gravity)" if like else ""
    return (
        f"the acceleration of this recording has a median length of {seen:.3g}{looks}, but the model was trained on "
        f"{card['unit']}, where a sensor at rest shows {expected:g}: the answers mean little unless the unit is changed"
    )


def _windows(segment: Segment, card: Mapping[str, Any], stride: int) -> tuple[Array, Array]:
    """Windows `(N, M, L)` of one segment, and the second `(N,)` at which each begins.

    At the card's rate, but for a card that resamples each window by itself: then of the same seconds at the segment's.
    """
    channels, rate, length = card["channels"], card["rate"], card["window"]
    signal, own, begin = segment
    if signal.shape[1] != len(channels):
        raise UserError(
            f"the recording has {signal.shape[1]} channels, the model reads {len(channels)}: {', '.join(channels)}"
        )
    if own < rate / 2:
        raise UserError(
            f"the recording has {own:.4g} samples a second, the model was trained at {rate:g} Hz: "
            f"what is faster than {own / 2:.3g} Hz is lost, so it cannot be answered for"
        )
    bad = np.argwhere(~np.isfinite(signal))
    if len(bad):
        sample, channel = bad[0]
        at = begin + sample / own
        raise UserError(f"the recording holds a NaN or infinite value at {at:.3f} s in channel {channels[channel]}")
    if card.get("turned"):
        signal = np.concatenate([-signal[:, :1], signal[:, 1:]], axis=1)
    if card.get("filter"):
        signal = signals.bandpass(signal, own, tuple(card["filter"]["band"]), card["filter"]["how"])
    even = bool(np.isclose(own, rate, rtol=1e-3))
    apart = card.get("resampling") == "window" and not even
    if not even and not apart:
        signal = signals.resample(signal, own, rate)
    per = own / rate if apart else 1.0
    wide, step = round(length * per), stride * per
    if len(signal) < wide:
        return np.empty((0, len(channels), length), np.float32), np.empty(0)
    # a view: windows that overlap are not stored, each chunk is copied when it is asked for
    views = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float32, copy=False), wide, axis=0)
    if float(step).is_integer():
        views = views[:: int(step)]
    else:
        views = views[np.minimum(np.rint(np.arange(0, len(views), step)), len(views) - 1).astype(int)]
    return views, begin + np.arange(len(views)) * stride / rate


def _acceleration(channels: Sequence[str]) -> list[int]:
    """The places of the first accelerometer's x, y and z; none where the names do not tell."""
    found: dict[str, dict[str, int]] = {}
    for place, name in enumerate(channels):
        match = re.fullmatch(r"(a|.*acc.*?|)[\s_.-]*([xyz])", name.lower())
        if match:
            found.setdefault(match[1], {})[match[2]] = place
    return next(([axes[a] for a in "xyz"] for axes in found.values() if len(axes) == 3), [])
