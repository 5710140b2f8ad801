"""Tables kept on disk by the digest of what they were made of: the second start reads no recording."""

import hashlib
import inspect
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
import torch
from filelock import FileLock

from limbeck.config import digest
from limbeck.data import maps
from limbeck.data.source import Dense, Table, Windows
from limbeck.tasks import Task

SIGNAL = "signal.npy"
"""The file of an entry that holds its input, and is read as it is used."""
DENSE = "dense-{}.npy"
"""The same of the targets of every pixel, by the task's place."""
SETTLED = 2.0
"""Seconds after its last change from which on a file's time of change is trusted to tell the next one."""


class Damaged(Exception):
    """An entry whose files are not what its manifest says."""


def folder() -> Path:
    """Where entries lie: the environment variable LIMBECK_CACHE, or else the user's cache folder."""
    return Path(os.environ.get("LIMBECK_CACHE") or platformdirs.user_cache_dir("limbeck"))


def table(name: str, maker: type, make: Callable[[Path | None], Table]) -> Table:
    """The table of that digest as the present code makes it: from its entry, or made and kept.

    `make` is given the folder that becomes the entry, if there can be one: it may have written columns there, as
    `SIGNAL` and `DENSE`, where they are too large for memory. `maker` is the class of the spec; a change of its source,
    or of Limbeck's own data code, makes entries anew. Of several processes that want one table the first makes it, and
    the others wait. A damaged entry is made anew, and a folder that cannot be written is done without; both warn.
    """
    code = code_of(maker)
    if code is None:
        return make(None)
    entry = folder() / "tables" / digest([name, code])
    lock = FileLock(f"{entry}.lock")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        warnings.warn(f"the cache cannot be written ({error}); set LIMBECK_CACHE to a folder that can", stacklevel=3)
        return make(None)
    with lock:
        return _kept(entry, make)


def _kept(entry: Path, make: Callable[[Path | None], Table]) -> Table:
    if entry.exists():
        try:
            return _opened(entry)
        except Damaged as error:
            warnings.warn(f"the cached table {entry} is damaged ({error}) and is made anew", stacklevel=4)
            shutil.rmtree(entry)
    for left in entry.parent.glob(f"{entry.name}.tmp-*"):
        shutil.rmtree(left)
    temporary, made = entry.with_name(f"{entry.name}.tmp-{os.getpid()}"), None
    try:
        temporary.mkdir()
        made = make(temporary)
        _written(made, temporary)
        temporary.rename(entry)
    except OSError as error:
        warnings.warn(f"the table was not cached: {error}", stacklevel=4)
        return make(None) if made is None else made
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _opened(entry)


