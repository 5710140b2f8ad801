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


def test_costs_are_told_beside_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import cost

    cost.main(quick=True, rounds=1)
    said = capsys.readouterr().out
    assert "1 block against 2 blocks" in said
    assert "claimed      -90%     -60%        ?     -98%" in said


def test_help_is_given_without_torch() -> None:
    from benchmarks import startup

    startup.process(startup.HELP)()


def test_ratios_are_taken_within_a_round() -> None:
    from benchmarks import timing

    one = [timing.Spent(1.0, 2.0), timing.Spent(10.0, 20.0)]
    two = [timing.Spent(2.0, 2.0), timing.Spent(20.0, 20.0)]
    found = timing.ratios({"one": one, "two": two}, "one")
    assert (found["two"].low, found["two"].median, found["two"].high) == (2.0, 2.0, 2.0)


def test_decoupled_distillation_is_that_of_two_softmaxes(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import losses

    losses.main(quick=True, rounds=2)
    assert capsys.readouterr().out.count("loss and gradient") == 2


def test_preprocessing_is_that_of_the_loop_over_windows(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import preprocess

    preprocess.main(quick=True, rounds=2)
    told = capsys.readouterr().out
    assert told.count("largest difference, resampling window") == 2
    assert "714 windows" in told


def test_a_sweeps_run_is_that_with_its_teacher_alive(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import sweep

    sweep.main(quick=True, rounds=2)
    told = capsys.readouterr().out
    assert "1 block from 2, 34 windows, a run of 2 steps" in told
    assert "a run of 60 epochs" in told
    assert all(name in told for name in (*sweep.TAUGHT, sweep.ALIVE))


def test_persistence_images_are_those_of_all_peers(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import topology

    topology.main(quick=True, rounds=2)
    told = capsys.readouterr().out
    assert "equal to ripser's, gudhi's, cripser's" in told
    assert all(name in told for name in (topology.PUBLISHED, topology.IMAGER, "2 rounds", "times smaller"))


def test_an_epoch_with_two_teachers_is_that_of_the_published_form(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import mixup

    mixup.main(quick=True, rounds=2)
    told = capsys.readouterr().out
    assert "120 windows, an epoch with mixup" in told
    assert "120 windows, an epoch without mixup" in told
    assert "the paper tells 4.95" in told


def test_images_are_fed_at_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import images

    images.main(quick=True, rounds=2, source="")
    told = capsys.readouterr().out
    assert "limbeck, first pass, lazy" in told
    assert images.torchvision() is None or "torchvision, 2 workers" in told


def test_answers_over_views_are_the_mean_over_forward_passes(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import views

    views.main(quick=True, rounds=2)
    told = capsys.readouterr().out
    assert told.count("8 images, 9 views") == 4
    assert told.count(f"{views.BARE}, again (A/A)") == 4
