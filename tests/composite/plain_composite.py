"""The composite's plain definition, in passes over whole frames, to test its kernel against."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.composite.composite import TEXTURE_BLUR
from ncavideo.composite.shading import FLOOR, MOST_DETAIL, MOST_GAIN
from ncavideo.composite.upscale import find_upscaler
from ncavideo.util.pixels import LUMINANCE, luminance


def composed(
    texture: np.ndarray,
    light: np.ndarray,
    grid_luma: np.ndarray,
    source: np.ndarray,
    cell: int,
    shade: float,
    upscale: str,
    ends: tuple[float, float],
) -> np.ndarray:
    """Return the texture `[h, w, 3]`, enlarged and shaded, in the source's type `[H, W, 3]`.

    `light`, `grid_luma` `[h, w]`; `ends`: the local luminances that light 0 and 1 stand for.
    """
    height, width = source.shape[:2]
    size = (light.shape[1] * cell, light.shape[0] * cell)

    def enlarged(field: np.ndarray) -> np.ndarray:
        return cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)[:height, :width]

    out = find_upscaler(upscale)(texture, size)[:height, :width].astype(np.float64)
    if shade > 0:
        own = cv2.GaussianBlur(cv2.transform(texture, LUMINANCE[None]), (0, 0), TEXTURE_BLUR)
        wanted = ends[0] + (ends[1] - ends[0]) * light
        gain = np.clip((wanted + FLOOR) / (own + FLOOR), 1 / MOST_GAIN, MOST_GAIN)
        detail = (luminance(source) + FLOOR) / enlarged(grid_luma + np.float32(FLOOR))
        detail = np.clip(detail, 1 / float(MOST_DETAIL), float(MOST_DETAIL))
        out *= ((enlarged(gain.astype(np.float32)) * detail) ** shade)[..., None]
        out += (np.maximum(out - 1, 0) @ LUMINANCE)[..., None]
    most = np.iinfo(source.dtype).max
    return (np.clip(out, 0, 1) * most + 0.5).astype(source.dtype)
