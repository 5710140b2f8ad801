import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.utkface import UTKFace
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data.fake_faces import write, zipped

DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "faces"
ZIP = DATA / "utkface-64px-half.zip"
real = pytest.mark.skipif(not ZIP.is_file(), reason=f"no UTKFace data at {ZIP}")

NAMES = {
    "1_0_0_20161219140623097.jpg.chip.jpg": (0, 0, 0),
    "3_1_2_20161219140623098.jpg.chip.jpg": (0, 1, 2),
    "35_1_4_20170103200814791.jpg.chip.jpg": (4, 1, 4),
    "116_0_1_20170112213500903.chip.jpg": (7, 0, 1),
    "24_0_1_20170116220224657 .jpg.chip.jpg": (4, 0, 1),
    "61_1_20170109150557335.jpg.chip.jpg": (7, IGNORE, IGNORE),
    "39_20170116174525125.jpg.chip.jpg": (5, IGNORE, IGNORE),
    "150_1_3_20170103200814792.jpg.chip.jpg": (IGNORE, 1, 3),
    "26_3_7_20170103200814793.jpg.chip.jpg": (4, IGNORE, IGNORE),
}


def dataset(root: Path) -> Path:
    for i, name in enumerate(NAMES):
        write(root / name, i)
    write(root / "cover.jpg", 100)
    write(root / "200_5_9_20170103200814794.jpg.chip.jpg", 101)
    return root


def test_age_gender_and_race_are_those_of_the_names_with_every_quirk(tmp_path: Path) -> None:
    table = UTKFace(root=dataset(tmp_path), size=16).load()
    assert [t.name for t in table.tasks] == ["age", "gender", "race"]
    assert table.shape("image") == (3, 16, 16)
    made = zip(*(table.targets[t].tolist() for t in ("age", "gender", "race")), strict=True)
    assert dict(zip(table.meta["file"].tolist(), made, strict=True)) == NAMES
    assert table.meta["subject"].tolist() == table.meta["file"].tolist()
    assert table.card["findings"] == {
        "names with a missing field, gender and race missing": 2,
        "ages outside of 0 to 120 years, missing": 2,
        "numbers that are no gender, missing": 2,
        "numbers that are no race, missing": 2,
        "files not named <age>_<gender>_<race>_<time>, left out": 1,
    }
    assert table.card["dropped"] == {"images without a label": 1}
    assert table.card["tasks"]["race"] == {"White": 1, "Black": 2, "Asian": 1, "Indian": 1, "Others": 1, "missing": 3}


def test_an_age_between_two_groups_can_be_missing(tmp_path: Path) -> None:
    table = UTKFace(root=dataset(tmp_path), size=16, gaps="missing").load()
    ages = dict(zip(table.meta["file"].tolist(), table.targets["age"].tolist(), strict=True))
    for name, (age, *_) in NAMES.items():
        assert ages[name] == (IGNORE if name[:2] in ("3_", "35", "24") else age)
    assert table.card["findings"]["ages between two groups, missing"] == 3
    assert "ages between two groups, missing" in table.card["facts"]


def test_the_zip_and_every_level_of_the_folder_give_the_same(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "unpacked" / "UTKFace")
    (tmp_path / "zipped").mkdir()
    packed = zipped(inner, tmp_path / "zipped" / "UTKFace.zip")
    first, *others = [UTKFace(root=root, size=16).load() for root in (inner, inner.parent, packed, packed.parent)]
    for table in others:
        assert (table.meta["file"] == first.meta["file"]).all()
        assert torch.equal(table.rows(table.ids).inputs["image"], first.rows(first.ids).inputs["image"])


def test_what_is_no_utkface_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such data here; root is the zip or folder of files <age>_<gender>_<race>"):
        UTKFace(root=tmp_path).load()
    write(tmp_path / "photo.jpg", 1)
    with pytest.raises(UserError, match=r"utkface: no usable image in the files: 1 files not named <age>_<gender>"):
        UTKFace(root=tmp_path).load()


@real
def test_the_real_files_are_read_with_their_oddities() -> None:
    table = UTKFace(root=ZIP, store="lazy").load()
    assert len(table) == 11854 - 74 - 1
    assert table.card["findings"] == {
        "names with a missing field, gender and race missing": 1,
        "copies of another image, left out": 74,
        "images whose copies disagree on age, which is missing": 17,
        "images whose copies disagree on gender, which is missing": 8,
        "images whose copies disagree on race, which is missing": 18,
        "images whose copies disagree on every label, left out": 1,
    }
    assert table.card["tasks"]["gender"] == {"male": 6146, "female": 5625, "missing": 8}
    assert sum(table.card["tasks"]["age"].values()) == len(table)
    some = torch.arange(0, len(table), 40)
    pixels = table.rows(some).inputs["image"]
    with zipfile.ZipFile(ZIP) as held:
        for row, made in zip(some.tolist()[::20], pixels[::20], strict=True):
            image = Image.open(io.BytesIO(held.read(f"UTKFace/{table.meta['file'][row]}")))
            assert np.array_equal(made, np.asarray(image).transpose(2, 0, 1))
    assert 80 < pixels.float().mean() < 150
    assert pixels.float().std() > 40
