"""Heart rate and its four ways of distillation, by the real command line and against known losses."""

import json
import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from limbeck import process
from limbeck.batch import Batch
from limbeck.data.ppg import HEART_RATE
from limbeck.data.split import Split
from limbeck.distiller import Distiller
from limbeck.errors import Interrupted, UserError
from limbeck.journal import rows
from limbeck.models import load
from limbeck.objective import Objective
from limbeck.observers import Observer
from limbeck.recipes import make
from limbeck.recipes.ppg_heart_rate import PPGHeartRate
from limbeck.teachers import Frozen
from tests.recipes.running import held, train_losses

STRATEGIES = ("scratch", "hard", "soft", "dkd", "feature")
TINY = (
    "--data pulse --data.subjects 4 --data.seconds 40 --teacher.blocks 2 "
    "--plan.steps 4 --plan.batch 16 --plan.evaluations 4 --plan.optimiser sgd --plan.optimiser.lr 0.03"
)
"""Not Adam: of a bias before a BatchNorm it makes a whole step of rounding errors, which differ from one processor to
the next, and a teacher's answers in evaluation mode would tell."""
Limbeck = Callable[[str], int]


def tiny(**paths: object) -> PPGHeartRate:
    """The small run of the golden losses, from Python."""
    words = TINY.split()
    given = {k.removeprefix("--"): v for k, v in zip(words[::2], words[1::2], strict=True)}
    recipe = make("ppg-heart-rate", {**given, **{k.replace("__", "."): v for k, v in paths.items()}})
    assert isinstance(recipe, PPGHeartRate)
    return recipe


def scores(at: Path) -> dict[str, Any]:
    """What a run was scored with."""
    found: dict[str, Any] = json.loads((at / "scores.json").read_text())
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("labels", [1, 0])
def test_four_steps_give_the_golden_losses_of_student_and_teacher(
    limbeck: Limbeck, tmp_path: Path, strategy: str, labels: int
) -> None:
    assert limbeck(f"train ppg-heart-rate {TINY} --strategy {strategy} --labels {labels} --out {tmp_path}") == 0
    stages = [tmp_path] if strategy == "scratch" else [tmp_path / "teacher", tmp_path]
    losses = [loss for at in stages for loss in train_losses(at)]
    assert len(losses) == 4 * len(stages)
    # From scratch there are the labels alone, whatever their weight: a sweep without labels keeps its baseline.
    held(f"heart rate {strategy}" + ("" if labels or strategy == "scratch" else " without labels"), losses)
    found = scores(tmp_path)
    assert set(found["models"]) == {"student", "peaks", "peaks alone"} | ({"teacher"} if len(stages) > 1 else set())
    for row in found["models"].values():
        assert {part: s["heart rate"]["mae"] > 0 for part, s in row["parts"].items()} == dict.fromkeys(
            ("train", "valid", "test"), True
        )


OBJECTIVES = {
    ("scratch", 1): "heart rate",
    ("hard", 1): "1 heart rate + hard(heart rate, teacher)",
    ("soft", 1): "1 heart rate + soft(heart rate, teacher) [T 2.0, reduction sum]",
    ("dkd", 1): "1 heart rate + decoupled(heart rate, teacher) [alpha 1.0, beta 8.0, T 2.0]",
    ("feature", 1): "1 heart rate + 0.5 feature(heart rate, teacher) [shared, 32 mapped to 64]",
    ("scratch", 0): "heart rate",
    ("hard", 0): "hard(heart rate, teacher)",
    ("soft", 0): "soft(heart rate, teacher) [T 2.0, reduction sum]",
    ("dkd", 0): "decoupled(heart rate, teacher) [alpha 1.0, beta 8.0, T 2.0]",
    ("feature", 0): "0.5 feature(heart rate, teacher) [shared, 32 mapped to 64] + head(heart rate, teacher) [T 2.0]",
}


@pytest.mark.parametrize(("strategy", "labels"), OBJECTIVES)
def test_the_objective_is_that_of_the_strategy(strategy: str, labels: int) -> None:
    recipe = tiny(strategy=strategy, labels=labels, hint=0.5)
    assert str(recipe.objective(HEART_RATE, (32, 64))) == OBJECTIVES[strategy, labels]


def test_each_weight_reaches_the_objective() -> None:
    said = str(tiny(labels=0.25, alpha=2, beta=3, T=5, ordinal=4).objective(HEART_RATE, (32, 32)))
    assert said == (
        "0.25 heart rate [spread 4.0] + decoupled(heart rate, teacher) [alpha 2.0, beta 3.0, T 5.0]"
    )  # fmt: skip


