import numpy as np
import pytest
from scipy import stats

from limbeck import statistics
from limbeck.statistics import Counts, Difference, average, over_seeds, paired


def made(shares: np.ndarray, windows: np.ndarray | int = 100) -> Counts:
    """Counts of shares `(seeds, subjects)`."""
    n = np.broadcast_to(windows, shares.shape)
    return {
        seed: {f"s{i}": (int(n[seed, i]), float(share)) for i, share in enumerate(row)}
        for seed, row in enumerate(shares)
    }


def drawn(seeds: int, subjects: int, seed: int = 0) -> tuple[Counts, Counts, np.ndarray]:
    draw = np.random.default_rng(seed)
    one, two = draw.uniform(0.5, 0.9, (2, seeds, subjects))
    return made(one), made(two), one - two


def test_the_interval_over_seeds_is_scipys_t_interval() -> None:
    values = [0.71, 0.74, 0.69, 0.75]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    found = over_seeds(values)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert found.over == "seeds"


def test_an_interval_of_a_share_stays_within_0_and_1() -> None:
    assert over_seeds([0.99, 0.7]).high == 1.0
    assert over_seeds([0.01, 0.3]).low == 0.0
    assert average(made(np.array([[0.99, 0.7], [0.98, 0.8]]))).high == 1.0
    assert average(made(np.array([[0.01, 0.3], [0.02, 0.2]]))).low == 0.0


def test_one_seed_alone_has_no_interval() -> None:
    assert over_seeds([0.7]) == over_seeds([0.7]).__class__(0.7)


def test_one_seed_is_scipys_paired_t_test_over_subjects() -> None:
    one, two, _ = drawn(1, 9)
    ours, theirs = ([share for _, share in counts[0].values()] for counts in (one, two))
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    found = paired(one, two, draws=200_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)
    assert found.over == "subjects"


def test_one_subject_is_scipys_paired_t_test_over_seeds() -> None:
    one, two, gaps = drawn(5, 1)
    low, high = stats.ttest_1samp(gaps[:, 0], 0).confidence_interval(0.95)
    found = paired(one, two, draws=200_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)
    assert found.over == "seeds"


