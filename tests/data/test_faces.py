import pytest

from limbeck.data import faces
from limbeck.data.recordings import Findings


def test_each_age_is_in_its_group_or_in_the_nearest_and_the_younger_of_two() -> None:
    first = {0: 0, 4: 1, 8: 2, 15: 3, 23: 4, 36: 5, 46: 6, 57: 7}
    expected, now = [], 0
    for years in range(101):
        now = first.get(years, now)
        expected.append(now)
    assert [faces.group(years, "nearest") for years in range(101)] == expected
    between = {3, 7, 14, *range(21, 25), *range(33, 38), *range(44, 48), *range(54, 60)}
    assert [faces.group(years, "missing") for years in range(101)] == [
        None if years in between else expected[years] for years in range(101)
    ]


def test_middles_lie_in_their_groups() -> None:
    assert len(faces.AGE.labels) == len(faces.GROUPS) == 8
    for (low, high), middle, label in zip(faces.GROUPS, faces.AGE.middles, faces.AGE.labels, strict=True):
        assert low <= middle <= high
        assert label == (f"{low}-{high}" if high < 100 else "60+")


@pytest.mark.parametrize(
    ("low", "high", "group"),
    [(0, 2, 0), (8, 12, 2), (8, 23, None), (35, 35, None), (38, 42, 5), (38, 48, None), (60, 100, 7), (70, 120, 7)],
)
def test_a_stretch_of_ages_is_in_the_group_that_holds_it(low: int, high: int, group: int | None) -> None:
    assert faces.inside(low, high) == group


def test_a_stretch_of_ages_that_all_have_one_nearest_group_is_of_it() -> None:
    assert faces.nearest(0, 2) == faces.nearest(0, 3) == 0
    assert faces.nearest(3, 9) is None
    assert faces.nearest(60, 69) == faces.nearest(57, 120) == 7


def test_impossible_ages_and_numbers_are_missing_and_counted() -> None:
    findings = Findings()
    assert faces.age(121, "nearest", "x", findings) == {}
    assert faces.age(3, "missing", "x", findings) == {}
    assert faces.label(faces.RACE, 5, "x", findings) == {}
    assert faces.label(faces.GENDER, 1, "x", findings) == {"gender": 1}
    assert findings.counts == {
        "ages outside of 0 to 120 years, missing": 1,
        "ages between two groups, missing": 1,
        "numbers that are no race, missing": 1,
    }
    assert findings.first["numbers that are no race, missing"] == "x: 5"
