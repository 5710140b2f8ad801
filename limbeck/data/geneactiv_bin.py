"""GENEActiv's .bin recordings: a header of text, then pages of ten lines, the last of them samples in hexadecimal."""

# Own code where a library reads the format: actfast 1.3 refuses a whole week for one damaged page or a last page cut
# off in its header, and takes a missing gain as it likes. Tests hold these samples against actfast's.

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from limbeck import signals
from limbeck.data.recordings import Array, Findings
from limbeck.errors import UserError

_BLOCK = 2**24
"""Bytes that are read at a time."""
_HEAD = 2**16
"""Bytes within which the first page begins."""
_MARK = b"Recorded Data"
_PAGE = re.compile(
    rb"\s*(?:[^\n]*\n)*?Sequence Number:\s*(\d+)\s+Page Time:([^\r\n]+)\s+"
    rb"(?:[^\n]*\n)*?Measurement Frequency:([\d.]+)\s+"
)
_FULL = 300
"""Samples of a page."""
_BYTES = 6
"""Of a sample: x, y and z of 12 bits each, light of 10, the button, and one bit of nothing."""


@dataclass(frozen=True)
class Header:
    """What a recorder says of itself: whose it is, and gain and offset `(3,)` of x, y and z."""

    subject: str
    pages: int
    gain: Array
    offset: Array

    def acceleration(self, raw: Array) -> Array:
        """Samples `(T, 3)` in g, float32: `(raw * 100 - offset) / gain`."""
        scale, shift = np.float32(100 / self.gain), np.float32(self.offset / self.gain)
        made = raw.astype(np.float32)
        made *= scale
        made -= shift
        return made


@dataclass(frozen=True)
class Trace:
    """Samples `(T, 3)` int16 without a gap, at `rate` Hz as the pages' times say, from `start` s of the own clock."""

    raw: Array
    rate: float
    start: float


def header(file: Path) -> Header:
    """The header of a recording. Raises `UserError` where it is not one of GENEActiv, or lacks its calibration."""
    with _opened(file) as held:
        text = held.read(_HEAD).split(_MARK)[0].decode("latin-1")
    pairs = (line.partition(":")[::2] for line in text.splitlines())
    fields = {name: value.strip(" \0") for name, value in pairs}  # empty ones are filled with either
    if "GENEActiv" not in fields.get("Device Type", ""):
        raise UserError(f"{file}: not a GENEActiv recording: its header has no line 'Device Type:GENEActiv'")
    numbers = []
    for name in (f"{axis} {what}" for what in ("gain", "offset") for axis in "xyz"):
        try:
            numbers.append(int(fields[name]))
        except (KeyError, ValueError):
            given = f"'{name}:{fields[name]}'" if name in fields else f"no '{name}'"
            raise UserError(f"{file}: a header without its calibration: {given} among its lines") from None
    if 0 in numbers[:3]:
        raise UserError(f"{file}: a header without its calibration: a gain of 0")
    pages = fields.get("Number of Pages", "")
    return Header(
        fields.get("Subject Code", ""),
        int(pages) if pages.isdigit() else 0,
        np.array(numbers[:3]),
        np.array(numbers[3:]),
    )


def moment(text: str) -> float:
    """Seconds since 1970 of a time by the recorder's clock, such as 2020-01-30 09:17:11:000 or another ISO 8601 one.

    Raises `ValueError` where it is none, or names a time zone, which the recorder's clock does not know.
    """
    made = datetime.fromisoformat(re.sub(r":(\d{3})$", r".\1", text.strip()))
    if made.tzinfo is not None:
        raise ValueError(f"{text!r} names a time zone")
    return made.replace(tzinfo=UTC).timestamp()


