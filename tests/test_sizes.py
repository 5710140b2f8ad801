import numpy as np
import pytest

from limbeck.errors import UserError
from limbeck.sizes import measured
from tests.fake_studies import values


def test_the_means_are_over_windows_and_the_covariance_that_of_seeds() -> None:
    errors = measured({n: {0: {"a": (10, 4.0 + n), "b": (30, 8.0)}, 1: {"a": (10, 6.0 + n), "b": (30, 8.0)}}
                       for n in (1.0, 2, 3, 4)})  # fmt: skip
    assert errors.means == pytest.approx([(20 * (5 + n) + 60 * 8) / 80 for n in (1, 2, 3, 4)])
    assert errors.over == "seeds and subjects"
    draw = np.random.default_rng(0)
    alone = values({float(n): [*draw.normal(size=200)] for n in range(5)})
    assert (alone.over, alone.freedom) == ("seeds", 199)
    assert alone.covariance == pytest.approx(np.cov(alone.each) / 200, abs=2e-3)


def test_seeds_that_one_size_lacks_are_left_out() -> None:
    errors = values({1.0: [5, 6, 7], 2.0: [4, 5], 3.0: [3, 4], 4.0: [2, 3, 9]})
    assert errors.each.shape == (4, 2)
    with pytest.raises(UserError, match="no seed was run at every size"):
        measured({1.0: {0: {"a": (1, 5.0)}}, 2.0: {1: {"a": (1, 5.0)}}})
    with pytest.raises(UserError, match="no window"):
        measured({1.0: {0: {"a": (0, 0.0)}}})
    with pytest.raises(UserError, match="no seed was run"):
        measured({})
