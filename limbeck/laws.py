"""The laws of a study that varies a size: the error of each method by the size of its student, fitted and told.

A study asks for them by `size`, the field that is one: `"size": "student.blocks"`. Its folder then holds `scaling.json`
(points, fits with their intervals and bands; an interval's end that is null where `over` is not empty lies nowhere) and
`scaling.svg`, and `table.md` says what came out.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.finished import STUDENT
from limbeck.grid import VARIANT, in_words, label_of
from limbeck.measures import Measure
from limbeck.results import REPEATS, Result, Run, counts, results
from limbeck.scaling import EXPONENTIAL, POWER, Fit, Law, better, fit
from limbeck.sizes import Measured, measured
from limbeck.statistics import Counts, Estimate, average

PARAMETERS = "parameters"
WITHIN = 0.05
"""The share of the asymptote within which an error has levelled off."""


@dataclass(frozen=True)
class Fitted:
    """A law along one axis: `along` names what its sizes are."""

    along: str
    fit: Fit


@dataclass(frozen=True)
class Curve:
    """The error of one method by size, `points` with their intervals.

    `panel` is empty for what belongs to all; `untrained` are mean errors, by name, of what no method trained.
    """

    group: str
    task: str
    name: str
    panel: str
    measure: Measure
    parameters: Mapping[float, int]
    points: Mapping[float, Estimate]
    fits: tuple[Fitted, ...]
    untrained: Mapping[str, float]

    @property
    def better(self) -> Fitted | None:
        """The law that AICc calls the better one, where it does."""
        best = better([each.fit for each in self.fits])
        return next((each for each in self.fits if each.fit is best), None)

    @property
    def told(self) -> Fitted:
        """The law to tell: the better one, and the exponential one where they cannot be told apart."""
        return self.better or self.fits[0]


def curves(out: Path) -> list[Curve]:
    """Those of a study's folder, of the cells that are finished; none where it names no size."""
    study = checkpoint.read_json(out / "study.json")
    size = study.get("size")
    if size is None:
        return []
    runs: dict[tuple[str, str, str, str], dict[float, dict[tuple[str, ...], Run]]] = {}
    parameters: dict[tuple[str, str, str, float], int] = {}
    untrained: dict[tuple[str, str], dict[str, dict[tuple[str, ...], Run]]] = {}
    for result in results(out):
        value, name = float(result.labels[size]), result.labels.get(compared(study), STUDENT)
        apart = (size, compared(study), study.get("panel"), *REPEATS)
        group = in_words({k: v for k, v in result.labels.items() if k not in apart})
        repeat = tuple(result.labels.get(k, "") for k in REPEATS)
        where = panel(result, study)
        parameters[group, name, where, value] = result.models[STUDENT].parameters or 0
        for model, _, task, scores in result.each("test"):
            if scores.value(scores.measures[0].key) is None:
                continue
            if model == STUDENT:
                one = runs.setdefault((group, task, name, where), {}).setdefault(value, {})
                one[repeat] = Run(scores, True, result.leaky)
            elif result.models[model].parameters is None:
                one = untrained.setdefault((group, task), {}).setdefault(model, {})
                one[repeat] = Run(scores, False, result.leaky)
    found = []
    for (group, task, name, where), by_size in runs.items():
        sizes = {value: parameters[group, name, where, value] for value in sorted(by_size)}
        found.append(_curve((group, task, name, where), by_size, sizes, untrained.get((group, task), {}), size))
    return found


def compared(study: Mapping[str, Any]) -> str:
    """The axis whose values are the methods."""
    return str(study["compare"] or VARIANT)


def panel(result: Result, study: Mapping[str, Any]) -> str:
    """What the panels of the plot differ in, with the value that a cell has of it by its grid or its variant; empty
    where it has none."""
    axis = str(study.get("panel"))
    settings = study["variants"].get(result.labels.get(VARIANT, ""), {})
    value = result.labels.get(axis) or (label_of(settings[axis]) if axis in settings else "")
    return f"{axis} {value}" if value else ""


def _curve(
    key: tuple[str, str, str, str], by_size: Mapping[float, Mapping[tuple[str, ...], Run]],
    parameters: Mapping[float, int], untrained: Mapping[str, Mapping[tuple[str, ...], Run]], size: str,
) -> Curve:  # fmt: skip
    measure = next(run.scores.measures[0] for runs in by_size.values() for run in runs.values())
    told = {value: _errors(counts(by_size[value]), measure) for value in parameters}
    points = {value: average(each, measure.bounds) for value, each in told.items()}
    flat = {name: average(_errors(counts(each), measure), measure.bounds).mean for name, each in untrained.items()}
    try:
        errors = measured(told)
    except UserError as error:
        fits = tuple(Fitted(along, Fit(law, within=WITHIN, doubts=(str(error),))) for along, law in _axes(size))
    else:
        fits = tuple(Fitted(along, _fit(errors, law, along, parameters)) for along, law in _axes(size))
    return Curve(*key, measure, parameters, points, fits, flat)


def _axes(size: str) -> list[tuple[str, Law]]:
    """The power law of the parameters is the exponential one of their logarithm."""
    return [(size, EXPONENTIAL), (size, POWER), (PARAMETERS, POWER)]


def _fit(errors: Measured, law: Law, along: str, parameters: Mapping[float, int]) -> Fit:
    if along == PARAMETERS:
        errors = replace(errors, sizes=np.array([parameters[size] for size in errors.sizes.tolist()]))
    return fit(errors, law, WITHIN)


def _errors(told: Counts, measure: Measure) -> Counts:
    """Of a share of which more is better, what is missing to 1."""
    if not measure.higher:
        return told
    return {seed: {name: (n, 1 - value) for name, (n, value) in each.items()} for seed, each in told.items()}


def unit(measure: Measure) -> str:
    """What an error is called, with its unit."""
    return f"error % (of {measure.name})" if measure.higher else measure.head


def plain(curve: Curve) -> dict[str, Any]:
    """A curve as JSON has it; what is infinite is null."""
    best = curve.better
    return {
        **{name: getattr(curve, name) for name in ("group", "task", "name", "panel")},
        "measure": curve.measure.key,
        "points": [
            {"size": size, "parameters": curve.parameters[size], **asdict(e)} for size, e in curve.points.items()
        ],
        "fits": [{"along": each.along, **_finite(asdict(each.fit))} for each in curve.fits],
        "better": best and {"law": best.fit.law.name, "along": best.along},
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
