"""Two processes do what one does, whatever labels each of them has."""

from pathlib import Path
from typing import Any

import pytest

from limbeck import checkpoint, journal
from limbeck.fit import fit
from tests import children


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    where = tmp_path_factory.mktemp("together")
    tasks = (children.words, children.uneven_gradients, children.trajectories)
    return {task.__name__: children.together(where / task.__name__, task) for task in tasks}


def test_sums_words_and_flags_go_to_all(parallel: dict[str, list[dict[str, Any]]]) -> None:
    for found in parallel["words"]:
        assert found == {"world": 2, "total": [2.0, 1.0], "leader": {"who": 0}, "anywhere": [True, False]}


@pytest.mark.parametrize("kind", children.KINDS)
def test_the_gradient_and_the_logged_loss_are_those_of_one_process(
    parallel: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    alone = children.gradients(children.uneven(kind))
    assert len(alone["gradient"]) > 100
    assert max(map(abs, alone["gradient"])) > 1e-3
    for found in parallel["uneven_gradients"]:
        assert found[kind]["gradient"] == pytest.approx(alone["gradient"], rel=1e-6, abs=1e-9)
        assert found[kind]["means"] == pytest.approx(alone["means"], rel=1e-6, abs=1e-12)


def test_trajectories_are_remembered_by_all_processes_as_by_one(parallel: dict[str, list[dict[str, Any]]]) -> None:
    alone = children.looked(range(1))
    assert max(alone["memory.count"]) == 4
    for found in parallel["trajectories"]:
        assert found.keys() == alone.keys()
        for name, values in alone.items():
            assert found[name] == pytest.approx(values, rel=1e-5), name


def test_a_whole_run_together_has_the_losses_of_one_alone(tmp_path: Path) -> None:
    one, two = children.together(tmp_path, children.whole_fit)
    assert one == two, "both give back the kept student, in evaluation mode"
    fit(children.smooth_run(rows=49), tmp_path / "alone")
    alike(tmp_path / "run", tmp_path / "alone")


def test_balanced_runs_with_rates_that_tune_themselves_are_together_as_they_are_alone(tmp_path: Path) -> None:
    children.together(tmp_path, children.balanced_fits)
    for balance in children.BALANCES:
        ours, alone = tmp_path / balance.kind, tmp_path / "alone" / balance.kind
        fit(children.balanced_run(balance), alone)
        alike(ours, alone)
        one, two = (checkpoint.read_json(at / "range.json") for at in (ours, alone))
        assert one["lrs"] == two["lrs"]
        assert one["losses"] == pytest.approx(two["losses"], rel=1e-4)
        assert sum(r["event"] == "cycle" for r in journal.rows(ours / "metrics.jsonl")) == 4


def alike(one: Path, two: Path) -> None:
    """Two runs have the same losses at the same steps."""
    rows, alone = (journal.rows(at / "metrics.jsonl") for at in (one, two))
    assert [(r["event"], r["step"]) for r in rows] == [(r["event"], r["step"]) for r in alone]
    for ours, theirs in zip(rows, alone, strict=True):
        if ours["event"] == "train":
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
            assert ours["terms"] == pytest.approx(theirs["terms"], rel=1e-4, abs=1e-6)
        if ours["event"] == "cycle":
            assert [ours["loss"], ours["high"]] == pytest.approx([theirs["loss"], theirs["high"]], rel=1e-4)


def test_one_that_is_asked_to_stop_stops_all_and_all_go_on_to_the_same_end(tmp_path: Path) -> None:
    for found in children.together(tmp_path, children.stopped_fit):
        assert [words.split()[1] for words in found["said"]] == ["at", "after"]
    for name in ("best/student.safetensors", "best/ema.safetensors", "metrics.jsonl", "finished.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
