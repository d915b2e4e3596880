"""What controls and composite both do to pictures: luminance, float and back, bands of rows."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. ITU-R BT.709
BAND_PIXELS = 1 << 16  # three float32 channels of so many pixels fit into a second-level cache


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return the luminance `[H, W]` float32, 0..1, of a picture `[H, W, 3]` of any type."""
    height, width = rgb.shape[:2]
    luma = np.empty((height, width), np.float32)
    for rows in bands(height, width):
        luma[rows] = cv2.transform(as_float(rgb[rows]), LUMINANCE[None])
    return luma


def as_float(picture: np.ndarray) -> np.ndarray:
    """Return a picture of any type as float32, whole numbers scaled to 0..1."""
    if picture.dtype.kind == "f":
        return picture.astype(np.float32, copy=False)
    scaled = np.multiply(picture, np.float32(1 / np.iinfo(picture.dtype).max), dtype=np.float32)
    return np.asarray(scaled)


def magnitude(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the length of each vector (x, y).

    Not OpenCV's, whose last bit depends on where in memory the result lies.
    """
    return np.asarray(np.sqrt(x * x + y * y))


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Return sRGB values, 0..1, in linear light (IEC 61966-2-1), float32."""
    curve = ((rgb + 0.055) / 1.055) ** 2.4
    return np.where(rgb <= 0.04045, rgb / 12.92, curve).astype(np.float32)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Return linear light, 0..1, as sRGB values, float32."""
    curve = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, curve).astype(np.float32)


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of a picture in parts that stay in a processor's cache while worked on."""
    rows = max(1, BAND_PIXELS // width)
    for first in range(0, height, rows):
        yield slice(first, min(height, first + rows))


def to_grid(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture with each cell's mean in one pixel."""
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Round a picture in 0..1 to uint8."""
    return np.asarray(np.clip(picture, 0, 1) * 255 + 0.5, np.uint8)


def to_deep(picture: np.ndarray) -> np.ndarray:
    """Round a picture in 0..1 to uint16."""
    return np.asarray(np.clip(picture, 0, 1) * 65535 + 0.5, np.uint16)
