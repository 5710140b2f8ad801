"""Answers for a table, and what is told of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from limbeck import evaluate, pixels
from limbeck.batch import Batch, Outputs
from limbeck.data.concat import concat
from limbeck.errors import UserError
from limbeck.metrics import scores, tally
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import EMA, Frozen, Teacher, fingerprint
from limbeck.values import answered
from limbeck.words import MANY
from tests.conftest import TASKS, table
from tests.fake_hearts import HEART, hearts, logits
from tests.fake_scenes import ASKED, DEPTH, SEGMENTATION, Painter, scenes
from tests.toy_runs import student


def test_answers_are_those_of_every_row_in_order_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = student(), table(50)
    monkeypatch.setattr(evaluate, "CHUNK", 7)
    found = evaluate.answers(model, rows)
    with torch.no_grad():
        whole = model.eval()(rows.rows(torch.arange(50))).logits
    for task in TASKS:
        assert found[task.name].shape == (50, task.classes)
        assert torch.allclose(found[task.name], whole[task.name], atol=1e-6)
        assert not found[task.name].requires_grad


def test_a_model_is_left_in_its_mode_with_its_weights_and_the_generator_untouched() -> None:
    for mode in (True, False):
        model = student().train(mode)
        before, state = fingerprint(model), torch.random.get_rng_state()
        evaluate.answers(model, table(20))
        assert [m.training for m in model.modules()] == [mode] * len(list(model.modules()))
        assert fingerprint(model) == before
        assert torch.equal(torch.random.get_rng_state(), state)


def test_the_mode_comes_back_after_an_error_too() -> None:
    class Breaks(nn.Module):
        def forward(self, batch: Batch) -> Outputs:
            raise RuntimeError("broken")

    model = Breaks().train()
    with pytest.raises(RuntimeError, match="broken"):
        evaluate.answers(model, table(5))
    assert model.training


def test_an_assessment_is_that_of_all_rows_and_of_each_subject() -> None:
    rows = table(60, missing=0.3)
    logits = evaluate.answers(student(), rows)
    assessed = evaluate.assess(logits, rows, TASKS)
    assert json.loads(json.dumps(assessed)) == assessed
    for task in TASKS:
        answer, target = logits[task.name].numpy(), rows.targets[task.name].numpy()
        found, reference = assessed[task.name], scores(tally(answer, target))
        for name, value in reference.items():
            assert found[name] == pytest.approx(value), name
        assert found["labels"] == list(task.labels)
        assert np.sum(found["confusion"]) == found["n"] == sum(s["n"] for s in found["subjects"].values())
        at = np.asarray(rows.meta["subject"]) == "s2"
        assert found["subjects"]["s2"]["accuracy"] == pytest.approx(scores(tally(answer[at], target[at]))["accuracy"])
        assert found["interval"]["accuracy"][0] <= found["accuracy"] <= found["interval"]["accuracy"][1]


def test_subjects_without_a_label_and_tasks_without_an_answer_are_left_out() -> None:
    rows = table(60)
    rows.targets["side"][torch.from_numpy(rows.meta["subject"] == "s1")] = IGNORE
    logits = evaluate.answers(student(), rows)
    assert "s1" not in evaluate.assess(logits, rows, TASKS)["side"]["subjects"]
    del logits["activity"]
    assert list(evaluate.assess(logits, rows, TASKS)) == ["side"] == list(evaluate.brief(logits, rows, TASKS))


def joined(rows: int, subjects: int) -> Any:
    """A table of two sets, the second without a side."""
    one, two = table(rows, subjects), table(rows, subjects, seed=1)
    for each, name in ((one, "photos"), (two, "pool")):
        each.card["name"] = name  # type: ignore[index]
        each.meta["subject"] = np.char.add(f"{name} ", each.meta["subject"])  # type: ignore[index]
    two.targets["side"][:] = IGNORE
    return concat([one, two])


def test_answers_to_joined_sets_are_scored_by_set_too() -> None:
    rows = joined(60, 6)
    logits = evaluate.answers(student(), rows)
    found = evaluate.assess(logits, rows, TASKS)
    for at, name in ((slice(60), "photos"), (slice(60, None), "pool")):
        reference = scores(tally(logits["activity"][at].numpy(), rows.targets["activity"][at].numpy()))
        told = {k: reference[k] for k in ("n", "accuracy", "macro_f1")}
        assert found["activity"]["domains"][name] == pytest.approx(told)
    assert list(found["side"]["domains"]) == ["photos"]
    for one in (rows.take(np.arange(60)), table(60)):
        assert "domains" not in evaluate.assess(evaluate.answers(student(), one), one, TASKS)["activity"]


def test_real_values_of_joined_sets_are_scored_by_set_as_by_circumstance() -> None:
    rows = hearts()
    rows.meta["domain"] = np.where(np.arange(len(rows)) % 2, "ring", "watch")  # type: ignore[index]
    found = evaluate.assess({"heart rate": logits(rows, 4.0, 0)}, rows, (HEART,))["heart rate"]
    assert list(found["groups"]["data set"]) == ["ring", "watch"]
    assert sum(one["n"] for one in found["groups"]["data set"].values()) == found["n"]


def test_of_many_subjects_little_is_kept_and_on_the_test_alone() -> None:
    rows = table(MANY + 20, MANY + 1)
    logits = evaluate.answers(student(), rows)
    told, untold = (evaluate.assess(logits, rows, TASKS, everyone)["side"] for everyone in (True, False))
    assert len(told["subjects"]) == MANY + 1
    assert {tuple(one) for one in told["subjects"].values()} == {("n", "accuracy")}
    assert sum(one["n"] * one["accuracy"] for one in told["subjects"].values()) == pytest.approx(
        told["n"] * told["accuracy"]
    )
    assert untold.pop("subjects") == {}
    assert untold == {k: v for k, v in told.items() if k != "subjects"}
    few = table(60)
    both = [evaluate.assess(evaluate.answers(student(), few), few, TASKS, everyone) for everyone in (True, False)]
    assert both[0] == both[1]


def test_classes_with_middles_are_scored_by_how_far_they_miss() -> None:
    rows = table(60)
    ages = Task("activity", 3, TASKS[0].labels, unit="years", middles=(1.0, 5.0, 30.0))
    found = evaluate.assess(evaluate.answers(student(), rows), rows, (ages,))["activity"]
    confusion = np.array(found["confusion"])
    assert found["mae"] * 60 == pytest.approx((confusion * [[0, 4, 29], [4, 0, 25], [29, 25, 0]]).sum())
    assert found["one_off"] * 60 == 60 - confusion[0, 2] - confusion[2, 0]
    assert (found["middles"], found["unit"]) == ([1.0, 5.0, 30.0], "years")
    assert set(found["interval"]) == {"accuracy", "macro_f1", "one_off", "mae"}
    assert found["subjects"]["s2"].keys() == {"n", "accuracy", "macro_f1", "one_off", "mae"}
    assert json.loads(json.dumps(found)) == found


def test_the_brief_scores_are_those_of_the_assessment() -> None:
    rows = table(60, missing=0.3)
    logits = evaluate.answers(student(), rows)
    brief, whole = evaluate.brief(logits, rows, TASKS), evaluate.assess(logits, rows, TASKS)
    for task in TASKS:
        assert set(brief[task.name]) == {"accuracy", "macro_f1", "loss"}
        for name, value in brief[task.name].items():
            assert value == pytest.approx(whole[task.name][name])


def test_agreement_is_by_task() -> None:
    rows = table(60)
    one, two = evaluate.answers(student(0), rows), evaluate.answers(student(1), rows)
    assert evaluate.agreement(one, one, TASKS) == {"activity": 1.0, "side": 1.0}
    found = evaluate.agreement(one, two, TASKS)
    assert found["side"] == (one["side"].argmax(1) == two["side"].argmax(1)).float().mean().item()
    assert evaluate.agreement(one, {"side": two["side"]}, TASKS).keys() == {"side"}


class Varies(Teacher):
    """Answers that are no function of the row: by chance, by what else is in the batch, by mode, or not numbers."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.drop = how, nn.Dropout(0.5)

    def forward(self, batch: Batch) -> Outputs:
        x: Any = batch.inputs["sensor"].mean(2)
        x = {
            "chance": lambda: x + torch.rand_like(x),
            "company": lambda: x - x.mean(0),
            "mode": lambda: self.drop(x),
            "not a number": lambda: x / 0 * 0,
        }[self.how]()
        return Outputs({"activity": x})


