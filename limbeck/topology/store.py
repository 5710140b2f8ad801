"""Files in a folder that are named by what they were made of and by what is in them, and so are made once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from limbeck import checkpoint

Say = Callable[[str], None]


@contextmanager
def alone(folder: Path, say: Say) -> Iterator[None]:
    """The folder for one process at a time, without what a killed one left half written."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{folder} is in use by another process: waiting for it")
            lock.acquire()
    except OSError as error:
        raise checkpoint.refused(folder, error) from error
    try:
        checkpoint.tidy(folder)
        yield
    finally:
        checkpoint.tidy(folder)
        lock.release()


class Store:
    """Files in a folder, named `KEY-HASH.KIND.safetensors`: by what they were made of, and by what is in them."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder, self.say = folder, say
        self.made, self.damaged = 0, list[str]()

    def file(self, key: str, kind: str, make: Callable[[Path], None]) -> Path:
        """The file of that key: the one that is there and sound, or else the one that `make` writes."""
        found = sorted(self.folder.glob(f"{key}-*.{kind}.safetensors"))
        broken = [path for path in found if not sound(path)]
        for path in broken:
            self.say(f"{path} is damaged, and is made again")
        kept = next((path for path in found if path not in broken), None) or self._made(key, kind, make)
        for path in broken:
            self.damaged.append(path.name)
            if path != kept:
                path.unlink()
        return kept

    def _made(self, key: str, kind: str, make: Callable[[Path], None]) -> Path:
        temporary = self.folder / f".{key}.{kind}.tmp"
        make(temporary)
        final = self.folder / f"{key}-{checkpoint.sha256(temporary)[:16]}.{kind}.safetensors"
        try:
            temporary.replace(final)
        except OSError as error:
            raise checkpoint.refused(final, error) from error
        self.made += 1
        return final


def sound(path: Path) -> bool:
    """Whether a file holds what its name says."""
    return checkpoint.sha256(path)[:16] == path.name.partition("-")[2].partition(".")[0]
