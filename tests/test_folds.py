"""Scores of folds as if of one test, against those of one test."""

from typing import Any

import pytest

from limbeck.finished import AreaScores, Model, PixelScores, Scores
from limbeck.folds import pooled
from limbeck.statistics import average
from tests.fake_scenes import ASKED, judged

SKILLS = {"segmentation": 0.7, "depth": 0.6, "normals": 0.6}


def read(plain: dict[str, Any]) -> dict[str, Scores]:
    return dict(Model.model_validate({"parts": {"test": plain}}).parts["test"])


def test_folds_of_pixels_are_pooled_from_confusions_and_means() -> None:
    folds = [read(judged(s, SKILLS, 10 + 10 * s, first=100 * s)) for s in (0, 1)]
    for task in ASKED:
        one, two = (fold[task.name] for fold in folds)
        both = pooled([one, two])
        assert both.n == one.n + two.n
        assert both.loss == pytest.approx((one.n * one.loss + two.n * two.loss) / both.n)  # type: ignore[operator]
        assert len(both.subjects) == 30
        judge = both.measures[0]
        assert average({0: both.counts}, judge.bounds).mean == pytest.approx(both.value(judge.key))
        if isinstance(one, AreaScores):
            mean = (one.n * one.value(judge.key) + two.n * two.value(judge.key)) / both.n  # type: ignore[operator]
            assert both.value(judge.key) == pytest.approx(mean)
        else:
            assert isinstance(both, PixelScores)
            assert sum(map(sum, both.confusion)) == both.n
    depth = pooled([fold["depth"] for fold in folds])
    n, m = (fold["depth"].n for fold in folds)
    squares = [fold["depth"].rmse ** 2 for fold in folds]  # type: ignore[operator]
    assert depth.rmse == pytest.approx(((n * squares[0] + m * squares[1]) / (n + m)) ** 0.5)
    normals = pooled([fold["normals"] for fold in folds])
    assert (normals.median_angle, normals.rmse) == (None, None), "folds do not tell"


def test_a_single_fold_is_itself() -> None:
    one = read(judged(0, SKILLS))["depth"]
    assert pooled([one]) is one
