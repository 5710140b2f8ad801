"""A run that is cut anywhere, in any way, ends as one that is not: the same weights and rows, to the last bit."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from limbeck import fit as fit_module
from limbeck import journal
from limbeck.balance import Balance, GradNorm
from limbeck.fit import fit
from limbeck.observers import Observer
from tests.children import BALANCES, server, train, train_to_change
from tests.toy_runs import PLAN, toy_run

FILES = ("best/student.safetensors", "best/ema.safetensors", "best/model.json", "metrics.jsonl", "finished.json")
LONG: dict[str, Any] = {"steps": 60, "evaluations": 3}  # a row of means every fourth step
SHORT: dict[str, Any] = {"steps": 5, "evaluations": 2}


CYCLES: dict[str, Any] = {"schedule": {"kind": "adaptive-clr", "half": 0.5, "lowest": 1e-4, "steps": 20}}


def ends(at: Path) -> dict[str, bytes]:
    found = {name: (at / name).read_bytes() for name in FILES}
    return found | {path.name: path.read_bytes() for path in at.glob("range.json")}


def unbroken(at: Path, plan: dict[str, Any], balance: Balance | None = None) -> dict[str, bytes]:
    fit(toy_run(PLAN.changed(**plan), balance=balance), at)
    return ends(at)


def left_over(at: Path) -> list[str]:
    return [p.name for p in at.rglob("*") if p.name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("plan", "balance", "often"),
    [(LONG, None, 12), (LONG | CYCLES, GradNorm(), 5)],
    ids=["plain", "balanced, of rates that tune themselves"],
)
def test_killed_at_random_times_again_and_again(
    tmp_path: Path, plan: dict[str, Any], balance: Balance | None, often: int
) -> None:
    whole = unbroken(tmp_path / "whole", plan, balance)
    draw, kills, runs, steps = random.Random(0), 0, 0, set()
    deadline = time.monotonic() + 60
    while kills < often and time.monotonic() < deadline:
        at, save_every, patience = tmp_path / str(runs), (0.0, 60.0)[runs % 2], 1.0
        while not (at / "finished.json").exists():
            child = server().Process(target=train, args=(at, plan, save_every, balance))
            child.start()
            child.join(draw.uniform(0.05, 0.6) * patience)
            patience *= 1.1  # or a busy machine would never come to the next checkpoint
            if child.exitcode is None:
                child.kill()
                kills += 1
            child.join()
            steps.add(max((r["step"] for r in journal.rows(at / "metrics.jsonl")), default=0))
        fit(toy_run(PLAN.changed(**plan), balance=balance), at)
        assert ends(at) == whole, f"run {runs}"
        runs += 1
    assert kills >= often - 2
    assert len(steps) >= 4, "the kills fell at the same place"


@pytest.mark.parametrize("save_every", [0.0, 60.0])
def test_killed_before_a_change_to_a_file(tmp_path: Path, save_every: float) -> None:
    whole = unbroken(tmp_path / "whole", SHORT)
    killed = 0
    # Every third: a checkpoint makes a number of changes that 3 does not divide, so all of its points have their turn.
    for number in range(save_every == 0.0, 500, 3):
        at = tmp_path / str(number)
        child = server().Process(target=train_to_change, args=(at, SHORT, save_every, number))
        child.start()
        child.join(60)
        if (at / "finished.json").exists() and child.exitcode == 0:
            break
        killed += 1
        fit(toy_run(PLAN.changed(**SHORT)), at)
        assert ends(at) == whole, f"killed before change {number}"
        assert left_over(at) == []
    assert killed >= 10


class Cut(Exception):
    """Stops a run as nothing in Limbeck does."""


class Cuts(Observer):
    def __init__(self, at: int) -> None:
        self.at = at

    def stepped(self, step: int) -> None:
        if step == self.at:
            raise Cut


def cut(at: Path, step: int = 15) -> Path:
    """A run with checkpoints at steps 6 and 12, cut after 15."""
    with pytest.raises(Cut):
        fit(toy_run(), at, [Cuts(step)])
    assert sorted(p.name for p in (at / "last").iterdir()) == ["step-00000006", "step-00000012"]
    return at


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return unbroken(tmp_path_factory.mktemp("whole"), {})


@pytest.mark.parametrize("how", ["truncated", "flipped", "no manifest", "empty folder"])
def test_a_damaged_newest_checkpoint_is_set_aside_and_the_end_is_the_same(
    tmp_path: Path, whole: dict[str, bytes], how: str
) -> None:
    at = cut(tmp_path)
    newest = at / "last" / "step-00000012"
    state = newest / "state.safetensors"
    data = bytearray(state.read_bytes())
    if how == "truncated":
        state.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        data[-9] ^= 16
        state.write_bytes(data)
    else:
        (newest / "manifest.json").unlink()
        if how == "empty folder":
            state.unlink()
    begun = []

    class Begins(Observer):
        def begins(self, at: Path, step: int, steps: int) -> None:
            begun.append(step)

    fit(toy_run(), at, [Begins()])
    assert begun == [6]
    assert ends(at) == whole
    assert (at / "last" / "damaged-step-00000012").is_dir()


def test_with_all_checkpoints_damaged_it_starts_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    at = cut(tmp_path)
    for path in (at / "last").iterdir():
        (path / "manifest.json").write_text("{}")
    fit(toy_run(), at)
    assert ends(at) == whole


@pytest.mark.parametrize("torn", [b'{"event": "train", "step": 16, "lo', b"\x00" * 40, b'{"event": "train"'])
def test_a_torn_last_line_of_the_journal_is_made_good(tmp_path: Path, whole: dict[str, bytes], torn: bytes) -> None:
    at = cut(tmp_path)
    with (at / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    fit(toy_run(), at)
    assert ends(at) == whole


def test_a_run_killed_between_its_last_checkpoint_and_its_end_only_ends(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    fit(toy_run(), tmp_path)
    (tmp_path / "finished.json").unlink()
    stepped: list[int] = []

    class Steps(Observer):
        def stepped(self, step: int) -> None:
            stepped.append(step)

    fit(toy_run(), tmp_path, [Steps()])
    assert stepped == []
    assert ends(tmp_path) == whole


def test_when_checkpoints_are_written_does_not_change_the_result(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    with pytest.raises(Cut):
        fit(toy_run(), tmp_path, [Cuts(17)])
    assert sorted(p.name for p in (tmp_path / "last").iterdir()) == ["step-00000015", "step-00000016"]
    fit(toy_run(), tmp_path)
    assert ends(tmp_path) == whole


def test_a_run_cut_at_each_of_its_steps_in_turn_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row of means every fourth step, so that most cuts fall between two rows."""
    plan, before = PLAN.changed(evaluations=1), signal.getsignal(signal.SIGINT)
    whole = unbroken(tmp_path / "whole", {"evaluations": 1})
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    for step in range(2, 25):
        with pytest.raises(Cut):
            fit(toy_run(plan), tmp_path / "cut", [Cuts(step)])
    fit(toy_run(plan), tmp_path / "cut")
    assert ends(tmp_path / "cut") == whole
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("balance", BALANCES, ids=lambda balance: balance.kind)
def test_what_balances_tasks_and_tunes_rates_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balance: Balance
) -> None:
    plan = CYCLES | {"evaluations": 1}
    whole = unbroken(tmp_path / "whole", plan, balance)
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    for step in range(2, 25, 3):
        with pytest.raises(Cut):
            fit(toy_run(PLAN.changed(**plan), balance=balance), tmp_path / "cut", [Cuts(step)])
    fit(toy_run(PLAN.changed(**plan), balance=balance), tmp_path / "cut")
    assert ends(tmp_path / "cut") == whole
    rows = journal.rows(tmp_path / "cut" / "metrics.jsonl")
    assert len([r for r in rows if r["event"] == "cycle"]) == 6
    weights = {r["terms"]["weight(side)"] for r in rows if r["event"] == "train"}
    assert len(weights) > 2, "the weights did not move"
