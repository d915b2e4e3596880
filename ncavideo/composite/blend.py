"""How a texture and its source frame become one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ncavideo.util.pixels import LUMINANCE, to_linear, to_srgb

# W3C's luminosity, "Compositing and Blending Level 1" (2024), section 10.2; the others' is BT.709.
W3C_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
STEPS = 65535  # of the tables between sRGB and linear light


@dataclass(frozen=True)
class Look:
    """How a texture is laid over its source.

    `blend`: a mode of `BLENDS`; `keep`: `luminance` or `chroma` of the source, or `none`; `matte`:
    the texture alone, with alpha; `upscale`: how it is enlarged. Coverage and opacity mix in linear
    light.
    """

    blend: str = "normal"
    keep: str = "none"
    matte: bool = False
    upscale: str = "auto"

    @property
    def plain(self) -> bool:
        """Whether the texture hides the source where it covers it."""
        return self.blend == "normal" and self.keep == "none"


def normal(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """B(cb, cs) = cs (W3C, section 9.1)."""
    return over


def multiply(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """B(cb, cs) = cb cs."""
    return np.asarray(under * over)


def screen(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """B(cb, cs) = cb + cs - cb cs."""
    return np.asarray(under + over - under * over)


def overlay(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """B(cb, cs) = HardLight(cs, cb): multiply where the source is dark, screen where bright."""
    mixed = np.where(under <= 0.5, 2 * under * over, 1 - 2 * (1 - under) * (1 - over))
    return np.asarray(mixed)


def soft_light(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Dodge or burn softly, as the texture is brighter or darker than the middle."""
    root = np.where(under <= 0.25, ((16 * under - 12) * under + 4) * under, np.sqrt(under))
    darker = under - (1 - 2 * over) * under * (1 - under)
    return np.asarray(np.where(over <= 0.5, darker, under + (2 * over - 1) * (root - under)))


def luminosity(under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """B(Cb, Cs) = SetLum(Cb, Lum(Cs)): the source's hue and saturation, the texture's light."""
    return with_luminance(under, over @ W3C_LUMINANCE, W3C_LUMINANCE)


Blend = Callable[[np.ndarray, np.ndarray], np.ndarray]
BLENDS: dict[str, Blend] = {
    "normal": normal,
    "multiply": multiply,
    "screen": screen,
    "overlay": overlay,
    "soft-light": soft_light,
    "luminosity": luminosity,
}


def blended(look: Look, under: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Return the picture of a source and a texture, `[h, w, 3]` float32, 0..1, gamma-encoded.

    The modes work on encoded values, as in every editor.
    """
    mixed = BLENDS[look.blend](under, over)
    if look.keep == "luminance":
        mixed = with_luminance(mixed, under @ LUMINANCE, LUMINANCE)
    elif look.keep == "chroma":
        mixed = with_luminance(under, mixed @ LUMINANCE, LUMINANCE)
    return np.asarray(mixed, np.float32)


def with_luminance(rgb: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `[h, w, 3]` with the luminance `wanted` `[h, w]`, hue kept (W3C's SetLum, ClipColor).

    What would leave 0..1 is drawn towards grey until it fits; its luminance stays.
    """
    wanted = wanted[..., None]
    colour = rgb + (wanted - (rgb @ weights)[..., None])
    low, high = colour.min(-1, keepdims=True), colour.max(-1, keepdims=True)
    tiny = np.float32(1e-6)
    below = np.where(low < 0, wanted / np.maximum(wanted - low, tiny), 1)
    over = np.where(high > 1, (1 - wanted) / np.maximum(high - wanted, tiny), 1)
    return np.asarray(wanted + (colour - wanted) * np.clip(np.minimum(below, over), 0, 1))


def mix(under: np.ndarray, over: np.ndarray, alpha: np.ndarray, white: float) -> np.ndarray:
    """Return `under` with `over` at opacity `alpha` `[h, w]` on it, mixed in linear light.

    Pictures are gamma-encoded float32 `[h, w, 3]`, 0..1. `white`: the number of steps that the
    result will have; up to 255 tables are exact enough, above the curves are computed.
    """
    if white > 255:
        linear = to_linear(under)
        linear += alpha[..., None] * (to_linear(over) - linear)
        return to_srgb(linear)
    decode, encode = _tables()
    low = decode.take(_places(under))
    high = decode.take(_places(over))
    high -= low
    high *= alpha[..., None]
    low += high
    # By the root: evenly spaced, linear light has too few steps where it is dark.
    return np.asarray(encode.take(_places(cv2.sqrt(np.maximum(low, 0)))))


def _places(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values, 0, 1) * np.float32(STEPS) + np.float32(0.5)).astype(np.intp)


@lru_cache(1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return sRGB to linear light, and the root of linear light to sRGB, over 0..1."""
    steps = np.linspace(0, 1, STEPS + 1)
    return to_linear(steps), to_srgb(np.square(steps))