def _written(made: Table, to: Path) -> None:
    """Writes a table of one modality; the manifest, which says what the other files must be, last."""
    (column,) = made.inputs.values()
    if isinstance(column, Windows):
        arrays = {"signal": column.signal.numpy(), "starts": column.starts.numpy()}
    elif isinstance(column, Dense):
        arrays = {"signal": column.values.numpy()}
    else:
        raise TypeError(f"only windows are cached, not {type(column).__name__}")
    for i, task in enumerate(made.tasks):
        if task.name not in made.dense:
            arrays[f"target-{i}"] = made.targets[task.name].numpy()
            continue
        each = made.dense[task.name]
        if not isinstance(each, maps.Maps):
            raise TypeError(f"only maps are cached as targets of every pixel, not {type(each).__name__}")
        arrays |= {Path(DENSE.format(i)).stem: each.stored.numpy(), f"counts-{i}": each.counts.numpy()}
    arrays |= {f"meta-{key}": values for key, values in made.meta.items()}
    for key, values in arrays.items():
        if not (to / f"{key}.npy").exists():
            np.save(to / f"{key}.npy", values, allow_pickle=False)
    about = {
        "tasks": [asdict(t) for t in made.tasks],
        "modality": next(iter(made.inputs)),
        "length": column.length if isinstance(column, Windows) else None,
        "meta": list(made.meta),
        "dense": list(made.dense),
        "card": made.card,
        "digest": made.digest,
        "files": {f"{key}.npy": [(to / f"{key}.npy").stat().st_size, _hash(to / f"{key}.npy")] for key in arrays},
    }
    text = json.dumps(about)
    manifest = {"about": text, "hash": digest(text.encode())}
    (to / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _opened(entry: Path) -> Table:
    """The table of an entry; its signal stays on disk and is read as it is used. Raises `Damaged`."""
    try:
        manifest = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))
        if digest(manifest["about"].encode()) != manifest["hash"]:
            raise Damaged("manifest.json was changed")
        about: dict[str, Any] = json.loads(manifest["about"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"manifest.json: {error}") from None
    for name, (size, known) in about["files"].items():
        path = entry / name
        if not path.is_file() or path.stat().st_size != size or _hash(path) != known:
            raise Damaged(name)

    def array(key: str) -> np.ndarray[Any, Any]:
        mode: Literal["c"] | None = "c" if key.startswith(("signal", "dense-")) else None
        return np.asarray(np.load(entry / f"{key}.npy", mmap_mode=mode, allow_pickle=False))

    tasks = tuple(Task.from_plain(t) for t in about["tasks"])
    signal, length = torch.from_numpy(array("signal")), about["length"]
    column = Windows(signal, torch.from_numpy(array("starts")), length) if length else Dense(signal)
    dense = {
        t.name: maps.column(t, *(torch.from_numpy(array(f"{what}-{i}")) for what in ("dense", "counts")))
        for i, t in enumerate(tasks)
        if t.name in about["dense"]
    }
    targets = {t.name: torch.from_numpy(array(f"target-{i}")) for i, t in enumerate(tasks) if t.name not in dense}
    meta = {key: array(f"meta-{key}") for key in about["meta"]}
    return Table(tasks, {about["modality"]: column}, targets, meta, about["card"], about["digest"], dense=dense)


def contents(files: Sequence[Path]) -> list[list[str]]:
    """Name (below the folder that all share) and hash of each file.

    Hashes are remembered by path, size and time of change.
    """
    if not files:
        return []
    top = Path(os.path.commonpath([f.resolve().parent for f in files]))
    memory = folder() / "hashes.json"
    known, learnt, made = _remembered(memory), False, []
    for file in (f.resolve() for f in files):
        state = file.stat()
        mark = f"{file} {state.st_size} {state.st_mtime_ns}"
        value = known.get(mark) or _hash(file)
        if mark not in known and time.time() - state.st_mtime > SETTLED:
            known[mark], learnt = value, True
        made.append([file.relative_to(top).as_posix(), value])
    if learnt:
        _remember(memory, known)
    return made


def _remembered(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str)} if isinstance(known, dict) else {}


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Writes what is known of files; where that fails they are hashed again next time, and no harm is done."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=memory.parent, prefix="hashes.tmp-")
        with os.fdopen(number, "w", encoding="utf-8") as out:
            json.dump(known, out)
        Path(name).replace(memory)
    except OSError as error:
        warnings.warn(f"hashes of files were not remembered: {error}", stacklevel=3)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def code_of(maker: type) -> str | None:
    """The digest of the source that makes tables; none for a class that has no file, whose tables are not cached."""
    files: list[Path] = []
    for cls in maker.__mro__:
        if cls.__module__.split(".")[0] in ("builtins", "pydantic", "abc", "typing"):
            continue
        try:
            files.append(Path(inspect.getfile(cls)))
        except (TypeError, OSError):
            return None
    here = Path(__file__).parent
    mathematics = (here.parent / name for name in ("signals.py", "ecg.py"))
    return digest(_sources([*files, *mathematics, *here.glob("*.py")]))


def _sources(files: Iterable[Path]) -> list[str]:
    return [_hash(f) for f in sorted(set(files))]
