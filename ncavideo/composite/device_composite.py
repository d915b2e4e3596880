"""Texture and source frame -> output frame, on a torch device, from end to end.

The same passes as `composite.py` and `composite_kernel.py`, in plain torch operations, which run on
any device. Results differ from the processor's by the order of sums: at most one level of 255 in
99.9 % of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ncavideo.composite import device_decode, phases
from ncavideo.composite.composite import TEXTURE_BLUR, Composite
from ncavideo.composite.device_blend import blended, mix
from ncavideo.composite.device_enlarge import enlarged, sharpened
from ncavideo.composite.shading import (
    AROUND,
    FLOOR,
    FORM,
    GRAIN,
    IMPORTANT,
    MOST_DETAIL,
    MOST_GAIN,
    detail_parts,
    exponent,
)
from ncavideo.composite.upscale import is_sharp
from ncavideo.util.device_filters import (
    as_planes,
    gaussian_blur,
    luminance_of,
    resized,
    rounded,
    wide_blur,
)


@dataclass(frozen=True)
class DeviceComposite:
    """How a texture is laid over its source frame, all on one device. `plan`: sizes and look."""

    plan: Composite

    @torch.inference_mode()
    def __call__(
        self,
        texture: Tensor,
        light: Tensor,
        coverage: Tensor | None,
        luma: Tensor,
        source: Tensor,
        shade: float = 0.0,
        opacity: float | Tensor = 1.0,
        detail: float = 0.0,
    ) -> Tensor:
        """Return the output frame `[H, W, 3]` in the source's type, with 4 channels for a matte.

        `texture` `[h, w, 3]`, or with a decoder the state `[h, w, C]`; `light`, `coverage` and
        `luma`, the source's luminance on the grid, `[h, w]`: float32, 0..1; `source` `[H, W, 3]`:
        see `as_planes`; `coverage` None: everywhere; `shade`, `detail` and `opacity` 0..1, the
        last one number or `[h, w]`.
        """
        look = self.plan.look
        under = None
        shaded = exponent(shade, detail) > 0
        if shaded or not look.plain:
            under = as_planes(source)
        planes = self._planes(texture)
        out = self._drawn(planes, source)
        if shaded:
            assert under is not None
            decoder = self.plan.decoder
            rgb = planes if decoder is None else device_decode.colours(decoder, planes)
            out = self._shaded(out, luminance_of(rgb), light, luma, under, shade, detail)
        out = out.clamp_(0, 1)
        alpha = self._alpha(coverage, opacity, out)
        if not look.plain:
            assert under is not None
            out = blended(look, under, out)
        if look.matte:
            seen = torch.ones_like(out[0]) if alpha is None else alpha
            return rounded(torch.cat([out, seen[None]]), source)
        if alpha is not None:
            under = as_planes(source) if under is None else under
            out = mix(under, out, alpha)
        return rounded(out, source)

    def _planes(self, texture: Tensor) -> Tensor:
        """Return what is interpolated: the colours `[3, h, w]`, or a decoder's planes."""
        if self.plan.decoder is None:
            return texture.permute(2, 0, 1).contiguous()
        return device_decode.planes(self.plan.decoder, texture, self.plan.edge)

    def _drawn(self, planes: Tensor, source: Tensor) -> Tensor:
        """Return the texture at the frame's size, `[3, H, W]`, not clipped."""
        height, width, decoder = *source.shape[:2], self.plan.decoder
        if decoder is None:
            return self._enlarged(planes, height, width)
        return device_decode.drawn(decoder, planes, self.plan.cell, height, width)

    def _enlarged(self, planes: Tensor, height: int, width: int) -> Tensor:
        cell = self.plan.cell
        out = enlarged(planes, phases.cubic, cell, height, width).contiguous()
        if not is_sharp(self.plan.look.upscale, cell):
            return out.clone() if cell == 1 else out
        crisp, *bounds = sharpened(luminance_of(planes))
        wanted = enlarged(crisp[None], phases.lanczos, cell, height, width)[0]
        low, high = enlarged(torch.stack(bounds), phases.linear, cell, height, width)
        return out.add_(torch.minimum(torch.maximum(wanted, low), high) - luminance_of(out))

    def _shaded(
        self,
        out: Tensor,
        cells: Tensor,
        light: Tensor,
        luma: Tensor,
        under: Tensor,
        shade: float,
        detail: float,
    ) -> Tensor:
        """Return `[3, H, W]` with its local luminance led towards the light's, and fine detail.

        `cells` `[h, w]`: the texture's luminance.
        """
        plan = self.plan
        own = wide_blur(cells, TEXTURE_BLUR)
        wanted = plan.dark + (plan.bright - plan.dark) * light
        gain = ((wanted + FLOOR) / (own + FLOOR)).clamp(1 / MOST_GAIN, MOST_GAIN)
        if detail > 0:
            gain = _with_detail(gain, cells, luma, shade, detail)
        fields = torch.stack([gain, luma + FLOOR])
        factor, coarse = enlarged(fields, phases.linear, plan.cell, *under.shape[1:])
        finer = ((luminance_of(under) + FLOOR) / coarse).clamp(1 / MOST_DETAIL, MOST_DETAIL)
        factor, power = factor * finer, exponent(shade, detail)
        out = out * (factor.sqrt() if power == 0.5 else factor**power)
        # Highlights that would clip run into white, as they do on film.
        return out.add_(luminance_of((out - 1).clamp_(min=0)))

    def _alpha(
        self, coverage: Tensor | None, opacity: float | Tensor, out: Tensor
    ) -> Tensor | None:
        """Return how much of the texture is seen, `[H, W]` in 0..1, None for all of it."""
        if isinstance(opacity, Tensor):
            coverage = opacity if coverage is None else coverage * opacity
        elif opacity < 1:
            if coverage is None:
                return torch.full_like(out[0], opacity)
            coverage = coverage * opacity
        return None if coverage is None else resized(coverage, self.plan.size).clamp(0, 1)


def _with_detail(gain: Tensor, cells: Tensor, luma: Tensor, shade: float, detail: float) -> Tensor:
    """Return shading's `gain` `[h, w]` with the source's detail; see `shading.Detail`.

    `cells`, `luma` `[h, w]`: luminances of the texture and of the source.
    """
    part, fine = detail_parts(shade, detail), _fine(luma)
    energy = wide_blur(fine * fine, AROUND)
    there = energy / (energy + IMPORTANT**2)
    finer = part.added * fine
    if part.removed:
        finer = finer - part.removed * _fine(gaussian_blur(cells, GRAIN))
    log = ((shade + there * part.led) * gain.log() + there * finer) / part.power
    return log.exp().clamp(MOST_GAIN**-2, MOST_GAIN**2)


def _fine(luma: Tensor) -> Tensor:
    """Return how far the log of a luminance is from what is around it."""
    log = (luma + FLOOR).log()
    return log - wide_blur(log, FORM)
