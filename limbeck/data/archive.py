"""The files of a data set in a folder or in a zip, found by name and read without unpacking."""

import re
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from limbeck.errors import UserError

DEPTH = 6
"""Folders below the root that are looked into: a root far too high up is an error, not a search of the disk."""
LIMIT = 2**30
"""Bytes that one file of a zip may unpack to."""
DENSEST = 500
"""Times its size in the zip that a large file may unpack to: what is denser is a trap rather than data."""


@dataclass(frozen=True)
class Entry:
    """One file: `name`, mostly without folders, and where it lies (`member` of a zip `file`, or the file itself)."""

    name: str
    file: Path
    member: str = ""

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        return f"{self.file}: {self.member}" if self.member else str(self.file)

    def read(self) -> bytes:
        """All of it. Raises `UserError` where it cannot be read, or is damaged or far too large."""
        return Reader().read(self)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """It as an open file, to be read a piece at a time. Raises `UserError` as `read` does."""
        with _said(self):
            if not self.member:
                with self.file.open("rb") as file:
                    yield file
            else:
                with zipfile.ZipFile(self.file) as held, held.open(self.member) as file:
                    yield file


class Reader:
    """Reads many entries, from several threads at once; each thread opens a zip once, not once per file in it."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def read(self, entry: Entry) -> bytes:
        """All of an entry. Raises `UserError` where it cannot be read, or is damaged or far too large."""
        with _said(entry):
            if not entry.member:
                return entry.file.read_bytes()
            if self.mark(entry)[0] > LIMIT:
                raise UserError(f"{entry.place} would unpack to more than {LIMIT} bytes")
            return self._zip(entry.file).read(entry.member)

    def mark(self, entry: Entry) -> tuple[int, int]:
        """Bytes of an entry, and what a zip says of them unread, its check sum (else 0): of two that are the same, the
        same. Raises `UserError` where it is not there."""
        with _said(entry):
            if not entry.member:
                return entry.file.stat().st_size, 0
            about = self._zip(entry.file).getinfo(entry.member)
            return about.file_size, about.CRC

    def _zip(self, path: Path) -> zipfile.ZipFile:
        opened: dict[str, zipfile.ZipFile] = self._thread.__dict__
        if str(path) not in opened:
            opened[str(path)] = zipfile.ZipFile(path)
        return opened[str(path)]


@contextmanager
def _said(entry: Entry) -> Iterator[None]:
    """Turns what goes wrong with an entry into one line."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise UserError(f"{entry.place} cannot be read: {error}") from None


def find(root: Path, pattern: str, expected: str, folders: int | None = 0) -> list[Entry]:
    """The files whose whole name matches a pattern (any case), by name: of a zip, of a folder, or of a zip in a folder;
    or the root itself.

    A name includes as many `folders` that the file lies in, parted by `/`; where that is None, all below the root.
    Raises `UserError` where nothing matches (`expected` says what should), and as `search` does.
    """
    if not root.expanduser().exists():
        raise UserError(f"{root.expanduser()}: no such file or folder; {expected}")
    found = search(root, pattern, folders)
    if not found:
        raise UserError(f"{root.expanduser()}: no such data here; {expected}")
    return found


def search(root: Path, pattern: str, folders: int | None = 0) -> list[Entry]:
    """As `find`, but what is not there is none. Raises `UserError` where two files have one name, and at a zip that is
    not to be trusted."""
    matches, root = re.compile(pattern, re.IGNORECASE), root.expanduser()
    if root.is_dir():
        inside = ((_name(p, root, folders), p) for p in _below(root, DEPTH))
        found = [Entry(name, p) for name, p in inside if matches.fullmatch(name)]
        for path in sorted(root.glob("*.[zZ][iI][pP]")) if not found else []:
            found += _inside(path, matches, folders)
    elif matches.fullmatch(name := _tail(root.absolute().as_posix(), folders or 0)):
        found = [Entry(name, root)]
    elif root.suffix.lower() == ".zip" or zipfile.is_zipfile(root):
        found = _inside(root, matches, folders)
    else:
        found = []
    found.sort(key=lambda e: (e.name.lower(), str(e.file), e.member))
    for one, two in pairwise(found):
        if one.name.lower() == two.name.lower():
            places = " and ".join(f"{e.file}{': ' if e.member else ''}{e.member}" for e in (one, two))
            raise UserError(
                f"{root}: two files are named {one.name}: {places}; name the folder of the ones that are meant"
            )
    return found


def _below(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        if path.is_file():
            yield path
        elif depth and path.is_dir() and not path.is_symlink():
            yield from _below(path, depth - 1)


def _name(path: Path, root: Path, folders: int | None) -> str:
    return path.relative_to(root).as_posix() if folders is None else _tail(path.absolute().as_posix(), folders)


def _tail(path: str, folders: int | None) -> str:
    return path if folders is None else "/".join(path.split("/")[-1 - folders :])


def _inside(path: Path, matches: re.Pattern[str], folders: int | None) -> list[Entry]:
    """The files of a zip. Raises `UserError` where one of them is a trap, or cannot be read without a password."""
    try:
        with zipfile.ZipFile(path) as held:
            members = held.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a zip that can be read: {error}") from None
    found = []
    for member in members:
        whole = member.filename.replace("\\", "/")
        parts = whole.split("/")
        hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts)
        if not member.is_dir() and not hidden and matches.fullmatch(name := _tail(whole, folders)):
            if fault := _fault(member, parts):
                raise UserError(f"{path}: {member.filename} {fault}; unpack and look through it, and name the folder")
            found.append(Entry(name, path, member.filename))
    return found


def _fault(member: zipfile.ZipInfo, parts: list[str]) -> str:
    """Why a file of a zip is not to be read; empty where it may be."""
    if ".." in parts or not parts[0] or parts[0].endswith(":"):
        return "lies outside of the folder that it would be unpacked to"
    if member.flag_bits & 1:
        return "is encrypted"
    if 2**20 < member.file_size > DENSEST * member.compress_size:
        return f"would unpack to {member.file_size} bytes from {member.compress_size}"
    return ""
