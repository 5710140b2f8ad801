"""Images of any common format as squares of pixels."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
Colour = Literal["rgb", "grey"]

CHANNELS: dict[Colour, tuple[str, ...]] = {"rgb": ("red", "green", "blue"), "grey": ("grey",)}
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WEBP")
"""Formats that are read; others of Pillow's start programs, or are rare enough to be a mistake."""
MOST = 2**26
"""Pixels that an image may have: what has more is a trap, or no photo."""
SUFFIXES = r"\.(?:jpe?g|png|ppm|pgm|bmp|gif|tiff?|webp)"
"""Matches the end of an image's name."""


class NoImage(Exception):
    """Bytes that are of no use: `what` such files are, and `why` of this one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why


def decode(data: bytes, size: int, colour: Colour) -> tuple[Array, list[str]]:
    """The square in the middle of an image, resized: uint8 `(M, size, size)`; and what was done to get there.

    It is turned as its EXIF data say; what is transparent is laid on white; of 16 bits the higher 8 are taken; of
    several images in one file the first. Smaller is made with antialiasing. Raises `NoImage`.
    """
    with opened(data) as image:
        return _square(image, size, colour)


def whole(data: bytes, colour: Colour) -> Array:
    """An image as it is, uint8 `(H, W, 3)` or `(H, W)`, made plain as `decode` does. Raises `NoImage`."""
    with opened(data) as image:
        return np.asarray(_plain(image, colour)[0])


@contextmanager
def opened(data: bytes) -> Iterator["Image.Image"]:
    """An image of which nothing is decoded yet; what goes wrong with it, then or now, is a `NoImage`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST:
                raise NoImage("images of too many pixels", f"{image.width} x {image.height}")
            yield image
    except UnidentifiedImageError:
        raise NoImage("files that are no image", f"none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        raise NoImage("images of too many pixels", str(error)) from None
    # What Pillow raises at damaged files of one format or another.
    except (
        *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError),
        *(NotImplementedError, RuntimeError, struct.error, zlib.error),
    ) as error:
        raise NoImage("images that are damaged", str(error) or type(error).__name__) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow from warning of what is counted; around threads that decode, not in them, where it would race."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _square(image: "Image.Image", size: int, colour: Colour) -> tuple[Array, list[str]]:
    from PIL import Image

    image.draft(None, (2 * size, 2 * size))  # a JPEG far larger than that is decoded at a fraction of its size
    image, done = _plain(image, colour)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if image.width != image.height:
        done.append("images that are not square, of which the middle is taken")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    pixels = np.asarray(image)
    return (pixels.transpose(2, 0, 1) if colour == "rgb" else pixels[None]), done


def _plain(image: "Image.Image", colour: Colour) -> tuple["Image.Image", list[str]]:
    """An image upright, of 8 bits, without transparency and in the colours asked for; and what was done to that end."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    done = []
    if image.mode in ("I", "F"):
        raise NoImage("images of 32 bits, whose scale is unknown", f"mode {image.mode}")
    if image.mode.startswith("I;16"):
        done.append("images of 16 bits, of which the higher 8 are taken")
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        done.append("images with transparent parts, laid on white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB" if colour == "rgb" else "L"), done