def parts(recipe: PPGHeartRate) -> tuple[Split, Distiller]:
    """The split, and the student beside a teacher that was not trained."""
    split = recipe.split.split(recipe.data.load())
    (task,) = split.train.tasks
    teacher = recipe.fresh(recipe.teacher.changed(width=48), (task,), split)
    student = recipe.fresh(recipe.student, (task,), split)
    objective = recipe.objective(task, (student.width, teacher.width))
    return split, Distiller(student, {"teacher": Frozen(teacher)}, objective)


def step(distiller: Distiller, batch: Batch, objective: Objective | None = None) -> tuple[float, dict[str, Tensor]]:
    """The loss and the gradients (0 where none came) of one step, each time with the same dropout."""
    process.seed(7, torch.device("cpu"))
    distiller.zero_grad(set_to_none=True)
    whole = distiller if objective is None else Distiller(
        distiller.student, {"teacher": distiller.teachers["teacher"]}, objective)  # type: ignore[dict-item]  # fmt: skip
    total = whole.train()(batch, 0.0).total
    total.backward()
    named = distiller.student.named_parameters()
    return total.item(), {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in named}


def unlabelled(batch: Batch) -> Batch:
    """The same windows with no heart rate known."""
    nothing = {name: torch.full_like(target, torch.nan) for name, target in batch.targets.items()}
    return Batch(batch.inputs, nothing, batch.ids)


def test_without_labels_the_trunk_learns_from_the_feature_alone_and_the_head_from_the_teacher_alone() -> None:
    recipe = tiny(strategy="feature", labels=0, hint=0.5)
    split, distiller = parts(recipe)
    batch = split.train.rows(torch.arange(16))
    _, both = step(distiller, batch)
    (weight, hint), (_, head) = distiller.views[0].objective.parts
    assert all(p.grad is not None and p.grad.any() for p in hint.parameters()), "the map of the feature learns"
    _, by_hint = step(distiller, batch, weight[0] * hint)
    _, by_head = step(distiller, batch, Objective.of(head))
    for name, gradient in both.items():
        mine, other = (by_head, by_hint) if name.startswith("heads.") else (by_hint, by_head)
        assert torch.equal(gradient, mine[name]), name
        assert not other[name].any(), name
    learnt = {name.partition(".")[0] for name, gradient in both.items() if gradient.any()}
    assert {"heads", "trunk"} <= learnt
    assert not any(p.requires_grad or p.grad is not None for p in distiller.teachers.parameters())
    for one, two in zip(both.values(), step(distiller, unlabelled(batch))[1].values(), strict=True):
        assert torch.equal(one, two), "no label is looked at"


@pytest.mark.parametrize("strategy", ["hard", "soft", "dkd", "feature"])
def test_without_labels_only_dkd_looks_at_them(strategy: str) -> None:
    split, distiller = parts(tiny(strategy=strategy, labels=0))
    batch = split.train.rows(torch.arange(16))
    known, unknown = (step(distiller, one)[0] for one in (batch, unlabelled(batch)))
    assert known > 0
    assert unknown == (0.0 if strategy == "dkd" else known)


def test_ordinal_labels_are_a_normal_distribution_over_the_bins_and_missing_ones_do_nothing() -> None:
    split, distiller = parts(tiny(strategy="scratch", ordinal=3.0))
    batch = split.train.rows(torch.arange(16))
    known = np.arange(16) % 3 > 0
    batch.targets["heart rate"][~torch.from_numpy(known)] = torch.nan
    batch = Batch(batch.inputs, batch.targets, batch.ids)
    target = batch.targets["heart rate"].numpy().astype(np.float64)
    loss, gradients = step(distiller, batch)
    process.seed(7, torch.device("cpu"))
    logits = distiller.student(batch).logits["heart rate"].detach().numpy().astype(np.float64)
    away = -((30 + np.arange(180) - target[known, None]) ** 2) / (2 * 3.0**2)
    wanted = np.exp(away) / np.exp(away).sum(axis=1, keepdims=True)
    log_q = logits[known] - np.log(np.exp(logits[known]).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-(wanted * log_q).sum(axis=1).mean(), rel=1e-6)
    # The other windows' answers still reach the batch's statistics, but get no gradient of their own.
    excess = np.where(known[:, None], np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 0.0)
    excess[known] -= wanted
    assert gradients["heads.0.bias"].numpy() == pytest.approx(excess.sum(axis=0) / known.sum(), abs=1e-6)


