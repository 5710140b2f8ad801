"""How a CSV or Parquet file is written: separator, decimal mark, encoding, header, and what each column holds."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limbeck.data.recordings import Findings
from limbeck.errors import UserError

Kind = Literal["number", "text", "instant", "empty", "unnamed"]

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = ("", "NaN", "nan", "NA", "N/A")
"""Cells that say *no value*. Not `None` or `null`: these are names of classes in more than one data set."""
HEAD_BYTES, HEAD_LINES = 1 << 16, 50
NUMBERS = {d: re.compile(rf"\s*[-+]?(\d+[{d}]?\d*|[{d}]\d+)([eE][-+]?\d+)?\s*") for d in ".,"}
"""What a number looks like, by its decimal mark."""


@dataclass(frozen=True)
class Layout:
    """How a file is written, as its beginning tells. Messages call it `name`; `skip` lines are before its first row."""

    path: Path
    name: str
    kinds: Mapping[str, Kind]
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    skip: int = 0

    @property
    def known(self) -> str:
        """The columns, for a message."""
        return f"its columns are {', '.join(map(repr, self.kinds))}"


def layout(path: Path, name: str, findings: Findings) -> Layout | None:
    """How the file is written; `None` (and a finding) where it holds no row.

    Raises `UserError` for a file without a header, with two columns of one name, or that is no text at all.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_layout(path, name, findings)
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    text, encoding = _decoded(raw, name, findings)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(raw) == HEAD_BYTES:
        lines.pop()
    if not text.strip():
        findings.add("empty file", name)
        return None
    at, separator = _header(lines, name)
    rows = [
        row for row in csv.reader(lines[at : at + HEAD_LINES], delimiter=separator, skipinitialspace=True) if any(row)
    ]
    header, body = [cell.strip() for cell in rows[0]], rows[1:]
    if not body:
        findings.add("file with a header only", name)
        return None
    findings.add("file with lines before the header", name, int(at > 0))
    columns = [cell or f"(column {i})" for i, cell in enumerate(header, 1)]
    _check_header(columns, body, name)
    decimal = "," if separator != "," and _commas(body) else "."
    findings.note("file with decimal commas", name, int(decimal == ","))
    kinds: dict[str, Kind] = {}
    for i, column in enumerate(columns):
        kinds[column] = _kind([row[i].strip() for row in body if i < len(row)], decimal) if header[i] else "unnamed"
    return Layout(path, name, kinds, separator, decimal, encoding, at + 1)


def _decoded(raw: bytes, name: str, findings: Findings) -> tuple[str, str]:
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((e for mark, e in marks.items() if raw.startswith(mark)), "utf-8")
    findings.note("file with a byte order mark", name, int(encoding != "utf-8"))
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw)
    except UnicodeDecodeError:
        findings.add("file that is not UTF-8, read as Latin-1", name)
        encoding, text = "latin-1", raw.decode("latin-1")
    if "\0" in text:
        raise UserError(f"{name} is not a text file; expected CSV")
    return text, encoding


def _header(lines: Sequence[str], name: str) -> tuple[int, str]:
    """Line and separator of the header: words only, with lines of as many fields below it that hold numbers."""
    filled = [i for i, line in enumerate(lines) if line.strip()]
    for n, i in enumerate(filled[:50]):
        for separator in sorted(",;\t|", key=lambda s: -lines[i].count(s)):
            header, *below = csv.reader([lines[j] for j in filled[n : n + 10]], delimiter=separator)
            if any(_is_number(c, ".") or _is_number(c, ",") for c in header):
                continue
            alike = [row for row in below if len(row) == len(header) or len(row) > len(header) > 1]
            only = not below and n == 0
            if only or any(_is_number(c, ".") or _is_number(c, ",") for row in alike for c in row):
                return i, separator
    first = lines[filled[0]][:60]
    raise UserError(
        f"{name} has no header line with numbers below it (it begins {first!r}); put the names of the columns there, "
        "such as time,x,y,z"
    )


def _check_header(columns: Sequence[str], body: Sequence[Sequence[str]], name: str) -> None:
    twice = [c for c, n in Counter(columns).items() if n > 1]
    if twice:
        raise UserError(f"{name} has two columns named {twice[0]!r}; give each its own name")
    width = Counter(len(row) if any(row[len(columns) :]) else len(columns) for row in body).most_common(1)[0][0]
    if width > len(columns):
        raise UserError(f"{name}: the header names {len(columns)} columns, but the lines have {width} fields")


def _is_number(cell: str, decimal: str) -> bool:
    return bool(NUMBERS[decimal].fullmatch(cell))


def _commas(body: Sequence[Sequence[str]]) -> bool:
    """Whether fractions are written with commas rather than with points."""
    cells = [cell for row in body for cell in row if not cell.isdecimal()]
    return sum(_is_number(c, ",") for c in cells) > sum(_is_number(c, ".") for c in cells)


def _kind(cells: Sequence[str], decimal: str) -> Kind:
    given = [cell for cell in cells if cell not in MISSING]
    numbers = sum(_is_number(cell, decimal) or cell.lower().lstrip("+-") == "inf" for cell in given)
    return "empty" if not given else "number" if 2 * numbers >= len(given) else "text"


def _parquet_layout(path: Path, name: str, findings: Findings) -> Layout | None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{name} is Parquet, which needs the extra 'parquet': pip install 'limbeck[parquet]'") from None
    try:
        meta = parquet.read_metadata(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{name} is not a Parquet file: {str(error).splitlines()[0]}") from None
    if not meta.num_rows:
        findings.add("empty file", name)
        return None
    kinds: dict[str, Kind] = {}
    for field in meta.schema.to_arrow_schema():
        numeric = any(is_a(field.type) for is_a in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal))
        kind: Kind = "number" if numeric else "instant" if pa.types.is_timestamp(field.type) else "text"
        kinds[field.name] = "unnamed" if re.match(r"__index_level_\d+__|Unnamed: \d+|$", field.name) else kind
    return Layout(path, name, kinds)
