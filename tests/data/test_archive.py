import threading
import zipfile
from pathlib import Path

import pytest

from limbeck.data.archive import Reader, find
from limbeck.errors import UserError


def names(root: Path, pattern: str, folders: int | None = 0) -> list[str]:
    return [entry.name for entry in find(root, pattern, "expected", folders)]


def test_names_are_as_long_as_asked_for_in_a_folder_a_zip_and_a_file(tmp_path: Path) -> None:
    for name in ("top/a/1.txt", "top/b/1.txt", "top/b/c/2.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as out:
        for path in (tmp_path / "top").rglob("*.txt"):
            out.write(path, path.relative_to(tmp_path / "top"))
    for root in (tmp_path / "top", tmp_path / "all.zip"):
        assert names(root, r"[ab]/\d\.txt", 1) == ["a/1.txt", "b/1.txt"]
        assert names(root, r".*\.txt", None) == ["a/1.txt", "b/1.txt", "b/c/2.txt"]
        with pytest.raises(UserError, match=r"two files are named 1\.txt"):
            names(root, r"\d\.txt")
    assert names(tmp_path / "top" / "a" / "1.txt", r"\d\.txt") == ["1.txt"]


def test_hidden_files_and_those_of_a_mac_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for name in ("a/1.txt", "__MACOSX/a/._2.txt", "a/.3.txt", ".b/4.txt", "a/"):
            out.writestr(name, "")
    assert names(tmp_path / "a.zip", r".*\.txt", None) == ["a/1.txt"]


@pytest.mark.parametrize("name", ["../1.txt", "/1.txt", "a/../../1.txt", "C:/1.txt", "..\\1.txt"])
def test_a_zip_with_a_file_that_would_lie_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("2.txt", "")
        out.writestr(name, "")
    with pytest.raises(UserError, match=r"a\.zip: .*1\.txt lies outside of the folder"):
        find(tmp_path, r"\d\.txt", "expected")


def test_backslashes_of_old_programs_are_slashes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("a\\b\\1.txt", "one")
    (entry,) = find(tmp_path, r"b/1\.txt", "expected", folders=1)
    assert entry.read() == b"one"


def test_bombs_and_encrypted_zips_are_refused_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("1.txt", bytes(2**21))
    with pytest.raises(UserError, match=r"bomb\.zip: 1\.txt would unpack to 2097152 bytes from \d+; unpack and look"):
        find(tmp_path / "bomb.zip", r"1\.txt", "expected")
    with zipfile.ZipFile(tmp_path / "secret.zip", "w") as out:
        out.writestr("1.txt", "secret")
    raw = bytearray((tmp_path / "secret.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(raw)
    with pytest.raises(UserError, match=r"secret\.zip: 1\.txt is encrypted"):
        find(tmp_path / "secret.zip", r"1\.txt", "expected")
    (tmp_path / "none.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"none\.zip is not a zip that can be read"):
        find(tmp_path / "none.zip", r"1\.txt", "expected")


def test_a_reader_opens_a_zip_once_a_thread_and_knows_marks_without_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for i in range(20):
            out.writestr(f"{i}.txt", str(i % 10))
    entries, opened = find(tmp_path, r"\d+\.txt", "expected"), list[Path]()

    class Counted(zipfile.ZipFile):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr("limbeck.data.archive.zipfile.ZipFile", Counted)
    reader, made = Reader(), list[bytes]()
    assert b"".join(map(reader.read, entries[:5])) == b"".join(e.name[-5:-4].encode() for e in entries[:5])
    assert len({reader.mark(entry) for entry in entries}) == 10
    thread = threading.Thread(target=lambda: made.extend(map(reader.read, entries)))
    thread.start()
    thread.join()
    assert len(made) == 20
    assert len(opened) == 2


def test_a_damaged_file_of_a_zip_is_told_of_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("1.txt", "some text")
    raw = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(b"some text", b"sOme text", 1))
    (entry,) = find(tmp_path, r"1\.txt", "expected")
    with pytest.raises(UserError, match=r"a\.zip: 1\.txt cannot be read: Bad CRC-32"):
        entry.read()
    with pytest.raises(UserError, match=r"a\.zip: 1\.txt cannot be read: Bad CRC-32"), entry.open() as file:
        file.read()
