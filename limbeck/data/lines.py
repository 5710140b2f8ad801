"""Lines of text as numbers: fast where all is as it should be, else line by line, and everything odd is counted."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.data.recordings import Findings

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Records:
    """N lines `subject,code,timestamp,x,y,z;`: `code` says which of the `names`, times are in ns, values `(N, 3)`."""

    subject: Array
    code: Array
    time: Array
    values: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)

    def repeats(self) -> Array:
        """Where `(N,)` a record says what the one before it said."""
        made = np.zeros(len(self), dtype=bool)
        same = (self.values[1:] == self.values[:-1]).all(axis=1) & (self.time[1:] == self.time[:-1])
        made[1:] = same & (self.code[1:] == self.code[:-1])
        return made

    def where(self, keep: Array, what: str, where: str, findings: Findings) -> "Records":
        """Only the records of a mask `(N,)`; the others are counted as `what`."""
        if keep.all():
            return self
        findings.add(what, where, (~keep).sum())
        return Records(self.subject[keep], self.code[keep], self.time[keep], self.values[keep], self.names)


def records(content: bytes, where: str, findings: Findings) -> Records:
    """The records of a WISDM file, of 2019 or v1.1.

    Lines that lack a `;`, hold two records, or end in `,;` are read and counted; broken ones and those that lack a
    value are left out and counted.
    """
    content = _plain(content)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    if content.endswith(b";") and content.count(b";") == lines and content.count(b";\n") == lines - 1:
        fast = _fast_records(content)
        if fast is not None and len(fast) == lines:
            return fast
    rows = [r for n, line in enumerate(_text(content), 1) for r in _record_line(line, f"{where} line {n}", findings)]
    subject, code, time, *values = zip(*rows, strict=True) if rows else ((),) * 6
    names, numbers = np.unique(np.array(code, str), return_inverse=True)
    signal = np.array(values, np.float32).T
    return Records(np.array(subject, np.int64), numbers, np.array(time, np.int64), signal, tuple(names.tolist()))


def _fast_records(content: bytes) -> Records | None:
    import pandas as pd

    kinds = {"subject": "int64", "code": "category", "time": "int64", "x": "float32", "y": "float32", "z": "float32"}
    try:
        frame = pd.read_csv(io.BytesIO(content), header=None, names=list(kinds), dtype=kinds, comment=";")
    except (ValueError, OverflowError):
        return None
    values = np.stack([frame[c].to_numpy() for c in "xyz"], axis=1)
    if not np.isfinite(values).all() or frame["code"].isna().any():
        return None
    code = frame["code"].cat
    names = tuple(str(c).strip() for c in code.categories)
    return Records(frame["subject"].to_numpy(), code.codes.to_numpy(), frame["time"].to_numpy(), values, names)


def _record_line(line: str, where: str, findings: Findings) -> list[tuple[int, str, int, float, float, float]]:
    """The records of one line, mostly one."""
    parts = [p for p in line.split(";") if p.strip()]
    if not parts:
        findings.add("empty lines", where)
        return []
    if not line.rstrip().endswith(";"):
        findings.add("lines without ;", where)
    if len(parts) > 1:
        findings.add("lines with several records", where)
    return [r for part in parts if (r := _record(part, where, findings)) is not None]


def _record(text: str, where: str, findings: Findings) -> tuple[int, str, int, float, float, float] | None:
    fields = [f.strip() for f in text.split(",")]
    if len(fields) == 7 and not fields[-1]:
        findings.add("lines ending in ,;", where)
        fields.pop()
    if len(fields) in (5, 6) and all(fields[:5]) and not all(fields[5:6] or [""]):
        findings.add("lines without z", where)
        return None
    try:
        subject, code, time, x, y, z = fields
        made = (int(subject), code, int(time), float(x), float(y), float(z))
    except ValueError:
        made = None
    if made is None or not np.isfinite(made[3:]).all() or not made[1] or not 0 <= made[2] < 2**63:
        findings.add("broken lines", where)
        return None
    return made


def table(
    content: bytes, separator: str, columns: int, where: str, findings: Findings, missing: bool = False
) -> tuple[Array, Array]:
    """Numbers `(N, columns)` float64 of lines that hold as many, and the number `(N,)` of each one's line, from 0.

    A `;` at the end of a line does not matter. Lines that hold something else are left out and counted; a first line of
    words is a header. `missing`: NaN is to be expected.
    """
    content = _plain(content)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    if content.count(separator.encode()) == (columns - 1) * lines:
        values = _fast_table(content, separator, columns, missing)
        if values is not None and len(values) == lines:
            return values, np.arange(lines)
    rows, numbers = [], []
    for number, line in enumerate(_text(content)):
        fields = line.strip().rstrip(";").split(separator)
        try:
            row = [float(f) for f in fields]
        except ValueError:
            row = []
        if len(row) == columns:
            rows.append(row)
            numbers.append(number)
        elif number or not any(c.isalpha() for c in line):
            findings.add("broken lines" if line.strip(" ;\t") else "empty lines", f"{where} line {number + 1}")
    return np.array(rows, np.float64).reshape(-1, columns), np.array(numbers, np.int64)


def _fast_table(content: bytes, separator: str, columns: int, missing: bool) -> Array | None:
    import pandas as pd

    names = [str(i) for i in range(columns)]
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=None,
            names=names,
            dtype="float64",
            comment=";",
            index_col=False,
            keep_default_na=False,
            na_values=["NaN"] if missing else [],
        )
    except (ValueError, OverflowError):
        return None
    values = frame.to_numpy()
    return None if not missing and np.isnan(values).any() else values


def _plain(content: bytes) -> bytes:
    """Without a byte order mark, blank ends and the line ends of other systems."""
    content = content.removeprefix(b"\xef\xbb\xbf").strip(b" \r\n\x00\x1a")
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in content else content


def _text(content: bytes) -> list[str]:
    return content.decode("latin-1").split("\n") if content else []
