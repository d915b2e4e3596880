"""Texture and source frame -> output frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ncavideo.control.base import View
from ncavideo.pixels import LUMINANCE, bands

TEXTURE_BLUR = 1.5  # cells: variations of brightness finer than this are the texture's own
MOST_GAIN = 3.0  # bound on how much shading may brighten or darken
MOST_DETAIL = 2.0  # bound on how much of that may come from detail finer than a cell
FLOOR = 0.06  # keeps ratios of near-black luminances tame
WHITENING = np.tile(LUMINANCE, (3, 1))  # each channel gets what the highlight has too much


@dataclass(frozen=True)
class Composite:
    """How a texture is laid over its source frame.

    `shade` 0..1: how far the texture's local luminance is led towards `dark` + (`bright` -
    `dark`) * light. `size`: the output's (width, height).
    """

    size: tuple[int, int]
    shade: float
    dark: float
    bright: float

    def __call__(
        self,
        texture: np.ndarray,
        light: np.ndarray,
        coverage: np.ndarray | None,
        view: View,
        source: np.ndarray,
    ) -> np.ndarray:
        """Return the output frame `[H, W, 3]`, in the source's own type.

        `texture` `[h, w, 3]` and `light` `[h, w]`, 0..1, one pixel a cell; `coverage` `[h, w]`:
        where the texture hides the source, None for everywhere; `source` `[H, W, 3]`.
        """
        white = np.float32(np.iinfo(source.dtype).max)
        cover = None if coverage is None else np.clip(self._enlarge_linearly(coverage), 0, 1)
        enlarged = enlarge(texture, self.size)
        if self.shade > 0:
            lit = self._lit(texture, light)
            around = self._enlarge_linearly(view.luma + np.float32(FLOOR))
        composed = np.empty_like(source)
        for rows in bands(*source.shape[:2]):
            out = enlarged[rows]
            if self.shade > 0:
                detail = cv2.divide(view.full_luma[rows] + np.float32(FLOOR), around[rows])
                _shade(out, lit[rows], detail, self.shade)
            np.clip(out, 0, 1, out)
            out *= white
            if cover is not None:
                under = source[rows].astype(np.float32)
                out -= under
                out *= cover[rows, :, None]
                out += under
            out += np.float32(0.5)
            np.copyto(composed[rows], out, casting="unsafe")
        return composed

    def _lit(self, texture: np.ndarray, light: np.ndarray) -> np.ndarray:
        """Return the factor `[H, W]` that leads the texture's blurred luminance to the wanted one.

        Hue and fine grain are left as they are.
        """
        own = cv2.GaussianBlur(cv2.transform(texture, LUMINANCE[None]), (0, 0), TEXTURE_BLUR)
        wanted = self.dark + (self.bright - self.dark) * light
        gain = np.clip((wanted + FLOOR) / (own + FLOOR), 1 / MOST_GAIN, MOST_GAIN)
        return self._enlarge_linearly(gain.astype(np.float32))

    def _enlarge_linearly(self, field: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(field, self.size, interpolation=cv2.INTER_LINEAR))


def _shade(out: np.ndarray, lit: np.ndarray, detail: np.ndarray, shade: float) -> None:
    """Multiply `out` `[H, W, 3]` by (`lit` * `detail`) ** `shade`, each `[H, W]`; all are changed.

    Between cells the source itself leads (`detail`), so that thin lines and type finer than a cell
    stay readable.
    """
    np.clip(detail, 1 / MOST_DETAIL, MOST_DETAIL, detail)
    factor = cv2.pow(cv2.multiply(lit, detail), shade)
    cv2.multiply(out, cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), dst=out)
    # Highlights that would clip run into white, as they do on film.
    over = np.subtract(out, np.float32(1))
    cv2.threshold(over, 0, 0, cv2.THRESH_TOZERO, dst=over)
    cv2.add(out, cv2.transform(over, WHITENING), dst=out)


def enlarge(texture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge `[h, w, 3]` to (width, height) by cubic interpolation: no blocks, little blur."""
    if texture.shape[1::-1] == size:
        return texture.copy()
    return cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC)
