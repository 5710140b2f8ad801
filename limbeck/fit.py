"""The one training loop. It names no recipe; the step is its only clock."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck import checkpoint, evaluate, measures, process, rates
from limbeck.data.order import Shares
from limbeck.data.source import Table
from limbeck.errors import Interrupted, UserError
from limbeck.footprint import Footprint
from limbeck.journal import Journal, Sums
from limbeck.learner import Learner
from limbeck.objective import STUDENT
from limbeck.observers import Observer, Together
from limbeck.run import Run, claim, finish, finished, keep, kept
from limbeck.stop import Stop

SAVE_EVERY = 60.0
"""Seconds after which a checkpoint is written between two evaluations; when that is does not change the result."""


def fit(run: Run, at: Path, observers: Sequence[Observer] = ()) -> dict[str, nn.Module]:
    """Trains the distiller, or goes on where it was cut, or only loads it where it is finished.

    Gives the student, and each teacher that learns, as they were at the best evaluation; `at/best` holds them. Raises
    `UserError` where the folder holds another run or the loss is not finite, `Interrupted` when told to stop (by Ctrl-C
    or SIGTERM), after saving.
    """
    claim(run, at)
    if not finished(at):
        _Loop(run, at, Together(observers)).train()
    return kept(run, at)


class _Loop:
    """One training run and its state. All of the state is in a checkpoint, so a cut run goes on bit for bit."""

    def __init__(self, run: Run, at: Path, observer: Observer) -> None:
        plan = run.plan
        process.keep_memory()
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self.run, self.at, self.observer = run, at, observer
        self.device = process.device(plan.device)
        self.distiller = run.distiller.to(self.device)
        self.train_rows, self.valid_rows = run.train.to(self.device), run.valid.to(self.device)
        sample = torch.randperm(len(run.train), generator=process.generator(plan.seed, "sample"))[: len(run.valid)]
        self.train_sample = self.train_rows.take(sample.sort().values)
        self.order = run.order()
        self.learner = Learner(plan, self.distiller, self.train_rows, self.order, self.device)
        self.steps = plan.total_steps(len(run.train))
        self.rate = rates.of(plan, self.order.per_epoch, self.steps)
        self.evaluated = {math.ceil(self.steps * (i + 1) / plan.evaluations) for i in range(plan.evaluations)}
        self.log_every = max(1, self.steps // plan.evaluations // 5)
        self.journal = Journal(at / "metrics.jsonl", observer.logged)
        self.step, self.best, self.best_step = 0, -math.inf, 0
        self.names: list[str] = []
        self.sums = Sums(self.device)
        self.stop = Stop()

    def train(self) -> None:
        """From wherever the folder's newest checkpoint is to the end."""
        self.restore()
        self.find_rate()
        model = self.learner.together()
        self.observer.begins(self.at, self.step, self.steps)
        first, footprint = self.step, Footprint(self.device)
        footprint.begin()
        saved = time.monotonic()
        try:
            with self.stop.listening():
                while self.step < self.steps:
                    self.advance(model)
                    self.observer.stepped(self.step)
                    to_score, to_log = self.step in self.evaluated, self.step % self.log_every == 0
                    if to_score or to_log:
                        self.log()
                    if to_score or self.step in self.rate.looks:
                        with footprint.resting():
                            if to_score:
                                self.score()
                            if self.step in self.rate.looks:
                                self.look()
                    # Several processes agree on it, and that only where they meet anyway.
                    stop = self.stop.asked if process.world() == 1 else to_log and process.anywhere(self.stop.asked)
                    if to_score or stop or (process.world() == 1 and time.monotonic() - saved > SAVE_EVERY):
                        with footprint.resting():
                            self.save()
                        saved = time.monotonic()
                    if stop and self.step < self.steps:
                        raise Interrupted(f"stopped at step {self.step} of {self.steps}; all is saved in {self.at}")
        finally:
            self.observer.ends()
        footprint.rest()
        if process.rank() == 0:
            self.tell_cost(footprint, self.step - first)
            finish(self.at, self.steps, self.best_step, self.best)
        process.from_leader(None)  # the others read what it wrote
        # A signal that came with the last step, to any of them: what was to follow must not begin.
        if process.anywhere(self.stop.asked):
            raise Interrupted(f"stopped after the last step of {self.at}; all is saved")

    def tell_cost(self, footprint: Footprint, steps: int) -> None:
        """Writes what the steps cost; nothing where this process made none."""
        if steps:
            told = {**footprint.told(steps), "remembered": self.distiller.held()}
            checkpoint.write_json(self.at / "cost.json", told)

    def advance(self, model: nn.Module) -> None:
        """One optimiser step."""
        progress = self.step / self.steps
        total, values = self.learner.judge(model, self.step, progress)
        self.names = list(values)
        finite = self.sums.add([total.detach(), *values.values()])
        if not finite:
            raise self.not_finite()
        self.learner.move(self.rate.at(self.step), progress)
        self.step += 1

    def not_finite(self) -> UserError:
        """Says which term it was."""
        sums = self.sums.tensor().tolist()[1:]
        bad = [name for name, value in zip(self.names, sums, strict=True) if not math.isfinite(value)]
        saved = any((self.at / "last").glob("step-*"))
        left = f"{self.at} keeps what was saved before" if saved else "nothing was saved yet"
        return UserError(
            f"the loss is not finite at step {self.step + 1}, in {', '.join(bad) or 'the sum'}. Look at the "
            f"inputs (limbeck data check), or lower plan.optimiser.lr; {left}"
        )

    def log(self) -> None:
        """A row of the means since the last one."""
        means = process.total(self.sums.tensor().to(self.device)) / (self.sums.count * process.world())
        loss, *terms = means.tolist()
        if not math.isfinite(loss + sum(terms)):
            raise self.not_finite()
        rate = self.learner.optimiser.param_groups[0]["lr"]
        row = {"event": "train", "loss": loss, "lr": rate, "terms": dict(zip(self.names, terms, strict=True))}
        self.write(row | self.passes())
        self.sums = Sums(self.device)

    def passes(self) -> dict[str, dict[str, float]]:
        """How often each data set has been gone through, where each has its share of every batch."""
        if not isinstance(self.order, Shares):
            return {}
        names, each = self.run.train.meta["domain"], zip(self.order.members, self.order.passes(self.step), strict=True)
        return {"passes": {str(names[int(rows[0])]): round(times, 4) for rows, times in each if len(rows)}}

    def write(self, row: Mapping[str, Any]) -> None:
        """A row of the journal, at this step."""
        if process.rank() == 0:
            epoch = round(self.step / self.order.per_epoch, 4)
            self.journal.add({"event": row["event"], "step": self.step, "epoch": epoch, **row})

    def score(self) -> None:
        """Scores student and learning teachers on validation, and keeps them where the student is the best so far."""
        scores: dict[str, dict[str, float]] = {}
        if process.rank() == 0:
            for name, model in self.run.watched().items():
                found = self.scored(name, model, "valid", self.valid_rows)
                scores = found if name == STUDENT else scores
            self.scored(STUDENT, self.distiller.student, "train", self.train_sample)
        scores = process.from_leader(scores)
        now = self.run.score(scores)
        if math.isnan(now):
            raise UserError("no window for validation has a label, so no step can be chosen; hold out other subjects")
        if now > self.best:
            self.best, self.best_step = now, self.step
            if process.rank() == 0:
                keep(self.run, self.at)
        moved = self.distiller.after_eval({task: measures.goodness(s) for task, s in scores.items()})
        if moved:
            self.write({"event": "feedback", **moved})

    def scored(self, name: str, model: nn.Module, part: str, table: Table) -> dict[str, dict[str, float]]:
        """One model on one part."""
        found = self.answered(model, table)
        self.write({"event": "eval", "model": name, "part": part, "scores": found})
        return found

    def answered(self, model: nn.Module, table: Table) -> dict[str, dict[str, float]]:
        """The scores of what a model answers."""
        return evaluate.brief(evaluate.answers(model, table, self.device), table, self.run.tasks)

    def find_rate(self) -> None:
        """What the rate has to know before the first step; where finding it was cut, it is done again."""
        if not self.rate.unknown():
            return
        self.observer.said("range test: a copy is trained with ever larger learning rates")
        with self.stop.listening():
            found = self.rate.find(self.learner.aside("range"), lambda: self.stop.asked)
        if found is None:
            raise Interrupted(f"stopped in the range test; {self.at} begins with it again")
        if process.rank() == 0:
            checkpoint.write_json(self.at / "range.json", found)
        self.save()

    def look(self) -> None:
        """Tells the rate how the student does on validation."""
        found = self.answered(self.distiller.student, self.valid_rows) if process.rank() == 0 else {}
        row = self.rate.hears(self.step, process.from_leader(found))
        if row:
            self.write(row)

    def save(self) -> None:
        """A checkpoint of all state. Raises `UserError` rather than keep one that is not finite."""
        sums = self.sums.tensor()
        if not math.isfinite(sum(sums.tolist())):
            raise self.not_finite()
        if process.rank() != 0:
            return
        tensors, plain = checkpoint.flat_optimiser(self.learner.optimiser)
        tensors |= {f"distiller.{k}": v for k, v in self.distiller.state_dict().items()} | {"sums": sums}
        info = {
            "optimiser": plain,
            "best": self.best if math.isfinite(self.best) else None,
            "best_step": self.best_step,
            "counted": self.sums.count,
            "names": self.names,
            "rate": self.rate.state(),
        }
        checkpoint.save(self.at / "last", self.step, tensors, info)

    def restore(self) -> None:
        """The newest whole checkpoint, if there is one; the journal is cut back to it."""
        found = None
        if process.rank() == 0:
            checkpoint.tidy(self.at)
            found = checkpoint.newest(self.at / "last")
        found = process.from_leader(found)
        if found:
            self.step, tensors, info = found
            state = {k.removeprefix("distiller."): v for k, v in tensors.items() if k.startswith("distiller.")}
            self.distiller.load_state_dict(state)
            checkpoint.restore_optimiser(self.learner.optimiser, tensors, info["optimiser"])
            self.sums, self.names = Sums(self.device, tensors["sums"], info["counted"]), info["names"]
            self.best = -math.inf if info["best"] is None else info["best"]
            self.best_step = info["best_step"]
            self.rate.restore(info.get("rate", {}))
        if process.rank() == 0:
            self.journal.cut(self.step)
