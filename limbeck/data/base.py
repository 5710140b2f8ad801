"""What every set of data is to the rest: files, a digest of what is read, and the table that comes out."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from limbeck.config import Spec, digest, dump
from limbeck.data import cache
from limbeck.data.source import Table


class Data(Spec, ABC):
    """A data set as a spec. A concrete one says which files there are and how they become a table."""

    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that are read, in a stable order. Raises `UserError` where they or their folder are not there."""

    @abstractmethod
    def load(self) -> Table:
        """The table. Raises `UserError` where there are no files, or nothing usable in them."""

    def digest(self) -> str:
        """Names the contents of the files and this spec, but not where they lie. Raises as `files` does."""
        plain = {k: v for k, v in dump(self).items() if not isinstance(getattr(self, k, None), Path)}
        return digest([plain, cache.contents(self.files())])
