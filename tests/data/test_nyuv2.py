"""NYU Depth v2 in MTAN's files and in the official one."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from limbeck.data.archive import Entry, find
from limbeck.data.nyu_classes import FORTY, MAPPINGS, THIRTEEN, lookup
from limbeck.data.nyuv2 import NYUv2
from limbeck.data.split import Official
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data import fake_pixels
from tests.data.fake_faces import zipped


def test_mtans_files_have_three_tasks_and_an_image_is_a_subject(tmp_path: Path) -> None:
    made = NYUv2(root=fake_pixels.mtan(tmp_path), size=(24, 32)).load()
    assert [t.name for t in made.tasks] == ["segmentation", "depth", "normals"]
    assert made.tasks[0].labels == THIRTEEN
    assert made.meta["part"].tolist() == ["train"] * 4 + ["test"] * 2
    assert len(set(made.meta["subject"].tolist())) == 6
    row = made.rows(torch.tensor([4]))
    image, classes, depth, normals = fake_pixels.scene(30)
    assert np.array_equal(row.inputs["image"][0], image.transpose(2, 0, 1))
    assert np.array_equal(row.targets["segmentation"][0], np.where(classes == 7, IGNORE, classes))
    assert np.array_equal(row.targets["depth"][0], depth.astype(np.float32), equal_nan=True)
    assert np.allclose(row.targets["normals"][0], normals.transpose(2, 0, 1), atol=1e-3, equal_nan=True)
    assert list(NYUv2(root=tmp_path, size=(24, 32), tasks=("normals",)).load().dense) == ["normals"]
    (tmp_path / "zip").mkdir()
    packed = NYUv2(root=zipped(tmp_path / "train", tmp_path / "zip" / "nyu.zip"), size=(24, 32)).load()
    assert torch.equal(packed.rows(torch.tensor([3])).inputs["image"], made.rows(torch.tensor([3])).inputs["image"])
    with pytest.raises(UserError, match="MTAN's files have 13 classes, not 40"):
        NYUv2(root=tmp_path, classes=40).load()


def test_mtans_files_without_normals_have_two_tasks(tmp_path: Path) -> None:
    spec = NYUv2(root=fake_pixels.mtan(tmp_path, normals=False), size=(24, 32))
    assert [t.name for t in spec.load().tasks] == ["segmentation", "depth"]
    with pytest.raises(UserError, match="no task of nyuv2 data 'normals'"):
        spec.changed(tasks=["normals"]).load()


def test_the_official_file_has_scenes_as_subjects_and_the_official_parts(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    made = NYUv2(root=fake_pixels.rooms(tmp_path), size=(24, 32)).load()
    assert [t.name for t in made.tasks] == ["segmentation", "depth"]
    assert made.meta["subject"].tolist() == [f"room_{i // 2:04d}" for i in range(6)]
    assert made.meta["part"].tolist() == ["train"] * 4 + ["test"] * 2
    image, classes, depth, _ = fake_pixels.scene(53)
    row = made.rows(torch.tensor([3]))
    assert np.array_equal(row.inputs["image"][0], image.transpose(2, 0, 1))
    # Raw label 100 c + 1 is class c + 5 of 40, from 1, and that is (c + 4) % 13 of 13, from 0.
    assert np.array_equal(row.targets["segmentation"][0], np.where(classes == 7, IGNORE, (classes + 4) % 13))
    filled = np.where(np.isnan(depth), 5, depth)
    assert row.targets["depth"][0].numpy() == pytest.approx(filled, rel=1e-6)
    raw = NYUv2(root=tmp_path, size=(24, 32), filled=False).load().rows(torch.tensor([3]))
    assert np.array_equal(raw.targets["depth"][0], depth.astype(np.float32), equal_nan=True)
    split = Official().split(made)
    assert len(split.test) == 2
    assert not split.leaky


@pytest.mark.parametrize("classes", [40, 894])
def test_more_classes_of_the_official_file(tmp_path: Path, classes: int) -> None:
    pytest.importorskip("h5py")
    made = NYUv2(root=fake_pixels.rooms(tmp_path), size=(24, 32), classes=classes).load()
    assert made.tasks[0].labels == (FORTY if classes == 40 else tuple(f"name {i}" for i in range(894)))
    known = fake_pixels.scene(50)[1]
    expected = np.where(known == 7, IGNORE, known + 4 if classes == 40 else 100 * known)
    assert np.array_equal(made.rows(torch.tensor([0])).targets["segmentation"][0], expected)


def test_what_the_official_file_needs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    spec = NYUv2(root=fake_pixels.rooms(tmp_path), size=(24, 32))
    (tmp_path / "class13Mapping.mat").unlink()
    with pytest.raises(UserError, match=r"these classes need class13Mapping.mat beside the data.*or say classes 894"):
        spec.load()
    (tmp_path / "splits.mat").rename(tmp_path / "split.mat")
    with pytest.raises(UserError, match=r"no splits.mat here"):
        spec.changed(classes=894).load()
    (tmp_path / "split.mat").rename(tmp_path / "splits.mat")
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB 7.3, but no more")
    with pytest.raises(UserError, match=r"nyu_depth_v2_labeled.mat: this file is damaged"):
        spec.changed(classes=40).load()
    folder = tmp_path / "zip"
    folder.mkdir()
    zipped(tmp_path, folder / "nyu.zip")
    with pytest.raises(UserError, match=r"nyu.zip: .*is read in parts: unpack it, and name the folder"):
        NYUv2(root=folder, classes=40).load()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs the extra 'nyu': pip install 'limbeck\[nyu\]'"):
        spec.changed(classes=40).load()
    with pytest.raises(UserError, match="no such data here"):
        NYUv2(root=fake_pixels.save(tmp_path / "other" / "a.npy", np.zeros(3)).parent).load()
    with pytest.raises(ValueError, match="13, 40 or 894 classes"):
        NYUv2(root=tmp_path, classes=12)


def test_both_files_that_map_to_13_classes_are_understood(tmp_path: Path) -> None:
    """One sums up the 894, the other the 40."""
    savemat(tmp_path / "classMapping40.mat", {"mapClass": np.array([[i % 41 for i in range(894)]], np.uint8)})
    forty = np.array([(i * 7) % 14 for i in range(40)], np.uint8)
    savemat(tmp_path / "class13Mapping.mat", {"classMapping13": {"labels13": forty, "x": np.arange(3)}})

    def files() -> dict[str, Entry]:
        return {e.name.lower(): e for e in find(tmp_path, MAPPINGS, "")}

    short = lookup(files(), 13, "x")
    ids = [i % 41 for i in range(894)]
    direct = [int(forty[k - 1]) if k else 0 for k in ids]
    assert short.tolist() == [-1] + [k - 1 for k in direct]
    (tmp_path / "class13Mapping.mat").unlink()
    savemat(tmp_path / "classMapping13.mat", {"mapClass": np.array([direct], np.uint8), "names": np.arange(13)})
    assert lookup(files(), 13, "x").tolist() == short.tolist()
    savemat(tmp_path / "classMapping40.mat", {"mapClass": np.full((1, 894), 99)})
    with pytest.raises(UserError, match="holds no list of 894 class ids up to 40"):
        lookup(files(), 40, "x")