@pytest.mark.parametrize("how", ["chance", "company", "mode", "not a number"])
@pytest.mark.parametrize("rows", [20, 600])
def test_a_teacher_whose_answers_vary_may_not_be_cached(how: str, rows: int) -> None:
    with pytest.raises(UserError, match=r"cannot be cached"):
        evaluate.remember(Varies(how), table(rows))


def test_a_mean_teacher_may_be_cached_as_it_is_now() -> None:
    model = student()
    ema, rows = EMA(model, 0.5), table(20)
    first = evaluate.remember(ema, rows)
    with torch.no_grad():
        model.heads[0].weight.add_(1)  # type: ignore[operator, union-attr]
    ema.update(model, 0.0)
    assert evaluate.remember(ema, rows).fingerprint() != first.fingerprint()


def test_one_row_is_enough() -> None:
    assert (
        evaluate.remember(Frozen(student()), table(6, subjects=1).take(torch.tensor([2]))).logits["side"].shape[0] == 3
    )


def test_real_values_are_assessed_in_their_unit_by_subject_and_activity() -> None:
    rows = hearts()
    answer = logits(rows, 4.0, 0)
    found = evaluate.assess({"heart rate": answer}, rows, [HEART])["heart rate"]
    assert json.loads(json.dumps(found)) == found
    known = ~rows.targets["heart rate"].isnan().numpy()
    said = answered(HEART, answer.numpy()).value[known]
    error = np.abs(said - rows.targets["heart rate"].numpy()[known])
    assert found["mae"] == pytest.approx(error.mean())
    assert found["unit"] == "bpm"
    assert found["n"] == known.sum() == sum(s["n"] for s in found["subjects"].values())
    for what, groups in (("subject", found["subjects"]), ("activity", found["groups"]["activity"])):
        of = rows.meta[what][known]
        assert sorted(groups) == sorted(set(of.tolist()))
        for name, one in groups.items():
            assert set(one) == {"n", "mae", "rmse", "r", "within_5", "bias"}
            assert one["mae"] == pytest.approx(error[of == name].mean())
    assert found["interval"]["mae"][0] < found["mae"] < found["interval"]["mae"][1]
    brief = evaluate.brief({"heart rate": answer}, rows, [HEART])["heart rate"]
    assert brief == {k: pytest.approx(found[k]) for k in ("mae", "rmse", "loss")}


