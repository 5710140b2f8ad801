"""Faces that are no faces, in the files of the official layouts: each image another colour, so that none is a copy."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.data.packed import Packed


def picture(seed: int, width: int = 20, height: int = 20, mode: str = "RGB") -> Image.Image:
    """A smooth picture of its own colours."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    """The bytes of its file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def write(path: Path, seed: int, form: str = "JPEG", **options: object) -> Path:
    """A file of a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed), form, **options))
    return path


def zipped(folder: Path, into: Path) -> Path:
    """A zip of a folder, that folder included, in no order."""
    with zipfile.ZipFile(into, "w") as out:
        for path in sorted(folder.rglob("*.*"), reverse=True):
            out.write(path, path.relative_to(folder.parent))
    return into


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no row be written to a file from now on."""
    add = Packed.add

    def full(packed: Packed, row: np.ndarray) -> None:
        if packed.path:
            raise OSError(28, "No space left on device")
        add(packed, row)

    monkeypatch.setattr(Packed, "add", full)
