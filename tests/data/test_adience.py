from pathlib import Path

import pytest
import torch

from limbeck.data.adience import Adience
from limbeck.data.split import BySubject
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data.fake_faces import write, zipped

HEADER = "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_score\n"
# Fold, user, age and gender as the lists have them; and what they mean.
FACES = [
    (0, "30601258@N03", "(25, 32)", "f", 4, 1),
    (0, "30601258@N03", "(8, 12)", "m", 2, 0),
    (0, "7464014@N04", "(0, 2)", "u", 0, IGNORE),
    (0, "7464014@N04", "(60, 100)", "", 7, IGNORE),
    (1, "113445054@N07", "(8, 23)", "f", IGNORE, 1),
    (1, "113445054@N07", "(38, 42)", "m", 5, 0),
    (1, "113445054@N07", "(38, 48)", "m", IGNORE, 0),
    (1, "113445054@N07", "None", "m", IGNORE, 0),
    (2, "9855553@N08", "35", "f", IGNORE, 1),
    (2, "9855553@N08", "13", "f", 2, 1),
    (2, "9855553@N08", "None", "u", IGNORE, IGNORE),
    (2, "9855553@N08", "(48, 53)", "x", 6, IGNORE),
]


def dataset(root: Path) -> Path:
    """Lists beside the images, as they are unpacked; the frontal lists hold every second face."""
    for i, (fold, user, age, gender, *_) in enumerate(FACES):
        line = f"{user}\t{i}_o.jpg\t{2000 + i}\t{age}\t{gender}\t0\t0\t9\t9\t0\t0\t50\n"
        for name in (f"fold_{fold}_data.txt", *([f"fold_frontal_{fold}_data.txt"] if i % 2 == 0 else [])):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((path.read_text() if path.exists() else HEADER) + line)
        write(root / "aligned" / user / f"landmark_aligned_face.{2000 + i}.{i}_o.jpg", i)
        write(root / "faces" / user / f"coarse_tilt_aligned_face.{2000 + i}.{i}_o.jpg", 100 + i)
    return root


def test_groups_and_genders_are_those_of_the_lists_with_every_stray_text(tmp_path: Path) -> None:
    table = Adience(root=dataset(tmp_path), size=16).load()
    assert [t.name for t in table.tasks] == ["age", "gender"]
    made = {
        file.rpartition(".")[0].rpartition(".")[2]: (age, gender, subject, session)
        for file, age, gender, subject, session in zip(
            table.meta["file"].tolist(),
            table.targets["age"].tolist(),
            table.targets["gender"].tolist(),
            table.meta["subject"].tolist(),
            table.meta["session"].tolist(),
            strict=True,
        )
    }
    assert made == {
        f"{i}_o": (age, gender, user, f"fold_{fold}")
        for i, (fold, user, *_, age, gender) in enumerate(FACES)
        if (age, gender) != (IGNORE, IGNORE)
    }
    assert table.card["findings"] == {
        "ages that lie inside no group, missing": 3,
        "genders other than m, f and u, missing": 1,
    }
    assert table.card["findings_first"]["ages that lie inside no group, missing"] == "fold_1_data.txt:2: (8, 23)"
    assert table.card["dropped"] == {"images without a label": 1}
    assert table.card["subjects"] == 4
    parts = BySubject().split(table).parts.values()
    assert len(set.union(*(set(p.meta["subject"]) for p in parts))) == sum(len(set(p.meta["subject"])) for p in parts)


def test_frontal_lists_and_the_other_crops_can_be_chosen(tmp_path: Path) -> None:
    dataset(tmp_path)
    whole = Adience(root=tmp_path, size=16).load()
    frontal = Adience(root=tmp_path, size=16, folds="frontal").load()
    assert len(frontal) == 5
    assert set(frontal.meta["session"]) == {"fold_frontal_0", "fold_frontal_1", "fold_frontal_2"}
    assert frontal.card["findings"]["images that no list names, left out"] == 6
    assert "images that no list names, left out" in frontal.card["facts"]
    other = Adience(root=tmp_path, size=16, crops="faces").load()
    assert torch.equal(other.targets["age"], whole.targets["age"])
    assert not torch.equal(other.rows(other.ids).inputs["image"], whole.rows(whole.ids).inputs["image"])


def test_images_in_a_zip_beside_the_lists_are_found(tmp_path: Path) -> None:
    inner = dataset(tmp_path / "adience")
    (tmp_path / "lists").mkdir()
    zipped(inner / "aligned", tmp_path / "lists" / "aligned.zip")
    for path in inner.glob("fold_*"):
        path.rename(tmp_path / "lists" / path.name)
    assert len(Adience(root=tmp_path / "lists", size=16).load()) == 11


def test_lines_of_no_use_are_counted(tmp_path: Path) -> None:
    dataset(tmp_path)
    path = tmp_path / "fold_0_data.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1], lines[2].replace("(8, 12)", "(0, 2)"), "cut\tline"]) + "\n")
    (tmp_path / "aligned" / "9855553@N08" / "landmark_aligned_face.2009.9_o.jpg").unlink()
    table = Adience(root=tmp_path, size=16).load()
    assert len(table) == 10
    assert table.card["findings"] == {
        "lines without a cell for each column, left out": 1,
        "images listed twice, first taken": 2,
        "ages that lie inside no group, missing": 3,
        "lines whose image is not there, left out": 1,
        "genders other than m, f and u, missing": 1,
    }


def test_what_is_no_adience_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root holds fold_0_data\.txt and so on, and the images in aligned/<user>"):
        Adience(root=tmp_path).load()
    (tmp_path / "fold_0_data.txt").write_text(HEADER)
    with pytest.raises(UserError, match=r"the images are aligned/<user>/landmark_aligned_face\.<face>\.<image>\.jpg"):
        Adience(root=tmp_path).load()
    write(tmp_path / "aligned" / "u" / "landmark_aligned_face.1.a.jpg", 1)
    with pytest.raises(UserError, match=r"adience: no usable image"):
        Adience(root=tmp_path).load()
    (tmp_path / "fold_0_data.txt").write_text("user_id\tage\nu\t35\n")
    with pytest.raises(UserError, match=r"fold_0_data\.txt has no column 'original_image'"):
        Adience(root=tmp_path).load()
