"""The pictures of a report: images of the test, the truth of every pixel, and what each model says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck import paint
from limbeck.compare import Group
from limbeck.finished import STUDENT
from limbeck.pictures import TRUTH, read, unknown
from limbeck.pixels import ANGLES, RATIOS

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
FIRST = 3
"""Images that are shown at once; the others are folded away."""
RATIO, ANGLE = RATIOS["delta_1"], ANGLES["within_30"]
"""From where on a depth is wrong (the larger by the smaller), and a direction (degrees)."""
EDGES = (1.0, 99.0)
"""Percentiles of the true depths that the scale of colours reaches to."""


@dataclass(frozen=True)
class Shot:
    """A small picture (address) with its name; of an answer what is `told` of it, and a veil over what is right."""

    name: str
    picture: str
    told: str = ""
    veil: str = ""


@dataclass(frozen=True)
class Scene:
    """An image with its size, and the shots of each task in a line."""

    name: str
    photo: str
    width: int
    height: int
    lines: list[tuple[str, list[Shot]]]


@dataclass(frozen=True)
class Section:
    """The scenes, and for each task the key to its colours (markup) with a word on it."""

    scenes: list[Scene]
    keys: list[tuple[str, str, str]]
    first: int = FIRST


@dataclass(frozen=True)
class Source:
    """Who answers: the name it is shown by, and its answers in the arrays of its run."""

    name: str
    model: str
    arrays: Arrays

    def answer(self, task: str, row: int) -> Array | None:
        """What it says of a row of the test's table; None where that was not kept."""
        found = self.arrays.get(f"{task}/{self.model}")
        at = np.flatnonzero(self.arrays["row"] == row)
        return found[at[0]] if found is not None and len(at) else None


def section(group: Group) -> Section | None:
    """None where no run of a group kept pictures."""
    sources = _sources(group)
    if not sources:
        return None
    kept = sources[0].arrays
    tasks = [name.removesuffix(f"/{TRUTH}") for name in kept if name.endswith(f"/{TRUTH}")]
    ends = {task: _ends(kept[f"{task}/{TRUTH}"]) for task in tasks}
    scenes = [_scene(sources, tasks, ends, place) for place in range(len(kept["row"]))]
    return Section(scenes, [(task, *_key(sources, task, ends[task])) for task in tasks])


def _sources(group: Group) -> list[Source]:
    """The first student, the models beside it, and the students of other methods: those that kept pictures."""
    kept = {e.name: read(e.runs[0].at) for e in group.students}
    lead = next((e for e in group.students if kept[e.name]), None)
    if lead is None:
        return []
    own, others = kept.pop(lead.name), [name for name, arrays in kept.items() if arrays]
    beside = [e.model for e in group.entries if e.method == lead.method and e.model != STUDENT]
    return [
        Source(f"{lead.name} student" if others else STUDENT, STUDENT, own),
        *(Source(model, model, own) for model in beside),
        *(Source(name, STUDENT, kept[name]) for name in others),
    ]


def _scene(sources: Sequence[Source], tasks: Sequence[str], ends: dict[str, tuple[float, float]], at: int) -> Scene:
    kept = sources[0].arrays
    image, lines = kept["image"][at], []
    for task in tasks:
        truth = kept[f"{task}/{TRUTH}"][at]
        shots = [Shot(TRUTH, _painted(truth, ends[task], ~unknown(truth)))]
        for source in sources:
            said = source.answer(task, int(kept["row"][at]))
            if said is not None and said.shape == truth.shape:
                right, told = judged(truth, said)
                shots.append(Shot(source.name, _painted(said, ends[task]), told, paint.shade(right)))
        lines.append((task, shots))
    return Scene(str(kept["name"][at]), paint.photo(image), image.shape[1], image.shape[0], lines)


def judged(truth: Array, said: Array) -> tuple[Array, str]:
    """Where an answer is not wrong `(H, W)` (where the truth is unknown it cannot be), and in words how good it is."""
    known = ~unknown(truth)
    if not known.any():
        return ~known, "nothing is known"
    if truth.dtype.kind == "u":
        right = said == truth
        return right | ~known, f"{100 * right[known].mean():.0f}\u00a0% right"
    if truth.dtype.kind == "f":
        true, answer = truth.astype(np.float64), said.astype(np.float64)
        off = np.abs(answer - true)[known] / true[known]
        near = (answer < RATIO * true) & (RATIO * answer > true)
        return near | ~known, f"off by {100 * off.mean():.0f}\u00a0%"
    true, answer = (
        v / np.maximum(np.linalg.norm(v.astype(np.float64), axis=-1, keepdims=True), 1) for v in (truth, said)
    )
    angle = np.degrees(np.arccos(np.clip((true * answer).sum(axis=-1), -1, 1)))
    return (angle < ANGLE) | ~known, f"off by {angle[known].mean():.0f}°"


def _painted(values: Array, ends: tuple[float, float], known: Array | bool = True) -> str:
    if values.dtype.kind == "u":
        return paint.classes(values, np.broadcast_to(known, values.shape))
    return paint.scaled(np.where(known, values, np.nan), ends) if values.dtype.kind == "f" else paint.directions(values)


def _ends(truth: Array) -> tuple[float, float]:
    """Of the scale of a depth; of anything else no matter."""
    known = truth[~unknown(truth)] if truth.dtype.kind == "f" else truth[:0]
    if not known.size:
        return 1.0, 2.0
    low, high = np.percentile(known.astype(np.float64), EDGES)
    return max(float(low), 1e-6), max(float(high), 1.01 * float(low), 2e-6)


def _key(sources: Sequence[Source], task: str, ends: tuple[float, float]) -> tuple[str, str]:
    """The key to a task's colours, and a word on it; of classes those that are anywhere in the pictures."""
    kept = sources[0].arrays
    truth = kept[f"{task}/{TRUTH}"]
    if truth.dtype.kind == "u":
        shown = [truth, *(s.arrays[f"{task}/{s.model}"] for s in sources if f"{task}/{s.model}" in s.arrays)]
        seen = sorted({int(number) for each in shown for number in np.unique(each)})
        labels = kept[f"{task}/labels"]
        return paint.key([(str(labels[number]), number) for number in seen if number < len(labels)]), ""
    if truth.dtype.kind == "f":
        unit = str(kept[f"{task}/unit"])
        told = f"{unit}, logarithmic; wrong is what is off by a factor of {RATIO:g}".lstrip(", ")
        return paint.bar(ends, unit, task), told
    ball = f'<img src="{paint.ball()}" width="48" height="48" alt="a ball in these colours">'
    colours = "coloured as this ball: red to the right, green up, blue towards the camera"
    return ball, f"{colours}; wrong is what is off by {ANGLE:g}° or more"
