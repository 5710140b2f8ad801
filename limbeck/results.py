"""What came of a study: a row for each cell, model, task and part; means, intervals and differences of the tests."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck import checkpoint
from limbeck.compare import distinct, estimate
from limbeck.errors import UserError
from limbeck.finished import (
    STUDENT,
    ClassScores,
    DepthScores,
    DirectionScores,
    Model,
    PixelScores,
    Scores,
    ValueScores,
    load_scores,
)
from limbeck.folds import pooled
from limbeck.grid import SEED, VARIANT, Labels, label_of
from limbeck.measures import Measures
from limbeck.statistics import Counts, Difference, Estimate, paired
from limbeck.workers import finished

REPEATS = (SEED, "split.seed", "split.fold")
"""Axes that are averaged over."""
LEAKY = " (leaky)"
CLASSES = ("n", "accuracy", "macro_f1", "weighted_f1", "ece", "loss")
ORDERED = (*CLASSES, "one_off", "mae")
VALUES = ("n", "mae", "rmse", "r", "within_5", "bias", "loss", "mae_argmax", "mae_expectation", "coverage", "width",
          "entropy")  # fmt: skip
PIXELS = ("n", "miou", "pixel_accuracy", "loss")
DEPTHS = ("n", "rel_err", "abs_err", "rmse", "delta_1", "delta_2", "delta_3", "loss")
DIRECTIONS = ("n", "mean_angle", "median_angle", "within_11", "within_22", "within_30", "loss")
KINDS: Mapping[type[Scores], tuple[str, ...]] = {
    ClassScores: CLASSES, ValueScores: VALUES, PixelScores: PIXELS, DepthScores: DEPTHS, DirectionScores: DIRECTIONS,
}  # fmt: skip
Group = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Result:
    """A finished cell. `labels` name the data and the split too, and a leaky split as such. `subjects`: how many the
    data have, on whichever side of the split."""

    cell: str
    labels: Labels
    leaky: bool
    models: dict[str, Model]
    subjects: int

    def group(self, axis: str) -> Group:
        """What it shares with the cells that it stands in one table with, where `axis` is compared."""
        return tuple((k, v) for k, v in self.labels.items() if k not in (axis, *REPEATS))

    def each(self, part: str | None = None) -> Iterator[tuple[str, str, str, Scores]]:
        """Model, part, task and scores."""
        for name, model in self.models.items():
            for of, tasks in model.parts.items():
                if part in (None, of):
                    yield from ((name, of, task, scores) for task, scores in tasks.items())


@dataclass(frozen=True)
class Run:
    """The scores of one model on one task of the test, in one run."""

    scores: Scores
    trained: bool
    leaky: bool


Runs = Mapping[tuple[str, ...], Run]
"""By what repeats them: seed, seed of the split, fold."""


@dataclass(frozen=True)
class Key:
    """What the runs of one row share. `group`: data, split and all else that is the same in one table."""

    group: Group
    task: str
    name: str
    model: str


@dataclass(frozen=True)
class Row:
    """One model of one method on one task of the test: means over `runs` runs, and the difference to the reference.

    `scores`, by the key of a measure; `measures[0]` is what the task is judged by, and the difference is of that.
    """

    key: Key
    runs: int
    leaky: bool
    measures: Measures
    scores: Mapping[str, Estimate]
    reference: str | None
    difference: Difference | None


def results(out: Path) -> list[Result]:
    """The finished cells of a study's folder, in the study's order. Raises `UserError` where the recordings have
    changed between them."""
    found = []
    contents: dict[str, dict[str, list[str]]] = {}
    for cell, labels in checkpoint.read_json(out / "cells.json").items():
        at = out / "cells" / cell
        if not finished(at):
            continue
        about, card = checkpoint.read_json(at / "splits.json"), checkpoint.read_json(at / "data.json")
        data = json.dumps(checkpoint.read_json(at / "recipe.json")["data"], sort_keys=True)
        contents.setdefault(data, {}).setdefault(card["digest"], []).append(cell)
        labels = {"data": str(card["name"]), "split": str(about["split"]["kind"])} | labels
        labels["split"] += LEAKY if about["leaky"] else ""
        found.append(Result(cell, labels, about["leaky"], load_scores(at).models, card["subjects"]))
    _unchanged(contents, out / "cells")
    return found


def _unchanged(contents: Mapping[str, Mapping[str, Sequence[str]]], folder: Path) -> None:
    """`contents`: by data spec, by digest of what was read by it, the cells."""
    for digests in contents.values():
        if len(digests) > 1:
            told = [f"{len(cells)} (as {folder / cells[0]})" for cells in digests.values()]
            raise UserError(
                f"the recordings changed while the study was run, so its cells do not compare: {' and '.join(told)} "
                "read other contents (data.digest). Delete the folders of those that are outdated, and give the same "
                "command again"
            )


def own_columns(scores: Scores) -> tuple[str, ...]:
    """What `results.csv` has of such scores."""
    return ORDERED if isinstance(scores, ClassScores) and scores.middles else KINDS[type(scores)]


def columns(scores: Iterable[Scores]) -> list[str]:
    """What it has of all of them; the cells of what is not of their kind are empty."""
    kinds = {own_columns(each) for each in scores} or {CLASSES}
    return list(
        dict.fromkeys(column for kind in (CLASSES, ORDERED, *KINDS.values()) if kind in kinds for column in kind)
    )


def write_csv(found: Sequence[Result], path: Path) -> None:
    """A line for each cell, model, part and task."""
    text = io.StringIO()
    labels = list(found[0].labels) if found else []
    told = columns(scores for result in found for *_, scores in result.each())
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", *labels, "leaky", "model", "parameters", "part", "task", *told])
    for result in found:
        own = [result.cell, *(result.labels[k] for k in labels), str(result.leaky).lower()]
        for name, part, task, scores in result.each():
            values = [scores.value(column) if column in own_columns(scores) else None for column in told]
            writer.writerow([*own, name, result.models[name].parameters, part, task, *values])
    checkpoint.write(path, text.getvalue().encode())


def compared(study: Mapping[str, Any]) -> str:
    """The axis that a study compares the values of, as its file has it."""
    return str(study["compare"] or next(iter(study["grid"]), VARIANT))


def tested(found: Sequence[Result], axis: str) -> dict[Key, dict[tuple[str, ...], Run]]:
    """The runs of each value of the compared axis, model and task of the test; without those where nothing was
    labelled."""
    entries: dict[Key, dict[tuple[str, ...], Run]] = {}
    for result in found:
        repeat = tuple(result.labels.get(k, "") for k in REPEATS)
        for model, _, task, scores in result.each("test"):
            if scores.value(scores.measures[0].key) is not None:
                key = Key(result.group(axis), task, result.labels.get(axis, ""), model)
                run = Run(scores, result.models[model].parameters is not None, result.leaky)
                entries.setdefault(key, {})[repeat] = run
    return entries


def summarise(out: Path) -> list[Row]:
    """The rows of a study's tables, of the cells that are finished, on the test.

    Cells that differ in seed or fold only are one row. Folds that share no test subject are pooled to one score for
    each seed. What was not trained by a method (trees) is one row of a table. Each row of a student or teacher, and of
    what was not trained, is held against the reference's student.
    """
    study = checkpoint.read_json(out / "study.json")
    reference = None if study["reference"] is None else label_of(study["reference"])
    entries = tested(results(out), compared(study))
    rows = []
    for key, runs in _untrained_once(entries).items():
        names = () if reference is None else (reference, reference + LEAKY)
        other = next((e for n in names if (e := entries.get(Key(key.group, key.task, n, STUDENT)))), None)
        higher = next(iter(runs.values())).scores.measures[0].higher
        gap = paired(counts(runs), counts(other), higher=higher) if other and other is not runs else None
        rows.append(_row(key, runs, reference, gap))
    place = {k: i for i, k in enumerate(dict.fromkeys((row.key.group, row.key.task) for row in rows))}
    return sorted(rows, key=lambda row: (place[row.key.group, row.key.task], not row.key.name))


def _untrained_once(entries: Mapping[Key, Runs]) -> dict[Key, Runs]:
    """The entries, where what scored the same under each method stands once, without a name: what none of them trained,
    and a teacher that several share."""
    kept: dict[Key, Runs] = {}
    for key, runs in entries.items():
        alike = [e for k, e in entries.items() if (k.group, k.task, k.model) == (key.group, key.task, key.model)]
        merged = {repeat: run for e in alike for repeat, run in e.items()}
        same = all(run.scores == merged[repeat].scores for e in alike for repeat, run in e.items())
        shared = key.model != STUDENT and len(alike) > 1
        if same and (shared or not any(run.trained for run in merged.values())):
            kept[Key(key.group, key.task, "", key.model)] = merged
        else:
            kept[key] = runs
    return kept


def pools(runs: Runs) -> dict[tuple[str, ...], Scores]:
    """The scores of each seed: of its folds together where none share a test subject; else of each fold."""
    seeds: dict[tuple[str, ...], list[Scores]] = {}
    for (*seed, _), run in runs.items():
        seeds.setdefault(tuple(seed), []).append(run.scores)
    apart = all(sum(len(s.counts) for s in p) == len({name for s in p for name in s.counts}) for p in seeds.values())
    return {k: pooled(p) for k, p in seeds.items()} if apart else {key: run.scores for key, run in runs.items()}


def counts(runs: Runs) -> Counts:
    """Windows and mean score by pool and subject."""
    return {key: scores.counts for key, scores in pools(runs).items()}


def _row(key: Key, runs: Runs, reference: str | None, gap: Difference | None) -> Row:
    scores = distinct([*pools(runs).values()], any(run.trained for run in runs.values()))
    leaky, told = any(run.leaky for run in runs.values()), scores[0].measures
    estimates = {m.key: estimate(scores, m) for m in told if any(s.value(m.key) is not None for s in scores)}
    return Row(key, len(runs), leaky, told, estimates, reference, gap)
