"""What a model answers for a table, and how good that is: student, teachers, and the pair of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import assessment, checkpoint, metrics, pixels
from limbeck.batch import Batch, Outputs
from limbeck.config import digest
from limbeck.data.source import Table
from limbeck.data.split import Split
from limbeck.errors import UserError
from limbeck.models.heads import MultiTask
from limbeck.tasks import Task
from limbeck.teachers import Cached, Frozen, Teacher, fingerprint
from limbeck.values import answered, is_real

Array = np.ndarray[Any, Any]
CHUNK, VALUES = 512, 1 << 20
"""Rows, and values of an input, that a model answers for at once: what it finds of images would not stay in memory that
is kept for the next."""


def answers(model: nn.Module, table: Table, device: torch.device | None = None) -> dict[str, Tensor]:
    """The logits `(N, C)` of every row, by task, in evaluation mode and without gradient; on the CPU.

    Of a task that asks for every pixel the sums `(N, K)` that `pixels.sums` makes of the logits, float64, and nothing
    where the table has no targets of it. The model's mode is as before afterwards.
    """
    return dict(_outputs(model, table, (), device).logits)


def _outputs(model: nn.Module, table: Table, features: Sequence[str], device: torch.device | None) -> Outputs:
    """Logits and the named features of every row, on the CPU."""
    device = device or _device(model)
    logits, found = [], []
    with _judging(model), torch.inference_mode():
        for index in torch.arange(len(table), device=table.ids.device).split(_chunk(model, table)):
            batch = table.rows(index).to(device)
            each: Outputs = model(batch)
            logits.append(_answered(each, batch, table))
            found.append({name: each.features[name].float() for name in features})
    return Outputs(_joined(logits), _joined(found))


def _answered(outputs: Outputs, batch: Batch, table: Table) -> dict[str, Tensor]:
    """Logits `(B, C)`, and sums `(B, K)` of what is answered for every pixel."""
    dense = {task.name: task for task in table.tasks if task.name in table.dense}
    flat = {name: logits.float() for name, logits in outputs.logits.items() if logits.ndim == 2}
    asked = {name: task for name, task in dense.items() if name in outputs.logits}
    return flat | {n: pixels.sums(task, outputs.logits[n], batch.targets[n]) for n, task in asked.items()}


def _chunk(model: nn.Module, table: Table) -> int:
    inner = model.model if isinstance(model, Frozen) else model
    read = [inner.modality] if isinstance(inner, MultiTask) else list(table.inputs)
    return max(1, min(CHUNK, VALUES // max(math.prod(table.shape(modality)) for modality in read)))


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}


def _device(model: nn.Module) -> torch.device:
    """Where a model is; the CPU for one that has no parameters."""
    inner = model.model if isinstance(model, Frozen) else model
    return next((p.device for p in inner.parameters()), torch.device("cpu"))


def assess(
    logits: Mapping[str, Tensor], table: Table, tasks: Sequence[Task], everyone: bool = True
) -> dict[str, dict[str, Any]]:
    """All scores of a table's answers by task, as `scores.json` has them: overall, by subject, by data set where there
    are several, and 95 % bootstrap intervals; of real values by activity too, where the table tells it.

    Of more than `words.MANY` subjects each has little more than what the task is judged by, and none without
    `everyone`.
    """
    assessed = {}
    for task in tasks:
        if task.name in logits and task.name in table.dense:
            size = math.prod(table.dense[task.name].shape[-2:])
            assessed[task.name] = assessment.dense(task, logits[task.name].numpy(), size, table.meta, everyone)
        elif task.name in logits:
            answer, target = logits[task.name].numpy(), table.targets[task.name].cpu().numpy()
            assessed[task.name] = assessment.scores(task, answer, target, table.meta, everyone)
    return assessed


def parts(logits: Mapping[str, Mapping[str, Tensor]], split: Split) -> dict[str, dict[str, dict[str, Any]]]:
    """All scores of a model's answers to each part of a split; of many subjects, by subject on the test alone."""
    return {part: assess(logits[part], table, table.tasks, part == "test") for part, table in split.parts.items()}


