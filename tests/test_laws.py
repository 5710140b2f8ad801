import json
import math
from pathlib import Path

import numpy as np
import pytest

from limbeck.config import parse
from limbeck.errors import UserError
from limbeck.grid import Study
from limbeck.laws import Curve, curves, plain, unit
from limbeck.measures import ACCURACY
from limbeck.results import summarise
from limbeck.scaling import EXPONENTIAL, POWER, fit
from tests.fake_studies import BLOCKS, PARAMETERS, cells, scaling_study, scores, values, write_cell
from tests.toy_recipe import Toy


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Curve]:
    return curves(scaling_study(tmp_path_factory.mktemp("study")))


def test_there_is_a_curve_for_each_method_with_the_panel_of_its_teacher(found: list[Curve]) -> None:
    assert [(curve.name, curve.panel) for curve in found] == [
        ("scratch", ""), ("soft from 2", "teacher.blocks 2"), ("dkd from 2", "teacher.blocks 2"),
        ("soft from 6", "teacher.blocks 6"), ("dkd from 6", "teacher.blocks 6"),
    ]  # fmt: skip
    assert {(curve.group, curve.task) for curve in found} == {("data IEEE SPC 2015, split subject", "heart rate")}
    assert found[0].parameters == {n: PARAMETERS[n] for n in BLOCKS}
    assert list(found[0].untrained) == ["peaks"]


def test_a_curve_holds_the_law_that_made_its_errors(found: list[Curve]) -> None:
    for curve in found:
        told = curve.told
        assert (told.along, told.fit.law) == ("student.blocks", EXPONENTIAL)
        assert told.fit.a.low < 5 < told.fit.a.high
        assert told.fit.b.low < 0.5 < told.fit.b.high
        assert told.fit.r2 > 0.99
        assert told.fit.c.over == "seeds and subjects"
    assert found[-1].told.fit.c.mean < found[0].told.fit.c.mean - 0.8, "what the best teacher gains"


def test_laws_are_fitted_by_blocks_and_by_parameters(found: list[Curve]) -> None:
    scratch = found[0]
    assert [(each.along, each.fit.law) for each in scratch.fits] == [
        ("student.blocks", EXPONENTIAL), ("student.blocks", POWER), ("parameters", POWER),
    ]  # fmt: skip
    by_log = fit(values({math.log(PARAMETERS[n]): [e.mean] for n, e in scratch.points.items()}), EXPONENTIAL)
    assert scratch.fits[2].fit.b.mean == pytest.approx(by_log.b.mean, rel=1e-4)
    assert scratch.fits[2].fit.c.mean == pytest.approx(by_log.c.mean, rel=1e-4)


def test_points_are_means_over_seeds_with_their_intervals(found: list[Curve]) -> None:
    expected = [error for _, labels, error, *_ in cells(BLOCKS, (0, 1, 2)) if labels["variant"] == "scratch"]
    assert [e.mean for e in found[0].points.values()] == pytest.approx(
        np.reshape(expected, (3, -1)).mean(axis=0), abs=0.5
    )
    assert all(e.low < e.mean < e.high for e in found[0].points.values())


def test_a_curve_is_plain_json(found: list[Curve]) -> None:
    told = json.loads(json.dumps(plain(found[0]), allow_nan=False))
    assert [p["parameters"] for p in told["points"]] == [PARAMETERS[n] for n in BLOCKS]
    assert told["fits"][0]["law"] == {"name": "exponential", "formula": "a exp(-b N) + c"}
    assert told["better"] is None or told["better"]["law"] == "exponential"
    assert len(told["fits"][0]["band"]) == 61


def test_what_no_method_trained_has_the_mean_of_all_repeats(tmp_path: Path) -> None:
    out = scaling_study(tmp_path, blocks=(1, 2), seeds=(0, 1, 2))
    for name, labels, *_ in cells((1, 2), (0, 1, 2)):
        path = out / "cells" / name / "scores.json"
        told = json.loads(path.read_text())
        error = 10.0 + 2 * int(labels["seed"])
        told["models"]["peaks"]["parts"]["test"]["heart rate"] = scores(error, np.random.default_rng(0))
        path.write_text(json.dumps(told))
    row = next(row for row in summarise(out) if row.key.model == "peaks")
    for curve in curves(out):
        assert curve.untrained["peaks"] == pytest.approx(row.scores["mae"].mean)
        assert curve.untrained["peaks"] == pytest.approx(12.0, abs=0.5)


def test_the_parameters_of_a_curve_are_those_of_its_own_group(tmp_path: Path) -> None:
    out = scaling_study(tmp_path, blocks=(1, 2), seeds=(0,))
    labels = json.loads((out / "cells.json").read_text())
    for name in list(labels):
        labels[f"wide-{name}"] = labels[name] | {"student.width": "64"}
        labels[name]["student.width"] = "32"
        blocks = int(labels[name]["student.blocks"])
        write_cell(out / "cells" / f"wide-{name}", 9.0, blocks, 4 * PARAMETERS[blocks])
    (out / "cells.json").write_text(json.dumps(labels))
    for curve in curves(out):
        times = 4 if "student.width 64" in curve.group else 1
        assert curve.parameters == {n: times * PARAMETERS[n] for n in (1, 2)}


def test_a_study_in_the_making_is_fitted_where_it_can_be(tmp_path: Path) -> None:
    out = scaling_study(tmp_path, blocks=(1, 2, 4, 6), seeds=(0,))
    for at in (out / "cells").glob("cell-0-dkd-from-6-*"):
        if not at.name.endswith("-1"):
            (at / "scores.json").unlink()
    for at in (out / "cells").glob("cell-0-soft-from-6-*"):
        (at / "scores.json").unlink()
    left = {curve.name: curve for curve in curves(out)}
    assert "soft from 6" not in left
    assert "1 size cannot tell a law" in left["dkd from 6"].told.fit.doubts[0]
    assert left["scratch"].told.fit.c.over == "subjects"


def test_a_study_without_a_size_has_no_curves(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"name": "older"}')
    assert curves(tmp_path) == []


def test_an_accuracy_is_told_as_its_error() -> None:
    assert unit(ACCURACY) == "error % (of accuracy)"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": "lamm"}, "no axis 'lamm'; did you mean 'lam'"),
        ({"size": "method"}, "method is no size: give numbers above 0"),
        ({"size": "lam", "grid": {"lam": [0, 0.1]}}, "lam is no size"),
        ({"size": "lam", "panel": "spilt"}, "no field that the study varies 'spilt'; did you mean 'split'"),
        ({"across": "lam"}, "runs are tested across data sets alone, but lam sets lam too"),
    ],
)
def test_a_size_that_is_none_is_refused(asked: dict[str, object], said: str) -> None:
    grid = {"lam": [0.1, 0.2], "method": ["plain"], "split": ["subject"]}
    with pytest.raises(UserError) as error:
        parse(Study, {"name": "toys", "base": Toy(), "grid": grid, **asked})
    assert said in str(error.value)
