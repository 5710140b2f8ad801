import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from limbeck.scaling import EXPONENTIAL, LAWS, POWER, Law, better, fit
from limbeck.sizes import measured
from tests.fake_studies import values

SIZES = np.array([1.0, 2, 4, 6, 8, 10, 12])


def truth(law: Law, a: float, b: float, c: float, sizes: np.ndarray = SIZES) -> np.ndarray:
    return a * np.exp(-b * law.along(sizes)) + c


def noisy(law: Law, spread: float, seed: int, repeats: int = 3) -> dict[float, list[float]]:
    draw = np.random.default_rng(seed)
    return {n: list(e + spread * draw.normal(size=repeats)) for n, e in zip(SIZES, truth(law, 5, 0.4, 9), strict=True)}


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=40)
@given(a=st.floats(0.5, 50), b=st.floats(0.15, 2), c=st.floats(0.5, 20))
def test_known_parameters_are_found_again(law: Law, a: float, b: float, c: float) -> None:
    found = fit(values({n: [e] for n, e in zip(SIZES, truth(law, a, b, c), strict=True)}), law)
    assert [found.a.mean, found.b.mean, found.c.mean] == pytest.approx([a, b, c], rel=1e-4)
    assert found.r2 == pytest.approx(1)
    assert found(SIZES) == pytest.approx(truth(law, a, b, c), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("law", LAWS)
def test_a_fit_is_that_of_scipy(law: Law, seed: int) -> None:
    errors = values(noisy(law, 0.1, seed))
    ours = fit(errors, law)
    theirs, _ = curve_fit(lambda n, a, b, c: truth(law, a, b, c, n), SIZES, errors.means, (5, 0.4, 9), bounds=(0, 100))
    assert [ours.a.mean, ours.b.mean, ours.c.mean] == pytest.approx(list(theirs), rel=1e-3)
    squares = ((errors.means - truth(law, *theirs)) ** 2).sum()
    assert ours.r2 == pytest.approx(1 - squares / ((errors.means - errors.means.mean()) ** 2).sum())
    assert ((errors.means - ours(SIZES)) ** 2).sum() <= squares * (1 + 1e-6), "no start can miss the best fit"


def test_the_power_law_of_a_size_is_the_exponential_law_of_its_logarithm() -> None:
    parameters = np.array([16_692, 27_124, 47_988, 126_196, 208_884, 508_660])
    errors = {float(n): [e] for n, e in zip(parameters, truth(POWER, 300, 0.4, 8, parameters), strict=True)}
    power = fit(values(errors), POWER)
    exponential = fit(values({math.log(n): e for n, e in errors.items()}), EXPONENTIAL)
    assert (power.b.mean, power.c.mean) == pytest.approx((0.4, 8), rel=1e-4)
    assert (power.b.mean, power.c.mean) == pytest.approx((exponential.b.mean, exponential.c.mean), rel=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_the_law_that_made_the_errors_is_called_the_better_one(law: Law) -> None:
    errors = values(noisy(law, 0.02, 1))
    fits = [fit(errors, each) for each in LAWS]
    assert better(fits).law == law
    assert better([fit(values(noisy(law, 3.0, 1)), each) for each in LAWS]) is None


def test_aicc_is_its_definition() -> None:
    errors = values(noisy(EXPONENTIAL, 0.1, 0))
    found = fit(errors, EXPONENTIAL)
    residuals = errors.each - found(SIZES)[:, None]
    m, k = residuals.size, 4
    assert found.aicc == pytest.approx(m * np.log((residuals**2).mean()) + 2 * k + 2 * k * (k + 1) / (m - k - 1))
    assert found.constant == pytest.approx(m * np.log(errors.each.var()) + 4 + 12 / (m - 3))
    assert fit(values({n: [5 - n] for n in range(1, 5)}), EXPONENTIAL).aicc is None, "4 errors are too few"


def test_saturation_is_where_the_law_comes_within_a_share_of_its_asymptote() -> None:
    errors = values({n: [e] for n, e in zip(SIZES, truth(EXPONENTIAL, 5, 0.4, 9), strict=True)})
    for within in (0.01, 0.05, 0.2):
        found = fit(errors, EXPONENTIAL, within)
        assert found(np.array([found.saturation.mean])) == pytest.approx(9 * (1 + within), rel=1e-5)
    assert fit(errors, EXPONENTIAL, 0.9).saturation.mean == 1, "the smallest size that was measured is near enough"


@pytest.mark.parametrize(("seeds", "subjects", "common"), [(3, 1, 0.0), (3, 6, 0.1), (1, 8, 0.0)])
def test_intervals_and_bands_hold_the_truth_about_as_often_as_they_say(
    seeds: int, subjects: int, common: float
) -> None:
    draw, hits, rounds = np.random.default_rng(seeds), [], 60
    for _ in range(rounds):
        person, chance = draw.normal(size=subjects) * (subjects > 1), common * draw.normal(size=seeds)
        by_size = {
            n: {r: {str(s): (100, e + luck + person[s] + 0.2 * draw.normal()) for s in range(subjects)}
                for r, luck in enumerate(chance + 0.2 * (seeds > 1) * draw.normal(size=seeds))}
            for n, e in zip(SIZES, truth(EXPONENTIAL, 5, 0.4, 9), strict=True)
        }  # fmt: skip
        found = fit(measured(by_size, draws=500), EXPONENTIAL, draws=300)
        size, _, low, high = np.array(found.band).T
        at = truth(EXPONENTIAL, 5, 0.4, 9, size)
        known = ((found.a, 5), (found.b, 0.4), (found.c, 9), (found.saturation, math.log(5 / 0.45) / 0.4))
        hits.append([((low <= at) & (at <= high)).mean(), *(e.low <= value <= e.high for e, value in known)])
    assert np.all(np.mean(hits, axis=0) >= 0.83), np.mean(hits, axis=0)
    assert np.mean(hits) <= 0.995, "an interval that always holds it says nothing"


@pytest.mark.parametrize(
    ("by_size", "said"),
    [
        ({1: [5.0]}, "1 size cannot tell a law of three parameters; measure 4 or more"),
        ({1: [5.0, 5.1], 2: [4.0, 4.2]}, "2 sizes cannot tell"),
        ({1: [5.0], 2: [4.0], 3: [3.5]}, "3 sizes cannot tell"),
        ({n: [7.0, 7.0] for n in range(1, 7)}, "the error is the same at every size"),
        ({n: [7.0 + n, 7.2 + n] for n in range(1, 7)}, "the error does not fall with size"),
        ({n: [5.0 - n] for n in range(5)}, "sizes must be above 0"),
    ],
)
def test_what_tells_no_law_says_so_in_place_of_numbers(by_size: dict[float, list[float]], said: str) -> None:
    for law in LAWS:
        found = fit(values(by_size), law)
        assert said in " ".join(found.doubts)
        assert (found.a, found.c, found.saturation, found.band) == (None, None, None, ())
        assert np.isnan(found(SIZES)).all()


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([20, 18, 14, 10, 6, 2, -2], "no levelling off is seen"),
        ([20, 9, 9, 9, 9, 9, 9], "all of the gain may lie between the two smallest sizes"),
        ([9.1, 8.9, 9.05, 8.95, 9.1, 9.0, 9.02], "no effect of size is shown"),
        ([11, 5, 9, 13, 4, 6, 10], "the law fits badly"),
    ],
)
def test_what_is_hardly_a_law_is_fitted_with_a_doubt(errors: list[float], said: str) -> None:
    draw = np.random.default_rng(0)
    found = fit(values({n: list(e + 3 + 0.1 * draw.normal(size=3)) for n, e in zip(SIZES, errors, strict=True)}),
                EXPONENTIAL)  # fmt: skip
    assert said in " ".join(found.doubts)


def test_a_line_that_falls_to_the_end_has_no_saturation() -> None:
    found = fit(values({n: [30 - 2 * n, 30.2 - 2 * n] for n in SIZES}), EXPONENTIAL)
    assert found.saturation.high == math.inf
    assert found.c.low == 0


def test_one_seed_and_one_subject_give_no_interval() -> None:
    found = fit(values({n: [e] for n, e in zip(SIZES, truth(POWER, 5, 0.4, 9), strict=True)}), POWER)
    assert (found.c.low, found.c.high) == (None, None)
    assert found.doubts == ("no interval: one seed and one subject",)


def test_extreme_errors_end_in_numbers_and_without_a_warning() -> None:
    draw = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (1e-6, 1e6):
            for law in LAWS:
                found = fit(values({n: list(scale * draw.random(3)) for n in SIZES}), law)
                assert found.doubts or np.isfinite(found.c.mean)


def test_the_same_errors_give_the_same_fit() -> None:
    assert fit(values(noisy(POWER, 0.3, 0)), POWER) == fit(values(noisy(POWER, 0.3, 0)), POWER)
