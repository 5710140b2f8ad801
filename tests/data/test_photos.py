import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import cache, photos
from limbeck.data.photos import Decoded, Photo, in_threads, pack, watched
from limbeck.data.recordings import Findings
from limbeck.errors import UserError
from tests.data.fake_faces import encoded, picture


def some(count: int = 40) -> list[Photo]:
    return [Photo(f"{i}.jpg", encoded(picture(i, 24, 24))) for i in range(count)]


def known(photo: Photo) -> torch.Tensor:
    with Image.open(io.BytesIO(photo.source if isinstance(photo.source, bytes) else b"")) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)


def test_threads_keep_the_order_and_pass_on_what_goes_wrong() -> None:
    def late(i: int) -> int:
        time.sleep(0.001 * (i % 3))
        return i * i

    assert list(in_threads(late, range(100))) == [i * i for i in range(100)]
    assert list(in_threads(late, [])) == []

    def wrong(i: int) -> int:
        if i == 50:
            raise UserError("no")
        return i

    with pytest.raises(UserError, match="no"):
        list(in_threads(wrong, range(100)))


def test_long_work_shows_a_bar_only_where_there_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks: Iterator[float] = iter(range(0, 10000, 10))
    monkeypatch.setattr(photos, "monotonic", lambda: next(ticks))
    assert list(watched(range(3), 3, "decoding images")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(watched(range(3), 3, "decoding images")) == [0, 1, 2]
    said = capsys.readouterr()
    assert "decoding images" in said.err
    assert said.out == ""


@pytest.mark.parametrize("kept", ["memory", "disk"])
def test_packed_pixels_are_those_of_the_images_without_those_that_cannot_be_decoded(tmp_path: Path, kept: str) -> None:
    of, findings = some(), Findings()
    of[3] = Photo("3.jpg", b"no image")
    of[7] = Photo("7.jpg", encoded(picture(7, 24, 24))[:700])
    of[8] = Photo("8.png", encoded(picture(8, 30, 24), "PNG"))
    values, rows = pack(of, 24, "rgb", tmp_path if kept == "disk" else None, findings)
    assert rows == [i for i in range(40) if i not in (3, 7)]
    assert values.shape == (38, 3, 24, 24)
    assert values.dtype == torch.uint8
    for row in (0, 1, 37):
        assert torch.equal(values[row], known(of[rows[row]]))
    assert findings.counts == {
        "files that are no image, left out": 1,
        "images that are damaged, left out": 1,
        "images that are not square, of which the middle is taken": 1,
    }
    assert findings.first["images that are damaged, left out"].startswith("7.jpg: ")
    assert findings.facts == ["images that are not square, of which the middle is taken"]
    assert [p.name for p in tmp_path.iterdir()] == ([cache.SIGNAL] if kept == "disk" else [])
    if kept == "disk":
        assert np.load(tmp_path / cache.SIGNAL).shape == (38, 3, 24, 24)


def test_nothing_that_can_be_decoded_is_an_empty_array(tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        values, rows = pack([Photo("a", b"")], 8, "grey", folder, Findings())
        assert (values.shape, rows) == ((0, 1, 8, 8), [])


def test_a_lazy_column_decodes_what_is_asked_for_and_keeps_what_was_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    of, decoded = some(), list[bytes]()
    plain = photos.decode
    monkeypatch.setattr(photos, "decode", lambda data, *how: decoded.append(data) or plain(data, *how))
    column = Decoded(of, 24, "rgb", memory=1)
    assert (len(column), column.shape) == (40, (3, 24, 24))
    assert decoded == []
    batch = column[torch.tensor([5, 2, 5])]
    assert torch.equal(batch, torch.stack([known(of[i]) for i in (5, 2, 5)]))
    assert len(set(decoded)) == 2
    part = column.take(torch.tensor([2, 9])).take(torch.tensor([1, 0]))
    assert torch.equal(part[torch.tensor([1, 0])], torch.stack([known(of[2]), known(of[9])]))
    assert len(set(decoded)) == 3
    assert column.to(torch.device("cpu"))[torch.tensor([2])].device.type == "cpu"
    assert len(set(decoded)) == 3
    batch[:] = 0
    assert torch.equal(column[torch.tensor([5])][0], known(of[5]))


def test_a_lazy_column_keeps_no_more_than_its_memory() -> None:
    of = some(3)
    one = 3 * 400 * 400
    column = Decoded(of, 400, "rgb", memory=1)
    column[torch.arange(3)]
    about = column._kept.cache_info()
    assert about.maxsize == 2**20 // one == 2
    assert about.currsize == 2


def test_an_image_that_a_lazy_column_cannot_decode_is_one_clear_error() -> None:
    column = Decoded([*some(2), Photo("bad/2.jpg", b"no image")], 24, "rgb", memory=1)
    assert len(column[torch.tensor([0, 1])]) == 2
    with pytest.raises(UserError, match=r"^bad/2\.jpg is one of the files that are no image: .* --data\.store packed"):
        column[torch.tensor([0, 2])]
