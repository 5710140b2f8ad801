"""Labels of spans of time, in a CSV beside a GENEActiv recording."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limbeck.data.geneactiv_bin import Trace, moment
from limbeck.data.recordings import Array, Findings
from limbeck.errors import UserError, unknown
from limbeck.tasks import IGNORE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Span:
    """What a line of a label file says: texts by column, from `begin` to `end` s by the recorder's clock.

    `line` is where it stands.
    """

    begin: float
    end: float
    texts: Mapping[str, str]
    line: str


def table(file: Path) -> "pd.DataFrame":
    """The texts of a label file: its columns start and end, then the others.

    Raises `UserError` where it cannot be read, lacks one of these columns, or has no other.
    """
    import pandas as pd

    try:
        with file.open(encoding="utf-8-sig") as held:
            first = held.readline()
        separator = next((s for s in ";\t" if s in first), ",")
        made = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: this label file cannot be read: {str(error).strip()}") from None
    made.columns = [str(c).strip() for c in made.columns]
    for column in ("start", "end"):
        if column not in made.columns:
            raise unknown(f"column in {file}:", column, made.columns)
    others = [c for c in made.columns if c not in ("start", "end")]
    if not others:
        raise UserError(f"{file}: a label file needs a column of labels beside start and end")
    made = made[["start", "end", *others]].fillna("")  # where a line ends before its last column
    return pd.DataFrame({column: made[column].str.strip() for column in made})


def spans(labels: "pd.DataFrame", where: str, traces: Sequence[Trace], findings: Findings) -> list[Span]:
    """What the lines of a label file say of a recording; those that say nothing of it are counted."""
    zero, last = traces[0].start, traces[-1].start + len(traces[-1].raw) / traces[-1].rate
    made = []
    for number, row in enumerate(labels.to_numpy().tolist(), 2):
        line, texts = f"{where} line {number}", dict(zip(map(str, labels.columns), map(str, row), strict=True))
        try:
            begin, end = _when(texts["start"], zero), _when(texts["end"], zero)
        except ValueError:
            begin = end = zero
        if not begin < end:
            what = f"{line}: {texts['start']}, {texts['end']}"
            findings.add("label lines whose start and end make no sense, left out", what)
            continue
        findings.add("label lines outside of the recording", line, end <= zero or begin >= last)
        made.append(Span(begin, end, texts, line))
    return made


def spread(told: Sequence[Span], ids: Sequence[int], trace: Trace) -> Array:
    """The class ids of spans as those of each sample `(T,)`, `IGNORE` where no span is."""
    made = np.full(len(trace.raw), IGNORE, np.int16)
    for span, label in zip(told, ids, strict=True):
        # A sample belongs to the span in which it is taken; times in whole ms are off by rounding.
        first, end = (max(0, math.ceil((t - trace.start) * trace.rate - 0.1)) for t in (span.begin, span.end))
        made[first:end] = label
    return made


def _when(text: str, zero: float) -> float:
    """Seconds by the recorder's clock, of a time or of seconds from `zero`. Raises `ValueError` for another text."""
    try:
        return zero + float(text)
    except ValueError:
        return moment(text)
