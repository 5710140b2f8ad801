"""The benchmarks run, and their own proof that all sides do the same holds; nothing here is about time."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))


def test_a_step_is_the_one_written_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import step

    step.main(quick=True, rounds=2)
    assert "limbeck, cached teacher" in capsys.readouterr().out


def test_an_epoch_is_that_of_the_published_form(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import epoch

    epoch.main(quick=True, rounds=2)
    assert capsys.readouterr().out.count("windows, an epoch") == 2


def test_windows_are_those_of_the_list_of_slices(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import windows

    windows.main(quick=True, rounds=2)
    assert "limbeck, from its cache" in capsys.readouterr().out


def test_help_is_given_without_torch() -> None:
    from benchmarks import startup

    startup.process(startup.HELP)()


def test_ratios_are_taken_within_a_round() -> None:
    from benchmarks import timing

    one = [timing.Spent(1.0, 2.0), timing.Spent(10.0, 20.0)]
    two = [timing.Spent(2.0, 2.0), timing.Spent(20.0, 20.0)]
    found = timing.ratios({"one": one, "two": two}, "one")
    assert (found["two"].low, found["two"].median, found["two"].high) == (2.0, 2.0, 2.0)
