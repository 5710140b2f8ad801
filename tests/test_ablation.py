"""The table of variants: their scores, and what they gain over a network a task, seed by seed."""

import json
import re
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from limbeck.ablation import GAINS, Section, section
from limbeck.compare import groups
from limbeck.finished import load
from limbeck.report import report
from tests.fake_runs import family
from tests.fake_streets import street_family, write_street_run
from tests.test_pictures_report import TABLE
from tests.test_report import plain_text

FIRST = {"segmentation": ("miou", "pixel_accuracy"), "depth": ("rel_err", "abs_err"),
         "normals": ("mean_angle", "median_angle")}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four variants with two seeds each."""
    return street_family(tmp_path_factory.mktemp("streets"), table=TABLE, drawn=False)


def told(runs: list[Path]) -> Section:
    found = section(groups([load(at) for at in runs])[0])
    assert found
    return found


def change(at: Path, base: Path, count: int) -> float:
    """Delta_m by its definition."""
    new, old = (json.loads((p / "scores.json").read_text())["models"]["student"]["parts"]["test"] for p in (at, base))
    signs = {"segmentation": 1, "depth": -1, "normals": -1}
    return 100 * fmean(
        fmean(signs[t] * (new[t][k] - old[t][k]) / old[t][k] for k in keys[:count]) for t, keys in FIRST.items()
    )


def test_gains_are_the_means_over_seeds_of_both_definitions(runs: list[Path]) -> None:
    found, at = told(runs), {path.name: path for path in runs}
    assert [row.entry.name for row in found.rows] == ["joint-distill", "naive", "single-task", "dwa"]
    assert found.reference == "single-task"
    assert {task: tuple(m.key for m in measures) for task, measures in found.measures.items()} == FIRST
    for row in found.rows:
        for place, count in enumerate((2, 1)):
            gain = row.gains[place]
            if row.entry.name == "single-task":
                assert gain is None
                continue
            each = [change(at[f"{row.entry.name}-{seed}"], at[f"single-task-{seed}"], count) for seed in (0, 1)]
            assert gain
            assert gain.mean == pytest.approx(np.mean(each))
            half = 12.706204736 * np.std(each, ddof=1) / 2**0.5  # t of one degree of freedom
            assert (gain.low, gain.high) == (pytest.approx(gain.mean - half), pytest.approx(gain.mean + half))


def test_the_page_shows_them_with_their_sign(runs: list[Path], tmp_path: Path) -> None:
    page = report(runs, tmp_path / "out.html").read_text()
    part = page[page.index('id="ablation1"') : page.index('id="curves1"')]
    for row in told(runs).rows:
        for measure, gain in zip(GAINS, row.gains, strict=True):
            assert gain is None or f"<b>{measure.number(gain.mean, '+')}</b>" in part
    assert plain_text(part).count("reference") == 2
    assert len(re.findall("<tr", part)) == 6


def test_without_a_network_a_task_there_is_no_gain(runs: list[Path], tmp_path: Path) -> None:
    some = [at for at in runs if not at.name.startswith("single-task")]
    found = told(some)
    assert (found.reference, found.gains, len(found.rows)) == (None, (), 3)
    assert "nothing to tell a gain against" in report(some, tmp_path / "out.html").read_text()


def test_variants_of_one_method_are_told_apart(runs: list[Path], tmp_path: Path) -> None:
    other = write_street_run(tmp_path / "a", table=TABLE, drawn=False, lam=0.0)
    names = [row.entry.name for row in told([runs[0], other]).rows]
    assert names == ["joint-distill (lam 0.5)", "joint-distill (lam 0.0)"]


def test_one_run_and_other_recipes_have_no_such_table(runs: list[Path], tmp_path: Path) -> None:
    for some in (runs[:2], family(tmp_path)):
        assert section(groups([load(at) for at in some])[0]) is None