def brief(logits: Mapping[str, Tensor], table: Table, tasks: Sequence[Task]) -> dict[str, dict[str, float]]:
    """What is logged during training, by task: accuracy, macro_f1 and loss, of real values mae, rmse and loss; all that
    `pixels.rates` tells of answers for every pixel."""
    rows = {}
    for task in tasks:
        if task.name in logits and task.name in table.dense:
            values = pixels.scores(task, logits[task.name].sum(dim=0).numpy())
            rows[task.name] = {k: v for k, v in values.items() if k != "n"}
        elif task.name in logits:
            answer, target = logits[task.name].numpy(), table.targets[task.name].cpu().numpy()
            if is_real(task):
                values, kept = metrics.value_scores(metrics.errors(task, answer, target)), ("mae", "rmse", "loss")
            else:
                values, kept = metrics.scores(metrics.tally(answer, target)), ("accuracy", "macro_f1", "loss")
            rows[task.name] = {k: values[k] for k in kept}
    return rows


def agreement(one: Mapping[str, Tensor], two: Mapping[str, Tensor], tasks: Sequence[Task]) -> dict[str, float]:
    """The share of rows on which two models name the same class, by task; on which their values are no more than
    `metrics.NEAR` apart."""
    return {
        task.name: (metrics.close(task, a, b) if is_real(task) else metrics.agreement(a, b))
        for task in tasks
        if task.name in one and task.name in two
        for a, b in [(one[task.name].numpy(), two[task.name].numpy())]
    }


def agree(student: nn.Module, other: nn.Module, table: Table, device: torch.device | None = None) -> dict[str, float]:
    """The share of labelled pixels on which two models agree as `pixels.alike` says, by task that asks for every pixel
    and that both answer; NaN where nothing is labelled. Their modes are as before afterwards."""
    models, device = (student, other), device or _device(student)
    tasks = [task for task in table.tasks if task.name in table.dense]
    found: dict[str, Tensor] = {}
    with _judging(*models) as (one, two), torch.inference_mode():
        for index in torch.arange(len(table), device=table.ids.device).split(_chunk(student, table)) if tasks else ():
            batch = table.rows(index).to(device)
            ours, theirs = one(batch).logits, two(batch).logits
            for task in tasks:
                if task.name in ours and task.name in theirs:
                    each = pixels.alike(task, ours[task.name], theirs[task.name], batch.targets[task.name])
                    found[task.name] = found.get(task.name, 0) + each
    return {name: float(same / count) for name, (count, same) in found.items()}


@contextmanager
def _judging(*models: nn.Module) -> Iterator[tuple[nn.Module, ...]]:
    """Models in evaluation mode, and then in the mode they were in."""
    modes = [model.training for model in models]
    try:
        yield tuple(model.eval() for model in models)
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


def traces(answers: Mapping[str, Mapping[str, Tensor]], table: Table, tasks: Sequence[Task]) -> dict[str, Array]:
    """The arrays of `values.npz`: what each model (`answers` are logits by model, then task) says of every row.

    `subject`, `session`, `start` (and `activity`) as the table has them; for each task of real values `TASK/truth`, and
    for each model `TASK/MODEL/value`, and `/low` and `/high` where it gives a distribution; float32 `(N,)` in the
    task's unit. Empty without such a task.
    """
    real = [task for task in tasks if is_real(task) and task.name in table.targets]
    found: dict[str, Array] = {}
    for task in real:
        found[f"{task.name}/truth"] = table.targets[task.name].cpu().numpy().astype(np.float32)
        for model, logits in answers.items():
            if task.name in logits:
                read = answered(task, logits[task.name].numpy())
                parts = {"value": read.value, "low": read.low, "high": read.high}
                known = {k: v.astype(np.float32) for k, v in parts.items() if not np.isnan(v).all()}
                found |= {f"{task.name}/{model}/{k}": v for k, v in known.items()}
    about = {what: table.meta[what] for what in ("subject", "session", "start", "activity") if what in table.meta}
    return {**about, **found} if real else {}


