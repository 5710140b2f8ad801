"""Those who watch: they see everything in order and can change nothing."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from limbeck.errors import UserError
from limbeck.fit import fit
from limbeck.observers import Bar, Observer, TensorBoard, Together
from limbeck.teachers import fingerprint
from limbeck.workers import Told
from tests.toy_runs import PLAN, toy_run

CYCLES = PLAN.changed(schedule={"kind": "adaptive-clr", "half": 1, "steps": 20})


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.rows: list[dict[str, Any]] = []

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.told.append(("begins", at.name, step, steps))

    def stepped(self, step: int) -> None:
        self.told.append(("stepped", step))

    def logged(self, row: dict[str, Any]) -> None:
        self.told.append(("logged", row["event"], row["step"]))
        self.rows.append(row)

    def ends(self) -> None:
        self.told.append(("ends",))


class Meddles(Observer):
    """Changes whatever comes into its hands."""

    def stepped(self, step: int) -> None:
        torch.manual_seed(step)
        torch.rand(7)

    def logged(self, row: dict[str, Any]) -> None:
        for scores in row.get("scores", {}).values():
            scores["accuracy"] = 1.0 / row["step"]
        row.clear()


def test_every_step_and_row_is_told_once_and_in_order(tmp_path: Path) -> None:
    notes = Notes()
    fit(toy_run(), tmp_path / "a", [notes])
    assert notes.told[0] == ("begins", "a", 0, 24)
    assert notes.told[-1] == ("ends",)
    assert [t[1] for t in notes.told if t[0] == "stepped"] == list(range(1, 25))
    assert [t[2] for t in notes.told if t[:2] == ("logged", "train")] == list(range(1, 25))
    assert [(r["step"], r["model"], r["part"]) for r in notes.rows if r["event"] == "eval"] == [
        (step, *what)
        for step in (6, 12, 18, 24)
        for what in (("student", "valid"), ("ema", "valid"), ("student", "train"))
    ]


def test_with_and_without_observers_the_result_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    prints, journals = [], []
    for number, observers in enumerate(([], [Notes(), Bar(console)], [Meddles()])):
        models = fit(toy_run(), tmp_path / str(number), observers)
        prints.append([fingerprint(m) for m in models.values()])
        journals.append((tmp_path / str(number) / "metrics.jsonl").read_bytes())
    assert prints[0] == prints[1] == prints[2]
    assert journals[0] == journals[1] == journals[2]


def test_the_bar_shows_folder_steps_loss_and_scores(tmp_path: Path) -> None:
    out = io.StringIO()
    bar = Bar(Console(file=out, force_terminal=True, width=160))
    fit(toy_run(), tmp_path / "my-run", [bar])
    shown = out.getvalue()
    for part in ("my-run", "24/24", "loss ", "valid ", "% "):
        assert part in shown


def test_the_bar_tells_of_a_range_test_and_takes_the_rows_of_cycles(tmp_path: Path) -> None:
    out = io.StringIO()
    fit(toy_run(CYCLES), tmp_path, [Bar(Console(file=out, width=160))])
    assert "range test" in out.getvalue()
    assert "24/24" in out.getvalue()


def test_a_bar_that_never_began_may_end() -> None:
    bar = Bar(Console(file=io.StringIO()))
    bar.stepped(1)
    bar.ends()


def test_together_tells_all_of_them() -> None:
    notes = [Notes(), Notes()]
    together = Together(notes)
    together.begins(Path("x"), 1, 2)
    together.stepped(2)
    together.logged({"event": "train", "step": 2})
    together.ends()
    assert notes[0].told == notes[1].told
    assert [t[0] for t in notes[0].told] == ["begins", "stepped", "logged", "ends"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_every_row(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    notes = Notes()
    fit(toy_run(CYCLES), tmp_path, [TensorBoard(), notes])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [r["loss"] for r in notes.rows if r["event"] == "train"]
    assert [e.value for e in events.Scalars("train/loss")] == pytest.approx(losses)
    assert [e.step for e in events.Scalars("valid/ema/side accuracy")] == [6, 12, 18, 24]
    assert "train/soft(activity, ema)" in events.Tags()["scalars"]
    highs = [r["high"] for r in notes.rows if r["event"] == "cycle"]
    assert [e.value for e in events.Scalars("cycle/high")] == pytest.approx(highs)
    assert [e.step for e in events.Scalars("cycle/loss")] == [8, 16, 24]


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"limbeck\[track\]"):
        TensorBoard()


def test_what_a_recipe_says_reaches_the_terminal_and_no_observer_needs_to_listen() -> None:
    console = Console(file=io.StringIO(), width=80)
    Together([Bar(console), Told(lambda step, steps: None)]).said("teachers answer [once]")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "teachers answer [once]\n"
