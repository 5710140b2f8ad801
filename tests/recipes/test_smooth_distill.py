"""Smooth-Distill and its baselines, by the real command line and against known losses."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limbeck.distiller import Distiller
from limbeck.errors import Interrupted, UserError
from limbeck.models import load
from limbeck.observers import Observer
from limbeck.recipes import make
from limbeck.recipes.smooth_distill import SmoothDistill
from limbeck.scoring import evaluate
from limbeck.teachers import EMA
from tests.recipes.running import SMALL, held, train_losses

METHODS = ("smooth-distill", "hard-sharing", "single-task", "cross-task", "sdd", "oracle")
Limbeck = Callable[[str], int]


def small(**paths: object) -> SmoothDistill:
    """The small run of the golden losses, from Python."""
    words = SMALL.split()
    given = {k.removeprefix("--"): v for k, v in zip(words[::2], words[1::2], strict=True)}
    recipe = make("smooth-distill", {**given, **{k.replace("__", "."): v for k, v in paths.items()}})
    assert isinstance(recipe, SmoothDistill)
    return recipe


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", ["", "released", "recommended"])
def test_four_steps_give_the_golden_losses_and_scores_of_both_tasks(
    limbeck: Limbeck, tmp_path: Path, method: str, preset: str
) -> None:
    chosen = f"--preset {preset}" if preset else ""
    assert limbeck(f"train smooth-distill {SMALL} --method {method} {chosen} --out {tmp_path}") == 0
    stages = [tmp_path] if method != "single-task" else [tmp_path / "single-activity", tmp_path / "single-position"]
    losses = [loss for at in stages for loss in train_losses(at)]
    assert len(losses) == 4 * len(stages)
    held(f"{method} {preset}".strip(), losses)
    scores = json.loads((tmp_path / "scores.json").read_text())
    for model in ("student", "trees"):
        for part in ("train", "valid", "test"):
            found = scores["models"][model]["parts"][part]
            assert set(found) == {"activity", "position"}
            assert all(0 <= s["accuracy"] <= 1 and 0 <= s["macro_f1"] <= 1 and s["subjects"] for s in found.values())
    assert set(scores["agreement"]) == {"smooth-distill": {"ema"}, "oracle": {"oracle"}}.get(method, set())


@pytest.mark.parametrize("how", ["soft", "hard", "decoupled", "feature"])
@pytest.mark.parametrize(("method", "teacher"), [("smooth-distill", "ema"), ("oracle", "oracle")])
def test_every_kind_of_distillation_trains(tmp_path: Path, how: str, method: str, teacher: str) -> None:
    small(how=how, method=method, student="resnet1d", plan__steps=1).run(tmp_path)
    terms = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["terms"]
    assert f"{how}(activity, {teacher})" in terms


def test_without_distillation_it_is_hard_sharing_step_for_step(tmp_path: Path) -> None:
    one = small(lam=0.0).run(tmp_path / "a")["student"].state_dict()
    two = small(method="hard-sharing").run(tmp_path / "b")["student"].state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize(("alpha", "idle"), [(1.0, 1), (0.0, 0)])
def test_a_task_without_weight_gives_its_head_no_gradient(alpha: float, idle: int) -> None:
    recipe = small(alpha=alpha)
    split = recipe.split.split(recipe.data.load())
    student = recipe.build(split, split.train.tasks)
    objective = recipe.objective(split.train.tasks, "ema", student.width)
    distiller = Distiller(student, {"ema": EMA(student)}, objective)
    distiller(split.train.rows(torch.arange(8)), 0.0).total.backward()
    gradients = [head.weight.grad.abs().sum().item() for head in student.heads]
    assert gradients[idle] == 0
    assert gradients[1 - idle] > 0
    assert all(p.grad is None for p in distiller.teachers.parameters())


class _Stops(Observer):
    """Sends this process a Ctrl-C after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def stepped(self, step: int) -> None:
        if step == self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("method", ["smooth-distill", "oracle", "single-task", "sdd"])
def test_cut_and_resumed_equals_uncut(tmp_path: Path, method: str) -> None:
    recipe = make(
        "smooth-distill",
        {**_tree(small(method=method)), "augment.rotation": 20, "plan.steps": 6, "student": "resnet1d"},
    )
    whole = recipe.run(tmp_path / "whole")["student"].state_dict()
    for after in (2, 3):
        with pytest.raises(Interrupted, match="all is saved"):
            recipe.run(tmp_path / "cut", [_Stops(after)])
    resumed = recipe.run(tmp_path / "cut")["student"].state_dict()
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    journals = sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("metrics.jsonl"))
    for path in journals:
        assert (tmp_path / "whole" / path).read_bytes() == (tmp_path / "cut" / path).read_bytes()


def _tree(recipe: SmoothDistill) -> dict[str, object]:
    return {
        "data": {"kind": "wearable", "subjects": 4, "seconds": 12, "windows": {"stride": 100}},
        "method": recipe.method,
        "plan.batch": 16,
    }


def test_a_finished_folder_is_only_loaded_and_one_of_other_values_is_refused(tmp_path: Path) -> None:
    small().run(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    small(plan__threads=1).run(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")} == before
    with pytest.raises(UserError, match=r"lam was 0.5, now 0.4"):
        small(lam=0.4).run(tmp_path)


def test_a_folder_of_other_recordings_is_refused_and_keeps_their_card(tmp_path: Path) -> None:
    small().run(tmp_path)
    card = tmp_path / "data.json"
    before = card.read_text().replace(json.loads(card.read_text())["digest"], "0123456789abcdef")
    card.write_text(before)
    with pytest.raises(UserError, match="the contents of the recordings have changed"):
        small().run(tmp_path)
    assert card.read_text() == before


def test_the_oracles_teacher_is_scored_beside_its_student(tmp_path: Path) -> None:
    small(method="oracle", split="random-window").run(tmp_path)
    found = evaluate(tmp_path, {})
    assert set(found["models"]) == {"student", "oracle"}
    assert set(found["agreement"]["oracle"]) == {"activity", "position"}
    assert "leaky" in found["flatters"]
    assert "trained on" in evaluate(tmp_path, {}, "all")["flatters"]


def test_the_oracles_teacher_is_a_stage_that_runs_share(tmp_path: Path) -> None:
    shared = tmp_path / "stages"
    small(method="oracle").run(tmp_path / "a", shared=shared)
    (made,) = shared.iterdir()
    stamp = (made / "best" / "student.safetensors").stat().st_mtime_ns
    small(method="oracle", lam=0.9).run(tmp_path / "b", shared=shared)
    assert list(shared.iterdir()) == [made]
    assert (made / "best" / "student.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("method", ["smooth-distill", "single-task", "cross-task"])
def test_the_kept_student_can_be_loaded_from_its_folder(tmp_path: Path, method: str) -> None:
    recipe = small(method=method)
    trained = recipe.run(tmp_path)["student"]
    loaded, tasks = load(tmp_path / "best")
    batch = recipe.split.split(recipe.data.load()).test.rows(torch.arange(5))
    with torch.inference_mode():
        for task in tasks:
            assert torch.equal(trained(batch).logits[task.name], loaded(batch).logits[task.name])


def test_missing_labels_of_one_task_leave_the_other_to_train(tmp_path: Path) -> None:
    small(data__missing=0.5).run(tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text())["models"]["student"]["parts"]["train"]
    assert scores["activity"]["n"] != scores["position"]["n"]
