"""A run's key, its folder, and what is kept in it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck import checkpoint
from limbeck.augment import Augment
from limbeck.distiller import Distiller
from limbeck.errors import UserError
from limbeck.fit import fit
from limbeck.plan import Plan
from limbeck.run import RULES, Run, claim, finish, keep, kept, mean_accuracy, mean_f1, mean_mae
from limbeck.schedule import Linear
from limbeck.teachers import EMA, Ensemble, Frozen
from limbeck.terms import Soft, kd, supervised
from tests.conftest import TASKS, table
from tests.toy_runs import PLAN, student, toy_run


def test_scores_are_means_over_the_tasks_that_have_labels() -> None:
    scores = {"a": {"accuracy": 0.5, "macro_f1": 0.2}, "b": {"accuracy": 1.0, "macro_f1": 0.4}}
    assert mean_accuracy(scores) == 0.75
    assert mean_f1(scores) == pytest.approx(0.3)
    none = {"accuracy": math.nan, "macro_f1": math.nan}
    assert mean_accuracy(scores | {"c": none}) == 0.75
    assert math.isnan(mean_f1({"c": none}))


def test_the_mean_absolute_error_counts_against_a_step() -> None:
    scores = {"a": {"mae": 4.0, "accuracy": 0.9}, "b": {"mae": 6.0, "accuracy": 0.1}}
    assert mean_mae(scores) == RULES["mae"](scores) == -5.0
    assert mean_mae(scores) > mean_mae({"a": {"mae": 5.5}})
    assert mean_mae(scores | {"c": {"mae": math.nan}}) == -5.0
    assert math.isnan(mean_mae({"c": {"mae": math.nan}}))


def test_relative_scores_weigh_a_change_by_one_percent_alike_in_every_task() -> None:
    scores = {"a": {"miou": 0.4, "loss": 1.0}, "b": {"rel_err": 0.2}, "c": {"accuracy": 0.9}, "d": {"mae": 40.0}}
    known = RULES["relative"](scores)
    assert known == pytest.approx((math.log(0.4) - math.log(0.2) + math.log(0.9) - math.log(40)) / 4)
    better = {"a": {"miou": 0.404}, "b": {"rel_err": 0.2 / 1.01}, "c": {"accuracy": 0.909}, "d": {"mae": 40 / 1.01}}
    for task, values in better.items():
        assert RULES["relative"](scores | {task: values}) - known == pytest.approx(math.log(1.01) / 4), task
    assert RULES["relative"]({"a": {"miou": 0.0}, "b": {"rel_err": 0.0}}) == 0, "as little as can be, and as much"
    assert RULES["relative"](scores | {"c": {"accuracy": math.nan}}) == pytest.approx(
        (math.log(0.4) - math.log(0.2) - math.log(40)) / 3
    )
    assert math.isnan(RULES["relative"]({"c": {"accuracy": math.nan}}))


def test_a_rule_of_another_kind_of_task_is_refused() -> None:
    with pytest.raises(UserError, match="--select accuracy: depth has no such score but rel_err, loss; choose"):
        RULES["accuracy"]({"depth": {"rel_err": 0.2, "loss": 1.0}})


def other_teacher(run: Run, teachers: dict[str, Any]) -> dict[str, Any]:
    objective = supervised(TASKS[0]) + kd(TASKS[0], "t", Soft())
    distiller = Distiller(student(), teachers, objective)
    made = Run(distiller, run.train, run.valid, TASKS, PLAN, run.model, run.about)
    return made.key()


def test_all_that_changes_the_result_changes_the_key_and_nothing_else_does() -> None:
    run = toy_run()
    same = [toy_run(), toy_run(PLAN.changed(device="auto")), toy_run(PLAN.changed(threads=1))]
    assert all(one.key() == run.key() for one in same)
    unlike = [
        toy_run(PLAN.changed(seed=1)), toy_run(PLAN.changed(steps=25)), toy_run(PLAN.changed(optimiser="sgd")),
        toy_run(PLAN.changed(schedule=Linear())), toy_run(PLAN.changed(precision="bf16")), toy_run(lam=0.4),
        toy_run(augment=Augment()), toy_run(train=table(60, seed=9)), toy_run(valid=table(30, seed=9)),
        toy_run(train=table(60, missing=0.2, seed=1).take(torch.arange(59))), toy_run(score=mean_f1),
        toy_run(about={"method": "other"}),
    ]  # fmt: skip
    keys = [json.dumps(one.key()) for one in [run, *unlike]]
    assert len(set(keys)) == len(keys)
    one, two = Frozen(student(0)), Frozen(student(1))
    teachers = [one, two, EMA(student(), 0.5), EMA(student(), 0.6), Ensemble([one, two]), Ensemble([one, two], [9, 1])]
    keys = [json.dumps(other_teacher(run, {"t": t})) for t in teachers]
    assert len(set(keys)) == len(keys)


def test_a_key_is_the_same_after_json(tmp_path: Path) -> None:
    run = toy_run()
    checkpoint.write_json(tmp_path / "x", run.key())
    assert checkpoint.read_json(tmp_path / "x") == run.key()


def test_a_folder_of_other_values_is_refused_with_the_field_and_both_values(tmp_path: Path) -> None:
    claim(toy_run(), tmp_path)
    claim(toy_run(), tmp_path)
    with pytest.raises(UserError, match=r"plan\.seed was 0, now 1") as error:
        claim(toy_run(PLAN.changed(seed=1)), tmp_path)
    assert "\n" not in str(error.value)
    assert "--out" in str(error.value)
    with pytest.raises(UserError, match=r"data\.train was"):
        claim(toy_run(train=table(60, seed=9)), tmp_path)
    with pytest.raises(UserError, match="objective was"):
        claim(toy_run(lam=0.4), tmp_path)


def test_students_and_the_teachers_that_learn_are_watched() -> None:
    model, frozen = student(), Frozen(student(1))
    teachers = {"ema": EMA(model, 0.5), "oracle": frozen, "both": Ensemble([frozen, EMA(model, 0.5)])}
    objective = supervised(TASKS[0]) + sum((kd(TASKS[0], n, Soft()) for n in teachers), start=0)  # type: ignore[operator]
    rows = table()
    run = Run(Distiller(model, teachers, objective), rows, rows, TASKS, Plan(steps=1), {}, {})
    watched = run.watched()
    assert list(watched) == ["student", "ema"]
    assert watched["student"] is model


def test_what_is_kept_is_a_copy_that_more_training_does_not_change(tmp_path: Path) -> None:
    """S1-10."""
    run = toy_run()
    keep(run, tmp_path)
    before = {f.name: f.read_bytes() for f in (tmp_path / "best").iterdir()}
    finish(tmp_path, 1, 1, 0.5)
    start = [p.detach().clone() for p in run.distiller.student.parameters()]
    with torch.no_grad():
        for p in run.distiller.parameters():
            p.add_(1)
    assert {f.name: f.read_bytes() for f in (tmp_path / "best").iterdir()} == before
    assert set(before) == {"student.safetensors", "ema.safetensors", "model.json"}
    models = kept(run, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(models["student"].parameters(), start, strict=True))
    assert not any(m.training for model in models.values() for m in model.modules())


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_a_damaged_model_is_told_rather_than_loaded(tmp_path: Path, how: str) -> None:
    fit(toy_run(), tmp_path)
    path = tmp_path / "best" / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink() if how == "missing" else path.write_bytes(data)
    with pytest.raises(UserError, match=r"ema\.safetensors is not the file"):
        fit(toy_run(), tmp_path)
