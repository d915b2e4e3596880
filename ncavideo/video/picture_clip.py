"""Clips that are pictures: numbered ones, and animations that FFmpeg does not read as such."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ncavideo.util.animation import Animation, open_animation
from ncavideo.util.errors import UserError
from ncavideo.util.read_image import is_deep, open_picture, picture_pixels, upright_size
from ncavideo.video.numbered import is_sequence, sequence
from ncavideo.video.picture_file import PictureFile
from ncavideo.video.pyav import open_input

TICKS = 90_000  # a second, of animations: exact for their milliseconds and for usual rates
BUFFER = 1 << 20  # bytes that FFmpeg asks for at once


def open_pictures(path: Path) -> InputContainer | None:
    """Open a clip of pictures as a movie of raw frames; return None for any other.

    Transparent pictures are laid over black. Raises `UserError` for pictures that are missing,
    cannot be read or differ in size.
    """
    if is_sequence(path):
        return _opened(_numbered(path))
    animation = open_animation(path)
    # FFmpeg keeps more than eight bits, but shows the colours behind what is clear.
    if animation is not None and (animation.kind == "WEBP" or animation.has_alpha):
        return _opened(_animated(animation))
    return None


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """Return a container's video streams, without the still picture of an animated AVIF."""
    streams = list(container.streams.video)
    if "avis" in container.metadata.get("compatible_brands", ""):
        return [stream for stream in streams if stream.frames > 1] or streams
    return streams


def _opened(file: PictureFile) -> InputContainer:
    return open_input(file, format="mov", buffer_size=BUFFER)


def _numbered(clip: Path) -> PictureFile:
    pictures, rate = sequence(clip)
    size, deep = _kind(tuple(pictures), clip.parent.stat().st_mtime_ns)

    def frame(index: int) -> np.ndarray:
        try:
            with open_picture(pictures[index], "picture") as image:
                pixels = picture_pixels(image, deep)
        except UserError as error:
            # Damage that shows on the way: what came before it is rendered, as of any clip.
            raise OSError(str(error)) from error
        return _fitting(pixels, size, pictures[index])

    lengths = [rate.denominator] * len(pictures)
    return PictureFile(size, deep, lengths, rate.numerator, frame)


def _fitting(pixels: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    if pixels.shape[1::-1] != size:
        raise OSError(f"{path} has another size than the first picture")
    return pixels


# A render opens its clip several times.
@lru_cache(maxsize=8)
def _kind(pictures: tuple[Path, ...], changed: int) -> tuple[tuple[int, int], bool]:
    """Return the size of all pictures, and whether the first has more than eight bits.

    `changed`: when their folder was. Only headers are read.
    """
    kinds: list[tuple[tuple[int, int], bool]] = []
    for path in pictures:
        with open_picture(path, "picture") as image:
            kinds.append((upright_size(image), is_deep(image)))
        (width, height), (first_width, first_height) = kinds[-1][0], kinds[0][0]
        if (width, height) != (first_width, first_height):
            raise UserError(
                f"{path} is {width}x{height} and {pictures[0].name} {first_width}x{first_height}:"
                " the pictures of a clip have one size"
            )
    return kinds[0]


def _animated(animation: Animation) -> PictureFile:
    def frame(index: int) -> np.ndarray:
        try:
            return picture_pixels(animation.frame(index), deep=False)
        except (OSError, ValueError, EOFError) as error:
            raise OSError(f"picture {index + 1} cannot be read: {error}") from error

    lengths = [max(1, round(seconds * TICKS)) for seconds in animation.seconds]
    return PictureFile(animation.size, False, lengths, TICKS, frame)
