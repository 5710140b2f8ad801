from pathlib import Path

import pytest

from limbeck.data.concat import concat
from limbeck.data.fairface import FairFace
from limbeck.data.utkface import UTKFace
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data.fake_faces import write, zipped

# Bracket as the official table has it and as a spreadsheet leaves it; gender, race; and what they mean.
FACES = [
    ("0-2", "0-2", "Male", "White", 0, 0, 0, 0),
    ("3-9", "03-Sep", "Female", "Black", IGNORE, 1, 1, 1),
    ("3-9", "9-Mar", "Female", "Indian", IGNORE, 1, 1, 3),
    ("10-19", "Oct-19", "Male", "East Asian", IGNORE, 2, 0, 2),
    ("10-19", "19-Oct", "Male", "Southeast Asian", IGNORE, 2, 0, 2),
    ("20-29", "20-29", "Male", "Latino_Hispanic", IGNORE, 3, 0, 4),
    ("30-39", "30-39", "Female", "Middle Eastern", IGNORE, 4, 1, 4),
    ("60-69", "60-69", "Male", "White", 7, 7, 0, 0),
    ("more than 70", "more than 70", "Female", "White", 7, 8, 1, 0),
]


def dataset(root: Path, damaged: bool) -> Path:
    """Every third image is of the validation."""
    for part in ("train", "val"):
        lines = ["file,age,gender,race,service_test"]
        for i, (age, after, gender, race, *_) in enumerate(FACES):
            if (i % 3 == 2) == (part == "val"):
                write(root / part / f"{i + 1}.jpg", i)
                lines.append(f"{part}/{i + 1}.jpg,{after if damaged else age},{gender},{race},False")
        (root / f"fairface_label_{part}.csv").write_text("\n".join(lines) + "\n")
    return root


def labelled(spec: FairFace) -> list[tuple[int, ...]]:
    table = spec.load()
    tasks = [table.targets[t.name].tolist() for t in table.tasks]
    rows = zip(table.meta["file"].tolist(), *tasks, strict=True)
    return [tuple(rest) for _, *rest in sorted(rows, key=lambda r: int(r[0].split("/")[1].split(".")[0]))]


@pytest.mark.parametrize("damaged", [False, True])
def test_brackets_races_and_genders_are_those_of_the_tables(tmp_path: Path, damaged: bool) -> None:
    root = dataset(tmp_path / "fairface", damaged)
    dates = {"ages that a spreadsheet made a date, read as the bracket they were": 4} if damaged else {}
    for place in (root, zipped(root, tmp_path / "fairface.zip")):
        spec = FairFace(root=place, size=16)
        assert labelled(spec) == [(age, gender, race) for *_, age, _, gender, race in FACES]
        assert spec.load().card["findings"] == {**dates, "ages of a bracket in several groups, missing": 6}
        own = spec.changed(ages="own")
        assert labelled(own) == [(bracket, gender, race) for *_, bracket, gender, race in FACES]
        table = own.load()
        assert [t.name for t in table.tasks] == ["age_bracket", "gender", "race"]
        assert table.card["findings"] == dates
        assert sorted(table.meta["session"].tolist()) == ["train"] * 6 + ["val"] * 3


def test_texts_that_mean_nothing_are_missing_and_counted(tmp_path: Path) -> None:
    root = dataset(tmp_path, False)
    path = root / "fairface_label_train.csv"
    lines = path.read_text().splitlines()
    lines[1] = "train/1.jpg,4-Jun,male,white,False"
    lines[2] = "train/2.jpg,3-9,,Martian,False"
    path.write_text("\n".join([*lines, lines[3].replace("Male", "Female"), "train/99.jpg,0-2,Male,White,False"]) + "\n")
    (root / "notes.csv").write_text("a,b\n1,2\n")
    write(root / "val" / "100.jpg", 100)
    table = FairFace(root=root, size=16, ages="own").load()
    assert table.card["findings"] == {
        "texts that are no bracket of age, missing": 1,
        "texts that are no gender, missing": 1,
        "texts that are no race, missing": 1,
        "lines that tell otherwise of an image, first taken": 1,
        "lines whose image is not there, left out": 1,
        "tables without file, age, gender and race, not read": 1,
        "images that no table names, left out": 1,
    }
    assert table.card["findings_first"]["texts that are no bracket of age, missing"] == (
        "fairface_label_train.csv:2: 4-Jun"
    )
    assert labelled(FairFace(root=root, size=16, ages="own"))[:2] == [(IGNORE, 0, 0), (1, IGNORE, IGNORE)]


def test_it_is_joined_with_utkface_in_the_tasks_that_both_have(tmp_path: Path) -> None:
    write(tmp_path / "utk" / "30_1_3_20170103200814791.jpg.chip.jpg", 50)
    one, two = FairFace(root=dataset(tmp_path / "fair", False), size=16), UTKFace(root=tmp_path / "utk", size=16)
    table = concat([one.load(), two.load()])
    assert [t.name for t in table.tasks] == ["age", "gender", "race"]
    assert table.targets["race"][-1] == 3
    table = concat([one.changed(ages="own").load(), two.load()])
    assert [t.name for t in table.tasks] == ["age_bracket", "gender", "race", "age"]
    assert table.targets["age_bracket"][-1] == table.targets["age"][0] == IGNORE


def test_what_is_no_fairface_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root holds images train/<number>\.jpg and val/<number>\.jpg and fairface"):
        FairFace(root=tmp_path).load()
    write(tmp_path / "train" / "1.jpg", 1)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"no table here names an image by file, age, gender and race; root holds"):
        FairFace(root=tmp_path).load()
