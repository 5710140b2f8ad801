"""What sets of faces are labelled with: tasks that all of them share, so that joined they are one."""

from typing import Literal

from limbeck.data.recordings import Findings
from limbeck.tasks import Task

GROUPS = ((0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
"""First and last years of Adience's groups of age; the last has no end."""
AGE = Task(
    "age",
    classes=8,
    labels=("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60+"),
    unit="years",
    middles=(1, 5, 10.5, 17.5, 28.5, 40.5, 50.5, 70),
)
GENDER = Task.of("gender", ("male", "female"))
RACE = Task.of("race", ("White", "Black", "Asian", "Indian", "Others"))
"""As in UTKFace, where Others are such as Hispanic, Latino and Middle Eastern."""
EXPRESSION = Task.of("expression", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))
"""In the order of FER2013."""

OLDEST = 120
Gaps = Literal["nearest", "missing"]


def group(years: int, gaps: Gaps) -> int | None:
    """The group of an age; none where it lies between two and those are `missing`. The younger of two as near."""
    off = [max(low - years, years - high, 0) for low, high in GROUPS[:-1]] + [max(GROUPS[-1][0] - years, 0)]
    return off.index(min(off)) if gaps == "nearest" or min(off) == 0 else None


def age(years: int, gaps: Gaps, where: str, findings: Findings) -> dict[str, int]:
    """The label of an exact age, by task; none where it is missing, which is counted."""
    if not 0 <= years <= OLDEST:
        findings.add(f"ages outside of 0 to {OLDEST} years, missing", f"{where}: {years}")
        return {}
    made = group(years, gaps)
    findings.note("ages between two groups, missing", where, made is None)
    return {} if made is None else {AGE.name: made}


def label(task: Task, number: int, where: str, findings: Findings) -> dict[str, int]:
    """A label that is a number, by task; none where there is no such class, which is counted."""
    known = 0 <= number < len(task.labels)
    findings.add(f"numbers that are no {task.name}, missing", f"{where}: {number}", not known)
    return {task.name: number} if known else {}


def inside(low: int, high: int) -> int | None:
    """The group that holds all ages from low to high; none where no group does."""
    held = (i for i, (first, last) in enumerate(GROUPS) if first <= low and (high <= last or i == len(GROUPS) - 1))
    return next(held, None)


def nearest(low: int, high: int) -> int | None:
    """The group that is the nearest one to every age from low to high; none where they have several."""
    groups = {group(years, "nearest") for years in range(low, high + 1)}
    return groups.pop() if len(groups) == 1 else None
