"""The one training loop. It names no recipe; the step is its only clock."""

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from limbeck import checkpoint, evaluate, measures, process
from limbeck.data.source import Order, Table
from limbeck.errors import Interrupted, UserError
from limbeck.journal import Journal, Sums
from limbeck.objective import STUDENT
from limbeck.observers import Observer, Together
from limbeck.run import Run, claim, finish, finished, keep, kept

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
        self.learnt = [p for p in self.distiller.parameters() if p.requires_grad]
        self.optimiser = plan.optimiser.build(self.learnt)
        self.order = Order(len(run.train), plan.batch, plan.seed)
        self.steps = plan.total_steps(len(run.train))
        self.evaluated = {math.ceil(self.steps * (i + 1) / plan.evaluations) for i in range(plan.evaluations)}
        self.log_every = max(1, self.steps // plan.evaluations // 5)
        self.journal = Journal(at / "metrics.jsonl", observer.logged)
        self.step, self.best, self.best_step = 0, -math.inf, 0
        self.names: list[str] = []
        self.sums = Sums(self.device)
        self.asked_to_stop = False

    def train(self) -> None:
        """From wherever the folder's newest checkpoint is to the end."""
        self.restore()
        model: nn.Module = self.distiller
        if process.world() > 1:
            model = DistributedDataParallel(self.distiller)
        model.train()
        self.observer.begins(self.at, self.step, self.steps)
        saved = time.monotonic()
        try:
            with self.listening():
                while self.step < self.steps:
                    self.advance(model)
                    self.observer.stepped(self.step)
                    to_score, to_log = self.step in self.evaluated, self.step % self.log_every == 0
                    if to_score or to_log:
                        self.log()
                    if to_score:
                        self.score()
                    # Several processes agree on it, and that only where they meet anyway.
                    stop = (
                        self.asked_to_stop if process.world() == 1 else to_log and process.anywhere(self.asked_to_stop)
                    )
                    if to_score or stop or (process.world() == 1 and time.monotonic() - saved > SAVE_EVERY):
                        self.save()
                        saved = time.monotonic()
                    if stop and self.step < self.steps:
                        raise Interrupted(f"stopped at step {self.step} of {self.steps}; all is saved in {self.at}")
        finally:
            self.observer.ends()
        if process.rank() == 0:
            finish(self.at, self.steps, self.best_step, self.best)
        process.from_leader(None)  # the others read what it wrote
        # A signal that came with the last step, to any of them: what was to follow must not begin.
        if process.anywhere(self.asked_to_stop):
            raise Interrupted(f"stopped after the last step of {self.at}; all is saved")

    def advance(self, model: nn.Module) -> None:
        """One optimiser step. Order, dropout and augmentation are functions of (seed, step)."""
        plan, progress = self.run.plan, self.step / self.steps
        process.seed(process.fold(plan.seed, "step", self.step, process.rank()), self.device)
        batch = self.train_rows.rows(self.order.at(self.step).to(self.device))
        with self.autocast():
            total, values = model(batch, progress)
        total.backward()
        self.names = list(values)
        finite = self.sums.add([total.detach(), *values.values()])
        if not finite:
            raise self.not_finite()
        if plan.clip:
            nn.utils.clip_grad_norm_(self.learnt, plan.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = plan.optimiser.lr * plan.schedule(progress)
        self.optimiser.step()
        for parameter in self.learnt:  # what zero_grad does, without the profiler's hooks
            parameter.grad = None
        self.distiller.after_step(progress)
        self.step += 1

    def autocast(self) -> AbstractContextManager[Any]:
        """Of the plan's precision."""
        if self.run.plan.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def not_finite(self) -> UserError:
        """Says which term it was."""
        sums = self.sums.tensor().tolist()[1:]
        bad = [name for name, value in zip(self.names, sums, strict=True) if not math.isfinite(value)]
        return UserError(
            f"the loss is not finite at step {self.step + 1}, in {', '.join(bad) or 'the sum'}. Look at the "
            f"inputs (limbeck data check), or lower plan.optimiser.lr; {self.at} keeps what was saved before"
        )

    def log(self) -> None:
        """A row of the means since the last one."""
        means = process.total(self.sums.tensor().to(self.device)) / (self.sums.count * process.world())
        loss, *terms = means.tolist()
        if not math.isfinite(loss + sum(terms)):
            raise self.not_finite()
        rate = self.optimiser.param_groups[0]["lr"]
        self.write({"event": "train", "loss": loss, "lr": rate, "terms": dict(zip(self.names, terms, strict=True))})
        self.sums = Sums(self.device)

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
        self.distiller.after_eval({task: measures.goodness(s) for task, s in scores.items()})

    def scored(self, name: str, model: nn.Module, part: str, table: Table) -> dict[str, dict[str, float]]:
        """One model on one part."""
        found = evaluate.brief(evaluate.answers(model, table, self.device), table, self.run.tasks)
        self.write({"event": "eval", "model": name, "part": part, "scores": found})
        return found

    def save(self) -> None:
        """A checkpoint of all state. Raises `UserError` rather than keep one that is not finite."""
        sums = self.sums.tensor()
        if not math.isfinite(sum(sums.tolist())):
            raise self.not_finite()
        if process.rank() != 0:
            return
        tensors, plain = checkpoint.flat_optimiser(self.optimiser)
        tensors |= {f"distiller.{k}": v for k, v in self.distiller.state_dict().items()} | {"sums": sums}
        info = {
            "optimiser": plain,
            "best": self.best if math.isfinite(self.best) else None,
            "best_step": self.best_step,
            "counted": self.sums.count,
            "names": self.names,
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
            checkpoint.restore_optimiser(self.optimiser, tensors, info["optimiser"])
            self.sums, self.names = Sums(self.device, tensors["sums"], info["counted"]), info["names"]
            self.best = -math.inf if info["best"] is None else info["best"]
            self.best_step = info["best_step"]
        if process.rank() == 0:
            self.journal.cut(self.step)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turns the first Ctrl-C or SIGTERM into a stop after the step at hand; a second one stops at once."""

        def ask(number: int, frame: object) -> None:
            if self.asked_to_stop:
                raise KeyboardInterrupt
            self.asked_to_stop = True

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever started it has the signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
