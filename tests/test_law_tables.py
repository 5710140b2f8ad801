import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from limbeck.law_tables import conclude, formula, print_laws
from limbeck.laws import curves
from tests.fake_studies import VARIANTS, scaling_study


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scaling_study(tmp_path_factory.mktemp("study"))


def test_a_study_of_sizes_ends_in_tables_a_plot_and_the_fits(out: Path) -> None:
    page = "\n".join(conclude(out))
    assert "## By student.blocks: data IEEE SPC 2015, split subject: heart rate" in page
    assert "| MAE bpm | 1 | 2 | 4 | 6 | 8 | 10 |" in page
    assert "|  | law | c, MAE bpm | levels off at | R^2 |" in page
    assert "exp(−0.5 N) + 8.90 | 8.90 [" in page
    assert "![Errors by student.blocks](scaling.svg)" in page
    assert "drawn again over seeds and subjects" in page
    assert (out / "scaling.svg").read_text().startswith("<svg ")
    told = json.loads((out / "scaling.json").read_text())
    assert (told["size"], len(told["curves"])) == ("student.blocks", len(VARIANTS))


def test_the_terminal_tells_the_same_laws(out: Path) -> None:
    console = Console(file=StringIO(), width=160)
    print_laws(out, console)
    said = console.file.getvalue()
    for curve in curves(out):
        assert curve.name in said
        assert formula(curve.told, curve.measure) in said


def test_what_is_in_doubt_is_told_once_for_all_that_share_it(tmp_path: Path) -> None:
    page = conclude(scaling_study(tmp_path, blocks=(1, 2, 4), seeds=(0,)))
    [doubt] = [line for line in page if "cannot tell a law of three parameters" in line]
    assert doubt.startswith("- scratch, soft from 2, dkd from 2, soft from 6, dkd from 6: not identified: 3 sizes")
    assert "| scratch |  |  |  |  |" in page


def test_a_saturation_beyond_what_was_measured_is_not_told(tmp_path: Path) -> None:
    page = "\n".join(conclude(scaling_study(tmp_path, blocks=(1, 2, 3, 4), seeds=(0, 1))))
    assert "beyond 4" in page


def test_a_study_without_a_size_says_nothing_of_laws(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"name": "older"}')
    console = Console(file=StringIO())
    print_laws(tmp_path, console)
    assert (conclude(tmp_path), console.file.getvalue()) == ([], "")
    assert not (tmp_path / "scaling.json").exists()
