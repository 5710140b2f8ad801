"""Reads one CSV or Parquet file into named columns of numbers and texts; what is odd is counted, never guessed at."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data.layout import MISSING, Layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Texts:
    """A column of few different texts: `codes` `(N,)` into the sorted `names`, -1 where a cell is empty."""

    codes: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """The rows of a file that could be read. `lines` `(N,)`: where each was in the file, from 1."""

    numbers: Mapping[str, Array]
    texts: Mapping[str, Texts]
    lines: Array


def read(file: Layout, numbers: Mapping[str, str], texts: Sequence[str], instant: str, findings: Findings) -> Columns:
    """The columns asked for: `numbers` (by name, with their dtype), `texts`, and one of dates, `instant` ("": none).

    `instant` becomes a number, seconds since 1970 (UTC where no zone is written), NaN where it is no ISO 8601 date.
    A line with too many fields, or with text where a number belongs, is dropped and counted. Raises `UserError` where
    the file cannot be read.
    """
    wanted = [*texts, *([instant] if instant else [])]
    parquet = file.path.suffix.lower() == ".parquet"
    frame, lines = _parquet(file, [*numbers, *wanted]) if parquet else _csv(file, numbers, wanted, findings)
    values = {column: _numbers(frame[column], dtype, file.decimal) for column, dtype in numbers.items()}
    texted = {column: _texts(frame[column]) for column in texts}
    keep = np.ones(len(lines), bool)
    for column, number in values.items():
        if frame[column].dtype.kind not in "iuf":
            text = np.isnan(number) & frame[column].notna().to_numpy()
            findings.add("text in a numeric column", f"{_line(file, lines, text)}, column {column!r}", int(text.sum()))
            keep &= ~text
    if instant:
        values[instant] = _seconds(frame[instant])
        wrong = np.isnan(values[instant]) & frame[instant].notna().to_numpy()
        findings.add("time that is no ISO 8601 date", _line(file, lines, wrong), int(wrong.sum()))
    absent = [np.isnan(number) for number in values.values()] + [text.codes < 0 for text in texted.values()]
    blank = np.logical_and.reduce(absent) & keep
    findings.add("empty line", _line(file, lines, blank), int(blank.sum()))
    keep &= ~blank
    if keep.all():
        return Columns(values, texted, lines)
    kept = {column: Texts(text.codes[keep], text.names) for column, text in texted.items()}
    return Columns({column: number[keep] for column, number in values.items()}, kept, lines[keep])


def _csv(
    file: Layout, numbers: Mapping[str, str], texts: Sequence[str], findings: Findings
) -> "tuple[pd.DataFrame, Array]":
    """The frame and the line of each row, without the lines that have too many fields."""
    import pandas as pd

    extra = "(too many)"  # a column more than the header has, or the parser would cut longer lines without a word

    def parse(dtypes: Mapping[str, str]) -> pd.DataFrame:
        return pd.read_csv(
            file.path,
            header=None,
            skiprows=file.skip,
            names=[*file.kinds, extra],
            index_col=False,
            dtype=dict(dtypes),
            sep=file.separator,
            decimal=file.decimal,
            encoding=file.encoding,
            skip_blank_lines=False,
            skipinitialspace=True,
            on_bad_lines="warn",
            keep_default_na=False,
            na_values={column: list(MISSING) for column in (*file.kinds, extra)},
        )

    category = dict.fromkeys(texts, "category")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            frame = parse({**numbers, **category})
        except UnicodeDecodeError as error:
            raise UserError(f"{file.name}: a line is not {file.encoding}: {error}") from None
        except pd.errors.ParserError as error:
            raise UserError(f"{file.name} cannot be read as CSV: {str(error).strip()}") from None
        except ValueError:  # some text among the numbers: the slow way finds where
            said.clear()
            frame = parse({**dict.fromkeys(numbers, "str"), **category})
    skipped = sorted({int(n) for w in said for n in re.findall(r"Skipping line (\d+)", str(w.message))})
    lines = np.arange(file.skip + 1, file.skip + 1 + len(frame) + len(skipped))
    lines = np.setdiff1d(lines, skipped) if skipped else lines
    ragged = frame[extra].notna().to_numpy()
    places = [*lines[ragged].tolist(), *skipped]
    findings.add("line with too many fields", f"{file.name}:{min(places, default=0)}", len(places))
    return (frame[~ragged], lines[~ragged]) if ragged.any() else (frame, lines)


def _parquet(file: Layout, names: Sequence[str]) -> "tuple[pd.DataFrame, Array]":
    from pyarrow import parquet

    frame = parquet.read_table(file.path, columns=list(names)).to_pandas(ignore_metadata=True)
    return frame, np.arange(1, len(frame) + 1)


def _numbers(column: "pd.Series[Any]", dtype: str, decimal: str) -> Array:
    """The column as numbers, NaN where it holds something else."""
    import pandas as pd

    if column.dtype.kind in "iuf":
        return column.to_numpy(dtype)
    text = column.astype("str").str.strip().str.replace(decimal, ".", regex=False)
    return pd.to_numeric(text, errors="coerce").to_numpy(dtype)


def _line(file: Layout, lines: Array, which: Array) -> str:
    return f"{file.name}:{lines[which][0]}" if which.any() else file.name


def _texts(column: "pd.Series[Any]") -> Texts:
    values = column.astype("category").array
    cleaned = [re.sub(r"(?<=\d)\.0+$", "", str(c).strip()) for c in values.categories]
    names = sorted({c for c in cleaned if c not in MISSING})
    index = {name: i for i, name in enumerate(names)}
    table = np.array([*(index.get(c, -1) for c in cleaned), -1])
    return Texts(table[values.codes], tuple(names))


def _seconds(column: "pd.Series[Any]") -> Array:
    import pandas as pd

    values = column.astype("category").cat
    instants = pd.to_datetime(values.categories, format="ISO8601", utc=True, errors="coerce").as_unit("ns")
    table = np.append(np.where(instants.isna(), np.nan, instants.asi8 / 1e9), np.nan)
    return table[values.codes.to_numpy()]
