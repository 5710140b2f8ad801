"""Arrays out of pickle files without running what the files may carry."""

import io
import math
import pickle
import re
import struct
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from limbeck.errors import UserError

# A pickle may only name what is in _MAKERS, and gets our maker, not numpy's function. Numpy's own would not do: a rule
# such as "numpy.*" lets numpy.testing run any string, and numpy.ndarray, numpy.dtype and what restores their state,
# called as a hostile file pleases, make objects out of addresses.


class _Array:
    """Stands for an array while a pickle is read; `_plain` puts the array in its place."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, values = state
        kind, count = _clean(dtype), math.prod(shape)
        if kind.hasobject:
            if not isinstance(values, list) or len(values) != count:
                raise ValueError(f"an array of shape {shape} has other values than that")
            flat = np.empty(count, object)
            for at, held in enumerate(values):
                flat[at] = held
        else:
            flat = _numbers(values.encode("latin1") if isinstance(values, str) else values, kind, count)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


class _Type:
    """Stands for the type of an array: its name, and its byte order and size where a pickle adds them."""

    def __init__(self, name: str, *_: Any) -> None:
        self.kind = np.dtype(_text(name))

    def __setstate__(self, state: Any) -> None:
        _, order, subtype, names, fields, size, *_ = state
        if subtype or names or fields:
            raise pickle.UnpicklingError("it holds structured values")
        kind = self.kind
        if kind.char in "SU" and size > 0:
            kind = np.dtype(f"{kind.char}{size // (4 if kind.char == 'U' else 1)}")
        self.kind = np.dtype(_text(order)[:1] + kind.str[1:])


def _text(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[<>|=]?([a-zA-Z?]\d*)?", value):
        raise pickle.UnpicklingError("it makes a type of something other than a name")
    return value


def _clean(kind: Any) -> np.dtype[Any]:
    """The type that a stand-in means; only of plain values."""
    if not isinstance(kind, _Type) or kind.kind.char not in "?bBhHiIlLqQefdgFDGSUO":
        raise pickle.UnpicklingError("it holds values that are neither numbers nor text")
    return kind.kind


def _reconstruct(subtype: Any, *_: Any) -> _Array:
    if subtype != _NDARRAY:
        raise pickle.UnpicklingError("it makes an array of an unknown kind")
    return _Array()


def _scalar(kind: Any, value: Any) -> Any:
    raw = value.encode("latin1") if isinstance(value, str) else value
    return _numbers(raw, _clean(kind), 1)[0]


def _frombuffer(buffer: Any, kind: Any, shape: Any, order: Any) -> Any:
    return _numbers(buffer, _clean(kind), math.prod(shape)).reshape(shape, order=order)


def _numbers(raw: Any, kind: np.dtype[Any], count: int) -> np.ndarray[Any, Any]:
    if not isinstance(raw, (bytes, bytearray)) or kind.hasobject or len(raw) != count * kind.itemsize:
        raise ValueError(f"{count} values of type {kind} are not there")
    return np.frombuffer(raw, kind).copy() if len(raw) else np.empty(count, kind)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes as {encoding}")
    return text.encode("latin1")


def _nothing() -> bytes:
    return b""


_NDARRAY = "numpy.ndarray"
_MAKERS: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): _Type}
_MAKERS |= {("_codecs", "encode"): _encode, ("__builtin__", "bytes"): _nothing}
for _core in ("numpy.core", "numpy._core"):
    _MAKERS[(f"{_core}.multiarray", "_reconstruct")] = _reconstruct
    _MAKERS[(f"{_core}.multiarray", "scalar")] = _scalar
    _MAKERS[(f"{_core}.numeric", "_frombuffer")] = _frombuffer


def _bytearray(reader: Any) -> None:
    """As many bytes as are there: the unpickler's own way is to reserve as many as a damaged file claims."""
    (count,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(min(count, sys.maxsize))))


class _Unpickler(pickle._Unpickler):
    """Knows numpy's arrays, scalars and types; any other name is refused before anything is called.

    It is the unpickler written in Python, for damaged files can crash the one written in C.
    """

    def find_class(self, module: str, name: str) -> Any:
        maker = _MAKERS.get((module, name))
        if maker is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        # A function of its own, for a pickle can set attributes of what it is given.
        return maker if isinstance(maker, str) else lambda *given: maker(*given)

    dispatch: ClassVar[dict[int, Any]] = pickle._Unpickler.dispatch | {pickle.BYTEARRAY8[0]: _bytearray}

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for something outside the file")


def load(path: Path, limit: int = 2**31) -> Any:
    """What a pickle, or an .npy file that holds one, says: plain values and arrays, as Python 2 and 3 wrote them.

    Raises `UserError` where the file is larger than `limit` bytes, is damaged, or asks for anything but numpy's arrays.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path}: {size} bytes are more than a pickle is read of ({limit})")
        return _read(path.read_bytes(), path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _read(content: bytes, path: Path) -> Any:
    try:
        if content.startswith(np.lib.format.MAGIC_PREFIX):
            return _npy(io.BytesIO(content))
        return _plain(_Unpickler(io.BytesIO(content), encoding="latin1").load())
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: this pickle is not read, it may be unsafe or damaged: {error}") from None
    # The makers above can be called with anything, and these are what they and the unpickler then raise.
    except (EOFError, ValueError, TypeError, AttributeError, LookupError, OverflowError, struct.error) as error:
        raise UserError(f"{path}: this file is damaged: {error or type(error).__name__}") from None
    except (MemoryError, RecursionError) as error:
        raise UserError(f"{path}: this file is damaged or hostile: {type(error).__name__}") from None


def _npy(file: io.BytesIO) -> Any:
    """The array of an .npy file; the single value of one that holds an object of no dimension."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of .npy is not known")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    array = _plain(_Unpickler(file, encoding="latin1").load())
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds no array")
    return array.reshape(shape, order="F" if fortran else "C")[()]


def _plain(value: Any) -> Any:
    """The value with ordinary arrays in it."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, _Array):
        array = value.value
        if not isinstance(array, np.ndarray):
            raise ValueError("an array has no values")
        if array.dtype.hasobject:
            for at, held in np.ndenumerate(array):
                array[at] = _plain(held)
        return array
    return value