@pytest.mark.parametrize("decoder", ["argmax", "expectation"])
def test_the_decoder_reaches_scores_selection_and_the_kept_model(tmp_path: Path, decoder: str) -> None:
    tiny(decoder=decoder).run(tmp_path)
    found = scores(tmp_path)
    for model in ("student", "teacher"):
        for part in found["models"][model]["parts"].values():
            each = part["heart rate"]
            assert each["mae"] == each[f"mae_{decoder}"]
            assert each["mae_argmax"] != each["mae_expectation"]
    assert load(tmp_path / "best")[1][0].decoder == decoder
    for stage in (".", "teacher"):
        scored = [r for r in rows(tmp_path / stage / "metrics.jsonl") if r["event"] == "eval" and r["part"] == "valid"]
        least = min(r["scores"]["heart rate"]["mae"] for r in scored)
        assert found["selected"][stage]["score"] == -least
        model = "student" if stage == "." else "teacher"
        assert found["models"][model]["parts"]["valid"]["heart rate"]["mae"] == pytest.approx(least, abs=1e-4)


class _StopsIn(Observer):
    """Sends this process a Ctrl-C after so many steps of a stage."""

    def __init__(self, stage: Path, after: int) -> None:
        self.stage, self.after, self.here = stage, after, False

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.here = at == self.stage

    def stepped(self, step: int) -> None:
        if self.here and step == self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("strategy", "labels"), [("feature", 0), ("dkd", 1)])
def test_cut_in_either_stage_and_resumed_equals_uncut(tmp_path: Path, strategy: str, labels: int) -> None:
    # A row of the journal is the mean of two steps: a cut after an odd one is in the middle of it.
    recipe = tiny(strategy=strategy, labels=labels, plan__steps=12, plan__evaluations=1)
    recipe.run(tmp_path / "whole")
    at = tmp_path / "cut"
    for stage, after in ((at / "teacher", 3), (at, 3), (at, 8)):
        with pytest.raises(Interrupted, match=f"stopped at step {after} of 12"):
            recipe.run(at, [_StopsIn(stage, after)])
        assert not (at / "scores.json").exists()
        assert (at / "teacher" / "finished.json").exists() == (stage == at)
    recipe.run(at)
    for path in sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file()):
        if path.name not in ("environment.json", "cost.json", ".lock") and path.parts[-3:-2] != ("last",):
            assert (tmp_path / "whole" / path).read_bytes() == (at / path).read_bytes(), path
    states = [load_file(run / "last" / "step-00000012" / "state.safetensors") for run in (tmp_path / "whole", at)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def stamps(folder: Path) -> Mapping[str, int]:
    """When each file of a stage was written."""
    kept = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in kept}


def test_one_teacher_teaches_every_student_of_a_sweep_and_its_answers_are_read_back(tmp_path: Path) -> None:
    shared = tmp_path / "stages"
    tiny(student__blocks=1).run(tmp_path / "a", shared=shared)
    (teacher,) = shared.iterdir()
    answers = set(teacher.glob("answers-*.safetensors"))
    assert len(answers) == 3, "for each part: training learns by them, all are scored"
    before = stamps(teacher)
    tiny(student__blocks=2, strategy="soft").run(tmp_path / "b", shared=shared)
    assert list(shared.iterdir()) == [teacher]
    assert stamps(teacher) == before
    assert json.loads((tmp_path / "b" / "stages.json").read_text()) == {"teacher": f"../stages/{teacher.name}"}
    models = [scores(tmp_path / run)["models"] for run in "ab"]
    assert models[0]["teacher"] == models[1]["teacher"]
    assert models[0]["student"]["parameters"] < models[1]["student"]["parameters"]
    # The features are stored beside them, for the strategy that asks for them.
    tiny(strategy="feature").run(tmp_path / "c", shared=shared)
    assert {k: v for k, v in stamps(teacher).items() if k in before} == before
    (hints,) = set(teacher.glob("answers-*.safetensors")) - answers
    assert all(set(load_file(path)) < set(load_file(hints)) for path in answers)
    # What another plan, another seed or other weights make is another teacher.
    tiny(plan__seed=1).run(tmp_path / "d", shared=shared)
    assert len(list(shared.iterdir())) == 2


