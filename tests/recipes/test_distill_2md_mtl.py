"""Several half-labelled sets into one model, by the real command line and against known losses; what nobody may see,
and what generated labels are worth."""

import csv
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck import process, pseudo
from limbeck.batch import DOMAIN
from limbeck.data.cells import relabelled
from limbeck.data.concat import concat
from limbeck.data.source import Dense, Table
from limbeck.data.split import Split
from limbeck.errors import UserError
from limbeck.journal import rows
from limbeck.recipe import Place
from limbeck.recipes import make
from limbeck.recipes.distill_2md_mtl import Distill2MDMTL
from limbeck.tasks import IGNORE, Task
from tests import children
from tests.data.fake_faces import encoded, picture
from tests.recipes.running import held, train_losses

SETS = (
    "--data sensor-sets --data.sets wearable,wearable --data.sets.0.tasks activity --data.sets.1.tasks position "
    "--data.sets.1.data.shift 0.5 --data.sets.1.data.seed 1 --data.windows.stride 100 "
    + " ".join(f"--data.sets.{n}.data.{k} {v}" for n in (0, 1) for k, v in (
        ("subjects", 5), ("seconds", 6), ("activities", 4)))
)  # fmt: skip
CONSTANT = "--plan.schedule constant"
PLAN = f"--plan.steps 4 --plan.batch 16 --plan.evaluations 2 {CONSTANT}"
TINY = f"{SETS} --student resnet1d --student.width 4 --student.blocks 1 {PLAN}"
FACES = (
    "--data image-sets --data.size 16 --data.colour grey --student vgg --student.width 4 --student.blocks 1,1 "
    f"--absent accept {PLAN}"
)
HIDDEN = "--data.sets.1.hidden activity --hide 0.4"
Limbeck = Callable[[str], int]
CASES = {
    "single-task": "--method single-task",
    "mtl": "--method mtl",
    "mtl-domains": "--method mtl-domains",
    "single-dd": "--method single-dd",
    "mtl-dd": "",
    "soft": "--labels soft --ramp.over 0",
    "fixed": "--rule fixed --rule.threshold 0.3 --u 0.5",
    "precision": "--rule precision --rule.target 0.3 --rule.least 5 --near 0.9",
    "rounds": "--rounds 2 --views no-views",
    "hidden": HIDDEN,
    "shares": "--shares 3,1 --longer 1.5 --method mtl-domains",
    "unrelated": "--unrelated 4 --method mtl-domains",
    "balanced": "--balance gradnorm",
    "tuned": "--plan.schedule adaptive-clr --plan.schedule.high 0.1 --plan.schedule.half 0.05",
    "another teacher": "--teacher bilstm --teacher.hidden 4",
}
IMAGES = {
    "faces": "",
    "faces single": "--method single-dd --views no-views",
    "faces per set": "--norms per-set --student.head 6",
    "faces plain": "--method mtl --augment image-augment",
}
STAGES = {
    "single-task": ["part-activity", "part-position"],
    "mtl": ["part-wearable 1", "part-wearable 2"],
    "single-dd": ["part-activity", "part-position", "teacher-activity", "teacher-position"],
    "mtl-dd": [".", "teacher"],
    "mtl-domains": ["."],
    "rounds": [".", "round1", "teacher"],
}


def tiny(words: str = "") -> Distill2MDMTL:
    """The small run of the golden losses, from Python."""
    given = f"{TINY} {words}".split()
    made = make("distill-2md-mtl", {k.removeprefix("--"): v for k, v in zip(given[::2], given[1::2], strict=True)})
    assert isinstance(made, Distill2MDMTL)
    return made


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


def stages(at: Path) -> list[str]:
    """The folders of the networks of a run."""
    return sorted(str(path.parent.relative_to(at)) for path in at.rglob("finished.json"))


