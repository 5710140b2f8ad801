import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from limbeck.data.decoding import NoImage, decode, quiet, whole
from tests.data.fake_faces import encoded, picture


def pixels(image: Image.Image) -> np.ndarray:
    """As a loader would have them, `(M, H, W)`."""
    made = np.asarray(image)
    return made.transpose(2, 0, 1) if made.ndim == 3 else made[None]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_pixels_are_those_that_pillow_decodes(form: str, colour: str) -> None:
    data = encoded(picture(1, 32, 32), form)
    made, done = decode(data, 32, "rgb" if colour == "rgb" else "grey")
    with Image.open(io.BytesIO(data)) as image:
        known = pixels(image.convert("RGB" if colour == "rgb" else "L"))
    assert made.dtype == np.uint8
    assert np.array_equal(made, known)
    assert done == []


def test_the_middle_square_is_taken_and_made_smaller_with_antialiasing() -> None:
    image = picture(2, 90, 60)
    made, done = decode(encoded(image, "PNG"), 20, "rgb")
    known = pixels(image.crop((15, 0, 75, 60)).resize((20, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(made[:, :, 1:-1], known[:, :, 1:-1])  # at the sides there are pixels beyond the square
    assert np.abs(made.astype(int) - known).max() < 12
    assert done == ["images that are not square, of which the middle is taken"]
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    made, _ = decode(encoded(Image.fromarray(stripes), "PNG"), 16, "grey")
    assert np.ptp(made[0, :, 1:-1].astype(int)) <= 2
    assert abs(float(made.mean()) - 127.5) < 2


def test_a_whole_image_keeps_its_shape_and_is_refused_as_a_square_is() -> None:
    image = picture(2, 90, 60)
    assert np.array_equal(whole(encoded(image, "PNG"), "rgb"), np.asarray(image))
    assert np.array_equal(whole(encoded(image, "PNG"), "grey"), np.asarray(image.convert("L")))
    with pytest.raises(NoImage, match="none of JPEG"):
        whole(b"no image", "rgb")
    with pytest.raises(NoImage):
        whole(encoded(image, "PNG")[:200], "rgb")


def test_a_jpeg_far_too_large_is_decoded_at_a_fraction_and_looks_the_same() -> None:
    image = picture(3, 800, 800)
    made, _ = decode(encoded(image, quality=95), 50, "rgb")
    known = pixels(image.resize((50, 50), Image.Resampling.BILINEAR))
    assert np.abs(made.astype(int) - known).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_data_say(orientation: int) -> None:
    upright = picture(4, 24, 24)
    ways = Image.Transpose
    # What a camera stores, by how it was held: turned back by the orientation it is upright.
    stored = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_90,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    made, _ = decode(encoded(image, "PNG", exif=exif), 24, "rgb")
    assert np.array_equal(made, pixels(upright))


def test_modes_are_converted_as_a_viewer_shows_them() -> None:
    image = picture(5, 16, 16)
    grey, _ = decode(encoded(image.convert("L"), "PNG"), 16, "rgb")
    assert np.array_equal(grey, np.repeat(pixels(image.convert("L")), 3, axis=0))
    palette, _ = decode(encoded(image.convert("P"), "PNG"), 16, "rgb")
    assert np.array_equal(palette, pixels(image.convert("P").convert("RGB")))
    two, _ = decode(encoded(image.convert("1"), "PNG"), 16, "grey")
    assert set(np.unique(two)) <= {0, 255}
    cmyk, _ = decode(encoded(image.convert("CMYK"), quality=95), 16, "rgb")
    assert np.abs(cmyk.astype(int) - pixels(image)).mean() < 12
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    made, done = decode(encoded(Image.fromarray(deep), "PNG"), 16, "grey")
    assert np.array_equal(made[0].ravel(), np.arange(256))
    assert done == ["images of 16 bits, of which the higher 8 are taken"]


def test_transparent_parts_are_white() -> None:
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:8] = (200, 10, 20, 255)
    made, done = decode(encoded(Image.fromarray(rgba), "PNG"), 16, "rgb")
    assert made[:, 0, 0].tolist() == [200, 10, 20]
    assert (made[:, 8:] == 255).all()
    assert done == ["images with transparent parts, laid on white"]
    hole = picture(6, 16, 16).convert("P")
    made, done = decode(encoded(hole, "GIF", transparency=hole.getpixel((3, 3))), 16, "grey")
    assert made[0, 3, 3] == 255
    assert len(done) == 1


def claims(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "files that are no image"),
        (b"hello", "files that are no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "files that are no image"),
        (encoded(picture(1, 64, 64))[:900], "images that are damaged"),
        (encoded(picture(1, 64, 64), "PNG")[:900], "images that are damaged"),
        (encoded(picture(1, 64, 64), "PNG").replace(b"IDAT", b"IDAQ"), "files that are no image"),
        (encoded(Image.new("F", (9, 9)), "TIFF"), "images of 32 bits, whose scale is unknown"),
        (encoded(Image.new("I", (9, 9)), "TIFF"), "images of 32 bits, whose scale is unknown"),
        (claims(9000, 9000), "images of too many pixels"),
        (claims(60000, 60000), "images of too many pixels"),
        (claims(10, 10), "images that are damaged"),
    ],
)
def test_what_is_no_image_says_why(data: bytes, what: str) -> None:
    with quiet(), pytest.raises(NoImage) as caught:
        decode(data, 16, "rgb")
    assert caught.value.what == what
    assert caught.value.why


def test_any_damage_of_a_file_is_an_image_or_no_image() -> None:
    draw = np.random.default_rng(0)
    made = 0
    with quiet():
        for form in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
            whole = encoded(picture(7, 40, 40), form)
            for _ in range(60):
                data = bytearray(whole)
                for at in draw.integers(0, len(data), 4):
                    data[at] = draw.integers(0, 256)
                try:
                    decoded, _ = decode(bytes(data[: draw.integers(1, 2 * len(data))]), 16, "rgb")
                    assert decoded.shape == (3, 16, 16)
                    made += 1
                except NoImage:
                    pass
    assert 20 < made < 400
