"""Large pictures are brought to a size that can be needed while they are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from ncavideo.util.read_image import MOST_PIXELS, open_picture

# Of frames in 8K, the largest that a picture is laid over. One that has more is made smaller.
MOST_KEPT = 7680 * 4320
BAND = 256  # rows of the result that are made at a time
# Bytes that Pillow keeps of a pixel; of all other kinds four.
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "LA": 4}
NUMBERS = ("I", "F")  # how the modes begin whose pixels are no colours but numbers


@contextmanager
def open_reduced(path: Path, what: str, *, numbers: bool = False) -> Iterator[Image.Image]:
    """Open a picture as `open_picture` does, made smaller by a whole number if it is large.

    One bit or a byte a pixel may be four times as many as `MOST_PIXELS`. `numbers`: the pixels are
    numbers of something, which cannot be averaged.
    """
    with open_picture(path, what, _most_pixels) as image:
        yield reduced(image, numbers=numbers)


def _most_pixels(image: Image.Image) -> int:
    return MOST_PIXELS * 4 // PIXEL_BYTES.get(image.mode, 4)


def reduced(image: Image.Image, *, numbers: bool = False) -> Image.Image:
    """Return a picture with `MOST_KEPT` pixels at most, itself if it has no more.

    Averaged over squares; its numbers, and greys on more than eight bits, are picked from them. No
    copy of the whole is made on the way, and of a JPEG only a part is decoded.
    """
    factor = _factor(image)
    if factor == 1:
        return image
    if image.format == "TIFF":
        image.load()  # which turns it, where it does not lie upright
    image.draft(image.mode, (image.width // factor, image.height // factor))
    factor = _factor(image)
    if factor == 1:
        return image
    direct = numbers or image.mode.startswith(NUMBERS)
    small = (_picked if direct else _averaged)(image, factor)
    small.info["exif"] = image.info.get("exif", b"")  # it says how the picture lies
    return small


def _factor(image: Image.Image) -> int:
    return max(1, math.ceil(math.sqrt(image.width * image.height / MOST_KEPT)))


def _picked(image: Image.Image, factor: int) -> Image.Image:
    """Return every `factor`-th pixel of every such row."""
    picked = Image.fromarray(np.ascontiguousarray(np.asarray(image)[::factor, ::factor]))
    tags = getattr(image, "tag_v2", None)
    if tags is not None:  # by which a TIFF's numbers are known
        picked.tag_v2 = tags  # type: ignore[attr-defined]
    if "transparency" in image.info:
        picked.info["transparency"] = image.info["transparency"]
    return picked


def _averaged(image: Image.Image, factor: int) -> Image.Image:
    """Return the means of squares, made of a band of rows after the other."""
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if "A" in image.getbands() or "transparency" in image.info:
        mode = "RGBA"
    width, height = -(-image.width // factor), -(-image.height // factor)
    small = Image.new(mode, (width, height))
    for top in range(0, height, BAND):
        bottom = min(image.height, (top + BAND) * factor)
        band = image.crop((0, top * factor, image.width, bottom))
        band.info = dict(image.info)
        small.paste(band.convert(mode).reduce(factor), (0, top))
    return small
