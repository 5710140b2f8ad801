from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from scipy.io import savemat

from limbeck.data import matlab
from limbeck.data.archive import Entry
from limbeck.errors import UserError


def written(path: Path) -> Path:
    savemat(path, {"id": "an0", "wrist": {"ppg": {"fs": 128.0, "v": np.arange(9.0)}}, "more": 1}, do_compression=True)
    return path


def test_structs_come_as_dicts_and_only_those_that_are_named(tmp_path: Path) -> None:
    held = matlab.load(Entry("a.mat", written(tmp_path / "a.mat")), ("id", "wrist", "absent"))
    assert list(held) == ["id", "wrist"]
    assert held["id"] == "an0"
    assert held["wrist"]["ppg"]["fs"] == 128
    assert held["wrist"]["ppg"]["v"].tolist() == list(range(9))


def test_a_file_in_a_zip_is_read_too(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "all.zip", "w") as made:
        made.write(written(tmp_path / "a.mat"), "data/a.mat")
    held = matlab.load(Entry("a.mat", tmp_path / "all.zip", "data/a.mat"), ("more",))
    assert held == {"more": 1}


def test_a_file_of_matlab_7_3_or_a_damaged_one_ends_in_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF" + bytes(600))
    with pytest.raises(UserError, match=r"version 7\.3 are not read; save it with -v7"):
        matlab.load(Entry("a.mat", path), ("id",))
    content = written(path).read_bytes()
    for broken in (b"", content[:3], content[:100], content[:130], content[:250], content[:250] + bytes(len(content))):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"^a\.mat: this MATLAB file is damaged: .+") as error:
            matlab.load(Entry("a.mat", path), ("id", "wrist"))
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"no\.mat"):
        matlab.load(Entry("no.mat", tmp_path / "no.mat"), ("id",))