def test_the_standard_error_of_unequal_subjects_is_scipys_bootstrap_of_the_ratio() -> None:
    draw = np.random.default_rng(3)
    windows, one, two = draw.integers(20, 300, 40), draw.uniform(0.5, 0.9, 40), draw.uniform(0.5, 0.9, 40)

    def gap(n: np.ndarray, a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return (n * (a - b)).sum(axis=axis) / n.sum(axis=axis)

    theirs = stats.bootstrap(
        (windows, one, two), gap, paired=True, vectorized=True, n_resamples=20_000, method="percentile", rng=0
    ).standard_error
    found = paired(made(one[None], windows), made(two[None], windows), draws=20_000)
    assert found is not None
    ours = (found.high - found.low) / 2 / stats.t.ppf(0.975, 39)
    assert ours == pytest.approx(theirs * np.sqrt(40 / 39), rel=0.03)
    assert found.mean == pytest.approx(np.average(one - two, weights=windows))


@pytest.mark.parametrize(
    ("seeds", "subjects", "spread"),
    [
        (3, 10, (0.01, 0.03, 0.02)),
        (3, 10, (0.03, 0.005, 0.01)),
        (3, 30, (0.02, 0.03, 0.02)),
        (5, 4, (0.01, 0.03, 0.01)),
    ],
)
def test_95_of_100_studies_hold_the_truth(seeds: int, subjects: int, spread: tuple[float, float, float]) -> None:
    draw = np.random.default_rng(1)
    of_seed, of_subject, of_both = spread
    held, trials = 0, 200
    for _ in range(trials):
        gaps = 0.05 + draw.normal(0, of_seed, (seeds, 1)) + draw.normal(0, of_subject, subjects)
        gaps = gaps + draw.normal(0, of_both, (seeds, subjects))
        windows = np.tile(draw.integers(50, 200, subjects), (seeds, 1))
        found = paired(made(0.5 + gaps, windows), made(np.full((seeds, subjects), 0.5), windows), draws=500)
        assert found is not None
        held += found.low <= 0.05 <= found.high
    assert 0.91 <= held / trials <= 1.0


def test_methods_that_are_the_same_are_seldom_told_apart() -> None:
    draw = np.random.default_rng(5)
    told = 0
    for _ in range(200):
        hard = draw.uniform(0.5, 0.9, 8)
        one, two = (made(draw.binomial(80, hard, (3, 8)) / 80, 80) for _ in range(2))
        found = paired(one, two, draws=500)
        told += found is not None and found.verdict != "no difference shown"
    assert told / 200 <= 0.07


def test_a_clear_difference_is_better_one_way_and_worse_the_other() -> None:
    one, two = made(np.linspace(0.8, 0.9, 12).reshape(2, 6)), made(np.linspace(0.5, 0.62, 12).reshape(2, 6))
    up, down = paired(one, two), paired(two, one)
    assert up is not None
    assert down is not None
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.over == "subjects and seeds"
    assert (up.mean, up.low, up.high) == pytest.approx((-down.mean, -down.high, -down.low))


def test_only_seeds_and_subjects_that_both_have_count() -> None:
    one, two, _ = drawn(2, 4)
    more = {**one, 7: one[0], 0: {**one[0], "stranger": (10_000, 1.0)}}
    assert paired(more, two) == paired(one, two)
    assert paired(one, {9: two[0]}) is None
    assert paired({0: {"a": (5, 0.5)}}, {0: {"b": (5, 0.5)}}) is None


def test_seeds_with_other_subjects_can_be_compared() -> None:
    one = {0: {"a": (50, 0.9), "b": (50, 0.8)}, 1: {"c": (50, 0.9), "d": (50, 0.7)}}
    two = {0: {"a": (50, 0.5), "b": (50, 0.5)}, 1: {"c": (50, 0.6), "d": (50, 0.5)}}
    found = paired(one, two)
    assert found is not None
    assert found.mean == pytest.approx(0.3)
    assert np.isfinite([found.low, found.high]).all()


def test_where_nothing_can_be_drawn_again_there_is_no_interval_and_no_verdict() -> None:
    found = paired({0: {"a": (9, 0.9)}}, {0: {"a": (9, 0.1)}})
    assert found is not None
    assert found == Difference(pytest.approx(0.8))
    assert found.verdict == "no difference shown"


def test_a_method_against_itself_differs_by_nothing() -> None:
    one, _, _ = drawn(3, 5)
    found = paired(one, one)
    assert found is not None
    assert (found.mean, found.low, found.high, found.verdict) == (0, 0, 0, "no difference shown")


def test_an_accuracy_is_the_share_of_all_windows() -> None:
    found = average({0: {"a": (300, 0.5), "b": (100, 0.9)}})
    assert found.mean == pytest.approx(0.6)
    assert 0.0 <= found.low < 0.6 < found.high <= 1.0
    assert found.over == "subjects"


@pytest.mark.parametrize("spread", [(0.01, 0.05, 0.02), (0.05, 0.01, 0.02), (0.001, 0.001, 0.08)])
def test_an_accuracy_over_seeds_and_subjects_has_the_interval_of_the_two_way_table(
    spread: tuple[float, float, float],
) -> None:
    draw, (seeds, subjects) = np.random.default_rng(2), (4, 9)
    of_seed, of_subject, of_both = spread
    shares = 0.6 + draw.normal(0, of_seed, (seeds, 1)) + draw.normal(0, of_subject, subjects)
    shares = shares + draw.normal(0, of_both, (seeds, subjects))
    by_seed, by_subject = shares.mean(axis=1), shares.mean(axis=0)
    # All pairs have as many windows, so that the variances have a closed form, that of draws of all but one.
    one, two = stats.sem(by_seed) ** 2, stats.sem(by_subject) ** 2
    rest = shares - by_seed[:, None] - by_subject + shares.mean()
    both = (rest**2).mean() / (seeds - 1) / (subjects - 1)
    freedom = (one + two) ** 2 / (one**2 / (seeds - 1) + two**2 / (subjects - 1))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(one + two + both)
    found = average(made(shares))
    assert found.over == "subjects and seeds"
    assert found.mean == pytest.approx(shares.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)


def test_an_accuracy_on_one_subject_has_scipys_t_interval_over_seeds() -> None:
    values = np.array([0.71, 0.74, 0.69, 0.75])
    found = average(made(values[:, None]))
    assert found.over == "seeds"
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 3, values.mean(), stats.sem(values)), abs=0.002
    )


