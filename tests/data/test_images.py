"""What all sets of images share, on a set of its own."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import cache
from limbeck.data.archive import Entry, find
from limbeck.data.concat import concat
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from tests.data import fake_faces
from tests.data.fake_faces import write

PART = Task.of("part", ("one", "two", "three"))


class Toy(ImageData):
    """Images `<label>_<number>.jpg`; a label of - is missing."""

    kind: ClassVar[str] = "toy"
    licence: ClassVar[str] = "none"
    times_listed: ClassVar[list[str]] = []
    keep: bool = False

    def entries(self) -> list[Entry]:
        return find(self.root, r".+\.jpg", "images")

    def listing(self, findings: Findings) -> Listing:
        self.times_listed.append("listed")
        photos = []
        for entry in self.entries():
            label = entry.name[0]
            photos.append(Photo(entry.name, entry, {} if label == "-" else {"part": int(label)}, session="s"))
        return Listing(photos, (PART,), unlabelled=self.keep)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    Toy.times_listed.clear()
    for i in range(6):
        write(tmp_path / "data" / f"{i % 3}_{i}.jpg", i)
    write(tmp_path / "data" / "-_6.jpg", 6)
    return Toy(root=tmp_path / "data", size=20)


def images(spec: ImageData) -> torch.Tensor:
    table = spec.load()
    return table.rows(table.ids).inputs["image"]


def test_a_table_has_pixels_targets_provenance_and_a_card(toy: Toy) -> None:
    table = toy.load()
    assert table.inputs.keys() == {"image"}
    assert table.shape("image") == (3, 20, 20)
    assert table.targets["part"].tolist() == [0, 0, 1, 1, 2, 2]
    assert table.targets["part"].dtype == torch.int64
    names = [f"{i % 3}_{i}.jpg" for i in (0, 3, 1, 4, 2, 5)]
    assert table.meta["file"].tolist() == table.meta["subject"].tolist() == names
    assert set(table.meta["session"]) == {"s"}
    assert table.meta["start"].tolist() == [0.0] * 6
    batch = table.rows(torch.tensor([4, 0]))
    with Image.open(toy.root / "2_2.jpg") as image:
        assert np.array_equal(batch.inputs["image"][0], np.asarray(image).transpose(2, 0, 1))
    assert table.digest == toy.digest()
    assert table.card == {
        "name": "toy",
        "modality": "image",
        "channels": ["red", "green", "blue"],
        "unit": "0 to 255",
        "size": 20,
        "images": 6,
        "subjects": 6,
        "findings": {},
        "findings_first": {},
        "facts": [],
        "tasks": {"part": {"one": 2, "two": 2, "three": 2}},
        "dropped": {"images without a label": 1},
        "licence": "none",
    }


def test_images_without_a_label_stay_where_they_are_wanted(toy: Toy) -> None:
    table = toy.changed(keep=True).load()
    assert table.targets["part"].tolist() == [IGNORE, 0, 0, 1, 1, 2, 2]
    assert table.card["tasks"]["part"] == {"one": 2, "two": 2, "three": 2, "missing": 1}
    assert table.card["dropped"] == {}


def test_the_second_start_lists_and_decodes_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    first = images(toy)
    monkeypatch.setattr("limbeck.data.photos.decode", None)
    assert torch.equal(images(toy), first)
    assert Toy.times_listed == ["listed"]
    assert [p.name for p in (cache.folder() / "tables").iterdir() if p.is_dir() and ".tmp" in p.name] == []


def test_parts_of_a_packed_table_copy_no_pixels(toy: Toy) -> None:
    table = toy.load()
    part = table.take(torch.tensor([5, 1, 0])).take(torch.tensor([True, False, True]))
    assert part.inputs["image"].column is table.inputs["image"].column
    assert torch.equal(part.rows(torch.tensor([1, 0])).inputs["image"], images(toy)[[0, 5]])


def test_lazy_and_packed_are_the_same_and_lazy_writes_nothing(toy: Toy) -> None:
    lazy = toy.changed(store="lazy")
    assert torch.equal(images(lazy), images(lazy.changed(memory=1)))
    assert not (cache.folder() / "tables").exists()
    assert torch.equal(images(lazy), images(toy))
    one, two = lazy.load(), toy.load()
    assert one.card == two.card
    assert torch.equal(one.targets["part"], two.targets["part"])
    assert lazy.digest() != toy.digest()
    assert lazy.digest() == lazy.changed(memory=1).digest()


def test_grey_and_other_sizes_are_other_tables(toy: Toy) -> None:
    grey = toy.changed(colour="grey", size=10).load()
    assert grey.shape("image") == (1, 10, 10)
    assert grey.card["channels"] == ["grey"]
    assert len({spec.digest() for spec in (toy, toy.changed(colour="grey"), toy.changed(size=10))}) == 3


def test_what_cannot_be_decoded_is_left_out_and_counted_or_lazily_an_error(toy: Toy) -> None:
    (toy.root / "0_7.jpg").write_bytes(b"no image")
    (toy.root / "0_8.jpg").write_bytes(b"")
    (toy.root / "0_9.jpg").write_bytes((toy.root / "0_0.jpg").read_bytes())
    table = toy.load()
    assert len(table) == 6
    assert table.card["findings"] == {
        "files of no bytes, left out": 1,
        "copies of another image, left out": 1,
        "files that are no image, left out": 1,
    }
    lazy = toy.changed(store="lazy").load()
    assert len(lazy) == 7
    with pytest.raises(UserError, match=r"0_7\.jpg is one of the files that are no image"):
        _ = lazy.rows(lazy.ids).inputs["image"]


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_entry_is_made_anew(toy: Toy, harm: str) -> None:
    whole = images(toy)
    (path,) = (cache.folder() / "tables").rglob(cache.SIGNAL)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if harm != "remove":
        path.write_bytes(content if harm == "flip" else content[:-9])
    with pytest.warns(UserWarning, match="is damaged .* made anew"):
        assert torch.equal(images(toy), whole)
    assert Toy.times_listed == ["listed"] * 2


def test_a_cache_that_cannot_be_written_is_done_without(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = images(toy)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="LIMBECK_CACHE"):
        assert torch.equal(images(toy), whole)


def test_a_full_disk_is_said_and_the_images_stay_in_memory(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_faces.fill_disk(monkeypatch)
    with pytest.warns(UserWarning, match="not cached: .*No space left"):
        assert len(images(toy)) == 6
    assert [p for p in (cache.folder() / "tables").iterdir() if p.is_dir()] == []


def test_no_usable_image_is_one_clear_error(toy: Toy) -> None:
    for path in toy.root.glob("[012]*"):
        path.write_bytes(b"no image " + path.name.encode())
    for spec in (toy, toy.changed(keep=True, root=toy.root)):
        if spec.keep:
            (toy.root / "-_6.jpg").unlink()
        with pytest.raises(UserError, match=r"toy: no usable image in the files: 6 files that are no image, left out"):
            spec.load()


def test_two_sets_are_joined_with_the_labels_that_each_has(toy: Toy, tmp_path: Path) -> None:
    write(tmp_path / "more" / "1_1.jpg", 100)
    more = Toy(root=tmp_path / "more", size=20)
    joined = concat([toy.load(), more.load(), toy.changed(store="lazy").load()])
    assert len(joined) == 13
    rows = torch.tensor([12, 6, 0])
    expected = torch.stack([images(toy)[5], images(more)[0], images(toy)[0]])
    assert torch.equal(joined.rows(rows).inputs["image"], expected)
    assert joined.rows(rows).inputs["domain"].tolist() == [2, 1, 0]
    assert joined.meta["domain"].tolist() == ["toy 1"] * 6 + ["toy 2"] + ["toy 3"] * 6
