"""Splits: no subject on two sides, everyone tested once, and leaks that are named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.config import dump, parse
from limbeck.data.maps import Labels, Reals
from limbeck.data.source import Dense, Table, Windows
from limbeck.data.split import BySubject, KFoldSubjects, LeaveOneSubjectOut, Official, RandomWindow, Split, audit
from limbeck.errors import UserError
from limbeck.tasks import Task
from limbeck.words import subjects

TASK = Task.of("a", ("x", "y", "z"))


def table(subjects: list[str], targets: list[int] | None = None) -> Table:
    rows = len(subjects)
    labels = torch.tensor(targets) if targets else torch.arange(rows) % 2
    return Table((TASK,), {"sensor": Dense(torch.zeros(rows, 1, 1))}, {"a": labels}, {"subject": np.array(subjects)})


def many(count: int, windows: int = 4) -> Table:
    return table([f"s{i % count}" for i in range(count * windows)])


def sides(split: Split) -> list[set[str]]:
    return [set(part.meta["subject"].tolist()) for part in (split.train, split.valid, split.test)]


def rows(split: Split) -> list[int]:
    return sorted(i for part in (split.train, split.valid, split.test) for i in part.ids.tolist())


def test_windows_that_share_samples_are_counted_whoever_they_are_said_to_be_of() -> None:
    starts = torch.tensor([0, 60, 160, 220, 320])  # of 100 samples: 0 with 60, and 160 with 220, share 40
    subjects = np.array(["s0", "s1", "s1", "s2", "s2"])
    column = Windows(torch.zeros(420, 3), starts, 100)
    whole = Table((TASK,), {"sensor": column}, {"a": torch.arange(5) % 2}, {"subject": subjects})
    found = audit(*(whole.take(subjects == name) for name in ("s0", "s1", "s2")))
    assert found["overlapping windows"] == {"train and valid": 1, "train and test": 0, "valid and test": 1}
    assert not any(found["shared subjects"].values())


SPECS = st.one_of(
    st.builds(BySubject, test=st.floats(0.01, 0.99), valid=st.floats(0.01, 0.99), seed=st.integers(0, 99)),
    st.builds(LeaveOneSubjectOut, fold=st.integers(0, 2), valid=st.floats(0.01, 0.99), seed=st.integers(0, 99)),
    st.builds(KFoldSubjects, folds=st.just(3), fold=st.integers(0, 2), seed=st.integers(0, 99)),
)


@given(SPECS, st.lists(st.integers(0, 30).map(str), min_size=3, max_size=80).filter(lambda s: len(set(s)) >= 3))
def test_no_subject_is_on_two_sides_and_no_window_is_lost(spec: Any, subjects: list[str]) -> None:
    """S1-09."""
    split = spec.split(table(subjects))
    train, valid, test = sides(split)
    assert all((train, valid, test))
    assert not train & valid
    assert not train & test
    assert not valid & test
    assert rows(split) == list(range(len(subjects)))
    assert not split.leaky
    assert not any(split.audit["shared subjects"].values())
    again = parse(type(spec), dump(spec)).split(table(subjects))
    assert [p.ids.tolist() for p in (again.train, again.valid, again.test)] == [
        p.ids.tolist() for p in (split.train, split.valid, split.test)
    ]


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_windows() -> None:
    drawn = {tuple(sorted(sides(BySubject(seed=seed).split(many(10)))[2])) for seed in range(20)}
    assert len(drawn) > 5
    turned = table(many(10).meta["subject"].tolist()[::-1])
    assert sides(BySubject().split(turned)) == sides(BySubject().split(many(10)))


def test_shares_are_of_subjects() -> None:
    assert [len(s) for s in sides(BySubject().split(many(50)))] == [32, 8, 10]
    assert [len(s) for s in sides(BySubject(test=0.5, valid=0.5).split(many(4)))] == [1, 1, 2]
    assert [len(s) for s in sides(BySubject(test=0.99, valid=0.99).split(many(10)))] == [1, 1, 8]


def test_subjects_may_be_named() -> None:
    split = BySubject(test_subjects=("s1", "s3"), valid_subjects=("s0",)).split(many(6))
    assert sides(split) == [{"s2", "s4", "s5"}, {"s0"}, {"s1", "s3"}]
    train, valid, test = sides(BySubject(test_subjects=("s1",)).split(many(6)))
    assert test == {"s1"}
    assert valid
    assert "s1" not in train | valid
    numbers = table([str(1600 + i % 5) for i in range(20)])
    assert sides(BySubject(test_subjects=("1602",)).split(numbers))[2] == {"1602"}


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"test_subjects": ("s9",)}, "no subject 's9'"),
        ({"test_subjects": ("s0",), "valid_subjects": ("s0", "s1")}, "'s0' is named for the test and for validation"),
        ({"test_subjects": ("s0", "s1", "s2", "s3")}, "no window for"),
        ({"valid_subjects": ("s0", "s1", "s2", "s3")}, "no window for"),
        ({"test_subjects": ("s0", "s1"), "valid_subjects": ("s2", "s3")}, "no window for training"),
        ({"test": 0.9, "valid_subjects": ("s0", "s1", "s2")}, "no window for training"),
    ],
)
def test_names_that_leave_a_part_empty_or_are_unknown_are_told(named: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        BySubject(**named).split(many(4))


@pytest.mark.parametrize("spec", [BySubject(), LeaveOneSubjectOut(), KFoldSubjects()])
@pytest.mark.parametrize("count", [1, 2])
def test_too_few_subjects_are_told_with_what_to_do(spec: Any, count: int) -> None:
    with pytest.raises(UserError, match=rf"at least 3 subjects .* has {count}: .*random-window"):
        spec.split(many(count))


def test_leaving_one_out_tests_everyone_once() -> None:
    tested = [sides(LeaveOneSubjectOut(fold=i).split(many(12)))[2] for i in range(12)]
    assert tested == [{f"s{i}"} for i in range(12)], "in the order of their names, s2 before s10"
    with pytest.raises(UserError, match=r"split\.fold: 12 is not below the number of subjects, 12"):
        LeaveOneSubjectOut(fold=12).split(many(12))


@pytest.mark.parametrize(("count", "folds"), [(10, 5), (11, 5), (3, 3), (7, 7)])
def test_folds_test_and_validate_everyone_once(count: int, folds: int) -> None:
    splits = [sides(KFoldSubjects(folds=folds, fold=i).split(many(count))) for i in range(folds)]
    for side in (1, 2):
        named = [name for split in splits for name in split[side]]
        assert sorted(named) == sorted(f"s{i}" for i in range(count))
    sizes = [len(split[2]) for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_folds_that_are_not_there_are_told() -> None:
    with pytest.raises(UserError, match=r"split\.folds: 5 folds need as many subjects, the data has 4"):
        KFoldSubjects().split(many(4))
    with pytest.raises(UserError, match=r"split\.fold: 5 is not below split\.folds, 5"):
        KFoldSubjects(fold=5).split(many(9))
    with pytest.raises(UserError, match=r"split\.fold: 5 is not below split\.folds, 5"):
        RandomWindow(fold=5).split(many(9))


def test_random_windows_are_marked_leaky_and_what_is_shared_is_named() -> None:
    split = RandomWindow().split(many(4, windows=50))
    assert split.leaky
    assert split.audit["shared subjects"] == {
        "train and valid": ["s0", "s1", "s2", "s3"],
        "train and test": ["s0", "s1", "s2", "s3"],
        "valid and test": ["s0", "s1", "s2", "s3"],
    }
    assert rows(split) == list(range(200))
    assert [len(p) for p in (split.train, split.valid, split.test)] == [128, 32, 40]


def test_of_very_many_subjects_only_the_number_is_told() -> None:
    found = BySubject().split(table([f"photo {i}" for i in range(1200)])).audit
    assert found["train"] == {"windows": 768, "subjects": [], "subjects in all": 768}
    assert [subjects(found[part]) for part in ("train", "valid", "test")] == [768, 192, 240]
    few = BySubject().split(many(20)).audit
    assert len(few["test"]["subjects"]) == subjects(few["test"]) == 4


def test_random_windows_are_leaky_even_where_no_subject_happens_to_be_shared() -> None:
    assert RandomWindow().split(table([str(i) for i in range(20)])).leaky


def test_the_test_windows_are_the_same_in_every_fold_and_every_other_validates_once() -> None:
    splits = [RandomWindow(fold=i).split(many(4, 25)) for i in range(5)]
    assert len({tuple(s.test.ids.tolist()) for s in splits}) == 1
    validated = sorted(i for s in splits for i in s.valid.ids.tolist())
    assert validated == sorted(set(range(100)) - set(splits[0].test.ids.tolist()))
    assert RandomWindow(seed=1).split(many(4, 25)).test.ids.tolist() != splits[0].test.ids.tolist()


def test_too_few_windows_leave_a_part_empty_and_are_told() -> None:
    with pytest.raises(UserError, match="no window for test"):
        RandomWindow().split(table(["a", "b"]))


def test_an_audit_counts_and_names_classes_that_training_never_sees() -> None:
    whole = table(["a", "a", "b", "b", "c", "c"], [0, 0, 0, 1, 2, -100])
    train, valid, test = (whole.take(torch.tensor(i)) for i in ([0, 1], [2, 3], [4, 5]))
    report = audit(train, valid, test)
    assert report["train"] == {"windows": 2, "subjects": ["a"]}
    assert report["classes absent from training"] == {"a": ["y", "z"]}
    assert audit(train, train, train)["classes absent from training"] == {"a": []}
    assert audit(train, train, test)["shared subjects"]["train and valid"] == ["a"]


def test_windows_that_are_kept_apart_are_found_to_overlap_by_their_times() -> None:
    """A window of 2 s every second, dealt at random: as many share samples as where they are cut from one signal."""
    seconds = np.tile(np.arange(10.0), 2)
    meta = {"subject": np.repeat(["ann", "ben"], 10), "session": np.repeat(["a", "b"], 10), "start": seconds}
    card = {"rate": 5.0, "window": 10}
    whole = Table((), {"sensor": Dense(torch.zeros(20, 1, 10))}, {}, meta, card)
    assert audit(whole.take([0, 1]), whole.take([2, 9]), whole.take([11, 19]))["overlapping windows"] == {
        "train and valid": 1, "train and test": 0, "valid and test": 0
    }  # fmt: skip


def parted(parts: list[str], subjects: list[str] | None = None) -> Table:
    made = table(subjects or [f"s{i}" for i in range(len(parts))])
    return replace(made, meta={**made.meta, "part": np.array(parts)})


def test_the_official_test_stays_and_of_the_rest_a_share_validates() -> None:
    """S4-06."""
    whole = parted(["train"] * 200 + ["test"] * 60)
    split = Official().split(whole)
    assert split.test.ids.tolist() == list(range(200, 260))
    assert len(split.valid) == 30  # 15 % of 200
    assert rows(split) == list(range(260))
    assert not split.leaky
    assert split.valid.ids.tolist() == Official().split(whole).valid.ids.tolist()
    assert split.valid.ids.tolist() != Official(seed=1).split(whole).valid.ids.tolist()
    assert len(Official(valid=0.5).split(whole).valid) == 100


@given(st.lists(st.integers(0, 8), min_size=9, max_size=60), st.floats(0.05, 0.6), st.integers(0, 5))
def test_official_validation_takes_whole_subjects_of_about_the_share(
    owners: list[int], share: float, seed: int
) -> None:
    subjects = [*(f"a{i}" for i in owners), "a9", "t", "t"]
    whole = parted(["train"] * (len(owners) + 1) + ["test"] * 2, subjects)
    split = Official(valid=share, seed=seed).split(whole)
    assert not any(a & b for i, a in enumerate(sides(split)) for b in sides(split)[:i])
    assert rows(split) == list(range(len(subjects)))
    smallest = min(subjects[:-2].count(name) for name in subjects[:-2])
    assert len(split.valid) <= max(1, round(share * (len(owners) + 1)), smallest)


def test_an_official_split_needs_parts_and_more_than_one_subject_beside_the_test() -> None:
    for nothing in (many(4), parted(["train"] * 5)):
        with pytest.raises(UserError, match="no official test part is named in this data; use --split subject"):
            Official().split(nothing)
    with pytest.raises(UserError, match="the split leaves no window for validation"):
        Official().split(parted(["train", "train", "test"], ["a", "a", "b"]))
    shared = Official().split(parted(["train", "train", "train", "test"], ["a", "b", "c", "c"]))
    assert shared.leaky


def test_an_official_split_is_a_spec_like_the_others() -> None:
    assert parse(Official, dump(Official(valid=0.2))) == Official(valid=0.2)


def test_an_audit_of_maps_counts_classes_without_reading_a_pixel() -> None:
    stored = torch.empty(3, 2, 2, dtype=torch.uint8, device="meta")
    counts = torch.tensor([[4, 0, 0], [0, 0, 4], [1, 1, 2]])
    depth = Reals(torch.empty(3, 2, 2, device="meta"), torch.ones(3, 1))
    whole = Table(
        (TASK, Task("depth", quantity="depth")),
        {"image": Dense(torch.zeros(3, 3, 2, 2))},
        {},
        {"subject": np.array(["a", "b", "c"])},
        dense={"a": Labels(stored, counts), "depth": depth},
    )
    parts = [whole.take(torch.tensor([i])) for i in range(3)]
    assert audit(*parts)["classes absent from training"] == {"a": ["y", "z"]}
    assert audit(parts[2], parts[0], parts[1])["classes absent from training"] == {"a": []}
