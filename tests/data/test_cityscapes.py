"""Cityscapes in its official layout, in MTAN's, and real frames of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.cityscapes import BASELINE, FOCAL, LABELS, Cityscapes, converted, table
from limbeck.data.split import Official
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data import fake_pixels
from tests.data.fake_faces import zipped

REAL = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[3] / "shared/data")) / "cityscapes"


@pytest.mark.parametrize("flat", [False, True])
def test_the_official_layout_is_read_in_one_tree_or_three(tmp_path: Path, flat: bool) -> None:
    made = Cityscapes(root=fake_pixels.streets(tmp_path, flat), size=(32, 64), classes=19, depth="metric").load()
    assert made.meta["file"].tolist() == [
        "train/bonn/bonn_000002_000019",
        "train/ulm/ulm_000001_000019",
        "train/ulm/ulm_000001_000029",
        "val/munster/munster_000003_000019",
    ]
    assert made.meta["subject"].tolist() == ["bonn_000002", "ulm_000001", "ulm_000001", "munster_000003"]
    assert made.meta["session"].tolist() == ["bonn", "ulm", "ulm", "munster"]
    assert made.meta["part"].tolist() == ["train", "train", "train", "test"]
    image, classes, depth, _ = fake_pixels.scene(21, (32, 64))
    row = made.rows(torch.tensor([3]))
    assert np.array_equal(row.inputs["image"][0], image.transpose(2, 0, 1))
    names = np.array(["road", "building", "sky", "car", "person", "vegetation", "rider", "pole"])
    expected = np.vectorize(LABELS[19].index)(names[classes])
    expected[-2:] = IGNORE
    assert np.array_equal(row.targets["segmentation"][0], expected)
    known = ~np.isnan(depth)
    assert np.array_equal(~row.targets["depth"][0].isnan(), known)
    assert row.targets["depth"][0].numpy()[known] == pytest.approx(depth[known], rel=0.02)
    assert made.card["facts"] == ["files of test and train_extra, without fine labels, not read"]
    assert made.card["findings"] == {made.card["facts"][0]: 3}
    assert len(Official().split(made).test) == 1


def test_the_packages_are_read_as_they_come(tmp_path: Path) -> None:
    tree = fake_pixels.streets(tmp_path / "tree")
    (tmp_path / "zips").mkdir()
    for part in ("leftImg8bit", "gtFine", "disparity"):
        zipped(tree / part, tmp_path / "zips" / f"{part}_trainvaltest.zip")
    one, two = (Cityscapes(root=root, size=(16, 32)).load() for root in (tree, tmp_path / "zips"))
    assert torch.equal(one.rows(one.ids).targets["segmentation"], two.rows(two.ids).targets["segmentation"])
    assert len(two) == 4


def test_labels_are_the_official_ones_and_sum_up_to_categories() -> None:
    fine, seven, two = (table(classes) for classes in (19, 7, 2))
    assert [int(fine[i]) for i in (7, 8, 11, 17, 18, 19, 23, 26, 29, 31, 33)] == [0, 1, 2, 5, -1, 6, 10, 13, -1, 16, 18]
    assert len(LABELS[19]) == 19
    assert LABELS[19][13] == "car"
    assert [LABELS[7][seven[i]] for i in (7, 12, 20, 22, 23, 25, 33)] == list(LABELS[7])
    assert [int(two[i]) for i in (7, 23, 24, 33)] == [0, 0, 1, 1]
    for each in (fine, seven, two):
        assert np.array_equal(each == -1, fine == -1)
        assert each[255] == each[0] == -1
        assert (each[34:255] == -2).all()


def test_depths_follow_from_the_disparity_by_the_official_formula() -> None:
    p = np.array([256 * 10 + 1, 256 * 100 + 1, 1, np.nan])
    values = (p / 65535).astype(np.float32)
    metric = BASELINE * FOCAL / np.array([10, 100, np.nan, np.nan])
    assert converted(values, "metric") == pytest.approx(metric, rel=1e-4, nan_ok=True)
    assert converted(values, "inverse") == pytest.approx(1 / metric, rel=1e-4, nan_ok=True)
    assert converted(values, "disparity") == pytest.approx(np.array([10, 100, np.nan, np.nan]), rel=1e-4, nan_ok=True)
    assert np.array_equal(converted(values, "mtan"), values, equal_nan=True)
    largest = (126 * 256 + 1) / 65535
    assert largest == pytest.approx(0.4922, abs=1e-4)  # as in MTAN's files


def test_mtans_files_are_read_by_their_classes(tmp_path: Path) -> None:
    root = fake_pixels.mtan(tmp_path, labels="label_19", normals=False)
    made = Cityscapes(root=root, size=(24, 32), classes=19, depth="mtan").load()
    assert [t.name for t in made.tasks] == ["segmentation", "depth"]
    assert made.meta["part"].tolist() == ["train"] * 4 + ["test"] * 2
    assert len(set(made.meta["subject"].tolist())) == 6
    depth = fake_pixels.scene(50)[2]
    assert made.rows(torch.tensor([0])).targets["depth"][0].numpy() == pytest.approx(1 / depth, rel=1e-5, nan_ok=True)
    with pytest.raises(UserError, match="classes 7 need a folder label_7; it has label_19"):
        Cityscapes(root=root).load()
    fake_pixels.streets(root)
    with pytest.raises(UserError, match="official and MTAN's files; name the folder of one"):
        Cityscapes(root=root, classes=19).load()


@pytest.mark.parametrize(
    ("kind", "made", "said"),
    [
        ("disparity", Image.new("L", (64, 32)), "disparity files that are no image of 16 bits"),
        ("gtFine_labelIds", Image.new("RGB", (64, 32)), "gtFine_labelIds files that are no map of ids"),
        ("gtFine_labelIds", Image.new("L", (64, 32), 77), "label maps with ids that are no class"),
        ("gtFine_labelIds", Image.new("L", (32, 16)), "images and maps of different sizes"),
        ("leftImg8bit", Image.new("L", (64, 32)), "leftImg8bit files that are no image in colour"),
        ("leftImg8bit", None, "images that are damaged"),
        ("disparity", b"none", "files that are no image"),
    ],
)
def test_a_frame_with_a_bad_file_is_left_out_and_counted(
    tmp_path: Path, kind: str, made: Image.Image | bytes | None, said: str
) -> None:
    root = fake_pixels.streets(tmp_path)
    path = fake_pixels.street(root, "train", "ulm_000009_000019", 3)[kind]
    if isinstance(made, Image.Image):
        made.save(path)
    else:
        path.write_bytes(made or path.read_bytes()[:-900])
    result = Cityscapes(root=root, size=(16, 32)).load()
    assert len(result) == 4
    (first,) = (where for what, where in result.card["findings_first"].items() if what == f"{said}, left out")
    assert first.startswith("train/ulm/ulm_000009_000019")


def test_a_missing_partner_and_maps_without_a_pixel_are_counted(tmp_path: Path) -> None:
    root = fake_pixels.streets(tmp_path)
    fake_pixels.street(root, "train", "ulm_000009_000019", 3)["disparity"].unlink()
    Image.new("L", (64, 32), 1).save(fake_pixels.street(root, "train", "ulm_000010_000019", 4)["gtFine_labelIds"])
    empty = Image.fromarray(np.zeros((32, 64), np.uint16))
    empty.save(fake_pixels.street(root, "train", "ulm_000011_000019", 5)["disparity"])
    made = Cityscapes(root=root, size=(16, 32)).load()
    assert len(made) == 6
    found = made.card["findings_first"]
    assert found["images without one of their files, left out"] == "train/ulm/ulm_000009_000019: no disparity"
    assert found["images without a pixel of segmentation"] == "train/ulm/ulm_000010_000019"
    assert found["images without a pixel of depth"] == "train/ulm/ulm_000011_000019"
    alone = Cityscapes(root=root, size=(16, 32), tasks=("segmentation",)).load()
    assert len(alone) == 7
    assert list(alone.dense) == ["segmentation"]


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such data here; root holds the official leftImg8bit, gtFine and disparity"):
        Cityscapes(root=tmp_path).load()
    with pytest.raises(UserError, match="no such file or folder"):
        Cityscapes(root=tmp_path / "none").load()
    with pytest.raises(ValueError, match="2, 7 or 19 classes"):
        Cityscapes(root=tmp_path, classes=8)
    street = fake_pixels.street(tmp_path, "train", "ulm_000009_000019", 3)
    street["gtFine_labelIds"].unlink()
    with pytest.raises(UserError, match=r"no usable image.*without one of their files.*no gtFine_labelIds"):
        Cityscapes(root=tmp_path).load()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no Cityscapes in {REAL}; set LIMBECK_DATA")
def test_on_real_frames_the_road_is_as_far_as_a_camera_on_a_car_sees_it() -> None:
    made = Cityscapes(root=REAL, size=(256, 512), depth="metric").load()
    assert len(made) == 14
    assert not made.card["findings"]
    rows = made.rows(made.ids)
    shares = made.card["tasks"]["segmentation"]
    assert max(shares, key=shares.get) == "flat"
    road = (rows.targets["segmentation"] == 0) & ~rows.targets["depth"].isnan()
    inverse = torch.where(road, 1 / rows.targets["depth"], torch.nan)[:, 170:220, 200:312]
    by_row = inverse.flatten(0).reshape(14, 50, -1).transpose(0, 1).flatten(1).nanmedian(dim=1).values.numpy()
    slope, _ = np.polyfit(np.arange(50), by_row, 1)
    height = 1 / (slope * FOCAL / 4)  # of a flat road 1 / z = (row - horizon) / (focal length x height)
    assert height == pytest.approx(1.25, abs=0.2)
    sky = rows.targets["segmentation"] == LABELS[7].index("sky")
    near = rows.targets["depth"][sky & ~rows.targets["depth"].isnan()] < 20
    assert near.float().mean() < 0.1
