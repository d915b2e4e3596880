"""Pictures from files, of any kind that Pillow reads, as float RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ncavideo.errors import UserError


@contextmanager
def open_picture(path: Path, what: str) -> Iterator[Image.Image]:
    """Open a picture; `what` names its part in the error.

    Raises `UserError` if it cannot be opened, or read inside the `with` block.
    """
    try:
        with Image.open(path) as image:
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
    """Return an open picture as float32 `[H, W, 3]`, 0..1; alpha is dropped, grey is spread."""
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 when it converts; these are its only deep modes.
        grey = np.clip(np.asarray(image, np.float32) / 65535, 0, 1)
        return np.repeat(grey[..., None], 3, 2)
    return np.asarray(image.convert("RGB"), np.float32) / 255
