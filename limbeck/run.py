"""What one training run is made of, the folder it lies in, and what is kept of it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from limbeck import checkpoint, measures, process
from limbeck.batch import DOMAIN
from limbeck.config import differences, digest, dump
from limbeck.data.order import Order, Shares
from limbeck.data.source import Table
from limbeck.distiller import Distiller
from limbeck.errors import UserError
from limbeck.objective import STUDENT
from limbeck.plan import Plan
from limbeck.tasks import Task
from limbeck.teachers import EMA

Scores = Mapping[str, Mapping[str, float]]
"""By task, as `evaluate.brief` gives them: accuracy, macro_f1 and loss, of real values mae, rmse and loss."""
LEAST = 1e-6
"""What a score counts as, at least, before its logarithm is taken."""


def mean_accuracy(scores: Scores) -> float:
    """The mean over tasks of the accuracy."""
    return _mean(scores, "accuracy")


def mean_f1(scores: Scores) -> float:
    """The mean over tasks of the macro-F1."""
    return _mean(scores, "macro_f1")


def mean_mae(scores: Scores) -> float:
    """The mean over tasks of the mean absolute error, as its negative: higher is better."""
    return -_mean(scores, "mae")


def mean_relative(scores: Scores) -> float:
    """The mean over tasks of the logarithm of what each is judged by, of errors its negative: a change by one percent
    counts alike in every task, whatever it is measured in."""
    good = {}
    for task, told in scores.items():
        judge = measures.judge(told)
        good[task] = {"log": judge.good(math.log(max(told[judge.key], LEAST)))}  # NaN stays so, for it comes first
    return _mean(good, "log")


RULES: Mapping[str, Callable[[Scores], float]] = {
    "accuracy": mean_accuracy, "macro_f1": mean_f1, "mae": mean_mae, "relative": mean_relative,
}  # fmt: skip
"""What chooses the step that is kept, by the name of the score."""


def _mean(scores: Scores, name: str) -> float:
    """Over the tasks that have a label on validation; NaN where none has. Raises `UserError` where a task has no such
    score."""
    for task, told in scores.items():
        if name not in told:
            raise UserError(
                f"--select {name}: {task} has no such score but {', '.join(told)}; choose --select relative"
            )
    known = [s[name] for s in scores.values() if not math.isnan(s[name])]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Run:
    """All that `fit` needs.

    - `score` chooses, on validation, the step that is kept; higher is better.
    - `model` describes the student, so that `models.load` can rebuild it.
    - `about`: plain values that make this run beside plan, data, objective and teachers.
    - `shares`: of every batch, by the data sets (in their order) of a table joined of several; none where rows are
      drawn from all alike.
    """

    distiller: Distiller
    train: Table
    valid: Table
    tasks: tuple[Task, ...]
    plan: Plan
    model: Mapping[str, Any]
    about: Mapping[str, Any]
    score: Callable[[Scores], float] = mean_accuracy
    shares: tuple[float, ...] = ()

    def order(self) -> Order | Shares:
        """Which rows make the batch of each step."""
        if not self.shares:
            return Order(len(self.train), self.plan.batch, self.plan.seed)
        domains = self.train.inputs[DOMAIN][torch.arange(len(self.train))]
        return Shares(domains, self.shares, self.plan.batch, self.plan.seed)

    def key(self) -> dict[str, Any]:
        """Plain values that name this run: a folder made by others is refused. Device and threads are not among
        them."""
        key = {
            **self.about,
            "model": dict(self.model),
            "plan": dump(self.plan) | {"device": None, "threads": None},
            "data": {n: digest([t.digest, t.ids.tolist()]) for n, t in (("train", self.train), ("valid", self.valid))},
            "objective": " | ".join(str(view.objective) for view in self.distiller.views),
            "teachers": self.distiller.described(),
            "score": self.score.__name__,
            "processes": process.world(),
            **({"shares": self.shares} if self.shares else {}),
        }
        plain: dict[str, Any] = json.loads(json.dumps(key))
        return plain

    def watched(self) -> dict[str, nn.Module]:
        """The student and the teachers that learn: they are scored while training, and kept at the best step."""
        fixed, teachers = self.distiller.fingerprints(), self.distiller.teachers
        learning = {n: t.model for n, t in teachers.items() if n not in fixed and isinstance(t, EMA)}
        return {STUDENT: self.distiller.student, **learning}


def claim(run: Run, at: Path) -> None:
    """Writes what makes the run into its folder; raises `UserError` with the first difference where another run lies
    there."""
    path = at / "run.json"
    if path.is_file():
        unlike = differences(checkpoint.read_json(path), run.key())
        if unlike:
            raise UserError(
                f"{at} holds a run of other values: {unlike[0]}. Choose another --out, or delete that folder"
            )
    elif process.rank() == 0:
        checkpoint.write_json(path, run.key())


def finished(at: Path) -> bool:
    """Whether the run in a folder has come to its end."""
    return (at / "finished.json").is_file()


def keep(run: Run, at: Path) -> None:
    """Keeps student and learning teachers as they are now, as the best so far."""
    for name, model in run.watched().items():
        checkpoint.save_tensors(at / "best" / f"{name}.safetensors", model.state_dict())
    checkpoint.write_json(at / "best" / "model.json", dict(run.model))


def finish(at: Path, steps: int, best_step: int, best: float) -> None:
    """Marks the run as finished, with the hashes of what was kept."""
    files = {f.name: checkpoint.sha256(f) for f in sorted((at / "best").glob("*.safetensors"))}
    checkpoint.write_json(
        at / "finished.json", {"steps": steps, "best": {"step": best_step, "score": best}, "sha256": files}
    )


def kept(run: Run, at: Path) -> dict[str, nn.Module]:
    """Student and learning teachers as they were kept, in evaluation mode. Raises `UserError` for a damaged file."""
    hashes = checkpoint.read_json(at / "finished.json")["sha256"]
    models = run.watched()
    for name, model in models.items():
        path = at / "best" / f"{name}.safetensors"
        if not path.is_file() or checkpoint.sha256(path) != hashes[path.name]:
            raise UserError(f"{path} is not the file that finished.json names; delete {at} and train again")
        model.load_state_dict(load_file(path))
        model.eval()
    return models