def test_a_model_without_a_distribution_has_none_for_what_needs_one() -> None:
    rows = hearts()
    plain = torch.nan_to_num(rows.targets["heart rate"], nan=70.0)[:, None] + 3
    found = evaluate.assess({"heart rate": plain}, rows, [HEART])["heart rate"]
    assert found["mae"] == pytest.approx(3)
    assert found["bias"] == pytest.approx(3)
    assert [found[k] for k in ("mae_argmax", "mae_expectation", "coverage", "width", "entropy")] == [None] * 5
    arrays = evaluate.traces({"peaks": {"heart rate": plain}}, rows, [HEART])
    assert [k for k in arrays if k.startswith("heart rate/peaks")] == ["heart rate/peaks/value"]


def test_an_unknown_activity_is_no_group_and_subjects_without_truth_are_left_out() -> None:
    rows = hearts()
    rows.meta["activity"][rows.meta["activity"] == "rest"] = ""
    rows.targets["heart rate"][torch.from_numpy(rows.meta["subject"] == "S2")] = torch.nan
    found = evaluate.assess({"heart rate": logits(rows, 4.0, 0)}, rows, [HEART])["heart rate"]
    assert set(found["groups"]["activity"]) == {"run", "walk"}
    assert "S2" not in found["subjects"]


