"""Data distillation: what a model says of samples that nobody labelled, the mean over several views of each, and which
of it is kept as a label [Radosavovic 2018, arXiv:1712.04440].

    p(sample) = mean over views of softmax(logits(view(sample))),   label = argmax p, or p itself,   kept where sure

Answers are kept in files of some thousand samples each, named by weights, samples and views: what was cut goes on, and
a pool may be larger than memory, of which a model needs a few hundred samples at a time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import checkpoint, process
from limbeck.batch import Batch, Outputs
from limbeck.config import Spec, digest, dump
from limbeck.data.generated import Generated
from limbeck.data.source import Table
from limbeck.models.heads import SHARED
from limbeck.observers import Observer, Together
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import fingerprint
from limbeck.transforms import Views

SHARD, CHUNK, VALUES = 4096, 256, 1 << 20
"""Samples of a file; samples, and values of an input, that a model answers for at once."""


class Fixed(Spec):
    """Answers of at least this confidence are kept."""

    kind: ClassVar[str] = "fixed"
    threshold: float = Field(0.9, gt=0)
    """Above 1 nothing is kept."""


class Rate(Spec):
    """So many are kept that labels are as frequent, in all and by class, as where people labelled: of each class the
    surest answers."""

    kind: ClassVar[str] = "rate"
    share: float | None = Field(None, gt=0, le=1)
    """Of the samples that were asked for; where not given, the share of the task's labelled samples among all."""


class Precision(Spec):
    """The lowest confidence from which on so many answers for held-out labelled samples are right."""

    kind: ClassVar[str] = "precision"
    target: float = Field(0.9, gt=0, le=1)
    least: int = Field(20, gt=0)
    """Held-out samples that this must rest on; where there are none, nothing is kept."""


Rule = Rate | Precision | Fixed


@dataclass(frozen=True)
class Answers:
    """What a model says of N samples, by task.

    - `shares` `(N, C)`: mean probabilities over the views.
    - `plain` `(N,)`: the likeliest class by the sample itself, without views.
    - `far` `(N,)`: how far its feature is from what is usual for the likeliest class; empty where that was not asked.
    """

    shares: Mapping[str, Tensor]
    plain: Mapping[str, Tensor]
    far: Mapping[str, Tensor]


class Usual(NamedTuple):
    """What features of labelled samples are like: the mean of each class by task `(C, F)`, and the deviation `(F,)`."""

    means: Mapping[str, Tensor]
    deviation: Tensor

    def far(self, feature: Tensor, task: str, label: Tensor) -> Tensor:
        """The distance of features `(B, F)` to the mean of a class each, in deviations, `(B,)`."""
        return ((feature - self.means[task][label]) / self.deviation).square().mean(dim=1).sqrt()


def ask(
    model: nn.Module,
    table: Table,
    tasks: Sequence[Task],
    views: Views,
    at: Path,
    observers: Sequence[Observer] = (),
    usual: Usual | None = None,
) -> Answers:
    """What a model says of every sample of a table; read from the folder `at` as far as it was asked before.

    Of several processes the first asks, and the others read. Raises `UserError` for a damaged file.
    """
    told = [fingerprint(model), table.digest, table.ids.tolist(), dump(views), [t.name for t in tasks]]
    near = [digest(t.numpy().tobytes()) for t in (usual.deviation, *usual.means.values())] if usual else []
    folder = at / f"answers-{digest([*told, near])}"
    shards = [(folder / f"{first:09d}.safetensors", first) for first in range(0, len(table), SHARD)]
    if process.rank() == 0:
        _asked(model, table, tasks, views, shards, Together(observers), usual)
    process.from_leader(None)
    parts = [checkpoint.load_sealed(path) for path, _ in shards]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    by = {what: {n.partition("/")[2]: v for n, v in found.items() if n.startswith(f"{what}/")}
          for what in ("shares", "plain", "far")}  # fmt: skip
    return Answers(by["shares"], by["plain"], by["far"])


