"""JointDistill and its rivals, by the real command line and against known losses; what is equal, and what is kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limbeck import checkpoint, models
from limbeck.journal import rows
from limbeck.recipes import make
from limbeck.recipes.joint_distill import JointDistill
from tests.recipes.running import SMALL, held, train_losses

Limbeck = Callable[[str], int]
SGD = "--plan.optimiser sgd --plan.optimiser.lr 0.01"
SCENES = (
    "--data.train 24 --data.test 6 --data.size 16,24 --plan.steps 4 --plan.batch 8 --plan.evaluations 2 "
    f"--trajectory.k 3 --student segnet --student.width 4 --student.blocks 1,1 --absent accept {SGD}"
)
WINDOWS = (
    SMALL.replace("--plan.evaluations 4", "--plan.evaluations 2")
    + f" --split subject --student resnet1d --student.width 4 --student.blocks 1 --trajectory.k 3 {SGD}"
)
CASES = {
    "joint-distill": "",
    "adaptive alone": "--gamma 0",
    "trajectory alone": "--lam 0",
    "none": "--lam 0 --gamma 0",
    "naive": "--method naive",
    "single-task": "--method single-task",
    "static-kd": "--method static-kd",
    "kd4mtl": "--method kd4mtl",
    "dwa": "--method dwa",
    "uncertainty": "--method uncertainty",
    "on logits": "--weight_on logit --feedback.rate 0.5",
    "abs, spatial": "--feedback.step abs --values spatial --how.reverse false --how.T 2",
    "moves": "--trajectory.compare moves --feedback.step squared",
    "fading, normals": "--data.tasks segmentation,depth,normals --trajectory.fade 0.5 --trajectory.values false",
    "deeplab": "--student deeplab --student.width 4 --student.channels 4 --trajectory.length 1",
    "a wider connector": "--fusion.width 7 --fusion.kernel 3",
    "another teacher": "--teacher deeplab --teacher.width 4 --teacher.channels 4",
}
SENSORS = {"windows": "", "windows static-kd": "--method static-kd", "windows kd4mtl": "--method kd4mtl"}
TEACHERS = {"single-segmentation", "single-depth"}


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


def over(words: str, base: str = SCENES) -> dict[str, str]:
    """Fields with others laid over them; those of a spec go where another is named."""
    known, given = (dict(zip(w.split()[::2], w.split()[1::2], strict=True)) for w in (base, words))
    return {k: v for k, v in known.items() if k.rpartition(".")[0] not in given} | given


def command(words: str, base: str = SCENES) -> str:
    """As the command line has them."""
    return "train joint-distill " + " ".join(f"{k} {v}" for k, v in over(words, base).items())


def tiny(words: str = "", base: str = SCENES) -> JointDistill:
    """The small run of the golden losses, from Python."""
    made = make("joint-distill", {k.removeprefix("--"): v for k, v in over(words, base).items()})
    assert isinstance(made, JointDistill)
    return made


@pytest.mark.parametrize("case", CASES)
def test_four_steps_give_the_golden_losses(limbeck: Limbeck, tmp_path: Path, case: str) -> None:
    """S4-11."""
    assert limbeck(f"{command(CASES[case])} --out {tmp_path}") == 0
    stages = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("finished.json"))
    held(f"joint {case}", [loss for at in stages for loss in train_losses(tmp_path / at)])
    scores = json_of(tmp_path / "scores.json")["models"]
    assert set(scores["student"]["parts"]["test"]) >= {"segmentation", "depth"}
    if case not in ("none", "naive", "single-task", "dwa", "uncertainty"):
        assert set(scores) >= {"student"} | TEACHERS
    for path in (tmp_path / at / "cost.json" for at in stages):
        told = json_of(path)
        assert told["steps"] == 4
        assert told["step"] > 0, "S4-12"
        assert told["peak"] >= told["before"] > 0
    assert (tmp_path / "pictures.npz").is_file()


@pytest.mark.parametrize("case", SENSORS)
def test_the_same_recipe_on_windows_gives_the_golden_losses(limbeck: Limbeck, tmp_path: Path, case: str) -> None:
    assert limbeck(f"{command(SENSORS[case], WINDOWS)} --out {tmp_path}") == 0
    held(f"joint {case}", train_losses(tmp_path))
    models = json_of(tmp_path / "scores.json")["models"]
    assert set(models) == {"student", "single-activity", "single-position", "trees"}


def test_the_objective_reads_as_the_method() -> None:
    recipe = tiny()
    split = recipe.split.split(recipe.data.load())
    tasks = split.train.tasks
    student = recipe.fresh(recipe.network(split), tasks, split)
    teachers = {t.name: recipe.fresh(recipe.network(split), (t,), split, t.name) for t in tasks}
    reference = dict.fromkeys(teachers, 1.0)
    weight = "feedback[rate=0.1 alpha=1.5 step='printed']"
    assert str(recipe.joint(split, student, teachers, reference).views[0].objective) == (
        "segmentation + depth + "
        f"{weight}(segmentation) segmentation(connector) + "
        f"{weight}(segmentation) 1 soft(segmentation, connector) [T 1.0, reduction sum, reverse True] + "
        f"{weight}(depth) depth(connector) + {weight}(depth) 1 absolute(depth, connector) + "
        "0.1 trajectory(connector) [k=3 length=5 radius=1 compare='places' fade=1.0 values=True]"
    )
    assert str(tiny("--lam 0").joint(split, student, teachers, reference).views[0].objective).startswith(
        "segmentation + depth + segmentation(connector) + depth(connector) + 0.1 trajectory(connector)"
    )
    assert str(tiny("--method static-kd --lam 0.5").objective(split, student, teachers)) == (
        "segmentation + 0.5 soft(segmentation, single-segmentation) [T 1.0, reduction sum, reverse True] + "
        "depth + 0.5 absolute(depth, single-depth)"
    )
    assert str(tiny("--method kd4mtl").objective(split, student, teachers)) == (
        "segmentation + 1 aligned(segmentation, single-segmentation) [4 to 4] + "
        "depth + 1 aligned(depth, single-depth) [4 to 4]"
    )


def test_with_both_parts_off_it_is_plain_learning_of_several_tasks_to_the_last_bit(tmp_path: Path) -> None:
    """S4-10."""
    tiny("--lam 0 --gamma 0").run(tmp_path / "off")
    tiny("--method naive").run(tmp_path / "naive")
    for name in ("best/student.safetensors", "metrics.jsonl"):
        assert (tmp_path / "off" / name).read_bytes() == (tmp_path / "naive" / name).read_bytes()
    assert not list((tmp_path / "off").glob("single-*")), "nobody is trained who would not be asked"
    tiny("--lam 0").run(tmp_path / "on")
    one, two = ((tmp_path / name / "best/student.safetensors").read_bytes() for name in ("on", "off"))
    assert one != two


def test_a_limit_on_the_gradient_does_not_slow_the_student_for_its_connector(tmp_path: Path) -> None:
    tiny("--lam 1e-12 --gamma 0 --feedback.rate 0 --plan.clip 0.5").run(tmp_path / "joint")
    for name, clip in (("naive", "0.5"), ("free", "none")):
        tiny(f"--method naive --plan.clip {clip}").run(tmp_path / name)
    joint, naive, free = (load_file(tmp_path / at / "best/student.safetensors") for at in ("joint", "naive", "free"))
    weights = [name for name, value in naive.items() if value.is_floating_point()]
    assert max(float((joint[name] - naive[name]).abs().max()) for name in weights) < 1e-5
    assert max(float((free[name] - naive[name]).abs().max()) for name in weights) > 1e-3, "it does limit"


def test_a_teacher_is_the_network_that_single_task_learning_gives(tmp_path: Path) -> None:
    tiny().run(tmp_path / "joint")
    tiny("--method single-task").run(tmp_path / "single")
    for name in TEACHERS:
        one, two = (tmp_path / at / name / "best" / "student.safetensors" for at in ("joint", "single"))
        assert one.read_bytes() == two.read_bytes()
    scores = {at: json_of(tmp_path / at / "scores.json")["models"] for at in ("joint", "single")}
    for task in ("segmentation", "depth"):
        ours = scores["joint"][f"single-{task}"]["parts"]["test"][task]
        assert ours == scores["single"]["student"]["parts"]["test"][task]


def test_feedback_is_from_images_that_are_in_neither_training_nor_test(tmp_path: Path) -> None:
    """S4-06: 15 % of the official training set, which training does not see."""
    recipe = tiny("--data.train 40 --data.test 10")
    split = recipe.split.split(recipe.data.load())
    parts = [set(part.ids.tolist()) for part in split.parts.values()]
    assert [len(part) for part in parts] == [34, 6, 10]
    assert not any(one & two for n, one in enumerate(parts) for two in parts[n + 1 :])
    recipe.run(tmp_path)
    told = [row for row in rows(tmp_path / "metrics.jsonl") if row["event"] == "feedback"]
    assert [row["step"] for row in told] == [2, 4]
    scores = [
        row["scores"] for row in rows(tmp_path / "metrics.jsonl")
        if row["event"] == "eval" and (row["model"], row["part"]) == ("student", "valid")
    ]  # fmt: skip
    teachers = json_of(tmp_path / "scores.json")["models"]
    for row, found in zip(told, scores, strict=True):
        reference = {t: teachers[f"single-{t}"]["parts"]["valid"][t] for t in ("segmentation", "depth")}
        ratio = found["segmentation"]["miou"] / reference["segmentation"]["miou"]
        assert row["ratios"]["segmentation"] == pytest.approx(min(2.0, ratio))
        ratio = reference["depth"]["rel_err"] / found["depth"]["rel_err"]
        assert row["ratios"]["depth"] == pytest.approx(min(2.0, ratio))
        assert sum(row["weights"].values()) == pytest.approx(2)


def test_a_run_cut_at_each_of_its_steps_in_turn_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, their feedback and the trajectories go on bit for bit."""
    from limbeck import fit as fit_module
    from limbeck.errors import Interrupted

    words = "--plan.steps 5 --plan.evaluations 5 --feedback.rate 0.5"
    tiny(words).run(tmp_path / "whole")
    advance = fit_module._Loop.advance
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)

    def cut(loop: Any, model: Any) -> None:
        advance(loop, model)
        if loop.at == tmp_path / "cut":
            loop.stop.asked = True

    monkeypatch.setattr(fit_module._Loop, "advance", cut)
    for _ in range(4):
        with pytest.raises(Interrupted):
            tiny(words).run(tmp_path / "cut")
    monkeypatch.setattr(fit_module._Loop, "advance", advance)
    tiny(words).run(tmp_path / "cut")
    for name in ("best/student.safetensors", "metrics.jsonl", "last/step-00000005/state.safetensors", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    one, two = (np.load(tmp_path / at / "trajectories.npz") for at in ("cut", "whole"))
    assert all(np.array_equal(one[name], two[name], equal_nan=True) for name in two.files)


def test_trajectories_are_kept_for_the_report_and_no_larger_than_is_said(tmp_path: Path) -> None:
    """S4-08."""
    said: list[str] = []

    from limbeck.observers import Observer

    class Heard(Observer):
        def said(self, line: str) -> None:
            said.append(line)

    learnt = tiny("--plan.steps 9 --plan.evaluations 1 --trajectory.length 2").run(tmp_path, [Heard()])
    assert any("trajectory(connector): 0.0 MB for 20 samples are remembered" in line for line in said)
    held_bytes = json_of(tmp_path / "cost.json")["remembered"]["trajectory(connector)"]
    assert held_bytes == 20 * 2 * 3 * 28 + 20 * 4
    kept = np.load(tmp_path / "trajectories.npz")
    assert kept["connector"].shape == kept["student"].shape == (6, 2, 3, 2)
    assert kept["image"].shape == (6, 16, 24, 3)
    assert kept["maps/connector"].shape == kept["maps/student"].shape == (6, 16, 24)
    for places in (kept["connector"], kept["student"]):
        assert np.nanmin(places) >= 0
        assert np.nanmax(places) <= 1
    again, _ = models.load(tmp_path / "best")
    for name, value in again.state_dict().items():
        assert torch.equal(value, learnt["student"].state_dict()[name]), "the student is the one that was kept"
    (tmp_path / "trajectories.npz").unlink()
    tiny("--plan.steps 9 --plan.evaluations 1 --trajectory.length 2").run(tmp_path)
    assert np.array_equal(np.load(tmp_path / "trajectories.npz")["connector"], kept["connector"], equal_nan=True)


def test_a_connector_in_another_run_is_not_taken_up(tmp_path: Path) -> None:
    tiny().run(tmp_path)
    state = checkpoint.read_json(tmp_path / "run.json")["teachers"]["connector"]
    assert state.startswith("Connector 4 by 1 of segmentation ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--trajectory.k 400", "trajectory.k is 400, but the maps have 384 cells"),
        ("--student resnet1d", "resnet1d does not read image"),
        ("--data.train 1", "leaves no image"),
        ("--student deeplab --student.stride 32 --student.width 4", "needs images of at least 32"),
        ("--teacher deeplab --teacher.width 4 --teacher.channels 4 --method kd4mtl", "give both the same stride"),
        ("--how soft --how.T 0", "how.T"),
        ("--select accuracy", "segmentation has no such score"),
        ("--select accuracy --method single-task", "segmentation has no such score"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    assert limbeck(f"{command(words)} --out {tmp_path / 'run'}") == 2
    assert not (tmp_path / "run").exists(), "it is found before a teacher is trained"
    said = capsys.readouterr().err.strip().splitlines()
    assert told in said[-1], said


def test_the_published_networks_build_and_step() -> None:
    """S4-11: ResNet-101 teachers and a ResNet-50 student."""
    recipe = tiny(
        "--data.train 8 --data.test 2 --student deeplab --student.layers 50 --student.width 64 --student.channels 8 "
        "--teacher deeplab --teacher.layers 101 --teacher.width 64 --teacher.channels 8",
        base="--absent accept --trajectory.k 3",
    )
    split = recipe.split.split(recipe.data.load())
    tasks = split.train.tasks
    student = recipe.fresh(recipe.network(split), tasks, split)
    spec = recipe.network(split, teacher=True)
    teacher = recipe.fresh(spec, tasks, split)
    assert sum(p.numel() for p in student.trunk.parameters()) == 23_508_032
    assert sum(p.numel() for p in teacher.trunk.parameters()) == 42_500_160
    teachers = dict.fromkeys(("segmentation", "depth"), teacher)
    distiller = recipe.joint(split, student, teachers, dict.fromkeys(teachers, 1.0))
    before = next(student.parameters()).detach().clone()
    optimiser = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], 0.1)
    distiller(split.train.rows(torch.arange(2)), 0.0).total.backward()
    optimiser.step()
    assert not torch.equal(before, next(student.parameters()))
