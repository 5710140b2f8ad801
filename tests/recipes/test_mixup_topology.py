"""Two teachers, persistence images and mixup, by the real command line and against known losses."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from limbeck import process
from limbeck.batch import Batch, Lazy
from limbeck.config import dump
from limbeck.data.split import Split
from limbeck.distiller import Distiller, View
from limbeck.errors import Interrupted, UserError
from limbeck.journal import rows
from limbeck.mixup import Mixup
from limbeck.models import load
from limbeck.observers import Observer
from limbeck.recipe import Place
from limbeck.recipes import make
from limbeck.recipes.mixup_topology import MixupTopology
from limbeck.teachers import Cached, Frozen
from limbeck.terms import Soft, kd, supervised
from limbeck.topology import PersistenceImage, persistence
from tests.recipes.running import held, train_losses

TINY = (
    "--data wearable --data.subjects 4 --data.seconds 12 --data.windows.stride 100 --student.depth 10 "
    "--series.depth 10 --image.depth 10 --images.resolution 16 --plan.steps 4 --plan.batch 16 --plan.evaluations 2"
)
Limbeck = Callable[[str], int]
CASES = {
    "two teachers": "",
    "annealed": "--annealed",
    "labels": "--w 0",
    "series": "--eta 1",
    "image": "--eta 0",
    "mixup": "--mix mixup --mix.alpha1 0.4 --mix.alpha2 0.8 --mix.share 0.5",
    "plans": "--mix mixup --mix.alpha1 0.4 --mix.plans 2",
    "teachers mixed": "--mix mixup --teachers-mix",
    "adaptive": "--mix adaptive --mix.rate 0.5",
    "cutmix": "--mix cutmix",
    "smoothing": "--mix smoothing",
    "scaled": "--scaling std --reduction mean",
}


def tiny(**paths: object) -> MixupTopology:
    """The small run of the golden losses, from Python."""
    words = TINY.split()
    given = {k.removeprefix("--"): v for k, v in zip(words[::2], words[1::2], strict=True)}
    recipe = make("mixup-topology", {**given, **{k.replace("__", "."): v for k, v in paths.items()}})
    assert isinstance(recipe, MixupTopology)
    return recipe


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("case", CASES)
def test_four_steps_give_the_golden_losses(limbeck: Limbeck, tmp_path: Path, case: str) -> None:
    assert limbeck(f"train mixup-topology {TINY} {CASES[case]} --out {tmp_path}") == 0
    stages = [name for name in ("series", "image", "scratch") if (tmp_path / name).is_dir()]
    told = {"labels": [], "series": ["series"], "image": ["image"], "annealed": ["series", "image", "scratch"]}
    assert stages == told.get(case, ["series", "image"])
    losses = [loss for at in (*stages, ".") for loss in train_losses(tmp_path / at)]
    held(f"topology {case}", losses)
    teachers = [name for name in stages if name != "scratch"]
    assert set(json_of(tmp_path / "scores.json")["models"]) == {"student", "trees", *teachers}


def test_the_objective_reads_as_the_papers() -> None:
    recipe = tiny()
    (one, two) = recipe.data.load().tasks
    said = str(recipe.objective((one,)))
    assert said == (
        "0.3 activity + 0.49 soft(activity, series) [T 4.0, reduction sum] "
        "+ 0.21 soft(activity, image) [T 4.0, reduction sum]"
    )
    assert str(tiny(eta=1).objective((one,))) == "0.3 activity + 0.7 soft(activity, series) [T 4.0, reduction sum]"
    assert str(tiny(eta=0).objective((one,))) == "0.3 activity + 0.7 soft(activity, image) [T 4.0, reduction sum]"
    assert str(tiny(w=0, mix="mixup").objective((one,))) == "1 activity"
    assert str(tiny(w=0).objective((one, two))) == "0.5 activity + 0.5 position"


def test_more_teachers_share_what_is_left_to_the_first_two() -> None:
    recipe = tiny(others__0="another", others__0__weight=0.5, others__1__model="wrn2d", others__1__weight=0.25, eta=0.5)
    shares = {name: each.weight for name, each in recipe.taught().items()}
    assert shares == {"series": 0.125, "image": 0.125, "other0": 0.5, "other1": 0.25}
    for second in (0.5, 0.3):
        with pytest.raises(UserError, match=r"come to 1(\.2)?: nothing is left for the first two"):
            tiny(others__0__weight=0.7, others__1__weight=second)


def test_a_third_teacher_needs_no_new_code(limbeck: Limbeck, tmp_path: Path) -> None:
    words = "--others.0.model resnet1d --others.0.model.blocks 1 --others.0.weight 0.4"
    assert limbeck(f"train mixup-topology {TINY} {words} --mix mixup --out {tmp_path}") == 0
    assert {"series", "image", "other0"} <= set(json_of(tmp_path / "scores.json")["models"])
    assert any(
        "soft(activity, other0)" in row["terms"] for row in rows(tmp_path / "metrics.jsonl") if row["event"] == "train"
    )


def parts(recipe: MixupTopology, at: Path) -> tuple[Split, Distiller]:
    """The split with images, and a student beside teachers that were not trained."""
    split = recipe.split.split(recipe.data.load())
    recipe._describe_images(split, at)
    seen, tasks = recipe.seen(split, at), split.train.tasks
    teachers = {name: Frozen(recipe.fresh(each.model, tasks, seen)) for name, each in recipe.taught().items()}
    transform = None if recipe.mix.kind == "none" else recipe.mix.apply  # type: ignore[union-attr]
    view = View(recipe.objective(tasks), transform)
    return seen, Distiller(recipe.fresh(recipe.student, tasks, split), teachers, [view])


def step(distiller: Distiller, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """The loss, and the student's gradients, of one step from one state of chance."""
    process.seed(7, torch.device("cpu"))
    distiller.zero_grad(set_to_none=True)
    total = distiller.train()(batch, 0.0).total
    total.backward()
    return float(total.detach()), {
        n: p.grad.clone() for n, p in distiller.student.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize(("eta", "left_out"), [(1, "image"), (0, "series")])
def test_one_share_of_nothing_is_the_other_teacher_alone(tmp_path: Path, eta: int, left_out: str) -> None:
    """S2-07: the same step as with the objective of both, in which one weighs nothing."""
    both = tiny()
    seen, distiller = parts(both, tmp_path)
    batch = seen.train.rows(torch.arange(16))
    recipe = tiny(eta=eta)
    tasks = seen.train.tasks
    kept = {name: t for name, t in distiller.teachers.items() if name != left_out}
    alone = Distiller(distiller.student, kept, recipe.objective(tasks))  # type: ignore[arg-type]
    named = {"series": eta, "image": 1 - eta}
    whole = [
        0.3 * supervised(t)
        + 0.7 * (named["series"] * kd(t, "series", Soft(T=4)) + named["image"] * kd(t, "image", Soft(T=4)))
        for t in tasks
    ]
    full = Distiller(
        distiller.student, dict(distiller.teachers.items()), 1 / len(tasks) * sum(whole[1:], start=whole[0])
    )  # type: ignore[arg-type]
    (loss, grads), (wanted, wanted_grads) = step(alone, batch), step(full, batch)
    assert loss == pytest.approx(wanted, rel=1e-6)
    assert all(torch.allclose(grads[n], wanted_grads[n], atol=1e-6) for n in wanted_grads)


def test_without_distillation_it_is_plain_mixup_training(tmp_path: Path) -> None:
    """S2-07: against cross-entropy with mixed one-hot labels, written out."""
    seen, distiller = parts(tiny(w=0, mix="mixup", mix__alpha1=1.0), tmp_path)
    assert not len(distiller.teachers)
    batch = seen.train.rows(torch.arange(16))
    loss, _ = step(distiller, batch)
    process.seed(7, torch.device("cpu"))
    partner, kept = Mixup(alpha1=1.0).drawn(16)
    share = kept("sensor").view(-1, 1, 1)
    x = batch.inputs["sensor"]
    logits = distiller.student.train()(Batch({"sensor": share * x + (1 - share) * x[partner]}, {}, batch.ids)).logits
    wanted = 0.0
    for task in seen.train.tasks:
        own = torch.nn.functional.one_hot(batch.targets[task.name], task.classes or 0).float()
        soft = share[:, 0] * own + (1 - share[:, 0]) * own[partner]
        wanted += float(torch.nn.functional.cross_entropy(logits[task.name], soft).detach()) / len(seen.train.tasks)
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_teachers_are_frozen_in_evaluation_mode_and_see_what_is_mixed(tmp_path: Path) -> None:
    """S2-06."""
    seen, distiller = parts(tiny(mix="mixup", mix__alpha1=1.0, mix__alpha2=1.0), tmp_path)
    batch = seen.train.rows(torch.arange(16))
    told = {}
    for name, teacher in distiller.teachers.items():
        assert isinstance(teacher, Frozen)
        assert not any(p.requires_grad for p in teacher.model.parameters())

        def watch(module: torch.nn.Module, args: tuple[Batch, ...], name: str = name) -> None:
            told[name] = (args[0].inputs["sensor" if name == "series" else "pi"].clone(), module.training)

        teacher.model.register_forward_pre_hook(watch)
    before = {k: v.clone() for t in distiller.teachers.values() for k, v in t.model.state_dict().items()}  # type: ignore[union-attr, operator]
    _, grads = step(distiller, batch)
    assert grads
    assert not told["series"][1]
    assert not told["image"][1]
    process.seed(7, torch.device("cpu"))
    partner, kept = Mixup(alpha1=1.0, alpha2=1.0).drawn(16)
    for name, modality in (("series", "sensor"), ("image", "pi")):
        x = batch.inputs[modality]
        share = kept(modality).view(-1, *[1] * (x.dim() - 1))
        assert torch.allclose(told[name][0], share * x + (1 - share) * x[partner], atol=1e-6)
    after = {k: v for t in distiller.teachers.values() for k, v in t.model.state_dict().items()}  # type: ignore[union-attr, operator]
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_student_never_sees_an_image(tmp_path: Path) -> None:
    """S2-06: neither while it learns from stored answers nor once it is deployed."""
    seen, distiller = parts(tiny(), tmp_path)
    rows = int(seen.train.ids.max()) + 1
    stored = {
        name: Cached({task.name: torch.randn(rows, task.classes or 1) for task in seen.train.tasks}, name)
        for name in distiller.teachers
    }

    def image() -> Tensor:
        raise AssertionError("the student read an image")

    batch = seen.train.rows(torch.arange(4))
    guarded = replace(batch, inputs=Lazy({"sensor": lambda: batch.inputs["sensor"], "pi": image}))
    _, grads = step(Distiller(distiller.student, stored, distiller.views), guarded)
    assert grads
    with pytest.raises(AssertionError, match="read an image"):
        step(distiller, guarded)  # the teacher of images does


def test_a_teacher_of_the_students_kind_is_another_network(tmp_path: Path) -> None:
    """Else annealing would begin with a copy of the teacher."""
    tiny(annealed=True).run(tmp_path)
    one, two = (load_file(tmp_path / at / "best" / "student.safetensors") for at in ("series", "scratch"))
    assert one.keys() == two.keys()
    assert not any(torch.equal(one[k], two[k]) for k in one if k.endswith("convolutions.0.weight"))


def test_channels_of_several_units_are_refused_a_common_range(
    limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny()
    split = recipe.split.split(recipe.data.load())
    mixed = replace(split, train=replace(split.train, card={**split.train.card, "unit": "g, deg/s"}))
    with pytest.raises(UserError, match=r"several units \(g, deg/s\)"):
        recipe._describe_images(mixed, tmp_path)


def test_annealing_starts_from_the_best_weights_of_labels_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2-08."""
    started: dict[str, dict[str, Tensor]] = {}
    real = Place.fit

    def fit(self: Place, run: Any, stage: str = "") -> Any:
        started[stage] = {k: v.clone() for k, v in run.distiller.student.state_dict().items()}
        return real(self, run, stage)

    monkeypatch.setattr(Place, "fit", fit)
    tiny(annealed=True).run(tmp_path)
    best = load_file(tmp_path / "scratch" / "best" / "student.safetensors")
    assert best.keys() == started[""].keys()
    assert all(torch.equal(best[k], started[""][k]) for k in best)
    assert any(not torch.equal(best[k], started["scratch"][k]) for k in best)


def test_the_learning_rate_of_the_published_presets_steps_as_published() -> None:
    """S2-11."""
    for preset in ("published-pamap2", "published-geneactiv"):
        recipe = make("mixup-topology", {"data": "wearable"}, preset=preset)
        assert recipe.plan.epochs == 200
        rates = [
            recipe.plan.optimiser.lr * recipe.plan.schedule(epoch / 200) for epoch in (0, 10, 11, 65, 66, 132, 133, 199)
        ]
        assert rates == pytest.approx([0.05, 0.05, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_images_are_those_of_the_windows_before_normalisation(tmp_path: Path) -> None:
    recipe = tiny(images="persistence-image", images__resolution=16, images__high=4, images__low=-4)
    split = recipe.split.split(recipe.data.load())
    recipe._describe_images(split, tmp_path)
    seen = recipe.seen(split, tmp_path)
    at = torch.tensor([5, 2])
    raw = split.valid.inputs["sensor"][at].numpy()
    assert isinstance(recipe.images, PersistenceImage)
    wanted = recipe.images.render(persistence(raw))
    assert np.array_equal(seen.valid.rows(at).inputs["pi"].numpy(), wanted)
    assert json_of(tmp_path / "images.json") == dump(recipe.images)


def test_a_fitted_range_follows_the_training_part_alone(tmp_path: Path) -> None:
    recipe = tiny()
    split = recipe.split.split(recipe.data.load())
    recipe._describe_images(split, tmp_path)
    known = json_of(tmp_path / "images.json")
    births = persistence(split.train.inputs["sensor"][torch.arange(len(split.train))].numpy()).pairs[:, 0]
    assert known["low"] == pytest.approx(np.quantile(births, 0.005), rel=0.01)
    assert known["high"] == pytest.approx(np.quantile(births, 0.995), rel=0.01)


class Cut(Observer):
    """Stops the second stage after its second step, as Ctrl-C does."""

    def __init__(self) -> None:
        self.stage = 0

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.stage += 1

    def stepped(self, step: int) -> None:
        if self.stage == 3 and step == 2:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("mix", [{"mix": "adaptive", "mix__rate": 0.5}, {"mix": "mixup", "mix__plans": 2}])
def test_a_run_that_was_cut_ends_as_one_that_was_not(tmp_path: Path, mix: dict[str, object]) -> None:
    recipe = tiny(**mix)
    recipe.run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        recipe.run(tmp_path / "cut", [Cut()])
    recipe.run(tmp_path / "cut")
    whole, cut = (load_file(tmp_path / at / "best" / "student.safetensors") for at in ("whole", "cut"))
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    journals = [(tmp_path / at / "metrics.jsonl").read_text() for at in ("whole", "cut")]
    assert journals[0] == journals[1]


def test_what_mixing_costs_is_said(limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert limbeck(f"train mixup-topology {TINY} --mix mixup --mix.plans 2 --out {tmp_path}") == 0
    cost = json_of(tmp_path / "teaching.json")["cost"]
    assert "answered 2 times for each of" in cost
    assert cost.split(",")[0] in " ".join(capsys.readouterr().err.split())


def test_adaptive_mixup_needs_teachers_to_follow(
    limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"train mixup-topology {TINY} --mix adaptive --w 0 --out {tmp_path / 'a'}") == 2
    assert "at --w 0 there is none" in " ".join(capsys.readouterr().err.split())
    assert limbeck(f"train mixup-topology {TINY} --mix adaptive --teachers-mix --out {tmp_path / 'b'}") == 2
    assert "--teachers-mix" in capsys.readouterr().err


def test_a_run_is_scored_on_other_recordings_with_its_own_images(
    limbeck: Limbeck, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"train mixup-topology {TINY} --out {tmp_path}") == 0
    assert limbeck(f"evaluate {tmp_path} --data.seed 9") == 0
    said = capsys.readouterr().out
    assert "image" in said
    assert "series" in said
    student, _ = load(tmp_path / "best")
    assert not any("pi" in name for name, _ in student.named_buffers())