def _asked(
    model: nn.Module,
    table: Table,
    tasks: Sequence[Task],
    views: Views,
    shards: Sequence[tuple[Path, int]],
    observer: Observer,
    usual: Usual | None,
) -> None:
    """Makes the files that are not there."""
    left = [(path, first) for path, first in shards if not path.is_file()]
    if not left:
        return
    device = next(model.parameters()).device
    here = table.to(device)
    rows = min(CHUNK, max(1, VALUES // max(math.prod(table.shape(name)) for name in table.inputs)))
    before, training = (len(shards) - len(left)) * SHARD, model.training
    observer.begins(shards[0][0].parent.parent, before, len(table))
    model.eval()
    try:
        for path, first in left:
            parts = []
            for index in torch.arange(first, min(first + SHARD, len(table)), device=device).split(rows):
                parts.append(_answer(model, here.rows(index), tasks, views, usual))
                before += len(index)
                observer.stepped(before)
            checkpoint.save_sealed(path, {n: torch.cat([p[n] for p in parts]) for n in parts[0]})
    finally:
        model.train(training)
        observer.ends()


@torch.inference_mode()
def _answer(
    model: nn.Module, batch: Batch, tasks: Sequence[Task], views: Views, usual: Usual | None
) -> dict[str, Tensor]:
    """What a model says of a batch: `shares/TASK`, `plain/TASK` and `far/TASK`."""
    sums: dict[str, Tensor] = {}
    made: dict[str, Tensor] = {}
    each = views.views()
    for view in each:
        outputs: Outputs = model(view.apply(batch))
        for task in tasks:
            shares = outputs.logits[task.name].float().softmax(dim=1)
            if task.name in sums:
                sums[task.name] += shares
                continue
            # The first view is the sample itself.
            sums[task.name], likeliest = shares, shares.argmax(dim=1)
            made[f"plain/{task.name}"] = likeliest.short()
            if usual:
                feature = outputs.features[SHARED].float().cpu()
                made[f"far/{task.name}"] = usual.far(feature, task.name, likeliest.cpu())
    made |= {f"shares/{name}": total / len(each) for name, total in sums.items()}
    return {name: value.cpu() for name, value in made.items()}


def usual(model: nn.Module, table: Table, tasks: Sequence[Task]) -> Usual:
    """What the shared features of labelled samples are like to a model."""
    device = next(model.parameters()).device
    here, model = table.to(device), model.eval()
    found: list[Tensor] = []
    with torch.inference_mode():
        for index in torch.arange(len(table), device=device).split(CHUNK):
            found.append(model(here.rows(index)).features[SHARED].float().cpu())
    features = torch.cat(found)
    means = {}
    for task in tasks:
        target, given = table.targets[task.name].cpu(), []
        for label in range(task.classes or 0):
            own = features[target == label]
            given.append(own.mean(dim=0) if len(own) else torch.full_like(features[0], torch.inf))
        means[task.name] = torch.stack(given)
    return Usual(means, features.std(dim=0).clamp(min=1e-6))


class Kept(NamedTuple):
    """Which answers become labels: `mask` bool `(N,)`, and from which confidence on, one for all or by class; None
    where none was found."""

    mask: Tensor
    threshold: float | dict[str, float] | None


def keep(rule: Rule, task: Task, shares: Tensor, free: Tensor, counts: Tensor, held: tuple[Tensor, Tensor]) -> Kept:
    """Which of the answers `shares` `(N, C)` become labels where `free` bool `(N,)`.

    `counts` `(C,)` are the labels that people gave the task; `held` are answers `(V, C)` for labelled samples that were
    not learnt from, and their labels `(V,)`.
    """
    confidence, label = shares.max(dim=1)
    if isinstance(rule, Fixed):
        return Kept(free & (confidence >= rule.threshold), rule.threshold)
    if isinstance(rule, Precision):
        threshold = _precise(rule, *held)
        return Kept(free & (confidence >= threshold), threshold if math.isfinite(threshold) else None)
    total = int(counts.sum())
    rate = rule.share if rule.share is not None else total / max(1, total + int(free.sum()))
    mask, thresholds = torch.zeros_like(free), {}
    for number, count in enumerate(counts.tolist()):
        wanted = round(rate * int(free.sum()) * count / max(1, total))
        own = (free & (label == number)).nonzero().squeeze(1)
        best = own[confidence[own].argsort(descending=True, stable=True)[:wanted]]
        mask[best] = True
        name = task.labels[number] if task.labels else str(number)
        thresholds[name] = round(float(confidence[best].min()), 4) if len(best) else 1.0
    return Kept(mask, thresholds)


def _precise(rule: Precision, shares: Tensor, target: Tensor) -> float:
    """The lowest confidence from which on the answers are as often right as asked for; above 1 where there is none."""
    known = target != IGNORE
    confidence, label = shares[known].max(dim=1)
    order = confidence.argsort(descending=True)
    right = (label == target[known])[order].double()
    share = right.cumsum(0) / torch.arange(1, len(right) + 1)
    # A threshold takes all of one confidence together.
    ends = torch.ones(len(right), dtype=torch.bool)
    ends[:-1] = confidence[order][:-1] != confidence[order][1:]
    good = (ends & (share >= rule.target)).nonzero().squeeze(1)
    good = good[good + 1 >= rule.least]
    return float(confidence[order][good[-1]]) if len(good) else math.inf


def close(far: Tensor, known: Tensor, quantile: float) -> Tensor:
    """Which samples are no further from their class than that share of labelled ones are: bool `(N,)`. `far` `(N,)` and
    `known` `(V,)` are distances."""
    finite = known[known.isfinite()]
    return far <= (finite.quantile(quantile) if len(finite) else torch.tensor(math.inf))


def labels(task: Task, shares: Tensor, kept: Tensor, hard: bool, teacher: str) -> Generated:
    """The labels of the kept answers: of the likeliest class, or as they are."""
    confidence, likeliest = shares.max(dim=1)
    told = nn.functional.one_hot(likeliest, task.classes or 1).to(shares) if hard else shares
    return Generated(
        torch.where(kept.unsqueeze(1), told, 0.0), confidence, torch.where(kept, 0, -1).short(), (teacher,)
    )


def quality(task: Task, shares: Tensor, plain: Tensor, kept: Tensor, truth: Tensor) -> dict[str, Any] | None:
    """How good generated labels are where the truth `(N,)` is known, as shares of 1; None where it is known nowhere.

    `coverage` of what was asked; accuracies of what was kept, of all, and of all without views.
    """
    known = truth != IGNORE
    count = int(known.sum())
    if not count:
        return None
    right, direct = (answer[known] == truth[known] for answer in (shares.argmax(dim=1), plain.long()))
    took = kept[known]

    def mean(values: Tensor) -> float:
        return round(float(values.double().mean()), 6)

    return {
        "n": count,
        "kept": int(took.sum()),
        "coverage": mean(took),
        "accuracy_kept": mean(right[took]) if took.any() else None,
        "accuracy_all": mean(right),
        "accuracy_plain": mean(direct),
    }
