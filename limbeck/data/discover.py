"""Which columns of files are signal and which are labels, where nobody says; and the natural order of names."""

import re
from collections.abc import Collection, Iterator, Sequence

from limbeck.data.layout import Layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

LABELS = re.compile(r"label.*|activity|position", re.IGNORECASE)
"""Columns that are labels even where they hold numbers."""
TIMES = re.compile(r"time|timestamp|datetime|date|t|index|sample", re.IGNORECASE)
"""Columns of numbers that are no signal even where they are not the time column."""


def natural(text: str) -> tuple[list[tuple[int, int | str]], str]:
    """A key that sorts `a2` before `a10` and `-1` before `0`, and is different for different texts."""
    parts = re.findall(r"^-\d+$|\d+|\D+", text)
    return [(0, int(p)) if p.lstrip("-").isdecimal() else (1, p.casefold()) for p in parts], text


def channels(files: Sequence[Layout], others: Collection[str], findings: Findings) -> tuple[str, ...]:
    """The columns of numbers, which must be the same in all files, without `others` and without what a name gives away.

    Raises `UserError` where files differ and where there is none. What was taken and what was not is in the findings.
    """
    sets = [[c for c in file.kinds if _is_channel(file, c, others)] for file in files]
    for file, names in zip(files, sets, strict=True):
        if set(names) != set(sets[0]):
            odd = sorted(set(names) ^ set(sets[0]), key=natural)
            raise UserError(
                f"{file.name} and {files[0].name} have different columns of numbers ({', '.join(odd)}); "
                "name those that are the signal with --data.channels"
            )
    if not sets[0]:
        raise UserError(f"{files[0].name} has no column of numbers to be the signal; {files[0].known}")
    findings.note(f"columns taken as channels: {', '.join(sets[0])}", files[0].name)
    for file, column in _columns(files, others):
        if file.kinds[column] == "unnamed" or (file.kinds[column] == "number" and TIMES.fullmatch(column)):
            findings.note(f"column not taken as a channel: {column}", file.name)
    return tuple(sets[0])


def _is_channel(file: Layout, column: str, others: Collection[str]) -> bool:
    given_away = LABELS.fullmatch(column) or TIMES.fullmatch(column)
    return file.kinds[column] == "number" and column not in others and not given_away


def labels(files: Sequence[Layout], others: Collection[str], findings: Findings) -> tuple[str, ...]:
    """The columns called label..., activity or position and those of text, in the order of their first appearance.

    Raises `UserError` where there is none. What was taken is in the findings.
    """
    found = [
        column
        for file, column in _columns(files, others)
        if LABELS.fullmatch(column) or (file.kinds[column] == "text" and not TIMES.fullmatch(column))
    ]
    if not found:
        raise UserError(
            f"{files[0].name} has no column of labels: none is called label..., activity or position or holds text; "
            f"{files[0].known}; name the label columns with --data.labels"
        )
    taken = tuple(dict.fromkeys(found))
    findings.note(f"columns taken as labels: {', '.join(taken)}", files[0].name)
    for file, column in _columns(files, {*others, *taken}):
        if file.kinds[column] == "empty":
            findings.add(f"column without a value in the first lines, not taken: {column}", file.name)
    return taken


def _columns(files: Sequence[Layout], others: Collection[str]) -> Iterator[tuple[Layout, str]]:
    return ((file, column) for file in files for column in file.kinds if column not in others)
