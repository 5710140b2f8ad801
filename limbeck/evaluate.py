"""What a model answers for a table, and how good that is: student, teachers, and the pair of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck import metrics
from limbeck.config import digest
from limbeck.data.source import Table
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.teachers import Cached, Frozen, Teacher, fingerprint

CHUNK = 512


def answers(model: nn.Module, table: Table, device: torch.device | None = None) -> dict[str, Tensor]:
    """The logits `(N, C)` of every row, by task, in evaluation mode and without gradient; on the CPU.

    The model's mode is as before afterwards.
    """
    device = device or _device(model)
    training, parts = model.training, []
    model.eval()
    try:
        with torch.inference_mode():
            for index in torch.arange(len(table), device=table.ids.device).split(CHUNK):
                parts.append(model(table.rows(index).to(device)).logits)
    finally:
        model.train(training)
    return {name: torch.cat([part[name].float().cpu() for part in parts]) for name in parts[0]}


def _device(model: nn.Module) -> torch.device:
    """Where a model is; the CPU for one that has no parameters."""
    inner = model.model if isinstance(model, Frozen) else model
    return next((p.device for p in inner.parameters()), torch.device("cpu"))


def assess(logits: Mapping[str, Tensor], table: Table, tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """All scores of a table's answers by task, as `scores.json` has them: overall, by subject, and 95 % bootstrap
    intervals."""
    assessed = {}
    for task in tasks:
        if task.name not in logits:
            continue
        answer, target = logits[task.name].numpy(), table.targets[task.name].cpu().numpy()
        groups = metrics.by_group(answer, target, table.meta["subject"])
        each = {name: metrics.scores(one) for name, one in groups.items()}
        whole = sum(list(groups.values())[1:], start=next(iter(groups.values())))
        assessed[task.name] = {
            **metrics.scores(whole),
            "labels": list(task.labels) or [str(c) for c in range(task.classes or 0)],
            "confusion": whole.confusion.tolist(),
            "subjects": {s: {k: one[k] for k in ("n", "accuracy", "macro_f1")} for s, one in each.items() if one["n"]},
            "interval": metrics.intervals(groups),
        }
    return assessed


def brief(logits: Mapping[str, Tensor], table: Table, tasks: Sequence[Task]) -> dict[str, dict[str, float]]:
    """accuracy, macro_f1 and loss by task: what is logged during training."""
    rows = {}
    for task in tasks:
        if task.name in logits:
            values = metrics.scores(metrics.tally(logits[task.name].numpy(), table.targets[task.name].cpu().numpy()))
            rows[task.name] = {k: values[k] for k in ("accuracy", "macro_f1", "loss")}
    return rows


def agreement(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of rows on which two models name the same class, by task."""
    return {name: metrics.agreement(one[name].numpy(), two[name].numpy()) for name in one if name in two}


def remember(teacher: Teacher, table: Table, check: int = 64) -> Cached:
    """The teacher's answers for a whole table, to be looked up by row.

    Asks the teacher again for `check` rows spread over the table, one at a time in another order, and raises
    `UserError` where it answers otherwise: then it is not a function of the row, and may not be cached.
    """
    device = _device(teacher)
    stored = answers(teacher, table, device)
    rows = torch.linspace(0, len(table) - 1, min(check, len(table))).long().flip(0)
    with torch.inference_mode():
        fresh = [teacher(table.rows(row).to(device)).logits for row in rows.split(1)]
    for name in stored:
        gap = float((torch.cat([one[name].float().cpu() for one in fresh]) - stored[name][rows]).abs().max())
        if not gap <= 1e-4 * max(1.0, float(stored[name].abs().max())):
            raise UserError(
                f"the teacher answers differently when asked again ({name}: {gap:.2g} apart), so it cannot be cached"
            )
    # Rows are looked up by their number in the table that this one is a part of.
    size = int(table.ids.max()) + 1
    spread = {name: torch.full((size, *logits.shape[1:]), float("nan")) for name, logits in stored.items()}
    for name, logits in stored.items():
        spread[name][table.ids.cpu()] = logits
    return Cached(spread, digest([teacher.fingerprint() or fingerprint(teacher), table.digest, table.ids.tolist()]))
