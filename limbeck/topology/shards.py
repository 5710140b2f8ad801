"""Diagrams, and images where they are asked for, in files that are made once: each named by what it was made of."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import safe_open
from torch import Tensor

from limbeck import checkpoint
from limbeck.config import digest, dump
from limbeck.data.source import Column
from limbeck.errors import UserError
from limbeck.topology.column import code
from limbeck.topology.diagrams import Diagrams, Filtration, joined, persistence
from limbeck.topology.images import PersistenceImage
from limbeck.topology.store import Say, Store, alone, sound

Array = np.ndarray[Any, Any]
Signals = Array | Tensor | Column
MANIFEST = "manifest.json"
FLOATS = 1 << 24
"""Values of images that are drawn, or read back, at once."""


@dataclass(frozen=True)
class Extraction:
    """What `extract` did.

    - `manifest`: as it is on disk: windows, channels, shard, filtration, image (its spec), stored ("uint8", "float16"
      or None), digest (of the signals) and shards (windows, pairs, pairs outside the range, names of the files).
    - `made`: files written now; the others were there, and sound.
    - `damaged`: names of files that were not what their name says, and were made again.
    - `others`: files here that belong to other signals or values; they are left alone.
    """

    manifest: Mapping[str, Any]
    made: int
    damaged: tuple[str, ...]
    others: int


def extract(
    signals: Signals,
    out: Path | str,
    image: PersistenceImage | None = None,
    shard: int = 4096,
    filtration: Filtration = "sublevel",
    threads: int | None = None,
    console: Console | None = None,
) -> Extraction:
    """Writes the diagrams of `signals` into the folder `out`, and with `image` the images drawn of them.

    `signals` are `(N, M, L)` or `(N, L)`, an array (memory-mapped if large), a tensor, or a column of a `Table`; they
    are read `shard` windows at a time. What is there and sound is kept: an extraction that was killed goes on, one that
    is complete only hashes its input and its files. A second process waits for the first. Images with `peak` are stored
    as uint8, at most 1 / 510 off; others as float16, at most 2**-11 of their value off. A shard of images is held in
    memory twice: `shard * M * resolution**2` bytes each, as float16 double.

    With a `console` there are a progress bar and lines about what was found damaged; without one they are warnings.
    Raises `UserError` for signals that have no diagrams, and where the disk refuses.
    """
    folder, (read, count) = Path(out), _reader(signals)
    if shard < 1:
        raise UserError(f"a shard holds at least 1 window, not {shard}")
    say: Say = (
        partial(console.print, style="yellow", highlight=False, markup=False, soft_wrap=True) if console else _warn
    )
    with alone(folder, say), _bar(console, count) as step:
        store = Store(folder, say)
        entries, hashes = [], []
        for first in range(0, count, shard):
            block = read(first, min(first + shard, count))
            hashes.append(_hash(block))
            entries.append(_shard(store, block, first, image, filtration, threads))
            step(len(block))
        manifest = {
            "windows": count,
            "channels": entries[0]["channels"],
            "shard": shard,
            "filtration": filtration,
            "image": dump(image) if image else None,
            "stored": np.dtype(_stored(image)).name if image else None,
            "digest": digest(hashes),
            "shards": entries,
        }
        # Written last: a manifest lists files that are all there.
        checkpoint.write_json(folder / MANIFEST, {**manifest, "hash": digest(manifest)})
        named = {entry[kind] for entry in entries for kind in ("diagrams", "images") if kind in entry}
        others = sum(f.name not in named for f in folder.glob("*.safetensors"))
    return Extraction(manifest, store.made, tuple(store.damaged), others)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=4)


def _reader(signals: Signals) -> tuple[Callable[[int, int], Array], int]:
    """What reads windows from one up to another, and how many there are."""
    if isinstance(signals, (np.ndarray, Tensor)):
        if signals.ndim not in (2, 3) or not len(signals):
            raise UserError(
                f"signals are windows (N, M, L) or (N, L), at least one, not of shape {tuple(signals.shape)}"
            )
        array = signals if isinstance(signals, np.ndarray) else signals.detach().cpu().numpy()
        return lambda first, end: np.ascontiguousarray(array[first:end]), len(array)
    if not len(signals):
        raise UserError("these recordings have no windows")
    return lambda first, end: signals[torch.arange(first, end)].cpu().numpy(), len(signals)


@contextmanager
def _bar(console: Console | None, windows: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; what moves it by so many windows."""
    columns = (TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=console is None, transient=True) as progress:
        task = progress.add_task("", total=windows)
        yield lambda done: progress.advance(task, done)