def test_answers_that_are_not_the_teachers_are_refused_in_one_line(tmp_path: Path) -> None:
    shared, other = tmp_path / "stages", tmp_path / "others"
    tiny().run(tmp_path / "a", shared=shared)
    tiny(plan__seed=1).run(tmp_path / "b", shared=other)
    # Of the training part, which is the largest.
    answers, theirs = (
        max(stages.glob("*/answers-*.safetensors"), key=lambda path: path.stat().st_size) for stages in (shared, other)
    )
    assert theirs.name != answers.name
    stored = load_file(answers)
    stored["logits/heart rate"][11, 3] += 5
    save_file(stored, tmp_path / "changed")
    for made in (tmp_path / "changed", theirs):
        answers.write_bytes(made.read_bytes())
        with pytest.raises(UserError, match="delete") as error:
            tiny(student__blocks=2).run(tmp_path / "c", shared=shared)
        assert str(answers) in str(error.value)
        assert "\n" not in str(error.value)
    answers.unlink()
    tiny(student__blocks=2).run(tmp_path / "c", shared=shared)
    assert answers.is_file()


def test_no_subject_is_in_two_parts_and_every_model_of_a_sweep_has_the_same_split(tmp_path: Path) -> None:
    """S3-08."""
    asked: list[dict[str, object]] = [
        {"strategy": "scratch"},
        {"strategy": "dkd", "student__blocks": 2},
        {"strategy": "scratch", "student": "mlp"},
        {"strategy": "scratch", "plan__seed": 5},
    ]
    written = set()
    for number, fields in enumerate(asked):
        tiny(**fields, plan__steps=1).run(tmp_path / f"{number}", shared=tmp_path / "stages")
        written.add((tmp_path / f"{number}" / "splits.json").read_bytes())
    (text,) = written
    audit = json.loads(text)["audit"]
    people = [set(audit[part]["subjects"]) for part in ("train", "valid", "test")]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people)) == 4
    assert not any(audit["shared subjects"].values())
    assert not any(audit["overlapping windows"].values())
    with np.load(tmp_path / "0" / "values.npz") as tested:
        assert set(tested["subject"].tolist()) == people[2]


def test_the_answers_to_each_test_window_are_written(tmp_path: Path) -> None:
    recipe = tiny()
    recipe.run(tmp_path)
    test = recipe.split.split(recipe.data.load()).test
    with np.load(tmp_path / "values.npz", allow_pickle=False) as stored:
        found = dict(stored)
    models, whole = ("student", "teacher", "peaks", "peaks alone"), scores(tmp_path)["models"]
    said = {f"heart rate/{m}/{k}" for m in models for k in ("value", "low", "high")}
    assert set(found) == {"subject", "session", "start", "activity", "heart rate/truth"} | said
    assert {len(v) for v in found.values()} == {len(test)}
    for what in ("subject", "session", "start", "activity"):
        assert found[what].tolist() == test.meta[what].tolist()
    truth = found["heart rate/truth"]
    assert np.array_equal(truth, test.targets["heart rate"].numpy())
    for model in models:
        value, low, high = (found[f"heart rate/{model}/{k}"] for k in ("value", "low", "high"))
        each = whole[model]["parts"]["test"]["heart rate"]
        assert np.abs(value - truth).mean() == pytest.approx(each["mae"], rel=1e-5)
        assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(each["coverage"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--strategy dkdd", r"strategy: .*'scratch', 'hard', 'soft', 'dkd' or 'feature' \(given 'dkdd'\)"),
        ("--student resnet1d", "no student 'resnet1d'; did you mean 'ppg-resnet'"),
        ("--strateg dkd", "'strateg'; did you mean 'strategy'"),
        ("--decoder median", r"decoder: .*'argmax' or 'expectation' \(given 'median'\)"),
        ("--select accuracy", r"select: .*\(given 'accuracy'\)"),
        ("--labels -1", r"labels: .*\(given '-1'\)"),
        ("--T 0", r"T: .*\(given '0'\)"),
        ("--hint 0", r"hint: .*\(given '0'\)"),
        ("--ordinal wide", r"ordinal: .*\(given 'wide'\)"),
        ("--student.blocks 0", r"student\.blocks: .*\(given '0'\)"),
        ("--teacher.kernel 4", "needs a kernel of an odd number of samples, not 4"),
    ],
)
def test_what_cannot_be_asked_ends_in_one_clear_line_and_leaves_no_folder(
    limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert limbeck(f"train ppg-heart-rate {TINY} {words} --out {tmp_path / 'run'}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert re.search(said, line), line
    assert not (tmp_path / "run").exists()
