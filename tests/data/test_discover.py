from pathlib import Path

import pytest

from limbeck.data import discover
from limbeck.data.layout import Layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


def file(name="a.csv", **kinds):
    return Layout(Path(name), name, kinds)


def test_names_sort_by_the_numbers_in_them_and_never_tie():
    names = ["b1", "a10", "a2", "A2", "2", "10", "", "a٣", "-1"]
    made = sorted(names, key=discover.natural)
    assert made == ["", "-1", "2", "10", "A2", "a2", "a٣", "a10", "b1"]
    assert sorted([*names[4:], *names[:4]], key=discover.natural) == made


def test_channels_are_the_numbers_that_are_nothing_else_and_it_is_told():
    findings = Findings()
    one = file(time="number", x="number", y="number", label="number", note="text", timestamp="number", i="unnamed")
    assert discover.channels([one], {"time"}, findings) == ("x", "y")
    assert list(findings.counts) == [
        "columns taken as channels: x, y",
        "column not taken as a channel: timestamp",
        "column not taken as a channel: i",
    ]


def test_files_that_differ_in_their_numbers_are_refused():
    with pytest.raises(UserError, match=r"b\.csv and a\.csv have different columns of numbers \(z\).*--data\.channels"):
        discover.channels([file(x="number"), file("b.csv", z="number", x="number")], set(), Findings())


def test_labels_are_found_by_name_and_by_kind_in_any_file():
    findings = Findings()
    files = [file(x="number", Activity="number"), file("b.csv", x="number", label_b="empty", who="text", void="empty")]
    assert discover.labels(files, {"x"}, findings) == ("Activity", "label_b", "who")
    assert "column without a value in the first lines, not taken: void" in findings.counts


def test_a_folder_without_labels_is_refused():
    with pytest.raises(UserError, match=r"its columns are 'x'; name the label columns with --data\.labels"):
        discover.labels([file(x="number")], {"x"}, Findings())
