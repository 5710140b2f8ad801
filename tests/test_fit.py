"""The loop: what it does at each step, what it leaves in the folder, and how it stops."""

import errno
import json
import math
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

from limbeck import checkpoint, journal, process
from limbeck import fit as fit_module
from limbeck.augment import Augment
from limbeck.data.concat import concat
from limbeck.distiller import Distiller
from limbeck.errors import Interrupted, UserError
from limbeck.fit import fit
from limbeck.models import BiLSTM, MTLNet, ResNet1D, load
from limbeck.objective import Scene, Term
from limbeck.observers import Observer
from limbeck.plan import SGD, Plan
from limbeck.run import Run
from limbeck.schedule import Cosine
from limbeck.tasks import IGNORE
from limbeck.teachers import Frozen, fingerprint
from limbeck.terms import Feature, Soft, kd, supervised
from tests.conftest import TASKS, table
from tests.toy_runs import PLAN, student, toy_run


def rows(at: Path, event: str) -> list[dict[str, Any]]:
    return [r for r in journal.rows(at / "metrics.jsonl") if r["event"] == event]


def plain(distiller: Distiller, plan: Plan = PLAN, **changes: Any) -> Run:
    given: dict[str, Any] = {"train": table(60, seed=1), "valid": table(30, seed=2)} | changes
    return Run(distiller, given["train"], given["valid"], TASKS, plan, {}, {})


def both() -> Any:
    return supervised(TASKS[0]) + supervised(TASKS[1])


def test_it_learns(tmp_path: Path) -> None:
    fit(toy_run(PLAN.changed(steps=200), missing=0.1), tmp_path)
    scores = [r["scores"] for r in rows(tmp_path, "eval") if r["model"] == "student" and r["part"] == "valid"]
    assert scores[-1]["side"]["accuracy"] >= 0.9
    assert scores[-1]["activity"]["accuracy"] >= 0.6
    losses = [r["loss"] for r in rows(tmp_path, "train")]
    assert losses[-1] < 0.6 * losses[0]


def test_the_loop_is_plain_training(tmp_path: Path) -> None:
    """Without noise, against ten lines of PyTorch."""
    plan = Plan(steps=9, batch=16, evaluations=3, optimiser=SGD(lr=0.1), schedule=Cosine(), clip=1.0, device="cpu")
    run = toy_run(plan, augment=Augment(), missing=0.2)
    fit(run, tmp_path)
    model = student()
    teacher = student()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    losses = []
    for step in range(9):
        epoch, number = divmod(step, 4)
        order = torch.randperm(60, generator=process.generator(0, "order", epoch))
        index = order[number * 16 : (number + 1) * 16]
        batch = run.train.rows(index)
        ours = model.train()(batch).logits
        with torch.no_grad():
            theirs = teacher.eval()(batch).logits
        loss = torch.zeros(())
        for task in TASKS:
            y = batch.targets[task.name]
            divergence = nn.functional.kl_div(
                (ours[task.name] / 3).log_softmax(1), (theirs[task.name] / 3).softmax(1), reduction="batchmean"
            )
            loss = loss + 0.5 * nn.functional.cross_entropy(ours[task.name], y, ignore_index=IGNORE)
            loss = loss + 0.25 * 9 * divergence
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 9))
        optimiser.step()
        with torch.no_grad():
            for a, b in zip(teacher.state_dict().values(), model.state_dict().values(), strict=True):
                a.copy_(0.9 * a + 0.1 * b if a.is_floating_point() else b)
        losses.append(loss.item())
    assert [r["loss"] for r in rows(tmp_path, "train")] == pytest.approx(losses, rel=1e-4)
    found = checkpoint.newest(tmp_path / "last")
    assert found is not None
    for name, value in model.state_dict().items():
        assert torch.allclose(found[1][f"distiller.student.{name}"], value, atol=1e-4), name


