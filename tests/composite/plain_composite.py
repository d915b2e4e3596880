"""The composite's plain definition, in passes over whole frames, to test its kernel against."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.composite.composite import TEXTURE_BLUR
from ncavideo.composite.shading import FLOOR, MOST_DETAIL, MOST_GAIN
from ncavideo.composite.upscale import find_upscaler
from ncavideo.util.pixels import LUMINANCE, luminance
from ncavideo.util.wide_blur import wide_blur


def composed(
    texture: np.ndarray,
    light: np.ndarray,
    grid_luma: np.ndarray,
    source: np.ndarray,
    cell: int,
    shade: float,
    upscale: str,
    ends: tuple[float, float],
    drawn: np.ndarray | None = None,
    detail: float = 0.0,
) -> np.ndarray:
    """Return the texture `[h, w, 3]`, enlarged and shaded, in the source's type `[H, W, 3]`.

    `light`, `grid_luma` `[h, w]`; `ends`: the local luminances that light 0 and 1 stand for;
    `drawn` `[h * cell, w * cell, 3]`: what a decoder draws in place of enlargement.
    """
    height, width = source.shape[:2]
    size = (light.shape[1] * cell, light.shape[0] * cell)

    def enlarged(field: np.ndarray) -> np.ndarray:
        return cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)[:height, :width]

    picture = find_upscaler(upscale)(texture, size) if drawn is None else drawn
    out = picture[:height, :width].astype(np.float64)
    power = max(shade, min(1, detail / 0.4))
    if power > 0:
        cells = cv2.transform(texture, LUMINANCE[None])
        own = wide_blur(cells, TEXTURE_BLUR)
        wanted = ends[0] + (ends[1] - ends[0]) * light
        gain = np.clip((wanted + FLOOR) / (own + FLOOR), 1 / MOST_GAIN, MOST_GAIN)
        if detail > 0:
            log_source = np.log(grid_luma + FLOOR)
            log_own = np.log(cv2.GaussianBlur(cells, (0, 0), 0.6) + FLOOR)
            wanted = log_source - wide_blur(log_source, 3)
            log_own -= wide_blur(log_own, 3)
            energy = wide_blur(wanted**2, 3)
            there = energy / (energy + 0.06**2)
            led = shade + there * min(shade, 1 - shade) * (1 - (1 - detail) ** 4)
            removed = 0.5 * max(0, detail - 0.4) / 0.6
            finer = there * (1.5 * detail**2 * wanted - removed * log_own)
            gain = np.exp((np.log(gain) * led + finer) / power)
            gain = np.clip(gain, MOST_GAIN**-2, MOST_GAIN**2)
        finer = (luminance(source) + FLOOR) / enlarged(grid_luma + np.float32(FLOOR))
        finer = np.clip(finer, 1 / float(MOST_DETAIL), float(MOST_DETAIL))
        out *= ((enlarged(gain.astype(np.float32)) * finer) ** power)[..., None]
        out += (np.maximum(out - 1, 0) @ LUMINANCE)[..., None]
    most = np.iinfo(source.dtype).max
    return (np.clip(out, 0, 1) * most + 0.5).astype(source.dtype)