def test_classes_and_values_are_assessed_beside_each_other() -> None:
    rows, speed = table(60), Task("speed", unit="m/s")
    rows.targets["speed"] = torch.arange(60.0)  # type: ignore[index]
    tasks = [*TASKS, speed]
    answer = {**evaluate.answers(student(), rows), "speed": torch.arange(60.0)[:, None] + 0.5}
    found = evaluate.assess(answer, rows, tasks)
    assert set(found) == {"activity", "side", "speed"}
    assert "accuracy" in found["side"]
    assert found["speed"]["mae"] == pytest.approx(0.5)
    assert evaluate.agreement(answer, {"speed": answer["speed"] + 9}, tasks) == {"speed": 0.0}
    assert evaluate.agreement(answer, {"speed": answer["speed"] - 4}, tasks) == {"speed": 1.0}


def test_traces_hold_every_window_and_come_back_from_a_file(tmp_path: Path) -> None:
    rows = hearts()
    answer = logits(rows, 4.0, 0)
    arrays = evaluate.traces({"student": {"heart rate": answer}}, rows, [HEART])
    np.savez_compressed(tmp_path / "values.npz", **arrays)  # type: ignore[arg-type]
    with np.load(tmp_path / "values.npz", allow_pickle=False) as stored:
        back = dict(stored)
    assert set(back) == {
        "subject", "session", "start", "activity", "heart rate/truth",
        *(f"heart rate/student/{k}" for k in ("value", "low", "high")),
    }  # fmt: skip
    assert all(len(v) == len(rows) for v in back.values())
    read = answered(HEART, answer.numpy())
    for k, v in (("value", read.value), ("low", read.low), ("high", read.high)):
        assert back[f"heart rate/student/{k}"] == pytest.approx(v, abs=1e-3)
    assert (back["subject"] == rows.meta["subject"]).all()
    assert evaluate.traces({"student": evaluate.answers(student(), table(9))}, table(9), TASKS) == {}


class Counts(Frozen):
    """A frozen teacher that counts the rows it was asked for."""

    rows = 0

    def forward(self, batch: Batch) -> Outputs:
        self.rows += len(batch)
        answer: Outputs = super().forward(batch)
        return answer


def test_answers_and_features_are_looked_up_by_row_as_the_teacher_gives_them(tmp_path: Path) -> None:
    whole = table(90)
    part = whole.take(torch.arange(80, 9, -1))
    for at in (None, tmp_path, tmp_path):
        teacher = Frozen(student())
        known = evaluate.remember(teacher, part, features=["shared"], at=at)
        batch = part.rows(torch.tensor([70, 0, 33, 33]))
        one, two = known(batch), teacher(batch)
        for name, value in {**two.logits, "shared": two.features["shared"]}.items():
            assert torch.allclose({**one.logits, **one.features}[name], value, atol=1e-6)
        assert set(one.features) == {"shared"}
        assert all(v[0].isnan().all() for v in (*known.logits.values(), *known.features.values())), "row 0 is no part"
    assert not evaluate.remember(Frozen(student()), part).features


