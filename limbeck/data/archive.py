"""The files of a data set in a folder or in a zip, found by name and read without unpacking."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from limbeck.errors import UserError

DEPTH = 6
"""Folders below the root that are looked into: a root far too high up is an error, not a search of the disk."""
LIMIT = 2**30
"""Bytes that one file of a zip may unpack to."""


@dataclass(frozen=True)
class Entry:
    """One file: `name`, mostly without folders, and where it lies (`member` of a zip `file`, or the file itself)."""

    name: str
    file: Path
    member: str = ""

    def read(self) -> bytes:
        """All of it. Raises `UserError` where it cannot be read, or is damaged or far too large."""
        try:
            if not self.member:
                return self.file.read_bytes()
            with zipfile.ZipFile(self.file) as held:
                if held.getinfo(self.member).file_size > LIMIT:
                    raise UserError(f"{self.file}: {self.member} would unpack to more than {LIMIT} bytes")
                return held.read(self.member)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            place = f"{self.file}: {self.member}" if self.member else str(self.file)
            raise UserError(f"{place} cannot be read: {error}") from None


def find(root: Path, pattern: str, expected: str, folders: int = 0) -> list[Entry]:
    """The files whose whole name matches a pattern (any case), by name: of a zip, of a folder, or of a zip in a folder.

    A name includes as many `folders` that the file lies in, parted by `/`. Raises `UserError` where the root is not
    there, where nothing matches (`expected` says what should), or where two files have one name.
    """
    matches, root = re.compile(pattern, re.IGNORECASE), root.expanduser()
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; {expected}")
    if root.is_dir():
        inside = ((_tail(p.absolute().as_posix(), folders), p) for p in _below(root, DEPTH))
        found = [Entry(name, p) for name, p in inside if matches.fullmatch(name)]
        for path in sorted(root.glob("*.[zZ][iI][pP]")) if not found else []:
            found += _inside(path, matches, folders)
    else:
        found = _inside(root, matches, folders)
    if not found:
        raise UserError(f"{root}: no such data here; {expected}")
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


def _tail(path: str, folders: int) -> str:
    return "/".join(path.split("/")[-1 - folders :])


def _inside(path: Path, matches: re.Pattern[str], folders: int) -> list[Entry]:
    try:
        with zipfile.ZipFile(path) as held:
            members = [i.filename for i in held.infolist() if not i.is_dir() and "__MACOSX" not in i.filename]
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a zip that can be read: {error}") from None
    return [Entry(name, path, m) for m in members if matches.fullmatch(name := _tail(m, folders))]
