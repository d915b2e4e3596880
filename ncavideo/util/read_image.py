"""Pictures from files, of any kind that Pillow reads, upright as EXIF says, as arrays."""

from __future__ import annotations

import struct
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
WIDTH, HEIGHT = 256, 257
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
# EXIF 2.3, tag 274: what brings the stored picture upright, as axes exchanged, rows reversed and
# columns reversed, in this order.
ORIENTATION = 274
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
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
            # Of a limit of Pillow's own, and of broken EXIF, which costs a picture nothing.
            warnings.simplefilter("ignore")
            image = Image.open(path)
        with image:
            check_size(image, path, what, most(image))
            yield image
    except FileNotFoundError as error:
        raise UserError(f"there is no {what} {path}") from error
    except UnidentifiedImageError as error:
        raise UserError(f"the {what} {path} is not a picture that can be read") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot read the {what} {path}: {error}") from error


def check_size(image: Image.Image, path: Path, what: str, most: int = MOST_PIXELS) -> None:
    """Raise `UserError` for an open picture that is too large to be read.

    A small file may tell of any size, and some kinds decode what they tell.
    """
    if image.width * image.height > most:
        raise UserError(
            f"the {what} {path} is too large: {image.width}x{image.height}, where"
            f" {most // 10**6} million pixels are the most"
        )


def read_picture(path: Path, what: str) -> np.ndarray:
    """Read a picture as float32 `[H, W, 3]`, 0..1, upright; alpha is dropped, grey is spread.

    `what` names the picture's part in the error. Raises `UserError` if it cannot be read.
    """
    with open_picture(path, what) as image:
        return picture_rgb(image)


def orientation(image: Image.Image, read: bool = True) -> int:
    """Return how an open picture is stored, as EXIF counts it: 1 (upright) to 8.

    Pillow turns a TIFF by itself when its pixels are read, and says so here from then on.
    """
    try:
        if read:  # a PNG may tell only after its pixels
            image.load()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is broken in EXIF
            stored = image.getexif().get(ORIENTATION, 1)
    # A broken EXIF block has as many errors as fields, and costs no more than its own facts.
    except (SyntaxError, TypeError, ValueError, LookupError, struct.error):
        return 1
    return stored if stored in TURNS else 1


def _upright(pixels: np.ndarray, image: Image.Image) -> np.ndarray:
    """Return a picture's pixels `[H, W, ...]` as they are to be seen."""
    turn = TURNS.get(orientation(image))
    if turn is None:
        return pixels
    exchanged, rows, columns = turn
    pixels = pixels.swapaxes(0, 1) if exchanged else pixels
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])


def picture_rgb(image: Image.Image) -> np.ndarray:
    """Return an open picture as float32 `[H, W, 3]`, 0..1, upright; alpha is dropped.

    Grey is spread to three channels.

    Raises `ValueError` if its numbers are not on the scale of their kind.
    """
    return _rgb(image, _deep_colour(image))


def _rgb(image: Image.Image, deep: np.ndarray | None) -> np.ndarray:
    """Return what `picture_rgb` does; `deep`: what `_deep_colour` gave before pixels were read."""
    if deep is not None:
        return _upright(np.divide(deep[..., 2::-1], 65535, dtype=np.float32), image)
    kind = _number_kind(image)
    if kind is None:
        rgb = np.asarray(image.convert("RGB"), np.float32)
        return _upright(np.divide(rgb, 255, out=rgb), image)
    return _upright(np.repeat(_grey(image, kind)[..., None], 3, 2), image)


def picture_pixels(image: Image.Image, deep: bool) -> np.ndarray:
    """Return an open picture as uint8, or if `deep` uint16, `[H, W, 3]`, over its full range.

    Upright, and over black where it is transparent. Raises as `picture_rgb` does.
    """
    clear = image.info.get("transparency")
    if not deep and "A" not in image.getbands() and clear is None and not is_deep(image):
        return _upright(np.asarray(image.convert("RGB")), image)
    stored = _deep_colour(image)
    rgb, alpha = _rgb(image, stored), _alpha(image, stored)
    if alpha is not None:
        rgb = rgb * alpha[..., None]
    white, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    return np.rint(rgb * np.float32(white)).astype(dtype)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return an open picture's width and height as it is to be seen, from its header alone."""
    width, height = image.size
    tags = getattr(image, "tag_v2", None)
    if tags is not None:  # of which Pillow's releases differ in when they turn it
        width, height, stored = tags[WIDTH], tags[HEIGHT], tags.get(ORIENTATION, 1)
    elif image.format != "PNG" or "exif" in image.info:
        stored = orientation(image, read=False)
    else:  # a PNG's that is not known yet would cost reading all of it
        stored = 1
    return (height, width) if TURNS.get(stored, (False,))[0] else (width, height)


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture whose pixels are not read yet has more than eight bits a colour."""
    return _has_deep_colour(image) or _number_kind(image) is not None


def _deep_colour(image: Image.Image) -> np.ndarray | None:
    """Return colours of 16 bits as stored, uint16 `[H, W, 3 or 4]`, blue first, alpha last.

    None for all other pictures. Pillow keeps eight bits of them. OpenCV reads those of PNG and TIFF
    whole.
    """
    if getattr(image, "is_animated", False) or not _has_deep_colour(image):
        return None
    import cv2

    data = np.fromfile(image.filename, np.uint8)  # type: ignore[attr-defined]
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] < 3:
        return None
    if pixels.shape[:2] != (image.height, image.width):
        return None
    return pixels


def _has_deep_colour(image: Image.Image) -> bool:
    """Return whether a picture whose pixels are not read yet has 16 bits a colour."""
    if not getattr(image, "filename", None):
        return False
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        unsigned = set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) == {UNSIGNED}
        return image.mode in ("RGB", "RGBA") and set(tags.get(BITS, ())) == {16} and unsigned
    # Pillow's name for how the pixels are stored: `RGB;16B`.
    tiles = getattr(image, "tile", []) if image.format == "PNG" else []
    return bool(tiles) and str(tiles[0][3]).startswith(("RGB;16", "RGBA;16", "LA;16"))


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
    return _upright(values.astype(np.int64), image)


def picture_alpha(image: Image.Image) -> np.ndarray | None:
    """Return an open picture's alpha channel, float32 `[H, W]` in 0..1, None if it has none."""
    return _alpha(image, _deep_colour(image))


def _alpha(image: Image.Image, deep: np.ndarray | None) -> np.ndarray | None:
    clear = image.info.get("transparency")
    if "A" not in image.getbands() and clear is None:
        return None
    kind = _number_kind(image)
    if kind is not None:  # Pillow does not convert these: one grey is clear
        return _upright(np.asarray(_values(image, kind) != clear, np.float32), image)
    if deep is not None and deep.shape[2] == 4:
        return _upright(np.divide(deep[..., 3], 65535, dtype=np.float32), image)
    return _upright(np.asarray(image.convert("RGBA"), np.float32)[..., 3] / 255, image)


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
