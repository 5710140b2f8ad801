"""Images that are there more than once: one of each is kept, with what all of them agree on."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from limbeck.data.archive import Reader
from limbeck.data.photos import Photo, in_threads, watched
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

LARGEST = 2**28
"""Bytes that an image may have."""


def distinct(photos: Sequence[Photo], findings: Findings) -> list[Photo]:
    """The images without copies, byte by byte the same; empty files and far too large ones are left out as well.

    The first of them is kept. A label on which copies disagree is missing, and an image without any other is left out.
    """
    reader, marks = Reader(), defaultdict[tuple[int, int], list[int]](list)
    for number, photo in enumerate(photos):
        size, _ = mark = _mark(photo, reader)
        findings.add("files of no bytes, left out", photo.name, size == 0)
        findings.add(f"files of more than {LARGEST} bytes, left out", f"{photo.name}: {size}", size > LARGEST)
        if 0 < size <= LARGEST:
            marks[mark].append(number)
    alike = [number for numbers in marks.values() if len(numbers) > 1 for number in numbers]

    def name(number: int) -> str:
        try:
            return hashlib.sha256(photos[number].read(reader)).hexdigest()
        except UserError:
            return ""  # decoding comes upon it again, and tells

    groups = {number: [number] for numbers in marks.values() if len(numbers) == 1 for number in numbers}
    first: dict[str, int] = {}
    digests = watched(in_threads(name, alike), len(alike), "looking for copies")
    for number, digest in zip(alike, digests, strict=True):
        groups.setdefault(first.setdefault(digest or str(number), number), []).append(number)
    kept = (_one([photos[n] for n in groups[number]], findings) for number in sorted(groups))
    return [photo for photo in kept if photo is not None]


def _mark(photo: Photo, reader: Reader) -> tuple[int, int]:
    """Bytes and check sum; copies have the same."""
    if isinstance(photo.source, bytes):
        return len(photo.source), 0
    try:
        return reader.mark(photo.source)
    except UserError:
        return 1, 0  # decoding comes upon it again, and tells


def _one(copies: Sequence[Photo], findings: Findings) -> Photo | None:
    """The first of some copies, with the labels that none contradicts; none where they contradict each other in all."""
    kept = copies[0]
    if len(copies) == 1:
        return kept
    where = " and ".join(photo.name for photo in copies[:3])
    findings.add("copies of another image, left out", where, len(copies) - 1)
    given = {task: {p.labels[task] for p in copies if task in p.labels} for p in copies for task in p.labels}
    agreed = {task: min(labels) for task, labels in given.items() if len(labels) == 1}
    for task in sorted(given.keys() - agreed.keys()):
        findings.add(f"images whose copies disagree on {task}, which is missing", where)
    findings.add("images whose copies disagree on every label, left out", where, bool(given and not agreed))
    return None if given and not agreed else replace(kept, labels=agreed)
