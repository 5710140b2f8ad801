"""Means, intervals and differences against SciPy and the study's; grouping by data and split; names of methods."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from limbeck import evaluate
from limbeck.compare import Group, _differing, difference, groups, plain
from limbeck.finished import ValueScores, load
from limbeck.measures import ACCURACY, CLASSES
from limbeck.results import Run, pools, results, summarise, write_csv
from limbeck.statistics import average
from limbeck.tables import markdown
from tests.fake_hearts import HEART, heart_family, hearts, logits, write_heart_run
from tests.fake_runs import LEAKY_SPLIT, SUBJECT_SPLIT, family, write_run

F1 = CLASSES[1]
MEASURES = {measure.key: measure for measure in CLASSES}


def compared(*folders: Path) -> list[Group]:
    """The groups of some folders."""
    return groups([load(at) for at in folders])


@pytest.mark.parametrize("metric", ["macro_f1", "weighted_f1", "ece"])
def test_a_score_of_several_seeds_is_one_row_with_the_t_interval_of_their_mean(tmp_path: Path, metric: str) -> None:
    (group,) = compared(*(write_run(tmp_path / str(s), seed=s) for s in range(4)))
    entry = group.entries[0]
    values = [getattr(s, metric) for s in entry.scores("exercise")]
    found = entry.estimate("exercise", MEASURES[metric])
    assert found is not None
    assert len(values) == 4
    assert found.over == "seeds"
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, np.mean(values), stats.sem(values)))


def test_an_accuracy_of_several_seeds_has_an_interval_over_seeds_and_subjects(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / str(s), seed=s) for s in range(4)]
    (group,) = compared(*folders)
    tests = [json.loads((at / "scores.json").read_text())["models"]["student"]["parts"]["test"] for at in folders]
    found = group.entries[0].estimate("exercise", ACCURACY)
    assert found is not None
    assert found.over == "subjects and seeds"
    assert found.mean == pytest.approx(np.mean([test["exercise"]["accuracy"] for test in tests]))
    each = [{n: (s["n"], s["accuracy"]) for n, s in test["exercise"]["subjects"].items()} for test in tests]
    assert found == average(dict(enumerate(each)))


def test_an_accuracy_on_one_subject_has_the_t_interval_over_seeds(tmp_path: Path) -> None:
    (group,) = compared(*(write_run(tmp_path / str(s), seed=s, subjects=["1600"]) for s in range(4)))
    values = [s.accuracy for s in group.entries[0].scores("exercise")]
    found = group.entries[0].estimate("exercise", ACCURACY)
    assert found is not None
    assert len(set(values)) > 1
    assert found.over == "seeds"
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.002)


def test_seeds_that_all_do_the_same_do_not_make_an_accuracy_surer_than_its_subjects_do(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / str(s), seed=s) for s in range(4)]
    for at in folders[1:]:
        (at / "scores.json").write_text((folders[0] / "scores.json").read_text())
    (group,) = compared(*folders)
    found, f1 = (group.entries[0].estimate("exercise", measure) for measure in (ACCURACY, F1))
    assert found is not None
    assert found.over == "subjects and seeds"
    # All subjects have as many windows here.
    values = [s.accuracy for s in group.entries[0].scores("exercise")[0].subjects.values()]
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.002)
    assert f1 is not None
    assert (f1.low, f1.high) == pytest.approx((f1.mean, f1.mean))


def test_one_seed_has_the_interval_over_subjects(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"))
    scores = group.entries[0].scores("exercise")[0]
    found = group.entries[0].estimate("exercise", ACCURACY)
    assert found is not None
    assert found.over == "subjects"
    # All subjects have as many windows here.
    values = [s.accuracy for s in scores.subjects.values()]
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.002)
    found = group.entries[0].estimate("exercise", F1)
    assert found is not None
    assert scores.interval is not None
    assert (found.low, found.high) == scores.interval["macro_f1"]


def test_one_seed_and_one_subject_have_no_interval(tmp_path: Path) -> None:
    (group,) = compared(
        write_run(tmp_path / "a", subjects=["1600"]), write_run(tmp_path / "b", "sdd", subjects=["1600"])
    )
    found = group.entries[0].estimate("exercise", ACCURACY)
    assert found is not None
    assert (found.low, found.over) == (None, "")
    gap = difference(group.students[0], group.students[1], "exercise")
    assert (gap.low, gap.verdict) == (None, "no difference shown")


def test_a_difference_of_single_seeds_is_the_paired_t_interval_over_subjects(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", "hard-sharing"))
    one, two = group.students
    ours, theirs = ([s.accuracy for s in e.scores("exercise")[0].subjects.values()] for e in (one, two))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    gap = difference(one, two, "exercise")
    assert (gap.low, gap.high) == pytest.approx((expected.low, expected.high), abs=0.002)


@pytest.mark.parametrize("apart", [0, 4])
def test_a_difference_on_one_subject_is_the_paired_t_interval_over_seeds(tmp_path: Path, apart: int) -> None:
    ours = [write_run(tmp_path / f"a{s}", "smooth-distill", s, subjects=["1600"]) for s in range(4)]
    # Seeds that are not the same are paired in order.
    theirs = [write_run(tmp_path / f"b{s}", "sdd", s + apart, subjects=["1600"]) for s in range(4)]
    (group,) = compared(*ours, *theirs)
    one, two = group.students
    values = ([s.accuracy for s in e.scores("exercise")] for e in (one, two))
    expected = stats.ttest_rel(*values).confidence_interval(0.95)
    gap = difference(one, two, "exercise")
    assert (gap.low, gap.high) == pytest.approx((expected.low, expected.high), abs=0.005)
    assert gap.over == "seeds"


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_report_and_the_table_of_a_study_say_the_same(tmp_path: Path, seeds: int) -> None:
    cells = {f"{m} {s}": {"method": m, "seed": str(s)} for m in ("smooth-distill", "sdd") for s in range(seeds)}
    runs = [write_run(tmp_path / "cells" / k, v["method"], int(v["seed"]), trees=0.6) for k, v in cells.items()]
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    (tmp_path / "study.json").write_text(json.dumps({"compare": "method", "reference": "sdd"}))
    (group,) = compared(*runs)
    reference = next(e for e in group.students if e.method == "sdd")
    entries = {(e.method, e.model): e for e in group.entries}
    rows = summarise(tmp_path)
    assert len(rows) == 2 * len(group.entries) == 8
    for row in rows:
        entry, task = entries[row.key.name or row.key.model, row.key.model], row.key.task
        assert row.scores["accuracy"] == entry.estimate(task, ACCURACY)
        assert row.scores["macro_f1"] == entry.estimate(task, F1)
        assert row.difference == (None if entry is reference else difference(entry, reference, task))


def test_runs_of_one_seed_are_not_counted_as_two(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", skills={"exercise": 0.5, "device": 0.5}))
    assert group.entries[0].scores("exercise") == [group.runs[1].scored.models["student"].parts["test"]["exercise"]]


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"))
    gap = difference(group.entries[0], group.entries[0], "device")
    assert (gap.mean, gap.low, gap.high) == (0, 0, 0)


def test_subjects_count_by_their_windows(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", "hard-sharing"))
    one, two = group.students
    subjects = one.scores("exercise")[0].subjects
    gap = difference(one, two, "exercise")
    weighted = np.average(
        [s.accuracy - two.scores("exercise")[0].subjects[n].accuracy for n, s in subjects.items()],
        weights=[s.n for s in subjects.values()],
    )
    assert gap.mean == pytest.approx(weighted)


def test_runs_of_other_data_or_another_split_are_groups_of_their_own(tmp_path: Path) -> None:
    found = compared(
        write_run(tmp_path / "a"),
        write_run(tmp_path / "b", split=LEAKY_SPLIT),
        write_run(tmp_path / "c", "hard-sharing"),
        write_run(tmp_path / "d", name="MHEALTH"),
        write_run(tmp_path / "e", split=SUBJECT_SPLIT | {"seed": 1}),
    )
    assert [[r.at.name for r in g.runs] for g in found] == [["a", "c"], ["b"], ["d"], ["e"]]
    assert [g.leaky for g in found] == [False, True, False, False]
    assert found[1].split == "random-window (test 0.2, folds 5, fold 0, seed 42)"


def test_variants_of_one_method_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    (group,) = compared(*(write_run(tmp_path / str(lam), lam=lam) for lam in (0.2, 0.5)))
    assert [e.name for e in group.students] == ["smooth-distill (lam 0.2)", "smooth-distill (lam 0.5)"]


def test_seed_device_and_threads_do_not_make_another_method(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=7)
    recipe = json.loads((second / "recipe.json").read_text())
    recipe["plan"] |= {"device": "cuda", "threads": 8}
    (second / "recipe.json").write_text(json.dumps(recipe))
    (group,) = compared(first, second)
    assert len(group.students) == 1


def test_the_method_that_the_recipe_is_named_for_leads_whatever_the_order(tmp_path: Path) -> None:
    (group,) = compared(*reversed(family(tmp_path)))
    assert [(e.method, e.model) for e in group.entries][:2] == [
        ("smooth-distill", "student"),
        ("smooth-distill", "ema"),
    ]
    assert [plain(e) for e in group.students] == [False, True, True]


def test_trees_are_one_row_and_the_same_trees_are_not_counted_as_seeds(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a", trees=0.6), write_run(tmp_path / "b", "hard-sharing", trees=0.6))
    (trees,) = [e for e in group.entries if e.model == "trees"]
    assert len(trees.runs) == 2
    assert len(trees.scores("exercise")) == 1


def test_a_curve_is_the_mean_over_seeds_with_its_lowest_and_highest(tmp_path: Path) -> None:
    (group,) = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1))
    values = {run.at.name: {1.0: 10.0, 2.0: 20.0 if run.at.name == "a" else 30.0} for run in group.runs}
    values["a"][3.0] = 5.0
    assert group.entries[0].curve(lambda run: values[run.at.name]) == [(1.0, 10.0, 10.0, 10.0), (2.0, 25.0, 20.0, 30.0)]


def test_errors_of_seeds_and_subjects_have_the_interval_of_the_same_bootstrap(tmp_path: Path) -> None:
    (group,) = compared(*heart_family(tmp_path, seeds=(0, 1, 2)))
    mae, rmse, *_ = group.measures("heart rate")
    assert (mae.key, mae.unit) == ("mae", "bpm")
    found = group.entries[0].estimate("heart rate", mae)
    assert found is not None
    each = [s.counts for s in group.entries[0].scores("heart rate")]
    assert found == average(dict(enumerate(each)), (0.0, np.inf))
    assert found.mean == pytest.approx(np.mean([s.mae for s in group.entries[0].scores("heart rate")]))
    values = [s.rmse for s in group.entries[0].scores("heart rate")]
    second = group.entries[0].estimate("heart rate", rmse)
    assert second is not None
    assert (second.low, second.high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))


def test_a_lower_error_is_the_better_one(tmp_path: Path) -> None:
    (group,) = compared(*heart_family(tmp_path, seeds=(0, 1, 2)))
    distilled, scratch = group.students
    assert (distilled.method, scratch.method) == ("dkd", "scratch")
    gap = difference(distilled, scratch, "heart rate")
    assert gap.mean < 0
    assert gap.verdict == "better"
    assert difference(scratch, distilled, "heart rate").verdict == "worse"


def test_the_table_of_a_study_of_heart_rates_says_what_the_report_says(tmp_path: Path) -> None:
    cells = {f"{m} {s}": {"strategy": m, "seed": str(s)} for m in ("dkd", "scratch") for s in range(3)}
    runs = heart_family(tmp_path / "cells", seeds=(0, 1, 2))
    for name, at in zip(cells, runs, strict=True):
        at.rename(at.with_name(name))
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    (tmp_path / "study.json").write_text(
        json.dumps({"name": "beats", "grid": {}, "compare": "strategy", "reference": "scratch"})
    )
    (group,) = compared(*(at.with_name(name) for name, at in zip(cells, runs, strict=True)))
    entries = {(e.method, e.model): e for e in group.entries}
    rows = summarise(tmp_path)
    # The teacher is the same beside both, and stands once.
    assert (len(rows), len(group.entries)) == (4, 4)
    for row in rows:
        entry = entries[row.key.name or row.key.model, row.key.model]
        for measure in group.measures("heart rate"):
            assert row.scores[measure.key] == entry.estimate("heart rate", measure)
    told = {(row.key.name, row.key.model): row.difference and row.difference.verdict for row in rows}
    assert (told["dkd", "student"], told["", "teacher"]) == ("better", "better")
    page = markdown(tmp_path, rows)
    assert "| MAE bpm | RMSE bpm | difference | so it is |" in page
    assert "Difference: of MAE to scratch, in bpm (lower is better), over subjects and seeds" in page
    assert "of an MAE over seeds and subjects (bootstrap), of RMSE over seeds" in page
    write_csv(results(tmp_path), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    first = next(line for line in lines if (line["cell"], line["model"], line["part"]) == ("dkd 0", "student", "test"))
    assert float(first["mae"]) == group.entries[0].scores("heart rate")[0].mae
    assert "accuracy" not in first
    assert next(line for line in lines if line["model"] == "peaks")["coverage"] == ""


def test_folds_of_real_values_are_pooled_to_what_one_test_would_have_been() -> None:
    rows = hearts()
    answer = {"heart rate": logits(rows, 4.0, 0)}

    def scored(at: np.ndarray) -> ValueScores:
        found = evaluate.assess({k: v[at] for k, v in answer.items()}, rows.take(at), [HEART])
        return ValueScores.model_validate(found["heart rate"])

    first = rows.meta["subject"] < "S3"
    parts = {("0", "", str(n)): Run(scored(at), True, False) for n, at in enumerate((first, ~first))}
    ((_, pooled),) = pools(parts).items()
    whole = scored(np.ones(len(rows), bool))
    assert isinstance(pooled, ValueScores)
    for key in ("n", "mae", "rmse", "within_5", "bias", "loss", "coverage", "width", "entropy", "mae_argmax"):
        assert pooled.value(key) == pytest.approx(whole.value(key)), key
    assert pooled.counts == whole.counts
    assert pooled.r is None
    assert pooled.unit == "bpm"


def test_a_study_of_both_kinds_has_the_columns_of_both(tmp_path: Path) -> None:
    write_heart_run(tmp_path / "cells" / "a", mixed=True)
    (tmp_path / "cells.json").write_text('{"a": {"seed": "0"}}')
    (tmp_path / "study.json").write_text('{"compare": "method", "reference": null, "grid": {}, "name": "both"}')
    write_csv(results(tmp_path), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        lines = {(line["task"], line["part"]): line for line in csv.DictReader(file) if line["model"] == "student"}
    assert lines["device", "test"]["mae"] == ""
    assert lines["heart rate", "test"]["accuracy"] == ""
    assert float(lines["device", "test"]["accuracy"]) > 0.5
    assert float(lines["heart rate", "test"]["mae"]) > 1
    tables = markdown(tmp_path, summarise(tmp_path))
    assert "| accuracy % | macro-F1 % |" in tables
    assert "| MAE bpm | RMSE bpm |" in tables


def test_what_differs_in_a_spec_of_another_kind_is_not_told_twice() -> None:
    plain: dict[str, object] = {"w": 0.7, "mix": "none"}
    small = {"w": 0.7, "mix": "mixup", "mix.alpha1": 0.1, "mix.share": 1.0}
    large = small | {"mix.alpha1": 0.4}
    other = {"w": 0.2, "mix": "cutmix", "mix.alpha1": 1.0}
    values = [plain, small, large, other]
    assert [", ".join(_differing(value, values)) for value in values] == [
        "w 0.7, mix none",
        "w 0.7, mix mixup, mix.alpha1 0.1",
        "w 0.7, mix mixup, mix.alpha1 0.4",
        "w 0.2, mix cutmix",
    ]
    assert list(_differing(plain, [plain, plain | {"new": 1}])) == ["no new"]


def test_a_teacher_named_as_its_method_is_not_taken_for_it(tmp_path: Path) -> None:
    at = write_run(tmp_path / "oracle", method="oracle", trees=0.6)
    scores = json.loads((at / "scores.json").read_text())
    scores["models"]["oracle"] = scores["models"]["student"]
    (at / "scores.json").write_text(json.dumps(scores))
    (group,) = compared(at)
    told = {e.model: (e.name, e.role, e.alone) for e in group.entries if e.model in ("student", "oracle", "trees")}
    assert told == {
        "student": ("oracle", "student", True),
        "oracle": ("oracle, teacher", "teacher", False),
        "trees": ("trees", "classical", True),
    }


def test_a_teacher_that_several_methods_share_is_one_row_by_its_own_name(tmp_path: Path) -> None:
    folders = []
    for method in ("oracle", "hard-sharing"):
        at = write_run(tmp_path / method, method=method)
        scores = json.loads((at / "scores.json").read_text())
        scores["models"] = {name: scores["models"][name] for name in ("student", "trees") if name in scores["models"]}
        folders.append((at, scores))
    shared = folders[0][1]["models"]["student"]
    for at, scores in folders:
        scores["models"]["oracle-teacher"] = shared
        (at / "scores.json").write_text(json.dumps(scores))
    (group,) = compared(*(at for at, _ in folders))
    assert [e.name for e in group.entries if e.size.parameters] == ["oracle", "oracle-teacher", "hard-sharing"]
    at, scores = folders[1]
    scores["models"]["oracle-teacher"] = scores["models"]["student"]
    (at / "scores.json").write_text(json.dumps(scores))
    (group,) = compared(*(at for at, _ in folders))
    assert [e.name for e in group.entries if e.size.parameters] == [
        "oracle", "oracle, oracle-teacher", "hard-sharing", "hard-sharing, oracle-teacher"
    ]  # fmt: skip
