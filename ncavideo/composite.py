"""Texture and source frame -> output frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ncavideo.control.base import LUMINANCE, View

TEXTURE_BLUR = 1.5  # cells: variations of brightness finer than this are the texture's own
MOST_GAIN = 3.0  # bound on how much shading may brighten or darken
MOST_DETAIL = 2.0  # bound on how much of that may come from detail finer than a cell
FLOOR = 0.06  # keeps ratios of near-black luminances tame


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
        out = enlarge(texture, self.size)
        if self.shade > 0:
            lit = self._gain(texture, light, view)
            out *= lit[..., None]
            # Highlights that would clip run into white, as they do on film.
            over = np.maximum(out - 1, 0) @ LUMINANCE
            out += over[..., None]
        np.clip(out, 0, 1, out)
        out *= white
        if coverage is not None:
            cover = np.clip(cv2.resize(coverage, self.size, interpolation=cv2.INTER_LINEAR), 0, 1)
            out = source + cover[..., None] * (out - source)
        out += 0.5
        return out.astype(source.dtype)

    def _gain(self, texture: np.ndarray, light: np.ndarray, view: View) -> np.ndarray:
        """Return the factor `[H, W]` on the texture's pixels.

        On the grid it leads the blurred luminance to the wanted one, with the hue and the fine
        grain left as they are. Between cells it follows the source itself, so that thin lines and
        type finer than a cell stay readable.
        """
        own = cv2.GaussianBlur(texture @ LUMINANCE, (0, 0), TEXTURE_BLUR)
        wanted = self.dark + (self.bright - self.dark) * light
        gain = np.clip((wanted + FLOOR) / (own + FLOOR), 1 / MOST_GAIN, MOST_GAIN)
        full = cv2.resize(gain, self.size, interpolation=cv2.INTER_LINEAR)
        around = cv2.resize(view.luma, self.size, interpolation=cv2.INTER_LINEAR)
        detail = (view.full_luma + FLOOR) / (around + FLOOR)
        full *= np.clip(detail, 1 / MOST_DETAIL, MOST_DETAIL)
        return np.asarray(full ** np.float32(self.shade))


def enlarge(texture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge `[h, w, 3]` to (width, height) by cubic interpolation: no blocks, little blur."""
    if texture.shape[1::-1] == size:
        return texture.copy()
    return cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC)
