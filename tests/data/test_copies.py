import zipfile
from pathlib import Path

import pytest

from limbeck.data.archive import Entry, find
from limbeck.data.copies import distinct
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings


def kept(*of: Photo) -> tuple[list[tuple[str, dict[str, int]]], dict[str, int]]:
    findings = Findings()
    return [(p.name, dict(p.labels)) for p in distinct(of, findings)], findings.counts


def test_one_of_each_is_kept_with_what_all_agree_on() -> None:
    made, counts = kept(
        Photo("a", b"one", {"age": 1, "race": 0}),
        Photo("b", b"two", {"age": 1}),
        Photo("c", b"one", {"age": 2, "race": 0}),
        Photo("d", b"one", {"gender": 1}),
        Photo("e", b"six", {"age": 3}),
        Photo("f", b"six", {"age": 3}),
    )
    assert made == [("a", {"race": 0, "gender": 1}), ("b", {"age": 1}), ("e", {"age": 3})]
    assert counts == {
        "copies of another image, left out": 3,
        "images whose copies disagree on age, which is missing": 1,
    }


def test_an_image_on_which_copies_agree_in_nothing_is_left_out_but_not_one_without_labels() -> None:
    made, counts = kept(
        Photo("a", b"one", {"age": 1}), Photo("b", b"one", {"age": 2}), Photo("c", b"two"), Photo("d", b"two")
    )
    assert made == [("c", {})]
    assert counts["copies of another image, left out"] == 2
    assert counts["images whose copies disagree on every label, left out"] == 1


def test_empty_and_far_too_large_files_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.data.copies.LARGEST", 1000)
    (tmp_path / "large").write_bytes(bytes(1001))
    made, counts = kept(
        Photo("a", b""), Photo("b", b""), Photo("c", b"one"), Photo("d", Entry("large", tmp_path / "large"))
    )
    assert made == [("c", {})]
    assert counts == {"files of no bytes, left out": 2, "files of more than 1000 bytes, left out": 1}


def test_copies_are_found_in_zips_and_folders_and_only_files_of_one_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"1": b"same", "2": b"same", "3": b"size", "4": b"alone"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for name, content in contents.items():
            out.writestr(f"{name}.jpg", content)
            (tmp_path / "files").mkdir(exist_ok=True)
            (tmp_path / "files" / f"{name}.jpg").write_bytes(content)
    plain, read = Photo.read, list[str]()
    monkeypatch.setattr(Photo, "read", lambda self, reader: read.append(self.name) or plain(self, reader))
    for root, needed in ((tmp_path / "files", ["1.jpg", "2.jpg", "3.jpg"]), (tmp_path / "a.zip", ["1.jpg", "2.jpg"])):
        read.clear()
        made, counts = kept(*(Photo(e.name, e) for e in find(root, r"\d\.jpg", "")))
        assert [name for name, _ in made] == ["1.jpg", "3.jpg", "4.jpg"]
        assert counts == {"copies of another image, left out": 1}
        assert sorted(read) == needed


def test_a_file_that_cannot_be_read_is_left_to_decoding(tmp_path: Path) -> None:
    made, counts = kept(
        Photo("a", Entry("a", tmp_path / "a")), Photo("b", Entry("b", tmp_path / "b")), Photo("c", b"x")
    )
    assert [name for name, _ in made] == ["a", "b", "c"]
    assert counts == {}