def test_stored_answers_are_read_back_and_only_checked(tmp_path: Path) -> None:
    rows, first, second = table(300), Counts(student()), Counts(student())
    one = evaluate.remember(first, rows, check=8, at=tmp_path)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    two = evaluate.remember(second, rows, check=8, at=tmp_path)
    assert (first.rows, second.rows) == (308, 8)
    assert file.stat().st_mtime_ns == stamp
    assert one.fingerprint() == two.fingerprint()
    assert all(torch.equal(value, two.logits[name]) for name, value in one.logits.items())


def test_other_weights_rows_data_and_features_have_stored_answers_of_their_own(tmp_path: Path) -> None:
    rows, teacher = table(20), Frozen(student())
    asked: list[tuple[Teacher, Any, list[str]]] = [
        (teacher, rows, []), (Frozen(student(1)), rows, []), (teacher, rows.take(torch.arange(19)), []),
        (teacher, rows.take(torch.arange(19, -1, -1)), []), (teacher, table(20, seed=1), []),
        (teacher, rows, ["shared"]),
    ]  # fmt: skip
    for number, (who, which, features) in enumerate(asked):
        evaluate.remember(who, which, features=features, at=tmp_path)
        assert len(list(tmp_path.iterdir())) == number + 1


@pytest.mark.parametrize("how", ["a value", "a name", "a shape", "torn", "empty", "of other weights", "no checksum"])
def test_stored_answers_that_were_changed_are_refused_in_one_line(tmp_path: Path, how: str) -> None:
    rows, teacher = table(300), Frozen(student())
    evaluate.remember(teacher, rows, at=tmp_path)
    (file,) = tmp_path.iterdir()
    stored = load_file(file)
    if how == "torn":
        file.write_bytes(file.read_bytes()[:-3])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "of other weights":
        evaluate.remember(Frozen(student(1)), rows, at=tmp_path / "b")
        file.write_bytes(next((tmp_path / "b").iterdir()).read_bytes())
    else:
        if how == "a value":  # of a row that is not asked again
            stored["logits/side"][1, 0] += 1
        elif how == "a name":
            stored["logits/sides"] = stored.pop("logits/side")
        elif how == "a shape":
            stored["logits/side"] = stored["logits/side"][:299]
        else:
            stored.pop("checksum")
        save_file(stored, file)
    with pytest.raises(UserError, match="delete") as error:
        evaluate.remember(teacher, rows, at=tmp_path)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    file.unlink()
    evaluate.remember(teacher, rows, at=tmp_path)


def test_answers_for_every_pixel_are_sums_that_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, model = scenes(12), Painter().train()
    whole = evaluate.answers(model, rows)
    assert model.training
    monkeypatch.setattr(evaluate, "CHUNK", 5)
    parts = evaluate.answers(model, rows)
    batch = rows.rows(torch.arange(12))
    with torch.no_grad():
        logits = model.eval()(batch).logits
    for task in ASKED:
        assert whole[task.name].dtype == torch.float64
        assert torch.allclose(whole[task.name], parts[task.name], rtol=1e-6)
        made = pixels.sums(task, logits[task.name], batch.targets[task.name])
        assert torch.allclose(whole[task.name], made, rtol=1e-6)
    told = evaluate.brief(whole, rows, ASKED)
    assert told["depth"]["rel_err"] == pytest.approx(pixels.scores(DEPTH, whole["depth"].sum(0).numpy())["rel_err"])
    assert list(told["segmentation"]) == ["miou", "pixel_accuracy", "loss"]


def test_what_a_model_answers_beyond_the_tables_pixels_is_left_out() -> None:
    rows = scenes(6, (DEPTH,))
    assert set(evaluate.answers(Painter(), rows)) == {"depth"}
    assert evaluate.answers(Painter((SEGMENTATION,)), rows) == {}
    assert evaluate.traces({"student": evaluate.answers(Painter(), rows)}, rows, ASKED) == {}


