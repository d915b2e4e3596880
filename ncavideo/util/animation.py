"""Animated pictures (WebP, PNG, AVIF) as Pillow reads them."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from ncavideo.util.errors import UserError
from ncavideo.util.read_file import check_file
from ncavideo.util.read_image import MOST_BYTES, check_size, upright_size

KINDS = ("WEBP", "PNG", "AVIF")
# What a file begins with: RIFF's form, a PNG's signature, and the brands of an image sequence.
HEAD = 64
UNTIMED = 0.1  # seconds for which browsers show a picture without a duration


class Animation:
    """An animated picture. `kind`: Pillow's name of its format; `seconds`: each frame's duration.

    `size`: upright width and height; `has_alpha`: whether it may be transparent.
    """

    def __init__(self, image: Image.Image, first: int, seconds: tuple[float, ...]) -> None:
        self._image, self._first = image, first
        self.kind, self.seconds = str(image.format), seconds
        self.size = upright_size(image)
        self.has_alpha = "A" in image.getbands() or "transparency" in image.info

    def frame(self, index: int) -> Image.Image:
        """Return a frame, which is good until the next is asked for; raises as Pillow does."""
        self._image.seek(self._first + index)
        return self._image


def open_animation(path: Path) -> Animation | None:
    """Return an animated picture; None for what is none, or is none that Pillow reads.

    Raises `UserError` for one that is damaged or too large.
    """
    head = _head(path)
    if not _may_move(head):
        return None
    try:
        check_file(path, "picture", MOST_BYTES)
        image = Image.open(io.BytesIO(path.read_bytes()), formats=KINDS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if head[:4] == b"RIFF":
            raise UserError(f"the animation {path} is damaged, or too large") from error
        return None  # FFmpeg may know it, or say what is wrong
    if getattr(image, "n_frames", 1) < 2:
        return None
    check_size(image, path, "animation")
    status = path.stat()
    # The picture before an animation, for programs that show none, is no part of it.
    first = int(bool(image.info.get("default_image")))
    try:
        seconds = _seconds(path, status.st_mtime_ns, status.st_size, first)
        image.seek(first)
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UserError(f"the animation {path} is damaged: {error}") from error
    return Animation(image, first, seconds)


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe would be waited for
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _may_move(head: bytes) -> bool:
    """Return whether a file that begins so may be an animated picture."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return head[12:16] == b"VP8X" and bool(head[20:21] and head[20] & 2)
    return head[:8] == b"\x89PNG\r\n\x1a\n" or (head[4:8] == b"ftyp" and b"avis" in head)


# A render opens its clip several times, and only decoding tells the durations.
@lru_cache(maxsize=8)
def _seconds(path: Path, changed: int, size: int, first: int) -> tuple[float, ...]:
    with Image.open(path, formats=KINDS) as image:
        found = []
        for index in range(first, getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            found.append(float(image.info.get("duration") or 0) / 1000 or UNTIMED)
    return tuple(found)
