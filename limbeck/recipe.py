"""What all recipes share: the folder of a run, the split, and the scores of every model under one rule."""

import os
import platform
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from limbeck import assessment, checkpoint, classical, evaluate, groups, metrics, pictures, process
from limbeck.config import Spec, differences, digest, dump
from limbeck.data import cache
from limbeck.data.base import Data
from limbeck.data.source import Table
from limbeck.data.split import BySubject, KFoldSubjects, LeaveOneSubjectOut, Official, RandomWindow, Split
from limbeck.distiller import Distiller
from limbeck.errors import InUse, UserError
from limbeck.fit import fit
from limbeck.models.heads import Model, MultiTask
from limbeck.objective import STUDENT
from limbeck.observers import CURVES, Observer
from limbeck.plan import Plan
from limbeck.run import RULES, Run
from limbeck.tasks import Task

Models = dict[str, nn.Module]
ANYWHERE = ("device", "threads")
"""Fields of the plan that do not make another run."""
STAGES = "stages.json"
"""Where the stages lie that a run shares with others, by name and relative to it."""
STAGE = {"run.json", "metrics.jsonl"}
"""The files of a stage's folder before anything that was learnt is saved."""
UNTRAINED = STAGE | {".lock", "recipe.json", "data.json", "splits.json"}
"""Those of a run's own folder."""


@dataclass(frozen=True)
class Place:
    """Where a recipe works: its folder, who watches, and where stages lie that several runs share."""

    at: Path
    observers: Sequence[Observer] = ()
    shared: Path | None = None
    code: str | None = None
    """Names what reads the data: a shared stage is another where that has changed."""

    def fit(self, run: Run, stage: str = "") -> Models:
        """Trains into the run's own folder, or into a named stage of it."""
        return fit(run, self.at / stage if stage else self.at, self.observers)

    def folder(self, run: Run, stage: str) -> Path:
        """Where `share` trains a stage."""
        return self.shared / f"{stage}-{digest([run.key(), self.code])}" if self.shared else self.at / stage

    def say(self, line: str) -> None:
        """Tells those who watch."""
        for observer in self.observers:
            observer.said(line)

    def share(self, run: Run, stage: str) -> Models:
        """Trains a stage that other runs of a study may need too: into a folder named by what makes it, so that it is
        made once and never taken for another."""
        if self.shared is None:
            return self.fit(run, stage)
        folder = self.folder(run, stage)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock") if process.rank() == 0 else nullcontext():
            process.from_leader(None)  # all of a group begin when its first has the lock
            learnt = fit(run, folder, self.observers)
        if process.rank() == 0:
            known = shared_stages(self.at)
            checkpoint.write_json(self.at / STAGES, {**known, stage: os.path.relpath(folder, self.at)})
        return learnt


def shared_stages(at: Path) -> dict[str, str]:
    """Where the shared stages of a run lie, relative to it, by name."""
    found: dict[str, str] = checkpoint.read_json(at / STAGES) if (at / STAGES).is_file() else {}
    return found


class Classical(NamedTuple):
    """What needs no network: its `row` in `scores.json`, and its logits on the test by task where they are drawn."""

    name: str
    row: dict[str, Any]
    test: dict[str, Tensor]