def test_an_assessment_of_pixels_is_that_of_all_and_of_each_subject() -> None:
    rows = scenes(12, each=3)
    rows.dense["depth"].values[3:6] = torch.nan  # type: ignore[attr-defined]
    sums = evaluate.answers(Painter(), rows)
    assessed = evaluate.assess(sums, rows, ASKED)
    assert json.loads(json.dumps(assessed)) == assessed
    ids, depths = assessed["segmentation"], assessed["depth"]
    matrix = np.array(ids["confusion"])
    assert ids["n"] == matrix.sum() == sum(s["n"] for s in ids["subjects"].values())
    assert ids["miou"] == pytest.approx(np.nanmean(pixels.iou(matrix)))
    assert ids["iou"] == pytest.approx(pixels.iou(matrix).tolist())
    assert ids["labels"] == list(SEGMENTATION.labels)
    assert np.mean([s["leverage"] for s in ids["subjects"].values()]) == pytest.approx(ids["miou"])
    third = pixels.scores(DEPTH, sums["depth"][6:9].sum(0).numpy())
    assert depths["subjects"]["scene 2"] == {k: pytest.approx(v) for k, v in third.items() if k != "loss"} | {
        "images": 3
    }
    assert list(depths["subjects"]) == ["scene 0", "scene 2", "scene 3"], "one has no depth"
    assert (depths["unit"], depths["size"]) == ("m", 96)
    for name, each in assessed.items():
        for key, (low, high) in each["interval"].items():
            assert low <= each[key] <= high, (name, key)
    assert assessed["normals"]["interval"]["mean_angle"][1] > 1, "no share"


def test_of_very_many_subjects_little_is_kept_and_nothing_of_training() -> None:
    rows = scenes(MANY + 1, (SEGMENTATION,))
    sums = evaluate.answers(Painter((SEGMENTATION,)), rows)
    found = evaluate.assess(sums, rows, (SEGMENTATION,))["segmentation"]
    assert set(found["subjects"]["scene 7"]) == {"n", "images", "miou", "leverage"}
    assert evaluate.assess(sums, rows, (SEGMENTATION,), everyone=False)["segmentation"]["subjects"] == {}


def test_pixels_without_any_label_have_no_score() -> None:
    rows = scenes(6, (DEPTH,))
    rows.dense["depth"].values[:] = torch.nan  # type: ignore[attr-defined]
    found = evaluate.assess(evaluate.answers(Painter(), rows), rows, (DEPTH,))["depth"]
    assert (found["n"], found["rel_err"], found["subjects"]) == (0, None, {})
    assert set(found["interval"].values()) == {None}


def test_two_models_agree_on_the_share_of_labelled_pixels_that_they_say_the_same_of() -> None:
    rows, one, two = scenes(12), Painter(seed=0).train(), Painter((SEGMENTATION, DEPTH), seed=1)
    found = evaluate.agree(one, two, rows)
    assert one.training
    with torch.no_grad():
        ours, theirs = (model.eval()(rows.rows(torch.arange(12))).logits for model in (one, two))
    known = rows.dense["segmentation"].values != IGNORE  # type: ignore[attr-defined]
    same = ours["segmentation"].argmax(1) == theirs["segmentation"].argmax(1)
    assert found["segmentation"] == pytest.approx(float(same[known].double().mean()))
    assert set(found) == {"segmentation", "depth"}
    assert evaluate.agree(one, one, rows)["segmentation"] == evaluate.agree(one, one, rows)["normals"] == 1.0
    assert evaluate.agree(student(), student(), table(9)) == {}


def test_answers_for_every_pixel_are_stored_as_exactly_and_never_remembered_whole(tmp_path: Path) -> None:
    rows, model = scenes(6), Painter()
    made = evaluate.recalled(model, rows, tmp_path)
    again = evaluate.recalled(model, rows, tmp_path)
    assert all(torch.equal(made[name], again[name]) for name in made)
    assert {v.dtype for v in again.values()} == {torch.float64}
    with pytest.raises(UserError, match="too large to be remembered"):
        evaluate.remember(Frozen(model), rows)
