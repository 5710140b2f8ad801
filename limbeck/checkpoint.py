"""State on disk: written whole or not at all, checked by hash when read, never a pickle."""

import errno
import hashlib
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from limbeck.config import digest
from limbeck.errors import UserError

SEAL = "checksum"
"""Of a sealed file."""
KEPT = 2
"""Checkpoints of a run: the one before the newest is there in case that is damaged."""


def write(path: Path, data: bytes) -> None:
    """A file in one piece: a reader sees the old one or the new one. Raises `UserError` where the disk refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        _drop(temporary)
        raise refused(path, error) from error


def _drop(temporary: Path) -> None:
    with suppress(OSError):  # what refused the file may refuse this too, and is told of already
        temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """A JSON file in one piece."""
    write(path, (json.dumps(value, indent=1) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """A compressed .npz file in one piece, for `numpy.load`. Raises `ValueError` for objects, which are not arrays."""
    buffer = io.BytesIO()
    # As `numpy.savez_compressed`, which before NumPy 2 cannot be told to refuse objects.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    write(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """What `write_arrays` wrote; empty where there is no such file. Raises `UserError` where it cannot be read."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error})") from None


def read_json(path: Path) -> Any:
    """What `write_json` wrote. Raises `UserError` where it is not there or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from None


def refused(path: Path, error: OSError) -> UserError:
    """What to tell when the disk refuses."""
    if error.errno == errno.ENOSPC:
        return UserError(f"{path}: the disk is full; free some room, what was saved before is intact")
    return UserError(f"{path}: cannot be written ({error.strerror or error}); choose a folder you may write to")


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file in one piece."""
    # Cloned, since tensors that share memory (tied weights) are refused. Not by `save_file`, which leaves a file of a
    # random name where it is killed, that nobody but its owner may read.
    write(path, serialise({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}))


def save_sealed(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file in one piece, with a checksum of names and values."""
    save_tensors(path, {**tensors, SEAL: _seal(tensors)})


def load_sealed(path: Path) -> dict[str, Tensor]:
    """What `save_sealed` wrote. Raises `UserError` where it is damaged."""
    try:
        stored = load_file(path)
        seal = stored.pop(SEAL, None)
        if seal is None or not torch.equal(seal, _seal(stored)):
            raise SafetensorError("its checksum is another")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and it is made again") from None
    return stored


def _seal(tensors: Mapping[str, Tensor]) -> Tensor:
    """Bytes `(16,)`."""
    told = [(name, digest(value.cpu().contiguous().numpy().tobytes())) for name, value in sorted(tensors.items())]
    return torch.tensor(list(digest(told).encode()), dtype=torch.uint8)


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """A checkpoint `folder/step-N`: tensors, plain values and their hashes. It appears by one rename, older ones then
    go."""
    final = folder / f"step-{step:08d}"
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_tensors(temporary / "state.safetensors", tensors)
        manifest = {"step": step, "info": dict(info), "sha256": sha256(temporary / "state.safetensors")}
        write_json(temporary / "manifest.json", {**manifest, "digest": digest(manifest)})
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    except OSError as error:
        raise refused(final, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def tidy(at: Path) -> None:
    """Removes what a killed process left half written in the folder of a run."""
    for left in (left for folder in (at, at / "best", at / "last") for left in folder.glob(".*.tmp")):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def newest(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and plain values of the newest checkpoint that is whole; None where there is none.

    A damaged one is set aside (renamed to `damaged-...`) and the one before it is taken.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            manifest = json.loads((path / "manifest.json").read_text())
            told = manifest.pop("digest")
            if digest(manifest) != told or sha256(path / "state.safetensors") != manifest["sha256"]:
                raise ValueError("hash")
            return manifest["step"], load_file(path / "state.safetensors"), manifest["info"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
    return None


def flat_optimiser(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of an optimiser as tensors by name, and what of it is not a tensor."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for number, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            (tensors if isinstance(value, Tensor) else plain)[f"optimiser.{number}.{name}"] = value
    return tensors, plain


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> None:
    """Puts back what `flat_optimiser` took."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in (*tensors.items(), *plain.items()):
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    # A fused optimiser walks through memory: its state must lie as its parameter does, be that channels last or not.
    for parameter, own in optimiser.state.items():
        for name, value in own.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                own[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
