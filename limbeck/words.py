"""What samples and those they are of are called by the card of a data set, and lists that are too long to be told."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LISTED = 60
"""Subjects that a line or a table lists; of more it tells the number."""
MANY = 500
"""Subjects beyond which little is kept of each one."""


def samples(card: Mapping[str, Any]) -> str:
    """What the samples of a data set are called by its card: images, windows, or samples where sets of both are
    joined."""
    if card.get("parts"):
        names = {samples(part) for part in card["parts"]}
        return names.pop() if len(names) == 1 else "samples"
    return "images" if card.get("modality") == "image" else "windows"


def cards(card: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The card itself and, of joined data sets, those of each, with what names it before a finding."""
    yield "", card
    yield from ((f"{name}: ", part) for name, part in zip(sizes(card), card.get("parts", ()), strict=True))


def sizes(card: Mapping[str, Any]) -> dict[str, int]:
    """How many samples each of joined data sets has, by name; none of a single one."""
    return {
        name: sum(next(iter(tasks.values()))[what] for what in ("labelled", "generated", "missing"))
        for name, tasks in card.get("cells", {}).items()
    }


def subjects(part: Mapping[str, Any]) -> int:
    """How many subjects are in a part of a split, by its audit."""
    return int(part.get("subjects in all", len(part["subjects"])))


def counted(number: int, plural: str) -> str:
    """As `1 image`, `9,482 images`."""
    return f"{number:,} {plural[:-1] if number == 1 else plural}"


def listed(names: Sequence[str], plural: str) -> str:
    """The names, or how many they are where they are too many to be told."""
    return ", ".join(names) if len(names) <= LISTED else counted(len(names), plural)