def remember(
    teacher: Teacher, table: Table, check: int = 64, features: Sequence[str] = (), at: Path | None = None
) -> Cached:
    """The teacher's answers for a whole table, and the named features, to be looked up by row.

    With a folder `at` they are stored there under the digest of weights and rows, and read back where they are. Asks
    the teacher again for `check` rows spread over the table, one at a time in another order, and raises `UserError`
    where it answers otherwise: then it is not a function of the row, and may not be cached.
    """
    if table.dense:
        raise UserError("answers for every pixel are too large to be remembered; the teacher must be asked each time")
    device = _device(teacher)
    key = digest([teacher.fingerprint() or fingerprint(teacher), table.digest, table.ids.tolist()])
    path = _place(at, key, features) if at else None
    stored = _stored(teacher, table, features, path) if path else _outputs(teacher, table, features, device)
    rows = torch.linspace(0, len(table) - 1, min(check, len(table))).long().flip(0)
    with torch.inference_mode():  # as training will ask: in whatever mode it is
        asked: list[Outputs] = [teacher(table.rows(row).to(device)) for row in rows.split(1)]
    picked = [{name: each.features[name] for name in features} for each in asked]
    fresh, known = _named(Outputs(_joined([each.logits for each in asked]), _joined(picked))), _named(stored)
    # A GPU multiplies with a mantissa of 10 bits, and otherwise for one row than for many.
    near = 1e-4 if device.type == "cpu" else 1e-2
    for name, values in fresh.items():
        gap = float((values - known[name][rows]).abs().max())
        if not gap <= near * max(1.0, float(known[name].abs().max())):
            raise UserError(
                f"the teacher answers differently when asked again ({name}: {gap:.2g} apart), so it cannot be cached"
                + (f"; delete {path} if it was made elsewhere" if path else "")
            )
    # Rows are looked up by their number in the table that this one is a part of.
    spread = Outputs(*({k: _spread(v, table.ids.cpu()) for k, v in part.items()} for part in
                       (stored.logits, stored.features)))  # fmt: skip
    return Cached(spread.logits, key, spread.features)


def recalled(model: nn.Module, table: Table, at: Path) -> dict[str, Tensor]:
    """What `answers` gives for a model that never changes: read from the folder where an earlier run stored it."""
    key = digest([fingerprint(model), table.digest, table.ids.tolist(), *([pixels.LAYOUT] if table.dense else [])])
    return dict(_stored(model, table, (), _place(at, key, ())).logits)


def _place(at: Path, key: str, features: Sequence[str]) -> Path:
    return at / f"answers-{digest({'key': key, 'features': list(features)})}.safetensors"


def _stored(model: nn.Module, table: Table, features: Sequence[str], path: Path) -> Outputs:
    """Answers from a file; made and written where it is not there."""
    if path.is_file():
        return _parted(checkpoint.load_sealed(path))
    made = _outputs(model, table, features, None)
    checkpoint.save_sealed(path, _named(made))
    return made


def _named(outputs: Outputs) -> dict[str, Tensor]:
    """As one dict: `logits/TASK` and `features/NAME`."""
    return {f"logits/{k}": v for k, v in outputs.logits.items()} | {
        f"features/{k}": v for k, v in outputs.features.items()
    }


def _parted(named: Mapping[str, Tensor]) -> Outputs:
    """What `_named` made one dict of."""
    logits, features = ({k.removeprefix(p): v for k, v in named.items() if k.startswith(p)}
                        for p in ("logits/", "features/"))  # fmt: skip
    return Outputs(logits, features)


def _spread(values: Tensor, ids: Tensor) -> Tensor:
    """Values at their row numbers, NaN elsewhere."""
    made = torch.full((int(ids.max()) + 1, *values.shape[1:]), float("nan"))
    made[ids] = values
    return made
