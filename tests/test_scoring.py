"""Scores of a run on other recordings: classes by name, values as they are; each kind in its own table."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from limbeck import evaluate, scoring
from limbeck.checkpoint import write_json
from limbeck.data.source import Table
from limbeck.errors import UserError
from limbeck.models import ResNet1D
from limbeck.renamed import translated
from limbeck.tasks import IGNORE, Task
from limbeck.words import samples
from tests.conftest import TASKS, table
from tests.fake_hearts import HEART, hearts, logits
from tests.fake_scenes import ASKED, DEPTH, NORMALS, Painter, scenes
from tests.toy_runs import student


def found(rows: Table, models: dict[str, dict[str, torch.Tensor]], tasks: tuple[Task, ...]) -> dict[str, Any]:
    """As `scoring.evaluate` gives it."""
    return {
        "data": "toys",
        "part": "test",
        "windows": len(rows),
        "samples": samples(rows.card),
        "subjects": len(set(rows.meta["subject"].tolist())),
        "flatters": "",
        "models": {name: evaluate.assess(answer, rows, tasks) for name, answer in models.items()},
        "agreement": {n: evaluate.agreement(models["student"], a, tasks) for n, a in models.items() if n != "student"},
    }


def printed(scores: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    scoring.print_scores(scores, Console(file=out, width=220))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_real_values_are_printed_in_their_unit_by_subject_and_by_activity() -> None:
    rows = hearts()
    plain = torch.nan_to_num(rows.targets["heart rate"], nan=70.0)[:, None] + 3
    answers = {"student": {"heart rate": logits(rows, 4.0, 0)}, "peaks": {"heart rate": plain}}
    scores = found(rows, answers, (HEART,))
    lines = printed(scores)
    ours = scores["models"]["student"]["heart rate"]
    assert lines[1] == "heart rate student peaks"
    low, high = ours["interval"]["mae"]
    assert lines[2] == f"MAE bpm {ours['mae']:.2f} 3.00"
    assert lines[3].startswith(f"95 % over subjects {low:.2f} - {high:.2f} ")
    assert lines[4] == f"RMSE {ours['rmse']:.2f} 3.00"
    assert f"truths in 95 % interval {100 * ours['coverage']:.1f}%" in lines, "peaks gives no distribution"
    assert f"S3 {ours['subjects']['S3']['mae']:.2f}" in lines
    assert f"run {ours['groups']['activity']['run']['mae']:.2f}" in lines
    assert lines[-1].startswith("student and peaks agree: heart rate ")
    assert lines[-1].endswith("% (within 5 bpm)")


def test_classes_are_printed_in_percent_as_ever() -> None:
    rows = table(60)
    scores = found(
        rows, {"student": evaluate.answers(student(), rows), "ema": evaluate.answers(student(1), rows)}, TASKS
    )
    lines, side = printed(scores), scores["models"]["student"]["side"]
    assert lines[1] == "model task accuracy 95 % over subjects macro-F1 weighted-F1 ECE n"
    low, high = side["interval"]["accuracy"]
    assert (
        f"student side {side['accuracy']:.1%} {low:.1%} - {high:.1%} {side['macro_f1']:.1%} {side['weighted_f1']:.1%} "
        f"{side['ece']:.3f} 60"
    ) in lines
    assert "subject activity side" in lines
    assert lines[-1].startswith("student and ema agree: activity ")


def test_images_of_as_many_people_are_called_so_and_people_are_counted_not_listed() -> None:
    rows = table(90, subjects=90)
    rows.card["modality"] = "image"  # type: ignore[index]
    ages = Task("activity", 3, TASKS[0].labels, unit="years", middles=(1.0, 5.0, 30.0))
    scores = found(rows, {"student": evaluate.answers(student(), rows)}, (ages, TASKS[1]))
    lines, age, side = printed(scores), *scores["models"]["student"].values()
    assert lines[0] == "toys, test: 90 images"
    assert lines[1] == "model task accuracy 95 % over images one-off MAE years macro-F1 weighted-F1 ECE n"
    assert f"{age['one_off']:.1%} {age['mae']:.2f} {age['macro_f1']:.1%}" in lines[2]
    assert f"{side['interval']['accuracy'][1]:.1%} {side['macro_f1']:.1%}" in lines[3], "no columns of its own"
    assert lines[4:] == ["90 subjects, too many to be listed"]


def test_joined_sets_are_printed_in_a_table_each_row_a_set() -> None:
    rows = table(60)
    rows.meta["domain"] = np.array(["photos", "pool"]).repeat(30)  # type: ignore[index]
    scores = found(rows, {"student": evaluate.answers(student(), rows)}, TASKS)
    lines, told = printed(scores), scores["models"]["student"]
    assert "data set activity side" in lines
    for name in ("photos", "pool"):
        assert f"{name} " + " ".join(f"{told[t]['domains'][name]['accuracy']:.1%}" for t in told) in lines


def test_both_kinds_are_printed_in_a_table_each() -> None:
    rows, speed = table(60), Task("speed", unit="m/s")
    rows.targets["speed"] = torch.arange(60.0)  # type: ignore[index]
    tasks = (*TASKS, speed)
    answer = {**evaluate.answers(student(), rows), "speed": torch.arange(60.0)[:, None] + 0.5}
    lines = printed(found(rows, {"student": answer}, tasks))
    assert "MAE m/s 0.50" in lines
    assert "subject activity side speed" in lines


def test_real_targets_stay_and_a_task_that_the_recordings_lack_is_missing() -> None:
    rows = hearts()
    made = translated(rows, (HEART, *TASKS))
    assert torch.equal(made.targets["heart rate"].nan_to_num(), rows.targets["heart rate"].nan_to_num())
    assert (made.targets["side"] == IGNORE).all()
    beats = translated(table(9), (*TASKS, HEART)).targets["heart rate"]
    assert beats.isnan().all()


def test_values_are_not_taken_for_classes_nor_for_another_unit() -> None:
    for task, said in (
        (Task.of("heart rate", ("low", "high")), "has values in bpm in the recordings, but classes in the model"),
        (Task("heart rate", unit="Hz"), "has values in bpm in the recordings, but values in Hz in the model"),
    ):
        with pytest.raises(UserError, match=said):
            translated(hearts(), (task,))


def test_a_model_that_scales_each_window_takes_any_unit(tmp_path: Any) -> None:
    write_json(tmp_path / "data.json", {"rate": 20.0, "unit": "g"})
    other = Table(TASKS, table(9).inputs, table(9).targets, table(9).meta, {"rate": 20.0, "unit": "mV"})
    for how, fits in (("window", True), ("channel", False)):
        model = ResNet1D(blocks=1, width=4, normalise=how).build(TASKS, (3, 40))  # type: ignore[arg-type]
        assert scoring._unitless(model) is fits
        if fits:
            scoring.fits(tmp_path, other, model)
        else:
            with pytest.raises(UserError, match="windows of unit g, these have unit mV"):
                scoring.fits(tmp_path, other, model)


def test_windows_filtered_otherwise_are_refused_with_what_to_set(tmp_path: Any) -> None:
    def card(low: float, how: str) -> dict[str, Any]:
        return {"channels": ["ppg"], "filter": {"band": [low, 4.0], "order": 4, "how": how}}

    write_json(tmp_path / "data.json", card(0.5, "zero-phase"))
    scaled = ResNet1D(blocks=1, width=4, normalise="window").build(TASKS, (3, 40))
    for theirs, said in (
        (
            card(0.4, "zero-phase"),
            r"filter 0\.5 to 4 Hz, zero-phase, these have filter 0\.4 to 4 Hz, zero-phase",
        ),
        (card(0.5, "one-pass"), r"have filter 0\.5 to 4 Hz, one-pass; set --data\.band and --data\.filtering alike"),
        ({"channels": ["ppg"], "filter": None}, "these have filter none"),
        (
            card(0.5, "zero-phase") | {"channels": ["ppg", "acc_x"]},
            "channels ppg, these have channels ppg, acc_x",
        ),
    ):
        with pytest.raises(UserError, match=said):
            scoring.fits(tmp_path, Table(TASKS, table(9).inputs, table(9).targets, table(9).meta, theirs), scaled)
    same = Table(TASKS, table(9).inputs, table(9).targets, table(9).meta, card(0.5, "zero-phase"))
    scoring.fits(tmp_path, same, scaled)


def test_pixels_are_printed_in_a_table_each_task_with_the_iou_of_every_class() -> None:
    rows = scenes(12)
    models = {"student": Painter(seed=0), "teacher": Painter((DEPTH, NORMALS), seed=1)}
    scores = found(rows, {name: evaluate.answers(model, rows) for name, model in models.items()}, ())
    for name, model in models.items():
        scores["models"][name] = evaluate.assess(evaluate.answers(model, rows), rows, ASKED)
    scores["agreement"] = {"teacher": evaluate.agree(models["student"], models["teacher"], rows)}
    lines, told = printed(scores), scores["models"]
    ids, depths = told["student"]["segmentation"], told["student"]["depth"]
    assert lines[0] == "toys, test: 12 images"
    assert f"mIoU % {ids['miou']:.1%}" in lines
    low, high = ids["interval"]["miou"]
    assert f"95 % over images {low:.1%} - {high:.1%}" in lines
    assert f"IoU of sign {ids['iou'][3]:.1%}" in lines
    assert f"relative error {depths['rel_err']:.3f} {told['teacher']['depth']['rel_err']:.3f}" in lines
    assert f"absolute error m {depths['abs_err']:.3f} {told['teacher']['depth']['abs_err']:.3f}" in lines
    assert any(line.startswith("mean angle ° ") for line in lines)
    assert f"pixels {depths['n']} {depths['n']}" in lines
    agreed = " ".join(lines[lines.index(next(line for line in lines if " agree: " in line)) :])
    assert "depth " in agreed
    assert "(within 1.25 times)" in agreed
    assert "(within 11.25°)" in agreed
    own = ids["subjects"]["scene 3"]["miou"], depths["subjects"]["scene 3"]["rel_err"]
    assert any(line.startswith(f"scene 3 {own[0]:.1%} {own[1]:.3f} ") for line in lines)