def test_seeds_that_all_do_the_same_leave_scipys_t_interval_over_subjects() -> None:
    values = np.random.default_rng(4).uniform(0.5, 0.9, 9)
    found = average(made(np.tile(values, (3, 1))))
    assert found.over == "subjects and seeds"
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 8, values.mean(), stats.sem(values)), abs=0.003
    )


def test_intervals_do_not_change_from_call_to_call() -> None:
    one, two, _ = drawn(3, 5)
    assert paired(one, two) == paired(one, two)


def right(draw: np.random.Generator, seeds: int, photos: int, skill: float) -> Counts:
    """Whether each of many photos, one a person, is answered rightly by each seed."""
    hard = draw.normal(0, 0.2, photos)
    return made((draw.random((seeds, photos)) < np.clip(skill + hard, 0, 1)).astype(float), 1)


def test_an_accuracy_over_thousands_of_single_photos_is_that_of_independent_draws() -> None:
    counts = right(np.random.default_rng(0), 1, 2400, 0.7)
    values = [mean for _, mean in counts[0].values()]
    found = average(counts)
    assert found.over == "samples"
    expected = stats.t.interval(0.95, 2399, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.0005)


def test_a_difference_over_thousands_of_single_photos_is_scipys_paired_t_test() -> None:
    draw = np.random.default_rng(1)
    one, two = right(draw, 1, 2400, 0.7), right(draw, 1, 2400, 0.68)
    ours, theirs = ([mean for _, mean in counts[0].values()] for counts in (one, two))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    found = paired(one, two)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.0008)


@pytest.mark.parametrize("windows", [1, 7])
def test_many_subjects_have_the_interval_that_each_by_itself_gives(
    monkeypatch: pytest.MonkeyPatch, windows: int
) -> None:
    draw = np.random.default_rng(2)
    one, two = (right(draw, 3, statistics.MANY + 50, skill) for skill in (0.7, 0.66))
    one, two = ({s: {k: (windows, v) for k, (_, v) in each.items()} for s, each in c.items()} for c in (one, two))
    together = paired(one, two)
    monkeypatch.setattr(statistics, "MANY", 10**6)
    apart = paired(one, two)
    assert together is not None
    assert apart is not None
    assert together.over == apart.over == ("samples and seeds" if windows == 1 else "subjects and seeds")
    assert together.mean == pytest.approx(apart.mean)
    assert together.high - together.low == pytest.approx(apart.high - apart.low, rel=0.03)


def test_where_lower_is_better_a_lower_mean_is_the_better_one() -> None:
    low, high = made(np.linspace(3.0, 4.0, 12).reshape(2, 6)), made(np.linspace(8.0, 9.2, 12).reshape(2, 6))
    one, two = paired(low, high, higher=False), paired(high, low, higher=False)
    assert one is not None
    assert two is not None
    assert one.mean < 0 < two.mean
    assert (one.verdict, two.verdict) == ("better", "worse")
    as_shares = paired(low, high)
    assert as_shares is not None
    assert (as_shares.low, as_shares.high, as_shares.verdict) == (one.low, one.high, "worse")


def test_an_error_is_not_cut_at_1_but_at_nothing() -> None:
    errors = made(np.array([[9.0, 1.0], [12.0, 2.0]]))
    found = average(errors, (0.0, np.inf))
    assert found.mean == pytest.approx(6.0)
    assert found.high > 12
    assert found.low == 0
    assert over_seeds([4.0, 5.0], (0.0, np.inf)).high == pytest.approx(stats.t.interval(0.95, 1, 4.5, 0.5)[1])


def test_a_paired_difference_of_errors_is_scipys_paired_t_test() -> None:
    one, two = np.random.default_rng(2).uniform(3, 12, (2, 9))
    expected = stats.ttest_rel(one, two).confidence_interval(0.95)
    found = paired(made(one[None]), made(two[None]), draws=200_000, higher=False)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.03)
