"""The blend modes on a torch device: `blend.py`, on planes `[3, h, w]`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ncavideo.composite.blend import W3C_LUMINANCE, Look
from ncavideo.util.device_filters import luminance_of

TINY = 1e-6


def blended(look: Look, under: Tensor, over: Tensor) -> Tensor:
    """Return the picture of a source and a texture, `[3, h, w]` float32, 0..1, gamma-encoded."""
    mixed = MODES[look.blend](under, over)
    if look.keep == "luminance":
        return with_luminance(mixed, luminance_of(under), luminance_of)
    if look.keep == "chroma":
        return with_luminance(under, luminance_of(mixed), luminance_of)
    return mixed


def _overlay(under: Tensor, over: Tensor) -> Tensor:
    return torch.where(under <= 0.5, 2 * under * over, 1 - 2 * (1 - under) * (1 - over))


def _soft_light(under: Tensor, over: Tensor) -> Tensor:
    root = torch.where(under <= 0.25, ((16 * under - 12) * under + 4) * under, under.sqrt())
    darker = under - (1 - 2 * over) * under * (1 - under)
    return torch.where(over <= 0.5, darker, under + (2 * over - 1) * (root - under))


def _w3c(planes: Tensor) -> Tensor:
    red, green, blue = (float(share) for share in W3C_LUMINANCE)
    return planes[0] * red + planes[1] * green + planes[2] * blue


Mode = Callable[[Tensor, Tensor], Tensor]
MODES: dict[str, Mode] = {
    "normal": lambda under, over: over,
    "multiply": lambda under, over: under * over,
    "screen": lambda under, over: under + over - under * over,
    "overlay": _overlay,
    "soft-light": _soft_light,
    "luminosity": lambda under, over: with_luminance(under, _w3c(over), _w3c),
}


def with_luminance(rgb: Tensor, wanted: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `[3, h, w]` with the luminance `wanted` `[h, w]` by `measure`, its hue kept."""
    colour = rgb + (wanted - measure(rgb))
    low, high = colour.amin(0), colour.amax(0)
    one = torch.ones_like(wanted)
    below = torch.where(low < 0, wanted / (wanted - low).clamp(min=TINY), one)
    over = torch.where(high > 1, (1 - wanted) / (high - wanted).clamp(min=TINY), one)
    return wanted + (colour - wanted) * torch.minimum(below, over).clamp(0, 1)


def mix(under: Tensor, over: Tensor, alpha: Tensor) -> Tensor:
    """Return `under` `[3, h, w]` with `over` at opacity `alpha` `[h, w]` on it, in linear light."""
    low = _to_linear(under)
    return _to_srgb(low + alpha * (_to_linear(over) - low))


def _to_linear(rgb: Tensor) -> Tensor:
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(light: Tensor) -> Tensor:
    curve = 1.055 * light.clamp(min=0) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)
