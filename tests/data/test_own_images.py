import zipfile
from pathlib import Path

import pytest
import torch

from limbeck.data import faces
from limbeck.data.own_images import Images
from limbeck.errors import UserError
from limbeck.tasks import IGNORE
from tests.data.fake_faces import write, zipped

FORMS = {
    "jpg": "JPEG",
    "JPEG": "JPEG",
    "png": "PNG",
    "bmp": "BMP",
    "gif": "GIF",
    "tif": "TIFF",
    "webp": "WEBP",
    "pgm": "PPM",
}


def folder(root: Path) -> Path:
    """Eight images of as many formats in two folders and none."""
    for i, (suffix, form) in enumerate(FORMS.items()):
        write(root / ("cat", "dog/brown", "")[i % 3] / f"{i}.{suffix}", i, form)
    (root / "notes.txt").write_text("not read")
    return root


def labelled(spec: Images) -> dict[str, dict[str, str]]:
    """The labels of each image, by file and task."""
    table = spec.load()
    return {
        name: {t.name: t.labels[c] for t in table.tasks if (c := int(table.targets[t.name][row])) != IGNORE}
        for row, name in enumerate(table.meta["file"].tolist())
    }


def test_a_pool_needs_no_label_at_all(tmp_path: Path) -> None:
    root = folder(tmp_path / "pool")
    for place in (root, zipped(root, tmp_path / "pool.zip")):
        table = Images(root=place, size=16).load()
        assert table.tasks == ()
        assert table.targets == {}
        assert table.shape("image") == (3, 16, 16)
        assert len(table) == len(set(table.meta["subject"].tolist())) == 8
        assert table.card["findings"] == {}
    table = Images(root=root, size=16, store="lazy").load()
    assert table.meta["session"].tolist() == ["", "", *["cat"] * 3, *["dog/brown"] * 3]
    assert table.rows(table.ids).inputs["image"].shape == (8, 3, 16, 16)


def test_the_folder_that_an_image_lies_in_is_its_class(tmp_path: Path) -> None:
    spec = Images(root=folder(tmp_path), size=16, classes_from="folders")
    assert labelled(spec) == {
        "2.png": {},
        "5.tif": {},
        **{name: {"label": "cat"} for name in ("cat/0.jpg", "cat/3.bmp", "cat/6.webp")},
        **{name: {"label": "brown"} for name in ("dog/brown/1.JPEG", "dog/brown/4.gif", "dog/brown/7.pgm")},
    }
    assert spec.load().card["findings"] == {"images in no folder, unlabelled": 2}
    (alone := tmp_path / "alone").mkdir()
    (tmp_path / "cat").rename(alone / "cat")
    with pytest.raises(UserError, match=r"'label' has one class only, 'cat', so there is nothing to learn"):
        Images(root=alone, classes_from="folders").load()


def test_a_table_tells_labels_and_subjects_and_what_it_does_not_name_is_unlabelled(tmp_path: Path) -> None:
    root = folder(tmp_path / "all")
    (root / "labels.csv").write_text(
        "file,mood,size,subject\n0.jpg,glad,10,Ann\ndog/brown/1.JPEG,sad,2,Bob\ncat\\3.bmp,,NA,Ann\n./5.tif,glad,2,\n"
        "9.jpg,sad,2,Cid\n0.jpg,sad,2,Ann\n"
    )
    spec = Images(root=root, size=16, labels=Path("labels.csv"))
    expected = {
        "2.png": {},
        "5.tif": {"mood": "glad", "size": "2"},
        "cat/0.jpg": {"mood": "glad", "size": "10"},
        "cat/3.bmp": {},
        "cat/6.webp": {},
        "dog/brown/1.JPEG": {"mood": "sad", "size": "2"},
        "dog/brown/4.gif": {},
        "dog/brown/7.pgm": {},
    }
    assert labelled(spec) == expected
    table = spec.load()
    assert [t.labels for t in table.tasks] == [("glad", "sad"), ("2", "10")]
    subjects = dict(zip(table.meta["file"].tolist(), table.meta["subject"].tolist(), strict=True))
    known = {"cat/0.jpg": "Ann", "cat/3.bmp": "Ann", "dog/brown/1.JPEG": "Bob"}
    assert subjects == {name: known.get(name, name) for name in expected}
    assert table.card["findings"] == {
        "lines without an image": 1,
        "images with several lines, of which the first is taken": 1,
        "images without a line, unlabelled": 4,
    }
    assert table.card["facts"] == ["images without a line, unlabelled"]
    inside = Images(root=zipped(root, root.parent / "all.zip"), size=16, labels=Path(root.name, "labels.csv"))
    for other in (inside, spec.changed(labels=root / "labels.csv")):
        assert list(labelled(other).values()) == list(expected.values())
    both = labelled(spec.changed(columns=("mood",), classes_from="folders"))
    assert both["cat/0.jpg"] == {"mood": "glad", "label": "cat"}


