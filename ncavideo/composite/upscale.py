"""From the grid's size to the frame's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ncavideo.util.errors import UserError
from ncavideo.util.pixels import LUMINANCE

AMOUNT = 0.7  # how much of what a blur takes away is added once more
REACH = 0.6  # cells: the blur's deviation
SOFT_RATIO = 2.5
Size = tuple[int, int]


def cubic(texture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge `[h, w, 3]` to (width, height) by cubic interpolation: no blocks, little blur."""
    if texture.shape[1::-1] == size:
        return texture.copy()
    return np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC))


def sharp(texture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge with steeper edges, within the range of the cells around them.

    Colour is enlarged by cubic interpolation; luminance is sharpened cell by cell and enlarged by
    Lanczos's (Duchon, 1979). In the spirit of FidelityFX Super Resolution (AMD, 2021): it is
    bounded by the least and the most of the cells nearby, so that nothing rings. Hues are left
    alone.
    """
    enlarged = cubic(texture, size)
    if not is_sharp("sharp", size[0] / texture.shape[1]):
        return enlarged
    coarse = cv2.transform(np.ascontiguousarray(texture), LUMINANCE[None])
    crisp, least, most = sharpened(coarse, np.empty((3, *coarse.shape), np.float32))
    low = cv2.resize(least, size, interpolation=cv2.INTER_LINEAR)
    high = cv2.resize(most, size, interpolation=cv2.INTER_LINEAR)
    change = cv2.resize(crisp, size, interpolation=cv2.INTER_LANCZOS4)
    cv2.max(change, low, dst=change)
    cv2.min(change, high, dst=change)
    cv2.subtract(change, cv2.transform(enlarged, LUMINANCE[None]), dst=change)
    return np.asarray(cv2.add(enlarged, cv2.cvtColor(change, cv2.COLOR_GRAY2RGB), dst=enlarged))


def sharpened(luma: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Fill `out` `[3, h, w]` with a luminance `[h, w]` sharpened, and its least and most around.

    Both float32. Returns `out`.
    """
    around = np.ones((3, 3), np.uint8)
    # Before enlarging: afterwards the interpolation's own ripple would be sharpened with the rest,
    # and cells would show on even slopes. OpenCV's cubic kernel (a = -0.75) ripples more.
    soft = cv2.GaussianBlur(luma, (0, 0), REACH)
    cv2.addWeighted(luma, 1 + AMOUNT, soft, -AMOUNT, 0, dst=out[0])
    cv2.erode(luma, around, dst=out[1])
    cv2.dilate(luma, around, dst=out[2])
    return out


def auto(texture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge sharply where a cell is more than two pixels across, where cubic begins to blur."""
    return (sharp if is_sharp("auto", size[0] / texture.shape[1]) else cubic)(texture, size)


def is_sharp(name: str, ratio: float) -> bool:
    """Return whether the upscaler `name` sharpens when it enlarges by `ratio`."""
    return ratio > 1 if name == "sharp" else name == "auto" and ratio > SOFT_RATIO


Upscaler = Callable[[np.ndarray, Size], np.ndarray]
UPSCALERS: dict[str, Upscaler] = {"cubic": cubic, "sharp": sharp, "auto": auto}


def find_upscaler(name: str) -> Upscaler:
    """Return the way to enlarge a texture `[h, w, 3]` float32 in 0..1 to (width, height).

    Raises `UserError` for an unknown one.
    """
    if name not in UPSCALERS:
        raise UserError(f"there is no upscaler {name!r}: use {' or '.join(UPSCALERS)}")
    return UPSCALERS[name]
