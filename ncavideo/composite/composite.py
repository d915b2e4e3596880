"""Texture and source frame -> output frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ncavideo.composite import phases
from ncavideo.composite.blend import Look, blended, mix
from ncavideo.composite.shading import AROUND, FLOOR, FORM, GRAIN, detail_parts, exponent
from ncavideo.composite.upscale import is_sharp, sharpened
from ncavideo.control.field import View
from ncavideo.nca.decode import colours, planes, second_layer, taps
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.util.pixels import LUMINANCE, as_float, bands
from ncavideo.util.wide_blur import wide_blur

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt

    from ncavideo.nca.model import Edge

TEXTURE_BLUR = 1.5  # cells: variations of brightness finer than this are the texture's own
NOT_SHADED = np.empty((0, 0, 0), np.float32)


@dataclass(frozen=True)
class Composite:
    """How a texture is laid over its source frame.

    `size`: the output's (width, height) in pixels; `cell`: how many of them a cell is across, of
    which the last in each direction may be cut off; `dark`, `bright`: the local luminances that
    light 0 and 1 stand for; `decoder`: the rule set's, which draws the texture in place of
    enlargement, on a grid with this `edge`.
    """

    size: tuple[int, int]
    cell: int
    dark: float
    bright: float
    look: Look = field(default_factory=Look)
    decoder: DecoderWeights | None = None
    edge: Edge = "reflect"

    def __call__(
        self,
        texture: Float32[np.ndarray, "h w C"],
        light: Float32[np.ndarray, "h w"],
        coverage: Float32[np.ndarray, "h w"] | None,
        view: View,
        source: UInt[np.ndarray, "H W 3"],
        shade: float = 0.0,
        opacity: float | Float32[np.ndarray, "h w"] = 1.0,
        detail: float = 0.0,
    ) -> UInt[np.ndarray, "H W channels"]:
        """Return the output frame in the source's type, with 4 channels for a matte, otherwise 3.

        `texture`: 0..1, one pixel a cell, or for a decoder the grid's state; `light`: 0..1, one
        number a cell; `coverage`: where the texture hides the
        source, None for everywhere; `shade` 0..1: how far the texture's local luminance is led
        towards the light's; `opacity` 0..1: one number, or one a cell; `detail` 0..1: how far its
        detail gives way to the source's.
        """
        height, width = source.shape[:2]
        white = np.float32(np.iinfo(source.dtype).max)
        cover = self._alpha(coverage, opacity)
        rows_of = self._rows(texture, light, view, source, shade, detail)
        composed = np.empty((height, width, 4 if self.look.matte else 3), source.dtype)
        if self.look.plain and not self.look.matte and cover is None:
            rows_of(0, white, composed)
            return composed
        for rows in bands(height, width):
            out = np.empty((rows.stop - rows.start, width, 3), np.float32)
            rows_of(rows.start, np.float32(0), out)
            if not self.look.plain:
                out = blended(self.look, as_float(source[rows]), out)
            if cover is not None and not self.look.matte:
                under = as_float(source[rows])
                out = mix(under, out, cover[rows], float(white))
            if self.look.matte:
                alpha = np.float32(1) if cover is None else cover[rows]
                composed[rows, :, 3] = alpha * white + np.float32(0.5)
            out *= white
            out += np.float32(0.5)
            np.copyto(composed[rows, :, :3], out, casting="unsafe")
        return composed

    def _rows(
        self,
        texture: np.ndarray,
        light: np.ndarray,
        view: View,
        source: np.ndarray,
        shade: float,
        detail: float,
    ) -> Callable[[int, np.float32, np.ndarray], None]:
        """Return what fills `out` `[rows, W, 3]` with the texture, enlarged and shaded.

        It takes the first row, what 1 becomes in whole numbers (0 for floating point), and `out`.
        """
        if self.decoder is not None:
            return self._decoded_rows(self.decoder, texture, light, view, source, shade, detail)
        from ncavideo.composite import composite_kernel as kernel  # Numba takes its time to load

        # As the fused engine's texture lies in memory.
        colours = np.ascontiguousarray(texture.transpose(2, 0, 1), np.float32)
        luma, fields = np.empty(light.shape, np.float32), np.empty((5, *light.shape), np.float32)
        kernel.luminance_of(colours, luma)
        sharp, power = is_sharp(self.look.upscale, self.cell), exponent(shade, detail)
        if sharp:
            sharpened(luma, fields[kernel.CRISP : kernel.CRISP + 3])
        if power > 0:
            self._shading(luma, light, view, shade, detail, fields[kernel.LIGHT :])
        linear, cubic, lanczos = (
            kind(self.cell) for kind in (phases.linear, phases.cubic, phases.lanczos)
        )
        scale = np.float32(1 / np.iinfo(source.dtype).max)
        frame = np.ascontiguousarray(source)  # a decoder may pad its rows

        def fill(top: int, white: np.float32, out: np.ndarray) -> None:
            kernel.compose(
                colours, fields, sharp, power > 0, frame, scale, np.float32(power),
                linear.first, linear.weights, cubic.first, cubic.weights,
                lanczos.first, lanczos.weights, top, white, out,
            )  # fmt: skip

        return fill

    def _decoded_rows(
        self,
        decoder: DecoderWeights,
        state: np.ndarray,
        light: np.ndarray,
        view: View,
        source: np.ndarray,
        shade: float,
        detail: float,
    ) -> Callable[[int, np.float32, np.ndarray], None]:
        """Return the same for a texture that a decoder draws from `state` `[h, w, C]`."""
        from ncavideo.composite.decoded_kernel import compose_decoded

        cells, shading = planes(decoder, state, self.edge), NOT_SHADED
        power = exponent(shade, detail)
        if power > 0:
            luma = cv2.transform(colours(decoder, cells), LUMINANCE[None])
            shading = np.empty((2, *luma.shape), np.float32)
            self._shading(luma, light, view, shade, detail, shading)
        weights, w2 = taps(self.cell), second_layer(decoder)
        linear = phases.linear(self.cell)
        scale = np.float32(1 / np.iinfo(source.dtype).max)
        frame = np.ascontiguousarray(source)

        def fill(top: int, white: np.float32, out: np.ndarray) -> None:
            compose_decoded(
                cells, weights, w2, shading, frame, scale, np.float32(power),
                linear.first, linear.weights, top, white, out,
            )  # fmt: skip

        return fill

    def _shading(
        self,
        luma: np.ndarray,
        light: np.ndarray,
        view: View,
        shade: float,
        detail: float,
        out: np.ndarray,
    ) -> None:
        """Fill `out` `[2, h, w]` with what the kernels shade with: `composite_kernel.compose`."""
        from ncavideo.composite.shading_kernel import lead

        gain, seen = out
        np.add(view.luma, np.float32(FLOOR), out=seen)
        own = wide_blur(luma, TEXTURE_BLUR)
        part, added = detail_parts(shade, detail), 1.0
        finer: np.ndarray = np.empty((0, 0), np.float32)
        energy = finer
        if detail > 0:
            finer, added = _fine(seen), part.added
            energy = wide_blur(cv2.multiply(finer, finer), AROUND)
        if part.removed:
            grain = _fine(_blurred(luma, GRAIN) + np.float32(FLOOR))
            finer, added = part.added * finer - part.removed * grain, 1.0
        numbers = (np.float32(n) for n in (added, shade, part.led, part.power))
        lead(
            own, np.ascontiguousarray(light), np.float32(self.dark), np.float32(self.bright),
            np.asarray(finer, np.float32), energy, *numbers, gain,
        )  # fmt: skip

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

    def _enlarge_linearly(self, field: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(field, self.size, interpolation=cv2.INTER_LINEAR))


def _blurred(field: np.ndarray, deviation: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), deviation))


def _fine(luma: np.ndarray) -> np.ndarray:
    """Return how far the log of a luminance, which is above 0, is from what is around it."""
    log = np.log(luma)
    return np.asarray(cv2.subtract(log, wide_blur(log, FORM), dst=log))