def test_without_distillation_weight_it_is_hard_sharing_step_for_step(tmp_path: Path) -> None:
    """S1-06."""
    run = toy_run(augment=Augment(), lam=0.0)
    fit(run, tmp_path / "lam")
    alone = Distiller(student(), {}, 0.5 * supervised(TASKS[0]) + 0.5 * supervised(TASKS[1]))
    fit(Run(alone, run.train, run.valid, TASKS, PLAN, run.model, {}), tmp_path / "hard")
    one, two = (tmp_path / n / "best" / "student.safetensors" for n in ("lam", "hard"))
    assert one.read_bytes() == two.read_bytes()
    losses = [[r["loss"] for r in rows(tmp_path / n, "train")] for n in ("lam", "hard")]
    assert losses[0] == losses[1]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = toy_run(PLAN.changed(seed=seed))
        torch.manual_seed(ord(name))  # what was drawn before does not matter
        fit(run, tmp_path / name)
    for file in ("best/student.safetensors", "best/ema.safetensors", "metrics.jsonl"):
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b
        assert a != c


def test_a_finished_folder_is_only_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit(toy_run(), tmp_path)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file()}

    def never(*_: Any) -> NoReturn:
        raise AssertionError("trained again")

    monkeypatch.setattr(fit_module._Loop, "train", never)
    again = fit(toy_run(), tmp_path)
    assert [fingerprint(m) for m in again.values()] == [fingerprint(m) for m in first.values()]
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_folder_of_other_values_is_refused_before_a_step_is_made(tmp_path: Path) -> None:
    fit(toy_run(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"plan\.batch was 16, now 8"):
        fit(toy_run(PLAN.changed(batch=8)), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_the_best_step_is_kept_and_is_what_is_given_back(tmp_path: Path) -> None:
    given: list[float] = []

    def falling(scores: Mapping[str, Mapping[str, float]]) -> float:
        given.append(1.0 - len(given))
        return given[-1]

    run = toy_run(score=falling)
    snapshots: dict[int, str] = {}

    class Watch(Observer):
        def stepped(self, step: int) -> None:
            snapshots[step] = fingerprint(run.distiller.student)

    models = fit(run, tmp_path, [Watch()])
    assert checkpoint.read_json(tmp_path / "finished.json")["best"] == {"step": 6, "score": 1.0}
    assert fingerprint(models["student"]) == snapshots[6] != snapshots[24]
    loaded, tasks = load(tmp_path / "best")
    assert fingerprint(loaded) == snapshots[6]
    assert tasks == TASKS
    assert fingerprint(load(tmp_path / "best", "ema")[0]) == fingerprint(models["ema"])


def test_the_first_of_equal_scores_is_kept(tmp_path: Path) -> None:
    fit(toy_run(score=lambda scores: 0.5), tmp_path)
    assert checkpoint.read_json(tmp_path / "finished.json")["best"]["step"] == 6


@pytest.mark.parametrize(
    ("plan", "evaluated", "logged", "epochs"),
    [
        (Plan(epochs=2, batch=16, evaluations=2), [4, 8], list(range(1, 9)), [1.0, 2.0]),
        (Plan(epochs=0.5, batch=16, evaluations=10), [1, 2], [1, 2], [0.25, 0.5]),
        (Plan(steps=30, batch=100, evaluations=3), [10, 20, 30], list(range(2, 31, 2)), [10.0, 20.0, 30.0]),
        (Plan(steps=7, batch=16, evaluations=2), [4, 7], list(range(1, 8)), [1.0, 1.75]),
        (Plan(steps=31, batch=60, evaluations=3), [11, 21, 31], [*range(2, 11, 2), 11, *range(12, 21, 2), 21,
         *range(22, 31, 2), 31], [11, 21, 31]),
    ],
)  # fmt: skip
def test_steps_epochs_and_evaluations_add_up(
    tmp_path: Path, plan: Plan, evaluated: list[int], logged: list[int], epochs: list[float]
) -> None:
    fit(toy_run(plan.changed(device="cpu")), tmp_path)
    scored = [r for r in rows(tmp_path, "eval") if r["model"] == "student" and r["part"] == "valid"]
    assert [r["step"] for r in scored] == evaluated
    assert [r["epoch"] for r in scored] == epochs
    assert [r["step"] for r in rows(tmp_path, "train")] == logged
    assert checkpoint.read_json(tmp_path / "finished.json")["steps"] == evaluated[-1]


def test_a_logged_row_is_the_mean_since_the_one_before(tmp_path: Path) -> None:
    plan = Plan(steps=20, batch=16, evaluations=1, device="cpu")
    seen: list[float] = []

    class Counts(Term):
        def forward(self, scene: Scene) -> Tensor:
            seen.append(scene.progress)
            return scene.outputs["student"].logits["side"].sum() * 0 + scene.progress

    fit(plain(Distiller(student(), {}, 2.0 * Counts("progress") + 0.5 * both()), plan), tmp_path)
    assert seen == [s / 20 for s in range(20)]
    logged = rows(tmp_path, "train")
    assert [r["step"] for r in logged] == [4, 8, 12, 16, 20]
    means = [sum(seen[i : i + 4]) / 4 for i in range(0, 20, 4)]
    assert [r["terms"]["progress"] for r in logged] == pytest.approx(means)
    for row in logged:
        terms = row["terms"]
        assert row["loss"] == pytest.approx(2 * terms["progress"] + 0.5 * (terms["activity"] + terms["side"]), rel=1e-5)


def test_rows_hold_what_the_report_reads_and_no_clock_time(tmp_path: Path) -> None:
    fit(toy_run(PLAN.changed(schedule=Cosine())), tmp_path)
    for row in rows(tmp_path, "train"):
        assert list(row) == ["event", "step", "epoch", "loss", "lr", "terms"]
        assert list(row["terms"]) == ["activity", "soft(activity, ema)", "side", "soft(side, ema)"]
        assert row["lr"] == pytest.approx(0.01 * Cosine()((row["step"] - 1) / 24))
    for row in rows(tmp_path, "eval"):
        assert list(row) == ["event", "step", "epoch", "model", "part", "scores"]
        assert {frozenset(s) for s in row["scores"].values()} == {frozenset({"accuracy", "macro_f1", "loss"})}
    files = ["best", "cost.json", "finished.json", "last", "metrics.jsonl", "run.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files


def test_training_goes_on_in_training_mode_after_an_evaluation(tmp_path: Path) -> None:
    modes: list[tuple[bool, bool]] = []

    class Modes(Term):
        def forward(self, scene: Scene) -> Tensor:
            modes.append(
                (scene.models["student"].training, any(m.training for m in scene.models["ema"].model.modules()))
            )  # type: ignore[union-attr]
            return scene.outputs["student"].logits["side"].sum() * 0

    run = toy_run()
    objective = run.distiller.views[0].objective + Modes("modes")
    distiller = Distiller(run.distiller.student, dict(run.distiller.teachers.items()), objective)  # type: ignore[arg-type]
    fit(plain(distiller), tmp_path)
    assert modes == [(True, False)] * 24


class Breaks(Term):
    """Not a number from a step on."""

    def __init__(self, step: int, value: float = math.nan) -> None:
        super().__init__("breaks")
        self.calls, self.step, self.value = 0, step, value

    def forward(self, scene: Scene) -> Tensor:
        self.calls += 1
        return scene.outputs["student"].logits["side"].mean() * (self.value if self.calls == self.step else 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_name_of_its_term(tmp_path: Path, value: float) -> None:
    ended = []

    class Ends(Observer):
        def ends(self) -> None:
            ended.append(True)

    run = plain(Distiller(student(), {}, both() + Breaks(15, value)))
    with pytest.raises(UserError, match="not finite at step 15, in breaks\\.") as error:
        fit(run, tmp_path, [Ends()])
    assert "\n" not in str(error.value)
    assert ended == [True]
    found = checkpoint.newest(tmp_path / "last")
    assert found is not None
    assert found[0] == 12
    assert all(t.isfinite().all() for t in found[1].values())
    assert all(p.isfinite().all() for p in run.distiller.parameters()), "the step was not made"
    assert not (tmp_path / "finished.json").exists()
    fit(plain(Distiller(student(), {}, both() + Breaks(0))), tmp_path)
    assert checkpoint.read_json(tmp_path / "finished.json")["steps"] == 24


def test_a_train_row_is_never_written_of_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        fit(plain(Distiller(student(), {}, both() + Breaks(3))), tmp_path)
    assert [r["step"] for r in rows(tmp_path, "train")] == [1, 2]


def test_a_task_without_a_label_on_validation_is_left_out_of_the_choice(tmp_path: Path) -> None:
    valid = table(30, seed=2)
    valid.targets["side"].fill_(IGNORE)
    models = fit(toy_run(valid=valid), tmp_path)
    assert set(models) == {"student", "ema"}
    best = checkpoint.read_json(tmp_path / "finished.json")["best"]
    scored = [r for r in rows(tmp_path, "eval") if r["model"] == "student" and r["part"] == "valid"]
    assert best["score"] == max(r["scores"]["activity"]["accuracy"] for r in scored)


def test_without_any_label_on_validation_it_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no window for validation has a label"):
        fit(toy_run(valid=table(30, missing=1.1)), tmp_path)


def test_training_without_any_label_changes_nothing_and_does_not_fail(tmp_path: Path) -> None:
    run = plain(Distiller(student(), {}, both()), PLAN.changed(optimiser="sgd"), train=table(60, missing=1.1, seed=1))
    before = [p.detach().clone() for p in run.distiller.parameters()]
    fit(run, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, run.distiller.parameters(), strict=True))
    assert {r["loss"] for r in rows(tmp_path, "train")} == {0.0}


@pytest.mark.parametrize("spec", [MTLNet(), BiLSTM(hidden=4), ResNet1D(blocks=1, width=4)])
def test_half_precision_runs_with_weights_and_scores_in_full(tmp_path: Path, spec: Any) -> None:
    model, oracle = student(0, spec), Frozen(student(1, spec))
    width = model.width
    objective = both() + kd(TASKS[0], "oracle", Soft()) + kd(TASKS[1], "oracle", Feature(), (width, width))
    dtypes = set()

    class Looks(Term):
        def forward(self, scene: Scene) -> Tensor:
            dtypes.add(scene.outputs["student"].logits["side"].dtype)
            return scene.outputs["student"].logits["side"].sum() * 0

    distiller = Distiller(model, {"oracle": oracle}, objective + Looks("looks"))
    fit(plain(distiller, Plan(steps=3, batch=16, evaluations=1, precision="bf16", device="cpu")), tmp_path)
    assert dtypes == {torch.bfloat16}
    assert {p.dtype for p in distiller.parameters()} == {torch.float32}
    assert all(math.isfinite(r["loss"]) for r in rows(tmp_path, "train"))
    assert {v.dtype for v in load_tensors(tmp_path).values() if v.is_floating_point()} == {torch.float32}


def load_tensors(at: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(at / "best" / "student.safetensors")


def test_half_precision_is_near_full_precision(tmp_path: Path) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        plan = Plan(steps=10, batch=60, evaluations=1, precision=precision, optimiser=SGD(lr=0.01), device="cpu")
        fit(toy_run(plan, augment=Augment()), tmp_path / precision)
        losses.append([r["loss"] for r in rows(tmp_path / precision, "train")])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


def test_a_frozen_teacher_of_other_weights_makes_another_run(tmp_path: Path) -> None:
    def run(seed: int) -> Run:
        objective = both() + kd(TASKS[0], "oracle", Soft())
        return plain(Distiller(student(), {"oracle": Frozen(student(seed))}, objective), PLAN.changed(steps=2))

    fit(run(1), tmp_path)
    fit(run(1), tmp_path)
    with pytest.raises(UserError, match=r"teachers\.oracle was"):
        fit(run(2), tmp_path)


class Kills(Observer):
    """Sends this process a signal after a step."""

    def __init__(self, at: int, number: int = signal.SIGINT) -> None:
        self.at, self.number = at, number

    def stepped(self, step: int) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_saves_first_and_the_run_goes_on_to_the_same_end(tmp_path: Path, number: int) -> None:
    fit(toy_run(), tmp_path / "whole")
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted, match="stopped at step 9 of 24"):
        fit(toy_run(), tmp_path / "cut", [Kills(9, number)])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    found = checkpoint.newest(tmp_path / "cut" / "last")
    assert found is not None
    assert found[0] == 9
    begun = []

    class Begins(Observer):
        def begins(self, at: Path, step: int, steps: int) -> None:
            begun.append((step, steps))

    fit(toy_run(), tmp_path / "cut", [Begins()])
    assert begun == [(9, 24)]
    for file in ("best/student.safetensors", "best/ema.safetensors", "metrics.jsonl", "finished.json"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_second_request_stops_at_once(tmp_path: Path) -> None:
    class Twice(Observer):
        def stepped(self, step: int) -> None:
            if step == 9:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(toy_run(), tmp_path, [Twice()])
    found = checkpoint.newest(tmp_path / "last")
    assert found is not None
    assert found[0] == 6


def test_a_request_at_the_last_step_stops_what_was_to_follow_but_the_run_is_finished(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="after the last step"):
        fit(toy_run(), tmp_path, [Kills(24)])
    assert (tmp_path / "finished.json").is_file()
    assert set(fit(toy_run(), tmp_path)) == {"student", "ema"}


@pytest.mark.parametrize("where", ["pathlib.Path.replace", "os.fsync"])
def test_a_full_disk_stops_the_run_and_it_goes_on_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    fit(toy_run(), tmp_path / "whole")

    def no_space(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:

        class Fills(Observer):
            def stepped(self, step: int) -> None:
                if step == 14:
                    patched.setattr(where, no_space)

        with pytest.raises(UserError, match="the disk is full"):
            fit(toy_run(), tmp_path / "full", [Fills()])
    found = checkpoint.newest(tmp_path / "full" / "last")
    assert found is not None
    assert found[0] == 12
    fit(toy_run(), tmp_path / "full")
    for file in ("best/student.safetensors", "best/ema.safetensors", "metrics.jsonl"):
        assert (tmp_path / "full" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_gradients_are_clipped_to_the_norm_given(tmp_path: Path) -> None:
    run = toy_run(PLAN.changed(steps=1, evaluations=1, clip=1e-3, optimiser={"kind": "sgd", "lr": 1.0}))
    before = torch.cat([p.detach().flatten().clone() for p in run.distiller.student.parameters()])
    fit(run, tmp_path)
    after = torch.cat([p.detach().flatten() for p in run.distiller.student.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=0.01)


def test_the_json_in_a_run_folder_is_json(tmp_path: Path) -> None:
    fit(toy_run(), tmp_path)

    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{word} is no JSON")

    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_rows_say_how_often_each_data_set_was_gone_through_where_each_has_its_share(tmp_path: Path) -> None:
    small, large = (
        replace(table(20, seed=1), card={"name": "small"}),
        replace(table(60, seed=2), card={"name": "large"}),
    )
    plan = PLAN.changed(steps=30, evaluations=1)
    distiller = Distiller(student(), {}, both())
    run = plain(distiller, plan, train=concat([small, large]), valid=concat([small, large]))
    fit(replace(run, shares=(1.0, 3.0)), tmp_path)
    logged = rows(tmp_path, "train")
    assert [list(r)[-1] for r in logged] == ["passes"] * 5
    assert [r["passes"] for r in logged] == [
        {"small": round(r["step"] * 4 / 20, 4), "large": round(r["step"] * 12 / 60, 4)} for r in logged
    ]
    assert [r["epoch"] for r in logged] == [r["step"] / 5 for r in logged]


def test_a_share_of_nothing_is_not_told(tmp_path: Path) -> None:
    parts = [replace(table(20, seed=s), card={"name": name}) for s, name in enumerate(("one", "two"))]
    whole = concat(parts)
    only = whole.take(torch.arange(20, 40))
    run = plain(Distiller(student(), {}, both()), PLAN.changed(steps=4, evaluations=1), train=only, valid=only)
    fit(replace(run, shares=(0.5, 0.5)), tmp_path)
    assert rows(tmp_path, "train")[0]["passes"] == {"two": 0.8}