class Recipe(Spec, ABC):
    """A paper's method on a data set. Its fields are the paper's symbols; `learn` is the method, `run` the rest."""

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Named sets of values, by field path."""
    untrained: ClassVar[frozenset[str]] = frozenset()
    """What else than `UNTRAINED` its folder may hold before anything that was learnt is saved."""
    data: Data
    split: BySubject | LeaveOneSubjectOut | KFoldSubjects | RandomWindow | Official = BySubject()
    plan: Plan = Plan()
    select: Literal["accuracy", "macro_f1", "mae", "relative"] = "accuracy"
    """The mean of this over tasks, on validation, chooses the step that is kept; the same for every method. relative:
    of the logarithm of what each task is judged by, so that a change by one percent counts alike in all."""
    absent: Literal["refuse", "accept"] = "refuse"
    """What of a split that leaves a class out of training altogether: `accept` scores it as never recognised."""

    @abstractmethod
    def learn(self, split: Split, place: Place) -> Models:
        """Trains, and gives the student (by that name) and the teachers that are worth a row in the report."""

    @property
    def score(self) -> Callable[[Mapping[str, Mapping[str, float]]], float]:
        """The selection rule."""
        return RULES[self.select]

    def fresh(self, spec: Model, tasks: tuple[Task, ...], split: Split, teacher: str = "") -> MultiTask:
        """A model with the weights of the plan's seed, and the training part's normalisation. A `teacher` by another
        name has other weights, though it be of the student's kind."""
        torch.manual_seed(process.fold(self.plan.seed, "weights", *filter(None, [teacher])))
        model = spec.build(tasks, split.train.shape(spec.modality))
        if model.normalise is not None:
            model.normalise.fit(split.train.inputs[spec.modality])
        return model

    def prepare(
        self, spec: Model, tasks: tuple[Task, ...], split: Split, distiller: Distiller, about: Mapping[str, Any]
    ) -> Run:
        """What `fit` needs; `about` are plain values that make this run another."""
        shape = list(split.train.shape(spec.modality))
        model = {"tasks": [vars(t) for t in tasks], "spec": dump(spec), "shape": shape}
        return Run(
            distiller, split.train, split.valid, tasks, self.plan, model, {"recipe": self.kind, **about}, self.score
        )

    def asked(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        """The tasks of the data as this recipe learns and judges them."""
        return tasks

    def extended(self, table: Table, at: Path) -> Table:
        """A table with the inputs that teachers read beside the student's, as training left them described in the
        run's folder."""
        return table

    def seen(self, split: Split, at: Path) -> Split:
        """A split whose parts are so."""
        train, valid, test = (self.extended(part, at) for part in (split.train, split.valid, split.test))
        return replace(split, train=train, valid=valid, test=test)

    def classical(self, split: Split) -> tuple[Classical, ...]:
        """The rows that every report carries beside the trained ones."""
        return (Classical("trees", _trees(split), {}),)

    def run(self, at: Path | str, observers: Sequence[Observer] = (), shared: Path | None = None) -> Models:
        """Trains and scores into a folder; a cut run goes on, a finished one is only loaded.

        Raises `UserError` where the folder holds other values, is in use, or cannot be written.
        """
        at = Path(at)
        with _opened(at, self):
            started = time.time()
            table = self.data.load()
            _unchanged(at, table)
            table = replace(table, tasks=self.asked(table.tasks))
            split = self.split.split(table)
            self._complete(split)
            if process.rank() == 0:
                checkpoint.write_json(at / "recipe.json", dump(self))
                checkpoint.write_json(at / "data.json", {**table.card, "digest": table.digest})
                about = {"split": dump(self.split), "leaky": split.leaky, "audit": split.audit}
                checkpoint.write_json(at / "splits.json", about)
            models = self.learn(split, Place(at, observers, shared, cache.code_of(type(self.data))))
            if process.rank() == 0 and not (at / "scores.json").is_file():
                checkpoint.write_json(at / "environment.json", environment(self.plan) | {
                    "started": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(started)),
                    "seconds": round(time.time() - started, 1)})  # fmt: skip
                checkpoint.write_json(
                    at / "scores.json", scored(models, self.seen(split, at), at, self.classical(split))
                )
        return models

    def _complete(self, split: Split) -> None:
        """Raises `UserError` where a class is to be recognised that training has no window of."""
        for task, labels in split.audit["classes absent from training"].items():
            if labels and self.absent == "refuse":
                raise UserError(
                    f"{task} {labels[0]!r} is in validation or test, but no training subject has it; choose another "
                    "--split.seed or name the subjects, or score it as never recognised with --absent accept"
                )


def scored(models: Models, split: Split, at: Path, classical: Sequence[Classical]) -> dict[str, Any]:
    """`scores.json`: every model on every part, agreement of teachers with the student, and the classical rows.

    Writes `values.npz`, the answers to each test window, where a task has real values, and `pictures.npz`, answers to
    a few test images, where a task asks for every pixel.
    """
    tasks = split.train.tasks
    found: dict[str, Any] = {"selected": _selected(at), "models": {}, "agreement": {}}
    test: dict[str, dict[str, Tensor]] = {}
    stages = {name: at / path for name, path in shared_stages(at).items()}
    for name, model in models.items():
        # A stage that many runs share has answered for all of them.
        logits = {
            part: evaluate.recalled(model, table, stages[name]) if name in stages else evaluate.answers(model, table)
            for part, table in split.parts.items()
        }
        test[name] = logits["test"]
        parameters = sum(p.numel() for p in model.parameters())
        found["models"][name] = {"parameters": parameters, "parts": evaluate.parts(logits, split)}
        if name != STUDENT:
            found["agreement"][name] = evaluate.agreement(test[STUDENT], test[name], tasks) | evaluate.agree(
                models[STUDENT], model, split.test
            )
    for name, row, answers in classical:
        found["models"][name], test[name] = row, answers
    values = evaluate.traces(test, split.test, tasks)
    if values:
        checkpoint.write_arrays(at / "values.npz", values)
    pictures.keep(models, split.test, tasks, at)
    return found


