"""What all sets of images with maps share, on a set of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from limbeck.data import cache
from limbeck.data.archive import Reader
from limbeck.data.decoding import NoImage
from limbeck.data.pixel_data import Decoded, Decoder, Frame, PixelData
from limbeck.data.recordings import Findings
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from tests.data.fake_faces import fill_disk

PARTS, DEPTH = Task.of("parts", ("one", "two")), Task("depth", unit="m", quantity="depth")


class Toy(PixelData):
    """Frames whose pixels all have their number; number 2 cannot be decoded, number 3 has no depth."""

    kind: ClassVar[str] = "toy"
    licence: ClassVar[str] = "none"
    decoded: ClassVar[list[str]] = []
    size: tuple[int, int] = (8, 12)
    count: int = 5

    def files(self) -> list[Path]:
        return []

    def available(self) -> tuple[Task, ...]:
        return PARTS, DEPTH

    def frames(self, findings: Findings) -> Sequence[Frame]:
        return [Frame(f"f{i}", f"s{i // 2}", "test" if i > 3 else "train", number=i) for i in range(self.count)]

    def decoder(self) -> Decoder:
        return self.decode

    def decode(self, frame: Frame, reader: Reader, notes: list[str]) -> Decoded:
        self.decoded.append(frame.name)
        if frame.number == 2:
            raise NoImage("images that are broken", "for a test")
        if frame.number == 4:
            notes.append("images with a four")
        labels = np.full(self.size, frame.number % 2, np.uint8)
        labels[0] = 255
        depth = np.full(self.size, frame.number + 0.5 if frame.number != 3 else np.nan)
        return {"image": np.full((3, *self.size), frame.number, np.uint8), "parts": labels, "depth": depth}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    Toy.decoded.clear()
    return Toy()


def test_a_table_has_pixels_maps_provenance_and_a_card(toy: Toy) -> None:
    table = toy.load()
    assert len(table) == 4
    assert table.shape("image") == (3, 8, 12)
    assert table.meta["file"].tolist() == ["f0", "f1", "f3", "f4"]
    assert table.meta["subject"].tolist() == ["s0", "s0", "s1", "s2"]
    assert table.meta["part"].tolist() == ["train"] * 3 + ["test"]
    batch = table.rows(torch.tensor([3, 1]))
    assert batch.inputs["image"][:, 0, 0, 0].tolist() == [4, 1]
    assert batch.targets["parts"][:, 7, 0].tolist() == [0, 1]
    assert (batch.targets["parts"][:, 0] == IGNORE).all()
    assert batch.targets["depth"][:, 3, 3].tolist() == [4.5, 1.5]
    assert table.card == {
        "name": "toy",
        "modality": "image",
        "channels": ["red", "green", "blue"],
        "unit": "0 to 255",
        "size": [8, 12],
        "images": 4,
        "subjects": 3,
        "findings": {
            "images that are broken, left out": 1,
            "images without a pixel of depth": 1,
            "images with a four": 1,
        },
        "findings_first": {
            "images that are broken, left out": "f2: for a test",
            "images without a pixel of depth": "f3",
            "images with a four": "f4",
        },
        "facts": [],
        "dropped": {},
        "licence": "none",
        "tasks": {
            "parts": {"one": 168, "two": 168, "missing": 48},
            "depth": {"values": 288, "missing": 96, "range": [0.5, 1.5, 4.5]},
        },
    }


def test_the_second_start_decodes_nothing_and_maps_what_lies_on_the_disk(toy: Toy) -> None:
    first, seen = toy.load(), list(toy.decoded)
    again = toy.load()
    assert toy.decoded == seen
    assert again.card == first.card
    assert sorted(p.name for p in (cache.folder() / "tables").rglob("*.npy")) == sorted(
        ["signal.npy", "dense-0.npy", "dense-1.npy", "counts-0.npy", "counts-1.npy"]
        + [f"meta-{key}.npy" for key in ("subject", "session", "start", "file", "part")]
    )
    one, two = (t.rows(torch.arange(4)) for t in (first, again))
    assert torch.equal(one.targets["parts"], two.targets["parts"])
    assert torch.equal(one.inputs["image"], two.inputs["image"])


def test_another_size_or_choice_of_tasks_is_another_table(toy: Toy) -> None:
    digests = {spec.load().digest for spec in (toy, Toy(size=(8, 8)), Toy(tasks=("depth",)))}
    assert len(digests) == 3
    assert list(Toy(tasks=("depth",)).load().dense) == ["depth"]
    with pytest.raises(UserError, match="no task of toy data 'part'"):
        Toy(tasks=("part",)).load()


@pytest.mark.parametrize("name", ["signal.npy", "dense-0.npy", "counts-1.npy"])
def test_a_damaged_entry_is_made_anew(toy: Toy, name: str) -> None:
    toy.load()
    (path,) = (cache.folder() / "tables").rglob(name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.warns(UserWarning, match="damaged"):
        table = toy.load()
    assert table.rows(torch.tensor([1])).targets["parts"][0, 7, 0] == 1


def test_without_a_cache_all_stays_in_memory(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = toy.load()
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written"):
        made = toy.load()
    one, two = (t.rows(torch.arange(4)) for t in (kept, made))
    assert torch.equal(one.targets["depth"].nan_to_num(), two.targets["depth"].nan_to_num())
    assert made.card == kept.card


def test_a_full_disk_is_said_and_all_stays_in_memory(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch)
    with pytest.warns(UserWarning, match="not cached: .*No space left"):
        table = toy.load()
    assert table.rows(torch.tensor([3])).targets["depth"][0, 0, 0] == 4.5
    assert [p for p in (cache.folder() / "tables").iterdir() if p.is_dir()] == []


def test_parts_of_a_table_copy_no_pixels(toy: Toy) -> None:
    table = toy.load()
    part = table.take(torch.tensor([3, 0]))
    assert part.dense["parts"].stored.data_ptr() == table.dense["parts"].stored.data_ptr()
    assert part.rows(torch.tensor([0])).targets["depth"][0, 0, 0] == 4.5


def test_no_usable_frame_is_one_clear_error(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "frames", lambda *_: [Frame("f2", "s", "train", number=2)])
    with pytest.raises(UserError, match=r"toy: no usable image in the files: 1 images that are broken.*f2: for a test"):
        toy.load()
