"""Texture and source frame -> output frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ncavideo.composite.blend import Look, blended, mix, mix_encoded
from ncavideo.composite.upscale import find_upscaler
from ncavideo.control.field import View
from ncavideo.util.pixels import LUMINANCE, as_float, bands

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt

TEXTURE_BLUR = 1.5  # cells: variations of brightness finer than this are the texture's own
MOST_GAIN = 3.0  # bound on how much shading may brighten or darken
MOST_DETAIL = 2.0  # bound on how much of that may come from detail finer than a cell
FLOOR = 0.06  # keeps ratios of near-black luminances tame
WHITENING = np.tile(LUMINANCE, (3, 1))  # each channel gets what the highlight has too much


@dataclass(frozen=True)
class Composite:
    """How a texture is laid over its source frame.

    `dark`, `bright`: the local luminances that light 0 and 1 stand for. `size`: the output's
    (width, height).
    """

    size: tuple[int, int]
    dark: float
    bright: float
    look: Look = field(default_factory=Look)

    def __call__(
        self,
        texture: Float32[np.ndarray, "h w 3"],
        light: Float32[np.ndarray, "h w"],
        coverage: Float32[np.ndarray, "h w"] | None,
        view: View,
        source: UInt[np.ndarray, "H W 3"],
        shade: float = 0.0,
        opacity: float | Float32[np.ndarray, "h w"] = 1.0,
    ) -> UInt[np.ndarray, "H W channels"]:
        """Return the output frame in the source's type, with 4 channels for a matte, otherwise 3.

        `texture` and `light`: 0..1, one pixel a cell; `coverage`: where the texture hides the
        source, None for everywhere; `shade` 0..1: how far the texture's local luminance is led
        towards the light's; `opacity` 0..1: one number, or one a cell.
        """
        height, width = source.shape[:2]
        white = np.float32(np.iinfo(source.dtype).max)
        cover = self._alpha(coverage, opacity)
        enlarged = find_upscaler(self.look.upscale)(texture, self.size)
        if shade > 0:
            lit = self._lit(texture, light)
            around = self._enlarge_linearly(view.luma + np.float32(FLOOR))
        composed = np.empty((height, width, 4 if self.look.matte else 3), source.dtype)
        for rows in bands(height, width):
            out = enlarged[rows]
            if shade > 0:
                detail = cv2.divide(view.full_luma[rows] + np.float32(FLOOR), around[rows])
                _shade(out, lit[rows], detail, shade)
            np.clip(out, 0, 1, out)
            if not self.look.plain:
                out = blended(self.look, as_float(source[rows]), out)
            if cover is not None and not self.look.matte:
                under = as_float(source[rows])
                if self.look.linear:
                    out = mix(under, out, cover[rows], float(white))
                else:
                    out = mix_encoded(under, out, cover[rows])
            if self.look.matte:
                alpha = np.float32(1) if cover is None else cover[rows]
                composed[rows, :, 3] = alpha * white + np.float32(0.5)
            out *= white
            out += np.float32(0.5)
            np.copyto(composed[rows, :, :3], out, casting="unsafe")
        return composed

    def _alpha(self, coverage: np.ndarray | None, opacity: float | np.ndarray) -> np.ndarray | None:
        """Return how much of the texture is seen, `[H, W]` in 0..1, None for all of it."""
        if isinstance(opacity, np.ndarray):
            coverage = opacity if coverage is None else coverage * opacity
        elif opacity < 1:
            if coverage is None:
                width, height = self.size
                return np.full((height, width), opacity, np.float32)
            coverage = coverage * np.float32(opacity)
        if coverage is None:
            return None
        enlarged = self._enlarge_linearly(coverage.astype(np.float32, copy=False))
        return np.asarray(np.clip(enlarged, 0, 1))

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
