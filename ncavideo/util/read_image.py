"""Pictures from files, of any kind that Pillow reads, as float RGB."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ncavideo.util.errors import UserError
from ncavideo.util.read_file import check_file

# Of TIFF 6.0: tags, and some of their values.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2
# By how much of white floats may be beyond black or white: what sharpening and enlarging add.
OVERSHOOT = 0.25
# More than any camera's single shot. As floats they take 1.3 GB, and 2 GB while they are read.
MOST_PIXELS = 110_000_000
MOST_BYTES = 1 << 30


@contextmanager
def open_picture(
    path: Path, what: str, most: Callable[[Image.Image], int] = lambda image: MOST_PIXELS
) -> Iterator[Image.Image]:
    """Open a picture; `what` names its part in the error, `most` says how many pixels it may have.

    Raises `UserError` if it cannot be opened, or read inside the `with` block.
    """
    try:
        check_file(path, what, MOST_BYTES)
        with warnings.catch_warnings():
            # Pillow has a limit of its own, which it warns of first.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            # A small file may tell of any size, and some kinds decode what they tell.
            if image.width * image.height > most(image):
                raise UserError(
                    f"the {what} {path} is too large: {image.width}x{image.height}, where"
                    f" {most(image) // 10**6} million pixels are the most"
                )
            yield image
    except FileNotFoundError as error:
        raise UserError(f"there is no {what} {path}") from error
    except UnidentifiedImageError as error:
        raise UserError(f"the {what} {path} is not a picture that can be read") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot read the {what} {path}: {error}") from error


def read_picture(path: Path, what: str) -> np.ndarray:
    """Read a picture as float32 `[H, W, 3]`, 0..1; alpha is dropped, grey is spread.

    `what` names the picture's part in the error. Raises `UserError` if it cannot be read.
    """
    with open_picture(path, what) as image:
        return picture_rgb(image)


def picture_rgb(image: Image.Image) -> np.ndarray:
    """Return an open picture as float32 `[H, W, 3]`, 0..1; alpha is dropped, grey is spread.

    Raises `ValueError` if its numbers are not on the scale of their kind.
    """
    kind = _number_kind(image)
    if kind is None:
        rgb = np.asarray(image.convert("RGB"), np.float32)
        return np.divide(rgb, 255, out=rgb)
    return np.repeat(_grey(image, kind)[..., None], 3, 2)


def picture_numbers(image: Image.Image) -> np.ndarray:
    """Return an open picture's own whole numbers, int64 `[H, W]`: grey values or palette indices.

    Raises `ValueError` for colours, and for numbers that are not whole.
    """
    kind = _number_kind(image)
    if kind is None and image.mode not in ("P", "L", "1"):
        raise ValueError(
            f"it is in colour ({image.mode}): save it with a palette or in grey, its numbers as"
            " pixel values"
        )
    values = np.asarray(image) if kind is None else _values(image, kind)
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise ValueError("it holds numbers that are not whole")
    return np.asarray(values.astype(np.int64))


def picture_alpha(image: Image.Image) -> np.ndarray | None:
    """Return an open picture's alpha channel, float32 `[H, W]` in 0..1, None if it has none."""
    clear = image.info.get("transparency")
    if "A" not in image.getbands() and clear is None:
        return None
    kind = _number_kind(image)
    if kind is not None:  # Pillow does not convert these: one grey is clear
        return np.asarray(_values(image, kind) != clear, np.float32)
    return np.asarray(image.convert("RGBA"), np.float32)[..., 3] / 255


@dataclass(frozen=True)
class _Kind:
    """How a grey picture keeps its numbers.

    `dtype`: what they are, where Pillow's own type is another; `white`: what stands for 1;
    `inverted`: whether 0 is white.
    """

    dtype: str
    white: float
    inverted: bool = False


def _number_kind(image: Image.Image) -> _Kind | None:
    """Return how a picture keeps numbers that Pillow does not bring to 0..255, None if it does.

    Pillow clips them at 255 when it converts. TIFF says what its numbers are; all else that has
    such modes is on 16 bits, or floats.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        if image.mode == "F":
            return _Kind("f4", 1.0)
        return _Kind("i4", 65535.0) if image.mode.startswith("I") else None
    kept, bits = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0], tags.get(BITS, (8,))[0]
    signed = kept == SIGNED and len(image.getbands()) == 1
    if not signed and image.mode != "F" and not image.mode.startswith("I"):
        return None
    # Of eight bits Pillow turns the numbers itself.
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and image.mode != "L"
    if image.mode == "F":
        return _Kind("f4", 1.0, inverted)
    if signed:
        return _Kind("i1" if bits == 8 else "i4", 2.0 ** (bits - 1) - 1, inverted)
    return _Kind("u4", 2.0**bits - 1, inverted)


def _values(image: Image.Image, kind: _Kind) -> np.ndarray:
    """Return a picture's numbers `[H, W]` as the type that they are."""
    values = np.asarray(image)
    if kind.dtype == "i1":
        return values.view(np.int8)
    # Unsigned numbers of 32 bits come as signed ones, with the same bits.
    wrapped = kind.dtype == "u4" and values.dtype == np.int32
    return values.view(np.uint32) if wrapped else values


def _grey(image: Image.Image, kind: _Kind) -> np.ndarray:
    """Return a picture's numbers as float32 `[H, W]`, 0..1 on the scale of their kind."""
    grey = _values(image, kind).astype(np.float64) / kind.white
    if not np.isfinite(grey).all():
        raise ValueError("it holds numbers that are not finite")
    low, high = float(grey.min()), float(grey.max())
    beyond = OVERSHOOT if image.mode == "F" else 0
    if low < -beyond or high > 1 + beyond:
        raise ValueError(
            f"it holds numbers from {low * kind.white:g} to {high * kind.white:g}, where 0 is black"
            f" and {kind.white:g} is white: bring them to that scale"
        )
    grey = np.clip(grey, 0, 1)
    return np.asarray(1 - grey if kind.inverted else grey, np.float32)