@pytest.mark.parametrize("case", CASES)
def test_four_steps_give_the_golden_losses(limbeck: Limbeck, tmp_path: Path, case: str) -> None:
    words = TINY.replace(CONSTANT, "") if case == "tuned" else TINY
    assert limbeck(f"train distill-2md-mtl {words} {CASES[case]} --out {tmp_path}") == 0
    found = stages(tmp_path)
    assert found == STAGES.get(case, found)
    held(f"half-labelled {case}", [loss for at in found for loss in train_losses(tmp_path / at)])
    models = json_of(tmp_path / "scores.json")["models"]
    assert set(models) == {"student"} | ({"teacher"} if any("teacher" in name for name in found) else set())
    assert set(models["student"]["parts"]["test"]) == {"activity", "position"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two folders in the layouts of UTKFace and FER2013, as words of the command line."""
    root = tmp_path_factory.mktemp("faces")
    (root / "utk").mkdir()
    ages = (1, 20, 40, 70)
    for n in range(40):
        name = f"{ages[n % 4]}_{n // 4 % 2}_{n % 5}_2017011{n:010d}.jpg.chip.jpg"
        (root / "utk" / name).write_bytes(encoded(picture(n)))
    (root / "fer").mkdir()
    with (root / "fer" / "fer2013.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for n in range(42):
            grey = np.asarray(picture(100 + n, 48, 48, "L")).flatten()
            writer.writerow([n % 7, " ".join(map(str, grey)), "Training"])
    return f"--data.sets utkface:{root}/utk,fer2013:{root}/fer"


@pytest.mark.parametrize("case", IMAGES)
def test_four_steps_on_faces_give_the_golden_losses(limbeck: Limbeck, tmp_path: Path, faces: str, case: str) -> None:
    assert limbeck(f"train distill-2md-mtl {FACES} {faces} {IMAGES[case]} --out {tmp_path}") == 0
    held(f"half-labelled {case}", [loss for at in stages(tmp_path) for loss in train_losses(tmp_path / at)])
    assert set(json_of(tmp_path / "scores.json")["models"]["student"]["parts"]["test"]) == {
        "age", "gender", "race", "expression"
    }  # fmt: skip
    told = json_of(tmp_path / "labels.json")
    for each in told["rounds"]:
        assert set(each["tasks"]["expression"]["by_set"]) == {"utkface"}, "nobody is asked for what is known"
        assert set(each["tasks"]["age"]["by_set"]) == {"fer2013"}
        assert each["views"][0] == "identity"


def test_the_objective_reads_as_the_method() -> None:
    activity, position = tiny().data.load().tasks
    learnt = tiny("--u 0.5").objective((activity, position), ["activity"], 9)
    assert str(learnt) == "activity + 0.5 ramp[over=0.2] generated(activity) + position"
    assert str(tiny("--u 0").objective((activity,), ["activity"], 9)) == "activity"
    weighed = tiny("--balance uncertainty").objective((activity, position), [], 9)
    assert str(weighed) == "uncertainty(activity) activity + uncertainty(position) position"


def known_to(recipe: Distill2MDMTL) -> tuple[Split, Split]:
    """The split, and what training knows of it."""
    split = recipe.split.split(recipe.data.load())
    return split, recipe.known(split)


def test_without_a_sure_answer_it_is_plain_learning_of_several_tasks(tmp_path: Path) -> None:
    """S5-06: above a threshold of 1 nothing is kept, and every weight is that of a run without data distillation."""
    tiny("--method mtl-domains").run(tmp_path / "plain")
    tiny("--rule fixed --rule.threshold 1.01").run(tmp_path / "dd")
    for name in ("best/student.safetensors", "last/step-00000004/state.safetensors", "metrics.jsonl"):
        assert (tmp_path / "dd" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    told = json_of(tmp_path / "dd" / "labels.json")
    assert [task["kept"] for task in told["rounds"][0]["tasks"].values()] == [0, 0]
    assert told["cells"] == json_of(tmp_path / "plain" / "labels.json")["cells"]
    tiny("--rule fixed --rule.threshold 0.3").run(tmp_path / "some")
    name = "best/student.safetensors"
    assert (tmp_path / "some" / name).read_bytes() != (tmp_path / "plain" / name).read_bytes()


def test_every_batch_has_the_share_of_every_set_and_the_log_says_how_often_each_was_seen(tmp_path: Path) -> None:
    """S5-07."""
    recipe = tiny("--method mtl-domains --shares 3,1")
    recipe.run(tmp_path)
    _, known = known_to(recipe)
    sizes = {name: int((known.train.meta["domain"] == name).sum()) for name in ("wearable 1", "wearable 2")}
    logged = [row for row in rows(tmp_path / "metrics.jsonl") if row["event"] == "train"]
    for row in logged:
        wanted = {
            "wearable 1": 12 * row["step"] / sizes["wearable 1"],
            "wearable 2": 4 * row["step"] / sizes["wearable 2"],
        }
        assert row["passes"] == pytest.approx(wanted, abs=1e-3)
        epoch = process.batches(sum(sizes.values()), 16)
        assert row["epoch"] == pytest.approx(row["step"] / epoch, abs=1e-3), "as many steps as all rows together fill"


def test_what_is_compared_is_trained_for_one_number_of_steps(tmp_path: Path) -> None:
    found = {}
    for case in ("single-task", "mtl", "mtl-domains", "single-dd", "mtl-dd"):
        recipe = tiny(f"--method {case} --plan.epochs 0.6 --plan.steps none {HIDDEN} --longer 1.5")
        recipe.run(tmp_path / case)
        for at in stages(tmp_path / case):
            found[case, at] = json_of(tmp_path / case / at / "finished.json")["steps"]
    split, known = known_to(tiny(HIDDEN))
    given = sum(
        bool((known.train.targets["activity"][row] != IGNORE) | (known.train.targets["position"][row] != IGNORE))
        for row in range(len(split.train))
    )
    assert set(found.values()) == {round(1.5 * round(0.6 * process.batches(given, 16)))}


def scrambled(split: Split, known: Split) -> Split:
    """The split with other labels wherever training may not see them, and another test altogether."""
    draw = torch.Generator().manual_seed(0)
    parts = []
    for part, seen in ((split.train, known.train), (split.valid, known.valid), (split.test, None)):
        targets = {}
        for task in part.tasks:
            lots = torch.randint(task.classes or 1, (len(part),), generator=draw)
            target = part.targets[task.name]
            hidden = (
                ~task.present(seen.targets[task.name]) & task.present(target) if seen else torch.ones(len(part)) > 0
            )
            assert hidden.any() or task.name == "position"
            targets[task.name] = torch.where(hidden, lots, target)
        inputs = dict(part.inputs)
        if seen is None:
            inputs["sensor"] = Dense(torch.randn(len(part), *part.shape("sensor"), generator=draw))
        parts.append(replace(part, targets=targets, inputs=inputs))
    return replace(split, train=parts[0], valid=parts[1], test=parts[2])


@pytest.mark.parametrize("words", ["", "--rule precision --rule.target 0.3 --rule.least 5 --near 0.8 --rounds 2"])
def test_what_is_hidden_and_the_test_are_seen_by_nothing(tmp_path: Path, words: str) -> None:
    """Neither by training nor by validation, normalisation, selection, thresholds or labels: with other labels (and
    another test) in their place every weight and every generated label is the same."""
    recipe = tiny(f"{HIDDEN} {words}")
    split, known = known_to(recipe)
    told = []
    for name, given in (("one", split), ("two", scrambled(split, known))):
        recipe.learn(given, Place(tmp_path / name))
        told.append(json_of(tmp_path / name / "labels.json"))
    one, two = (sorted(f.relative_to(tmp_path / name) for f in (tmp_path / name).rglob("*.safetensors"))
                for name in ("one", "two"))  # fmt: skip
    assert one == two
    assert len(one) > 5
    for file in one:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    for number, each in enumerate(told[0]["rounds"]):
        for task, about in each["tasks"].items():
            other = told[1]["rounds"][number]["tasks"][task]
            assert about.pop("held") != other.pop("held"), "only how good labels are is judged by what is hidden"
            assert about == other
    assert told[0]["cells"] == told[1]["cells"]


def test_no_model_is_asked_for_labels_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Table] = []
    real = pseudo.ask

    def ask(model: Any, table: Table, *others: Any) -> pseudo.Answers:
        asked.append(table)
        return real(model, table, *others)

    monkeypatch.setattr(pseudo, "ask", ask)
    for method in ("single-dd", "mtl-dd"):
        recipe = tiny(f"--method {method} --near 0.9 {HIDDEN}")
        split, _ = known_to(recipe)
        recipe.learn(split, Place(tmp_path / method))
        assert len(asked) == (4 if method == "single-dd" else 2)
        for table in asked:
            assert not set(table.ids.tolist()) & set(split.test.ids.tolist())
        asked.clear()


def test_the_slice_that_is_hidden_is_of_each_set_and_the_same_for_every_method_and_seed() -> None:
    split, known = known_to(tiny(HIDDEN))
    for words in ("--method single-task", "--plan.seed 5"):
        _, other = known_to(tiny(f"{HIDDEN} {words}"))
        for task in ("activity", "position"):
            assert torch.equal(known.train.targets[task], other.train.targets[task])
    domains = known.train.meta["domain"]
    for name, task in (("wearable 1", "activity"), ("wearable 2", "position")):
        own = torch.from_numpy(domains == name)
        lost = own & (known.train.targets[task] == IGNORE) & (split.train.targets[task] != IGNORE)
        people = set(known.train.meta["subject"][lost.numpy()].tolist())
        assert len(people) == round(0.4 * 3)
        assert not people & set(known.train.meta["subject"][(own & ~lost).numpy()].tolist())
    assert torch.equal(known.valid.targets["position"], split.valid.targets["position"])
    assert (known.valid.targets["activity"][known.valid.meta["domain"] == "wearable 2"] == IGNORE).all()
    assert torch.equal(known.test.targets["activity"], split.test.targets["activity"]), "the test judges by it"


def test_people_s_labels_stand_and_only_what_they_left_open_is_generated(tmp_path: Path) -> None:
    """S5-05: by cells of each set, with how sure which teacher was."""
    recipe = tiny(f"--rule fixed --rule.threshold 0.01 {HIDDEN}")
    recipe.run(tmp_path)
    told = json_of(tmp_path / "labels.json")
    _, known = known_to(recipe)
    (round_,) = told["rounds"]
    for task in ("activity", "position"):
        for name in ("wearable 1", "wearable 2"):
            at = torch.from_numpy(known.train.meta["domain"] == name)
            given = int((known.train.targets[task][at] != IGNORE).sum())
            cell = told["cells"][name][task]
            assert (cell["labelled"], cell["missing"]) == (given, 0)
            assert cell["generated"] == int(at.sum()) - given
            if cell["generated"]:
                assert cell["teachers"] == [round_["teachers"][task]]
                assert 0 < cell["confidence"] <= 1
                assert round_["tasks"][task]["by_set"][name]["asked"] == cell["generated"]
    held_ = round_["tasks"]["activity"]["held"]
    hidden = told["cells"]["wearable 2"]["activity"]["generated"]
    assert held_["n"] == held_["kept"] == hidden + told["cells"]["wearable 1"]["activity"]["generated"]


def test_a_teacher_begins_elsewhere_than_its_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was the student of the round before."""
    started: dict[str, dict[str, Tensor]] = {}
    real = Place.fit

    def fit(self: Place, run: Any, stage: str = "") -> Any:
        started[stage] = {k: v.clone() for k, v in run.distiller.student.state_dict().items()}
        return real(self, run, stage)

    monkeypatch.setattr(Place, "fit", fit)
    recipe = tiny("--rounds 2")
    recipe.learn(known_to(recipe)[0], Place(tmp_path))
    assert set(started) == {"teacher", "round1", ""}
    weights = [each["heads.0.weight"] for each in started.values()]
    assert not any(torch.equal(weights[i], weights[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_network_sees_the_sets_and_tasks_of_its_method() -> None:
    _, known = known_to(tiny())
    names = {
        method: [(g.name, [t.name for t in g.tasks], g.sets) for g in tiny(f"--method {method}").groups(known)]
        for method in ("single-task", "mtl", "mtl-domains")
    }
    assert names["single-task"] == [("activity", ["activity"], (0, 1)), ("position", ["position"], (0, 1))]
    assert names["mtl"] == [("wearable 1", ["activity"], (0,)), ("wearable 2", ["position"], (1,))]
    assert names["mtl-domains"] == [("all", ["activity", "position"], (0, 1))]


def test_a_task_of_two_sets_is_learnt_where_more_of_it_is_labelled() -> None:
    recipe = tiny("--method mtl --data.sets.1.tasks activity,position --data.sets.1.data.seconds 12")
    _, known = known_to(recipe)
    assert [(g.name, [t.name for t in g.tasks], g.alone) for g in recipe.groups(known)] == [
        ("wearable 2", ["activity", "position"], True)
    ]


def test_an_unrelated_task_has_labels_where_others_have_and_chooses_nothing(tmp_path: Path) -> None:
    recipe = tiny(f"--method mtl-domains --unrelated 4 {HIDDEN}")
    split, known = known_to(recipe)
    _, plain = known_to(tiny(HIDDEN))
    lots = known.train.targets["unrelated"]
    given = (plain.train.targets["activity"] != IGNORE) | (plain.train.targets["position"] != IGNORE)
    assert torch.equal(lots != IGNORE, given)
    assert not given.all()
    assert set(lots[given].tolist()) == {0, 1, 2, 3}
    assert (known.valid.targets["unrelated"] == IGNORE).all()
    burdened = recipe.rows(known.train, recipe.groups(known)[0])
    bare = tiny(HIDDEN).rows(plain.train, tiny(HIDDEN).groups(plain)[0])
    assert torch.equal(burdened.ids, bare.ids), "the batches are the same"
    models = recipe.learn(split, Place(tmp_path))
    assert "unrelated" not in split.test.targets
    assert models["student"](split.test.rows(torch.arange(2))).logits["unrelated"].shape == (2, 4)


def test_statistics_kept_apart_are_those_of_each_set(tmp_path: Path, faces: str) -> None:
    words = f"{FACES} {faces} --norms per-set --method mtl-domains".split()
    given = {k.removeprefix("--"): v for k, v in zip(words[::2], words[1::2], strict=True)}
    recipe = make("distill-2md-mtl", given)
    model = recipe.run(tmp_path)["student"]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 4
    assert not torch.allclose(norms[0].running_mean, norms[1].running_mean)  # type: ignore[arg-type]
    both = recipe.data.load()
    batch = both.rows(torch.tensor([0, len(both) - 1]))
    wrong = batch.with_inputs({DOMAIN: 1 - batch.inputs[DOMAIN]})
    with torch.no_grad():
        assert not torch.allclose(model(batch).logits["age"], model(wrong).logits["age"])
    for method in ("single-task", "single-dd", "mtl"):
        with pytest.raises(
            UserError, match=r"norms per-set: the network of \w+ would learn nothing of (utkface|fer2013)"
        ):
            make("distill-2md-mtl", {**given, "method": method}).run(tmp_path / method)
        assert not (tmp_path / method).exists(), "before anything is trained"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--views image-views", r"views image-views are not for this data"),
        ("--augment image-augment --augment.flip true", r"augment image-augment is not for this data"),
        ("--student vgg", r"vgg reads images; name a network for this data, as --student resnet1d"),
        ("--norms per-set", r"norms per-set: "),
        ("--shares 1,2,3", r"shares: 3 for 2 data sets, wearable 1, wearable 2"),
        ("--data.sets.1.hidden position", r"no set has a label of 'position' but wearable 2, where it is hidden"),
        ("--split.test_subjects 9", r"9.*wearable"),
    ],
)
def test_what_would_go_wrong_is_told_before_anything_is_trained(tmp_path: Path, words: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        tiny(words).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


# A run that is cut, and one by two processes.

CUT = "--rule fixed --rule.threshold 0.3 --rounds 2"


def run_to_change(at: Path, number: int) -> None:
    """A run that kills itself just before its change of that number to its folder."""
    torch.set_num_threads(1)
    children.dies_before(at, number)
    tiny(CUT).run(at)


def contents(at: Path) -> dict[str, bytes]:
    """What a finished run holds, but for when it was made."""
    kept = ("*.safetensors", "labels.json", "metrics.jsonl", "finished.json", "scores.json", "model.json")
    return {str(f.relative_to(at)): f.read_bytes() for pattern in kept for f in at.rglob(pattern)}


def test_a_run_that_is_killed_anywhere_goes_on_to_the_same_end(tmp_path: Path) -> None:
    tiny(CUT).run(tmp_path / "whole")
    wanted = contents(tmp_path / "whole")
    killed = []
    for number in (27, 59, 114, 169):
        at = tmp_path / str(number)
        child = children.server().Process(target=run_to_change, args=(at, number))
        child.start()
        child.join(120)
        assert child.exitcode == -signal.SIGKILL
        killed.append(stages(at) + [p.name for p in at.glob("labels-*")])
        tiny(CUT).run(at)
        assert contents(at) == wanted, number
    assert len({tuple(each) for each in killed}) == 4, "in one stage after another"


def run_together(where: Path) -> dict[str, Any]:
    """A run of one of two processes; a network without BatchNorm, whose statistics would be those of half a batch."""
    words = "--student bilstm --student.hidden 4 --rule precision --rule.target 0.3 --rule.least 5 --near 0.9"
    given = f"{SETS} {PLAN} {words}".split()
    recipe = make("distill-2md-mtl", {k.removeprefix("--"): v for k, v in zip(given[::2], given[1::2], strict=True)})
    models = recipe.run(where / "run")
    return {n: torch.cat([p.flatten() for p in m.parameters()]).tolist() for n, m in models.items()}


def test_two_processes_come_to_what_one_does(tmp_path: Path) -> None:
    one, two = children.together(tmp_path / "two", run_together)
    assert one == two
    alone = run_together(tmp_path / "one")
    for name, weights in alone.items():
        assert one[name] == pytest.approx(weights, rel=1e-3, abs=1e-4)
    ours, theirs = (json_of(tmp_path / at / "run" / "labels.json") for at in ("two", "one"))
    assert ours["rounds"][0]["tasks"]["activity"]["asked"] == theirs["rounds"][0]["tasks"]["activity"]["asked"]
    ours, theirs = (json_of(tmp_path / at / "run" / "scores.json")["models"] for at in ("two", "one"))
    assert set(ours) == set(theirs) == {"student", "teacher"}


# What several tasks in one network are worth.

RARE = Task.of("rare", ("a", "b", "c", "d"))


def shapes(name: str, count: int, draw: np.random.Generator, related: bool) -> Table:
    """Noise with one of four shapes in it, here and there, and one of three others; the task `rare` is which of the
    four, `many` is the same by other names (related) or which of the three."""
    known = np.random.default_rng(7).normal(size=(7, 3, 5))
    known /= np.sqrt((known**2).mean(axis=(1, 2), keepdims=True))
    one, other = draw.integers(0, 4, count), draw.integers(0, 3, count)
    x = draw.normal(size=(count, 3, 40))
    for row in range(count):
        for which in (one[row], 4 + other[row]):
            for at in draw.integers(0, 36, 3):
                x[row, :, at : at + 5] += 1.3 * known[which]
    many = Task.of("many", ("k", "l", "m", "n") if related else ("k", "l", "m"))
    return Table(
        (RARE, many),
        {"sensor": Dense(torch.from_numpy(x.astype(np.float32)))},
        {"rare": torch.from_numpy(one), "many": torch.from_numpy((3 - one) if related else other)},
        {"subject": np.array([f"{name} {i}" for i in range(count)]), "start": np.zeros(count)},
        {"name": name},
    )


def half(related: bool) -> Split:
    """16 samples with a label of `rare`, and 600 with one of `many`, whose `rare` is hidden."""
    draw, parts = np.random.default_rng(201), []
    for part, few, more in (("train", 16, 600), ("valid", 60, 60), ("test", 60, 60)):
        both = concat([shapes("one", few, draw, related), shapes("two", more, draw, related)])
        both = relabelled(both, {"many": torch.from_numpy(both.meta["domain"] == "one")})
        parts.append(replace(both, card={**both.card, "hidden": {"two": ["rare"]}}, digest=f"{part} {related}"))
    train, valid, test = parts
    return Split(train, valid, test, False, {})


def labelled_by(method: str, related: bool, at: Path, steps: int = 120) -> dict[str, Any]:
    """How good the labels of `rare` are that a method generates where they are hidden."""
    plan = {"steps": steps, "batch": 32, "evaluations": 4, "schedule": "constant", "optimiser": "adam"}
    values = {"data": "sensor-sets", "method": method, "views": "signal-views", "views.count": 1, "student": "resnet1d",
              "student.width": 16, "student.blocks": 1, **{f"plan.{k}": v for k, v in plan.items()},
              "plan.optimiser.lr": 5e-3}  # fmt: skip
    make("distill-2md-mtl", values).learn(half(related), Place(at))
    found: dict[str, Any] = json_of(at / "labels.json")["rounds"][0]["tasks"]["rare"]["held"]
    return found


def test_a_network_of_related_tasks_labels_better_than_one_of_a_task_alone(tmp_path: Path) -> None:
    """S5-10: what it learnt of many labels it needs for the rare ones. Of nine draws it is ahead in each, by 0.03 to
    0.35."""
    single, joint = (labelled_by(m, True, tmp_path / m) for m in ("single-dd", "mtl-dd"))
    assert single["n"] == joint["n"] == 600
    assert joint["accuracy_all"] > single["accuracy_all"] + 0.15
    assert joint["accuracy_all"] > 0.8


def test_of_unrelated_tasks_the_numbers_are_told_whichever_is_better(tmp_path: Path) -> None:
    """S5-10."""
    for method in ("single-dd", "mtl-dd"):
        found = labelled_by(method, False, tmp_path / method, steps=20)
        assert found["n"] == 600
        assert 0 < found["coverage"] < 1
        assert all(0 <= found[f"accuracy_{of}"] <= 1 for of in ("all", "kept", "plain"))