def test_a_table_of_other_names_can_be_anywhere(tmp_path: Path) -> None:
    root = folder(tmp_path / "images")
    (tmp_path / "who.tsv").write_text("photo\tperson\tis\tnote\n0.jpg\tAnn\ta\tx\n1.JPEG\tBob\tb\ty\n")
    spec = Images(root=root, size=16, labels=tmp_path / "who.tsv", file="photo", subject="person", columns=("is",))
    table = spec.load()
    assert [t.name for t in table.tasks] == ["is"]
    assert {"Ann", "Bob"} <= set(table.meta["subject"])
    assert spec.digest() != spec.changed(columns=("note",)).digest()
    assert spec.digest() != Images(root=root, size=16).digest()


def test_tasks_of_faces_have_the_classes_of_sets_of_faces(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "labels.csv").write_text("file,gender,age,race\n0.jpg,female,60+,red\n1.JPEG,male,4-6,blue\n")
    table = Images(root=root, size=16, labels=Path("labels.csv")).load()
    assert table.tasks[:2] == (faces.GENDER, faces.AGE)
    assert table.tasks[2].labels == ("blue", "red")
    assert table.targets["age"][table.targets["age"] != IGNORE].tolist() == [7, 1]


def test_a_column_of_one_class_is_no_task_or_an_error_where_it_was_asked_for(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.jpg", i)
    (tmp_path / "a.csv").write_text("file,is,one\n0.jpg,a,x\n1.jpg,b,x\n2.jpg,c,\n")
    spec = Images(root=tmp_path, size=16, labels=Path("a.csv"))
    table = spec.load()
    assert [t.name for t in table.tasks] == ["is"]
    assert table.card["findings"] == {"column with less than two classes, no task: one": 1}
    with pytest.raises(UserError, match=r"'one' has one class only, 'x', so there is nothing to learn"):
        spec.changed(columns=("one",)).load()


def test_a_column_that_is_no_label_is_an_error(tmp_path: Path) -> None:
    for i in range(201):
        write(tmp_path / f"{i}.png", i, "PNG")
    spec = Images(root=tmp_path, size=16, labels=Path("a.csv"), store="lazy")
    (tmp_path / "a.csv").write_text("\n".join(["file,is", *(f"{i}.png,{i}" for i in range(201))]))
    with pytest.raises(UserError, match=r"column 'is' has 201 different texts, .* name the columns that are labels"):
        spec.load()
    (tmp_path / "a.csv").write_text("name,is\n0.png,a\n")
    with pytest.raises(UserError, match=r"a\.csv has no column 'file'; its columns are 'name', 'is'"):
        spec.load()
    (tmp_path / "a.csv").write_text("file,a.b\n0.png,x\n1.png,y\n")
    with pytest.raises(UserError, match=r"the column 'a\.b' has a point in its name"):
        spec.load()


def test_names_that_mean_several_images_and_tables_that_are_not_there_are_errors(tmp_path: Path) -> None:
    for place in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        write(tmp_path / place, len(place) + ord(place[0]) + ord(place[2]))
    (tmp_path / "l.csv").write_text("file,is\n1.jpg,x\nb/2.jpg,y\n")
    with pytest.raises(UserError, match=r"l\.csv:2: '1\.jpg' is a/1\.jpg and b/1\.jpg; write the folder"):
        Images(root=tmp_path, labels=Path("l.csv")).load()
    with pytest.raises(UserError, match=r"data\.labels: there is no file 'm\.csv'; .* has l\.csv"):
        Images(root=tmp_path, labels=Path("m.csv")).load()
    (tmp_path / "l.csv").write_text("file,is\na/1.jpg,x\nb/1.jpg,y\n")
    assert labelled(Images(root=tmp_path, labels=Path("l.csv"))) == {
        "a/1.jpg": {"is": "x"},
        "b/1.jpg": {"is": "y"},
        "b/2.jpg": {},
    }


def test_formats_that_are_not_read_are_counted_and_alone_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "phone.zip", "w") as out:
        out.writestr("DCIM/IMG_1.HEIC", "x")
    with pytest.raises(UserError, match=r"no such data here; root is a folder or zip of images, such as JPEG or PNG"):
        Images(root=tmp_path).load()
    write(tmp_path / "1.jpg", 1)
    (tmp_path / "2.heic").write_bytes(b"x")
    (empty := tmp_path / "empty").mkdir()
    table = Images(root=tmp_path).load()
    assert len(table) == 1
    assert table.card["findings"] == {"images of formats that are not read, left out": 1}
    with pytest.raises(UserError, match="no such data here; root is a folder or zip of images"):
        Images(root=empty).load()


def test_one_image_is_a_pool_too(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg", 1)
    table = Images(root=tmp_path / "1.jpg", size=20).load()
    assert len(table) == 1
    assert torch.equal(
        table.rows(table.ids).inputs["image"], Images(root=tmp_path, size=20).load().rows(table.ids).inputs["image"]
    )
