"""MTAN's .npy files: what is in them, and what must not be."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import mtan
from limbeck.data.archive import Reader, find
from limbeck.data.decoding import NoImage
from limbeck.data.recordings import Findings
from tests.data import fake_pixels


def packed(values: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values, **options)
    return out.getvalue()


def test_frames_have_the_files_of_their_tasks_and_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    root, findings = fake_pixels.mtan(tmp_path, (12, 2)), Findings()
    (root / "train" / "depth" / "3.npy").unlink()
    entries = find(root, mtan.FILES, "", folders=2)
    frames = mtan.frames(entries, {"segmentation": "label", "depth": "depth"}, findings)
    names = [f"train {i}" for i in range(12) if i != 3] + ["test 0", "test 1"]
    assert [f.subject for f in frames] == names
    assert [f.part for f in frames] == ["train"] * 11 + ["test"] * 2
    assert set(frames[0].sources) == {"image", "segmentation", "depth"}
    assert findings.counts == {"images without one of their files, left out": 1}
    assert findings.first["images without one of their files, left out"] == "train/image/3.npy: no train/depth/3.npy"
    assert mtan.folders(entries) == {"image", "label", "depth", "normal"}


def test_a_frame_comes_out_as_it_was_made(tmp_path: Path) -> None:
    root = fake_pixels.mtan(tmp_path, (1, 0))
    (frame,) = mtan.frames(
        find(root, mtan.FILES, "", folders=2),
        {"segmentation": "label", "depth": "depth", "normals": "normal"},
        Findings(),
    )
    values = {what: mtan.array(Reader().read(entry)) for what, entry in frame.sources.items()}
    image, classes, depth, normals = fake_pixels.scene(50)
    notes: list[str] = []
    made = mtan.made(values, 13, (24, 32), notes)
    assert np.array_equal(made["image"], image.transpose(2, 0, 1))
    assert np.array_equal(made["segmentation"], np.where(classes == 7, 255, classes))
    assert np.array_equal(made["depth"], depth.astype(np.float32), equal_nan=True)
    assert np.allclose(made["normals"], normals.transpose(2, 0, 1), atol=1e-6, equal_nan=True)
    assert notes == []
    assert mtan.made(values, 13, (12, 16), notes)["normals"].shape == (3, 12, 16)
    mtan.made(values, 13, (12, 30), notes)
    assert notes == ["images of another shape, which are stretched"]


FINE: dict[str, Any] = {
    "image": np.full((4, 6, 3), 0.5),
    "segmentation": np.zeros((4, 6)),
    "depth": np.ones((4, 6, 1)),
    "normals": np.full((4, 6, 3), [0, 0, 1.0]),
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image": np.full((4, 6, 3), 127.0)}, "images whose values are not from 0 to 1"),
        ({"image": np.full((4, 6, 3), np.nan)}, "images whose values are not from 0 to 1"),
        ({"image": np.zeros((3, 4, 6))}, "not \\(height, width, 3\\)"),
        ({"segmentation": np.full((4, 6), 13)}, "ids that are no class.*13; known are 0 to 12 and -1"),
        ({"segmentation": np.full((4, 6), -2)}, "ids that are no class"),
        ({"image": np.zeros((0, 6, 3))}, "not \\(height, width, 3\\)"),
        ({"segmentation": np.full((4, 6), 1e300)}, "ids that are no class.*1e.300"),
        ({"segmentation": np.full((4, 6), 1.5)}, "ids that are no class"),
        ({"segmentation": np.full((4, 6), np.nan)}, "ids that are no class"),
        ({"segmentation": np.zeros((4, 6, 3))}, "label maps that are not"),
        ({"depth": np.ones((2, 3, 1))}, "different sizes.*depth 2 x 3, image 4 x 6"),
        ({"depth": np.ones(24)}, "different sizes.*depth 24, image 4 x 6"),
        ({"depth": np.ones((4, 6, 2))}, "depth maps that are not"),
        ({"normals": np.full((4, 6, 3), 0.5)}, "no unit vectors.*0.866"),
        ({"normals": np.ones((4, 6))}, "normals that are not"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(changed: dict[str, Any], said: str) -> None:
    assert mtan.made(FINE, 13, (4, 6), [])["depth"].min() == 1
    with pytest.raises(NoImage, match=said):
        mtan.made(FINE | changed, 13, (4, 6), [])


def test_values_that_are_no_depth_are_missing_and_told() -> None:
    depth = np.array([[1.0, 0, -1], [np.nan, 1e300, 2]])
    notes: list[str] = []
    made = mtan.depth(depth, (2, 3), notes)
    assert np.array_equal(made, np.array([[1, np.nan, np.nan], [np.nan, np.nan, 2]], np.float32), equal_nan=True)
    assert notes == ["depth maps with values that are not finite, missing", "depth maps with values below 0, missing"]


def test_normals_are_made_of_length_1_and_missing_where_they_are_0() -> None:
    normals = np.zeros((2, 2, 3))
    normals[0, 0], normals[0, 1], normals[1, 1] = (0, 0, 1.04), (0, 0.97, 0), (0, 0.99, 0)
    made = mtan.directions(normals, (2, 2))
    assert made[:, 0, 0].tolist() == [0, 0, 1]
    assert np.isnan(made[:, 1, 0]).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no .npy"),
        (b"\x93NUMPY\x01\x00", "no .npy"),
        (packed(np.ones((50, 50)))[:-1], "end too early"),
        (packed(np.array([{"a": 1}], object), allow_pickle=True), "other than numbers.*object"),
        (packed(np.array(["text"])), "other than numbers"),
        (packed(np.ones(3, complex)), "other than numbers"),
        (packed(np.ones((2, 2))).replace(b"(2, 2)", b"(9, 9)"), "end too early"),
    ],
)
def test_files_that_hold_no_array_of_numbers_are_told_and_nothing_is_unpickled(data: bytes, said: str) -> None:
    with pytest.raises(NoImage, match=said):
        mtan.array(data)


def test_a_header_that_announces_more_than_any_memory_is_told() -> None:
    short, long = b"(20, 20), }" + b" " * 20, b"(20, 99999999999999999999), }"
    with pytest.raises(NoImage, match="end too early"):
        mtan.array(packed(np.ones((20, 20), np.float32)).replace(short, long.ljust(len(short))))