def _hash(block: Array) -> str:
    return digest([digest(block.tobytes()), block.dtype.str, block.shape])


@cache
def _stored(image: PersistenceImage) -> type[np.generic]:
    return np.uint8 if image.peak else np.float16


def _shard(
    store: Store,
    block: Array,
    first: int,
    image: PersistenceImage | None,
    filtration: Filtration,
    threads: int | None,
) -> dict[str, Any]:
    """What a manifest says of one shard, whose files are there when this returns."""
    key = digest([_hash(block), filtration, code()])
    file = store.file(key, "diagrams", lambda to: _diagrams(block, first, filtration, threads).save(to))
    found = Diagrams.load(file)
    entry = {"windows": len(found), "channels": found.shape[1], "pairs": len(found.pairs), "diagrams": file.name}
    if not image:
        return entry
    key = digest([key, dump(image)])
    drawn = store.file(key, "images", lambda to: _draw(found, image, threads, to))
    return entry | {"outside": image.outside(found.pairs), "images": drawn.name}


def _diagrams(block: Array, first: int, filtration: Filtration, threads: int | None) -> Diagrams:
    floats = block if block.dtype.kind == "f" else np.empty((0, 1, 1))
    bad = np.argwhere(~np.isfinite(floats if floats.ndim == 3 else floats[:, None]))
    if len(bad):  # told here, where the number of the window is known
        window, channel, _ = bad[0]
        raise UserError(
            f"window {first + window}, channel {channel} has a value that is not finite; mend it or leave it out"
        )
    return persistence(block, filtration, threads=threads)


def _draw(found: Diagrams, image: PersistenceImage, threads: int | None, to: Path) -> None:
    """Writes the images of a shard, `(n, M, R, R)`, at fewer bits."""
    shape, kind = (*found.shape, image.resolution, image.resolution), _stored(image)
    values = np.empty(shape, kind)
    step = max(1, FLOATS // int(np.prod(shape[1:])))
    for at in range(0, len(values), step):
        index = np.arange(at, min(at + step, len(values)))
        drawn = image.render(found, index, threads=threads)
        with np.errstate(over="ignore"):  # told below
            values[index] = np.rint(255 * drawn) if kind is np.uint8 else drawn
    if kind is np.float16 and not np.isfinite(values).all():
        raise UserError(
            "values of these images are too large to be stored; leave image.peak as it is, or store diagrams"
        )
    checkpoint.save_tensors(to, {"images": torch.from_numpy(values)})


def manifest(out: Path | str) -> dict[str, Any]:
    """What `extract` wrote into a folder: see `Extraction`. Raises `UserError` where it is not there or not whole."""
    path = Path(out) / MANIFEST
    if not path.is_file():
        raise UserError(f"{path} is missing: {out} is no extraction, or one that was cut; extract into it again")
    read = checkpoint.read_json(path)
    told = read.pop("hash", None) if isinstance(read, dict) else None
    if digest(read) != told:
        raise UserError(f"{path} is damaged: extract into {out} again")
    made: dict[str, Any] = read
    return made


def each(out: Path | str) -> Iterator[Diagrams]:
    """The diagrams of an extraction, one shard at a time. Raises `UserError` at a file that is damaged."""
    for entry in manifest(out)["shards"]:
        yield Diagrams.load(_checked(Path(out) / entry["diagrams"]))


def opened(out: Path | str) -> Diagrams:
    """All diagrams of an extraction. Raises `UserError` where a file is damaged."""
    return joined(list(each(out)))


def images(out: Path | str) -> Iterator[Array]:
    """The images of an extraction as float32, some windows `(n, M, R, R)` at a time, in their order.

    Raises `UserError` where it has none, or where a file is damaged.
    """
    about = manifest(out)
    if not about["stored"]:
        raise UserError(f"{out} holds diagrams alone: draw them with PersistenceImage().render, or extract images too")
    for entry in about["shards"]:
        with safe_open(_checked(Path(out) / entry["images"]), "numpy") as file:
            values = file.get_slice("images")
            count, *rest = values.get_shape()
            step = max(1, FLOATS // int(np.prod(rest)))
            for at in range(0, count, step):
                part = values[at : min(at + step, count)].astype(np.float32)
                yield part / 255 if about["stored"] == "uint8" else part


def _checked(path: Path) -> Path:
    if not path.is_file() or not sound(path):
        raise UserError(f"{path} is {'damaged' if path.is_file() else 'missing'}: extract into {path.parent} again")
    return path
