"""Small tables of text that say something of each file: a header, and lines of as many cells."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.data.archive import Entry
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


@dataclass(frozen=True)
class List:
    """The lines of a table, each with its number in the file, by column."""

    name: str
    columns: tuple[str, ...]
    lines: Sequence[tuple[int, dict[str, str]]]

    def need(self, *columns: str) -> None:
        """Raises `UserError` where a column is not there."""
        for column in columns:
            if column not in self.columns:
                raise UserError(
                    f"{self.name} has no column {column!r}; its columns are {', '.join(map(repr, self.columns))}"
                )


def read(entry: Entry, findings: Findings) -> List:
    """A table whose cells are parted by commas, semicolons or tabs. Lines of another number of cells are counted.

    Raises `UserError` where the file cannot be read, is empty, or has two columns of one name.
    """
    raw = entry.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        findings.note("tables that are not UTF-8, read as Latin-1", entry.name)
        text = raw.decode("latin-1")
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    except csv.Error as error:
        raise UserError(f"{entry.place} is no table of text: {error}") from None
    columns = rows[0] if rows else []
    if not any(columns) or len(set(columns)) < len(columns):
        raise UserError(f"{entry.place} needs a first line with the names of its columns, each its own")
    lines = []
    for number, row in enumerate(rows[1:], 2):
        while len(row) > len(columns) and not row[-1]:  # a separator at the end of the line
            row.pop()
        whole = len(row) == len(columns)
        findings.add(
            "lines without a cell for each column, left out", f"{entry.name}:{number}", bool(row) and not whole
        )
        if whole:
            lines.append((number, dict(zip(columns, row, strict=True))))
    return List(entry.name, tuple(columns), lines)