def _selected(at: Path) -> dict[str, Any]:
    """Step and score of what was kept, by stage."""
    return {
        str(path.parent.relative_to(at)): checkpoint.read_json(path)["best"]
        for path in sorted(at.rglob("finished.json"))
    }


def _trees(split: Split) -> dict[str, Any]:
    """The classical row, from the cache where the same windows were split the same way before."""
    code = [Path(str(module.__file__)).read_text() for module in (classical, evaluate, assessment, groups, metrics)]
    rows = [part.ids.tolist() for part in (split.train, split.valid, split.test)]
    key = digest([split.train.digest, *rows, version("scikit-learn"), *code])
    path = cache.folder() / "trees" / f"{key}.json"
    if not path.is_file():
        logits, nodes = classical.trees(split)
        checkpoint.write_json(path, {"parameters": None, "nodes": nodes, "parts": evaluate.parts(logits, split)})
    found: dict[str, Any] = checkpoint.read_json(path)
    return found


@contextmanager
def _opened(at: Path, recipe: Recipe) -> Iterator[None]:
    """The folder of a run, for one process (or one group of them) at a time."""
    lock = FileLock(at / ".lock")
    refusal: UserError | None = None
    if process.rank() == 0:
        try:
            _enter(at, recipe, lock)
        except UserError as error:
            refusal = error
    refusal = process.from_leader(refusal)
    if refusal:  # of all processes: those left waiting for the first would end with an error of their own
        raise refusal
    try:
        yield
        process.from_leader(None)
    finally:
        if process.rank() == 0:
            # What failed before anything was saved leaves no trace, so that the corrected command may name that folder.
            if _untrained(at, UNTRAINED | recipe.untrained):
                shutil.rmtree(at)
            lock.release()


def _untrained(at: Path, names: Set[str]) -> bool:
    """Whether a folder holds nothing but files of these names, stages in which nothing is saved, and their curves.

    Whatever else lies in it, another run in a folder of its own too, is somebody's, and stays.
    """
    files = [f.relative_to(at) for f in at.rglob("*") if not f.is_dir()]
    return all(f.name in (STAGE if f.parent.parts else names) or f.match(f"{CURVES}/events.*") for f in files)


def _enter(at: Path, recipe: Recipe, lock: FileLock) -> None:
    """Locks the folder. Raises `UserError` where it is in use, cannot be written, or holds a run of other values."""
    try:
        at.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InUse(f"{at} is in use by another process; wait for it, or choose another --out") from None
    except OSError as error:
        raise checkpoint.refused(at, error) from error
    path = at / "recipe.json"
    try:
        unlike = differences(anywhere(checkpoint.read_json(path)), anywhere(dump(recipe))) if path.is_file() else []
        if unlike:
            raise UserError(
                f"{at} holds a run of other values: {unlike[0]}. Choose another --out, or delete that folder"
            )
    except UserError:
        lock.release()
        raise


def _unchanged(at: Path, table: Table) -> None:
    """Raises `UserError` where the folder holds a run on other contents of the same files, before its card is lost."""
    path = at / "data.json"
    if path.is_file() and checkpoint.read_json(path)["digest"] != table.digest:
        raise UserError(
            f"{at} holds a run of other values: the contents of the recordings have changed since (data.digest). "
            "Choose another --out, or delete that folder"
        )


def anywhere(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's plain values without those that do not make another run."""
    return {**values, "plan": {k: v for k, v in values.get("plan", {}).items() if k not in ANYWHERE}}


def environment(plan: Plan) -> dict[str, Any]:
    """Versions and machine: what a number may depend on beside the recipe."""
    names = ("limbeck", "torch", "numpy", "scipy", "scikit-learn")
    return {
        **{name: version(name) for name in names},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "device": str(process.device(plan.device)),
        "threads": torch.get_num_threads(),
        "processes": process.world(),
        "commit": _commit(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _commit() -> str | None:
    """Of the checkout that the package lies in, if it lies in one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
