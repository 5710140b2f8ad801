import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.fer2013 import FER2013
from limbeck.errors import UserError
from tests.data.fake_faces import picture, write, zipped

DATA = Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "faces"
ZIP = DATA / "fer2013-third.zip"
real = pytest.mark.skipif(not ZIP.is_file(), reason=f"no FER2013 data at {ZIP}")

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def pixels(seed: int) -> np.ndarray:
    return np.asarray(picture(seed, 48, 48, "L"))


def rows() -> list[tuple[str, str, str]]:
    """Emotion, pixels and usage of each row of a table."""
    usages = ("Training", "PublicTest", "PrivateTest")
    return [(str(i % 7), " ".join(map(str, pixels(i).ravel())), usages[i % 3]) for i in range(9)]


def table(path: Path, lines: list[tuple[str, str, str]], header: str = "emotion,pixels,Usage") -> Path:
    path.write_text("\n".join([header, *(f"{e},{p},{u}" for e, p, u in lines)]) + "\n")
    return path


def test_the_official_table_is_read_with_its_pixels(tmp_path: Path) -> None:
    path = table(tmp_path / "fer2013.csv", rows())
    for root in (tmp_path, path):
        made = FER2013(root=root, size=48, colour="grey").load()
        assert made.tasks[0].name == "expression"
        assert made.tasks[0].labels == NAMES
        assert made.targets["expression"].tolist() == [i % 7 for i in range(9)]
        assert made.meta["session"].tolist() == ["Training", "PublicTest", "PrivateTest"] * 3
        assert made.meta["subject"].tolist() == [f"row {i:05d}" for i in range(9)]
        images = made.rows(made.ids).inputs["image"]
        assert np.array_equal(images[:, 0], np.stack([pixels(i) for i in range(9)]))
        assert made.card["findings"] == {}
    write(tmp_path / "Training" / "Angry" / "1.jpg", 1)
    made = FER2013(root=tmp_path, size=48).load()
    assert len(made) == 9
    assert made.card["findings"] == {"other files beside the table, not read": 1}
    assert made.card["facts"] == ["other files beside the table, not read"]
    wide = FER2013(root=path).load()
    assert wide.shape("image") == (3, 64, 64)
    image = wide.rows(torch.tensor([4])).inputs["image"][0]
    known = np.asarray(Image.fromarray(pixels(4)).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(image, np.stack([known] * 3))


def test_rows_of_no_use_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = rows()
    lines[1] = ("1", lines[1][1].rpartition(" ")[0], "Training")
    lines[2] = ("2", lines[2][1] + " 256", "Training")
    lines[3] = ("3", "a b c", "Training")
    lines[4] = ("7", lines[4][1], "Training")
    lines[5] = ("", lines[5][1], "Training")
    lines[6] = ("5", lines[0][1], "PrivateTest")
    lines.append(("6", lines[7][1], "PrivateTest"))
    lines.append(("1", "", ""))
    path = table(tmp_path / "fer2013.csv", lines)
    path.write_text(path.read_text() + "4\n")
    made = FER2013(root=tmp_path, size=16).load()
    assert made.meta["file"].tolist() == ["row 00008"]
    assert made.card["findings"] == {
        "rows without 2304 pixels of 0 to 255, left out": 5,
        "numbers that are no expression, missing": 2,
        "copies of another image, left out": 2,
        "images whose copies disagree on expression, which is missing": 2,
        "images whose copies disagree on every label, left out": 2,
    }
    assert made.card["findings_first"]["rows without 2304 pixels of 0 to 255, left out"] == "row 00001"


def test_the_other_table_of_the_contest_is_read_too(tmp_path: Path) -> None:
    lines = [(e, u, p) for e, p, u in rows()]
    table(tmp_path / "icml_face_data.csv", lines, "emotion, Usage, pixels")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as out:
        out.write(tmp_path / "icml_face_data.csv", "fer/icml_face_data.csv")
    for root in (tmp_path, tmp_path / "all.zip"):
        made = FER2013(root=root, size=48).load()
        assert len(made) == 9
        assert made.meta["session"].tolist()[:2] == ["Training", "PublicTest"]


def test_folders_of_images_and_their_zip_give_the_same(tmp_path: Path) -> None:
    inner = tmp_path / "unpacked" / "fer2013"
    for i, part in enumerate(("Training", "PublicTest", "PrivateTest")):
        for j, name in enumerate(NAMES):
            write(inner / part / name.title() / f"{7 * i + j:08d}.jpg", 7 * i + j)
    write(inner / "Overfit" / "Angry" / "00000001.jpg", 100)
    write(inner / "Encodings_Training" / "00000001.jpg", 101)
    (tmp_path / "zipped").mkdir()
    packed = zipped(inner, tmp_path / "zipped" / "fer2013.zip")
    first, *others = [FER2013(root=root, size=16).load() for root in (inner, inner.parent, packed, packed.parent)]
    assert len(first) == 21
    assert first.card["tasks"]["expression"] == dict.fromkeys(NAMES, 3)
    assert first.meta["file"].tolist()[0] == "PrivateTest/Angry/00000014.jpg"
    assert sorted(set(first.meta["session"])) == ["PrivateTest", "PublicTest", "Training"]
    for made in others:
        assert (made.meta["file"] == first.meta["file"]).all()
        assert torch.equal(made.rows(made.ids).inputs["image"], first.rows(first.ids).inputs["image"])
    only = FER2013(root=inner / "Training", size=16).load()
    assert set(only.meta["session"]) == {"Training"}
    assert len(only) == 7


def test_what_is_no_fer2013_says_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path / "angry" / "1.jpg", 1)
    with pytest.raises(UserError, match=r"no such data here; root is fer2013\.csv, .*Training/Angry/<number>\.jpg"):
        FER2013(root=tmp_path).load()
    table(tmp_path / "fer2013.csv", rows(), "a,b,c")
    with pytest.raises(UserError, match=r"fer2013\.csv has no columns emotion and pixels"):
        FER2013(root=tmp_path).load()
    (tmp_path / "fer2013.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"fer2013\.csv has no columns emotion and pixels"):
        FER2013(root=tmp_path).load()
    (tmp_path / "fer2013.csv").write_bytes(b"emotion,pixels\n0," + b"1" * 200_000)
    with pytest.raises(UserError, match=r"fer2013\.csv is damaged behind line 1: field larger"):
        FER2013(root=tmp_path).load()


@real
def test_the_real_files_are_read_with_their_oddities() -> None:
    made = FER2013(root=ZIP, size=48, colour="grey", store="lazy").load()
    assert len(made) == 11963 - 242 - 11
    assert made.card["findings"] == {
        "copies of another image, left out": 242,
        "images whose copies disagree on expression, which is missing": 11,
        "images whose copies disagree on every label, left out": 11,
    }
    assert made.card["tasks"]["expression"] == {
        "angry": 1607,
        "disgust": 172,
        "fear": 1667,
        "happy": 2980,
        "sad": 2002,
        "surprise": 1232,
        "neutral": 2050,
    }
    images = made.rows(torch.arange(0, len(made), 60)).inputs["image"]
    with zipfile.ZipFile(ZIP) as held, Image.open(io.BytesIO(held.read(f"fer2013/{made.meta['file'][60]}"))) as image:
        assert np.array_equal(images[1, 0], np.asarray(image))
    assert 100 < images.float().mean() < 160