def traces(file: Path, head: Header, findings: Findings) -> list[Trace]:
    """The samples of a recording between its gaps, in 6 bytes each; nothing of a damaged page is used.

    A gap is a sequence number that does not follow, a time that is off by `signals.GAP` periods or more, or another
    rate. Raises `UserError` where the file cannot be read or holds no sample.
    """
    blocks, times, rates, numbers, counts = [], [], [], [], []
    for pages in _pages(file, head, findings):
        blocks.append(_decoded(b"".join(page.samples for page in pages)))
        times += [page.time for page in pages]
        rates += [page.rate for page in pages]
        numbers += [page.number for page in pages]
        counts += [len(page.samples) // _BYTES for page in pages]
    if not sum(counts):
        raise UserError(f"{file}: no page of samples that can be read{findings.told}")
    time, rate, count = np.array(times), np.array(rates), np.array(counts)
    missing = head.pages - len(times)
    findings.note("pages that the header tells of and the file lacks", file.name, max(0, missing))
    findings.add("pages of fewer than 300 samples", file.name, (count[:-1] < _FULL).sum())
    steps = np.diff(time) - count[:-1] / rate[:-1]
    findings.add("times that go back", file.name, (np.diff(time) < 0).sum())
    off = (np.abs(steps) > signals.GAP / rate[:-1]) | (np.diff(numbers) != 1) | (np.diff(rate) != 0)
    findings.add("gaps", file.name, off.sum())
    raw, ends = np.concatenate(blocks), np.cumsum(count)
    bounds = [0, *(np.flatnonzero(off) + 1).tolist(), len(time)]
    return [_trace(raw, time, rate, count, ends, a, b) for a, b in pairwise(bounds)]


@dataclass(frozen=True)
class _Page:
    number: int
    time: float
    rate: float
    samples: bytes


def _trace(raw: Array, time: Array, rate: Array, count: Array, ends: Array, first: int, last: int) -> Trace:
    """The samples of the pages `[first, last)`, at the rate that their times say."""
    seconds = time[last - 1] - time[first]
    measured = (ends[last - 2] - ends[first] + count[first]) / seconds if last - first > 1 else rate[first]
    return Trace(raw[ends[first] - count[first] : ends[last - 1]], float(measured), float(time[first]))


def _pages(file: Path, head: Header, findings: Findings) -> Iterator[list[_Page]]:
    """The pages of each block of a file; those that say again what the one before said are left out."""
    last: _Page | None = None
    where = file.name
    for texts, final in _texts(file):
        made = []
        for number, text in enumerate(texts):
            cut = final and number == len(texts) - 1
            page = _page(text, cut)
            if page is None:
                findings.add("last page cut off" if cut else "damaged pages, left out", _place(where, last))
                continue
            if last and (page.number, page.time) == (last.number, last.time):
                findings.add("repeated pages, left out", _place(where, last))
                continue
            findings.note("last page cut off", where, cut and len(page.samples) < _FULL * _BYTES)
            last = page
            made.append(page)
        yield made


def _place(where: str, last: _Page | None) -> str:
    return f"{where}: behind page {last.number}" if last else f"{where}: at its beginning"


def _page(text: bytes, cut: bool) -> _Page | None:
    """The page that a text says; none where it says none. Of a last page that is `cut`, the whole samples."""
    matched = _PAGE.match(text[:1000])
    if matched is None:
        return None
    digits = text[matched.end() :].strip(b"\0 \r\n")
    if cut:
        digits = digits[: len(digits) // (2 * _BYTES) * 2 * _BYTES]
    try:
        samples, rate = binascii.unhexlify(digits), float(matched[3])
        page = _Page(int(matched[1]), moment(matched[2].decode("latin-1")), rate, samples)
    except ValueError:
        return None
    return page if rate > 0 and samples and len(samples) % _BYTES == 0 else None


def _texts(file: Path) -> Iterator[tuple[list[bytes], bool]]:
    """What stands between the marks of pages, a block at a time, and whether it is the last."""
    with _opened(file) as held:
        rest, begun = b"", False
        while block := held.read(_BLOCK):
            *whole, rest = (rest + block).split(_MARK)
            if not begun and not whole:
                return  # the first page is not where it must be
            yield whole[not begun :], False
            begun, rest = True, rest[:_HEAD]  # a page is far shorter, so what is cut here is no page
        yield [rest], True


def _decoded(packed: bytes) -> Array:
    """x, y and z `(T, 3)` int16 of samples of 6 bytes."""
    given = np.frombuffer(packed, np.uint8).reshape(-1, _BYTES)
    made = np.empty((len(given), 3), np.int16)
    b = [given[:, i].astype(np.int16) for i in range(5)]
    made[:, 0] = b[0] << 4 | b[1] >> 4
    made[:, 1] = (b[1] & 15) << 8 | b[2]
    made[:, 2] = b[3] << 4 | b[4] >> 4
    return (made ^ 0x800) - 0x800


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error}") from None
