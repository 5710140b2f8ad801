"""The sentence claims no more than the paired intervals allow, whichever way they point."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.compare import LEAK, Group, groups
from limbeck.finished import load
from limbeck.measures import ACCURACY
from limbeck.verdict import cautions, reference, verdict
from tests.fake_hearts import write_heart_run
from tests.fake_runs import LEAKY_SPLIT, write_run


def group(root: Path, ours: Mapping[str, float], theirs: Mapping[str, float], trees: float | None = None) -> Group:
    """smooth-distill against hard-sharing, of such accuracies."""
    folders = [
        write_run(root / "ours", "smooth-distill", 0, ours, trees=trees),
        write_run(root / "theirs", "hard-sharing", 0, theirs),
    ]
    return groups([load(at) for at in folders])[0]


def test_it_says_helped_only_where_the_interval_is_above_zero(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.8, "device": 0.95}, {"exercise": 0.6, "device": 0.7}))
    assert said.endswith("; distillation helped here.")
    assert "points above hard-sharing (+" in said


def test_it_says_harm_where_the_interval_is_below_zero(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.6, "device": 0.7}, {"exercise": 0.8, "device": 0.95}))
    assert said.endswith("; distillation did harm here.")
    assert "points below hard-sharing (−" in said


def test_it_claims_nothing_where_the_interval_holds_zero(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.713, "device": 0.89}, {"exercise": 0.71, "device": 0.89}))
    assert said.endswith("; no help from distillation is shown here.")
    assert "helped" not in said


def test_tasks_that_disagree_are_told_apart(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.6, "device": 0.95}, {"exercise": 0.8, "device": 0.7}))
    assert said.endswith("; distillation helped on device and did harm on exercise.")


def test_a_help_on_one_task_is_not_claimed_for_the_other(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.71, "device": 0.95}, {"exercise": 0.71, "device": 0.7}))
    assert said.endswith("; distillation helped on device, and no help from distillation is shown on exercise.")


def test_trees_that_do_better_are_named(tmp_path: Path) -> None:
    said = verdict(group(tmp_path, {"exercise": 0.6, "device": 0.8}, {"exercise": 0.6, "device": 0.8}, trees=0.97))
    assert "; trees do better on exercise by 3" in said


def test_trees_that_score_higher_without_proof_are_named_as_that(tmp_path: Path) -> None:
    skills, few = {"exercise": 0.6, "device": 0.8}, ["1600", "1601"]
    at = write_run(tmp_path / "a", "smooth-distill", 0, skills, trees=0.83, subjects=few)
    said = verdict(groups([load(at)])[0])
    assert "; trees score 8" in said
    assert said.endswith("higher but not shown to be better.")


def test_a_score_is_given_with_its_interval(tmp_path: Path) -> None:
    found = group(tmp_path, {"exercise": 0.7}, {"exercise": 0.7})
    estimate = found.entries[0].estimate("exercise", ACCURACY)
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    interval = f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}"
    assert f"{100 * estimate.mean:.1f}\u00a0% ({interval}) on exercise" in verdict(found)


def test_without_a_baseline_it_says_that_nothing_can_be_said(tmp_path: Path) -> None:
    (alone,) = groups([load(write_run(tmp_path / "a"))])
    assert reference(alone) is None
    assert verdict(alone).startswith("The student scores ")
    assert "these runs cannot say whether distillation helped" in verdict(alone)


def test_a_method_that_does_not_distil_is_not_said_to(tmp_path: Path) -> None:
    skills = {"exercise": 0.8, "device": 0.95}
    (found,) = groups(
        [load(write_run(tmp_path / "a", "hard-sharing", 0, skills)), load(write_run(tmp_path / "b", "cross-task"))]
    )
    assert "distillation" not in verdict(found)
    assert "hard-sharing is better" in verdict(found)


def test_a_leaky_split_marks_the_sentence_and_leads_the_cautions(tmp_path: Path) -> None:
    (found,) = groups([load(write_run(tmp_path / "a", split=LEAKY_SPLIT))])
    assert LEAK in verdict(found)
    assert cautions(found)[0].startswith("Leaky split")


def test_few_subjects_one_seed_and_missing_classes_are_cautioned_against(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a", subjects=["1600", "1601"])
    splits = json.loads((at / "splits.json").read_text())
    splits["audit"]["classes absent from training"]["exercise"] = ["catch"]
    (at / "splits.json").write_text(json.dumps(splits))
    said = " ".join(cautions(groups([load(at)])[0]))
    assert "No training window has catch (exercise)" in said
    assert "Only 2 subjects are in the test" in said
    assert "One seed of smooth-distill" in said


def test_seeds_that_do_not_match_are_cautioned_against(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / str(s), seed=s) for s in (0, 1)]
    folders += [write_run(tmp_path / name, "hard-sharing") for name in "ab"]
    said = " ".join(cautions(groups([load(at) for at in folders])[0]))
    assert "Several runs of hard-sharing have one seed" in said
    assert "One seed of hard-sharing" in said
    assert "Not all methods were run with the same seeds" in said
    assert "Not all methods" not in " ".join(cautions(groups([load(folders[0]), load(folders[2])])[0]))


def test_methods_kept_by_other_rules_or_trained_longer_are_cautioned_against(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a")
    second = write_run(tmp_path / "b", "hard-sharing", select="macro_f1")
    lines = (second / "metrics.jsonl").read_text().splitlines()
    (second / "metrics.jsonl").write_text("\n".join(lines[: len(lines) // 2]))
    said = " ".join(cautions(groups([load(first), load(second)])[0]))
    assert "different rules" in said
    assert "not trained" in said.lower() or "equally long" in said


def hearts(root: Path, ours: float, theirs: float, **others: Any) -> Group:
    """dkd against scratch, off by about so many bpm."""
    folders = [
        write_heart_run(root / f"{name}{seed}", name, seed, spread, **others)
        for name, spread in (("dkd", ours), ("scratch", theirs))
        for seed in (0, 1, 2)
    ]
    return groups([load(at) for at in folders])[0]


def test_a_lower_error_is_said_to_help_and_a_higher_one_to_harm(tmp_path: Path) -> None:
    found = hearts(tmp_path / "up", 3.0, 5.0)
    said, mae = verdict(found), found.measures("heart rate")[0]
    estimate = found.entries[0].estimate("heart rate", mae)
    assert estimate is not None
    told = f"The dkd student scores an MAE of {estimate.mean:.2f}\u00a0bpm ({mae.span(estimate.low, estimate.high)})"
    assert said.startswith(told + " on heart rate, ")
    assert " bpm below scratch (−" in said
    assert said.endswith("; distillation helped here.")
    said = verdict(hearts(tmp_path / "down", 5.0, 3.0))
    assert " bpm above scratch (+" in said
    assert "; distillation did harm here" in said


def test_errors_that_are_alike_claim_nothing(tmp_path: Path) -> None:
    assert "; no help from distillation is shown here" in verdict(hearts(tmp_path, 4.0, 4.0))


def test_classes_and_values_are_told_in_one_sentence_each_in_its_unit(tmp_path: Path) -> None:
    said = verdict(hearts(tmp_path, 3.0, 5.0, mixed=True))
    assert re.search(
        r"scores \d\d\.\d\u00a0% \(.*\) on exercise, .* and an MAE of \d\.\d\d\u00a0bpm \(.*\) on heart", said
    )
    assert "helped on heart rate, and no help from distillation is shown on exercise and device" in said


def test_a_classical_row_that_errs_less_is_named(tmp_path: Path) -> None:
    said = verdict(hearts(tmp_path, 14.0, 15.0))
    assert re.search(r"; peaks do better on heart rate by \d+\.\d\d bpm\.$", said)


def test_a_model_that_is_too_sure_is_cautioned_against(tmp_path: Path) -> None:
    sure = groups([load(write_heart_run(tmp_path / "a", wide=0.3))])[0]
    (said,) = [line for line in cautions(sure) if "95 %" in line]
    assert re.fullmatch(
        r"The 95 % intervals of dkd hold the true heart rate in \d\d % of windows: it is surer than it may be\.", said
    )
    unsure = groups([load(write_heart_run(tmp_path / "b", wide=4.0))])[0]
    assert any("less sure than it could be" in line for line in cautions(unsure))
    honest = groups([load(write_heart_run(tmp_path / "c"))])[0]
    assert not any("95 %" in line for line in cautions(honest))
