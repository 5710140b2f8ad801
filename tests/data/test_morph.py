from pathlib import Path

import pytest

from limbeck.data.morph import MORPH
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data.fake_faces import write, zipped

# File, group of age, gender and race.
PHOTOS = [
    ("009055_1M54.JPG", 6, 0, 1),
    ("009055_2M55.JPG", 6, 0, 1),
    ("012345_0F16.JPG", 3, 1, 0),
    ("012346_0F77.JPG", 7, 1, 2),
    ("200001_00M33.JPG", 4, 0, 4),
    ("200002_01M41.JPG", 5, 0, IGNORE),
    ("200003_01M23.JPG", 4, 0, IGNORE),
]
RACES = {"009055": "B", "012345": "W", "012346": "A", "200001": "H", "200002": "O"}


def dataset(root: Path) -> Path:
    for i, (name, *_) in enumerate(PHOTOS):
        write(root / "Album2" / name, i)
    return root


def labelled(root: Path, **changed: object) -> dict[str, tuple[int, ...]]:
    table = MORPH(root=root, size=16, **changed).load()
    tasks = [table.targets[t.name].tolist() for t in table.tasks]
    return dict(zip(table.meta["file"].tolist(), zip(*tasks, strict=True), strict=True))


def test_names_tell_person_gender_and_age(tmp_path: Path) -> None:
    root = dataset(tmp_path / "MORPH")
    for place in (root, zipped(root, tmp_path / "morph.zip")):
        assert labelled(place) == {name: (age, gender) for name, age, gender, _ in PHOTOS}
    table = MORPH(root=root, size=16).load()
    assert [t.name for t in table.tasks] == ["age", "gender"]
    assert table.meta["subject"].tolist() == ["9055", "9055", "12345", "12346", "200001", "200002", "200003"]
    assert table.card["subjects"] == 6
    assert table.card["findings"] == {}
    assert labelled(root, gaps="missing")["009055_1M54.JPG"] == (IGNORE, 0)


@pytest.mark.parametrize("table", ["people", "photos", "files"])
def test_a_table_tells_races_by_person_by_photo_or_by_file(tmp_path: Path, table: str) -> None:
    root = dataset(tmp_path)
    lines = {
        "people": ["id_num,race", *(f"{int(person)},{race}" for person, race in RACES.items())],
        "photos": [
            "id_num,picture_num,dob,race,gender",
            *(f"{n[:6]},{n[7:].split('M')[0].split('F')[0]},x,{RACES.get(n[:6], '')},M" for n, *_ in PHOTOS[:-1]),
        ],
        "files": ["photo,Race", *(f"Album2/{n},{RACES[n[:6]].lower()}" for n, *_ in PHOTOS[:-1])],
    }[table]
    (root / "MORPH_2008_nonCommercial.csv").write_text("\n".join(lines) + "\n")
    (root / "other.csv").write_text("a,b\n1,2\n")
    assert labelled(root) == {name: rest for name, *rest_ in PHOTOS for rest in [tuple(rest_)]}
    findings = MORPH(root=root, size=16).load().card["findings"]
    assert findings == {
        "tables without race and person or photo, not read": 1,
        "images of a race other than W, B, A and H, missing": 2,
    }


def test_lines_that_say_otherwise_are_counted(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    (root / "races.csv").write_text("id,race\n9055,B\n9055,W\n9055,B\nnobody,W\n")
    (root / "photos.csv").write_text("photo,race\n,W\n")
    assert labelled(root)["009055_1M54.JPG"] == (6, 0, 1)
    findings = MORPH(root=root, size=16).load().card["findings"]
    assert findings["lines that tell another race, first taken"] == 1
    assert findings["lines without a person or photo, left out"] == 2


def test_a_table_beside_a_zip_of_images_is_read(tmp_path: Path) -> None:
    root = dataset(tmp_path / "MORPH")
    (tmp_path / "set").mkdir()
    zipped(root, tmp_path / "set" / "morph.zip")
    (tmp_path / "set" / "races.csv").write_text("id,race\n9055,B\n")
    assert labelled(tmp_path / "set")["009055_2M55.JPG"] == (6, 0, 1)


def test_what_is_no_morph_says_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path / "photo.jpg", 1)
    for _ in range(2):
        with pytest.raises(UserError, match=r"no such data here; root is the zip or folder of files <person>_<number>"):
            MORPH(root=tmp_path).load()
        (tmp_path / "races.csv").write_text("id,race\n1,W\n")
