"""Colour as a field: a hue, colourfulness, likeness to a colour."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import ImageColor

from ncavideo.control.bands import above
from ncavideo.control.field import Context, Field, View
from ncavideo.control.spec import parse_number, parse_range
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import to_linear

HUE_SOFTNESS = 15.0  # degrees beyond a range's ends in which a hue fades out
HUE_WIDTH, LEAST_HUE_WIDTH = 40.0, 1.0  # degrees from a centre at which its weight reaches 0
GREY, COLOURFUL = 0.06, 0.18  # chroma (of 1) of what has no hue to speak of, and of what has one
WIDTH = 0.12  # in OKLab, where black and white are 1 apart
MOST_WIDTH = 2.0


class Hue(Field):
    """`hue:FROM-TO` or `hue:CENTRE[/WIDTH]`, degrees on the colour circle (0 red, 120 green).

    A range, clockwise, is 1 between its ends: `hue:330-30` goes through red. A centre is 1 at that
    hue and falls as half a cosine wave to 0 at WIDTH degrees from it (1 to 180, 40 by default).
    The result is multiplied by the chroma, up to a chroma of 0.18: greys have no hue.
    """

    def __init__(self, middle: float, half: float, width: float | None = None) -> None:
        """Take all hues within `half` of `middle`; or, with `width`, fall from `middle` on."""
        self._middle = middle
        self._half = half
        self._width = width

    @classmethod
    def parse(cls, argument: str, context: Context) -> Hue:
        """Make the field."""
        if "-" in argument:
            begin, end = parse_range(argument, 0, 360, "hue")
            half = (end - begin) % 360 / 2
            return cls(begin + half, 180 if end - begin >= 360 else half)
        centre, slash, width = argument.partition("/")
        if not centre or (slash and not width):
            raise UserError(
                "hue takes degrees, as hue:80-165 (a range) or hue:120/40 (a centre and its width),"
                f" not {argument!r}"
            )
        middle = parse_number(centre, 0, 0, 360, "hue takes a centre in degrees, as hue:120/40")
        fall = "hue takes a width in degrees after the slash, as hue:120/40"
        return cls(middle, 0, parse_number(width, HUE_WIDTH, LEAST_HUE_WIDTH, 180, fall))

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        hsv = cv2.cvtColor(view.rgb, cv2.COLOR_RGB2HSV)
        hue, chroma = hsv[..., 0], hsv[..., 1] * hsv[..., 2]
        away = np.abs((hue - self._middle + 180) % 360 - 180)
        if self._width is None:
            near = np.clip(1 - (away - self._half) / HUE_SOFTNESS, 0, 1)
        else:
            near = (1 + np.cos(np.minimum(away / self._width, 1) * np.pi)) / 2
        coloured = np.clip((chroma - GREY) / (COLOURFUL - GREY), 0, 1)
        return np.asarray(near * coloured, np.float32)


class Saturation(Field):
    """`saturation` or `saturation:LOW-HIGH`: chroma, the spread between a colour's channels, 0..1.

    Not HSV's saturation, which calls near-black noise colourful.
    """

    def __init__(self, band: tuple[float, float] | None) -> None:
        self._band = band

    @classmethod
    def parse(cls, argument: str, context: Context) -> Saturation:
        """Make the field."""
        return cls(parse_range(argument, 0, 1, "saturation") if argument else None)

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        chroma = np.asarray(view.rgb.max(-1) - view.rgb.min(-1), np.float32)
        if self._band is None:
            return chroma
        low, high = self._band
        return np.asarray(above(chroma, low) - above(chroma, high), np.float32)


class Colour(Field):
    """`colour:#RRGGBB` or a colour's name, `/WIDTH` behind it: likeness in OKLab.

    A Gaussian of the distance, WIDTH its deviation (0.12 by default; black and white are 1 apart).
    """

    def __init__(self, rgb: tuple[int, int, int], width: float) -> None:
        self._target = oklab(np.array(rgb, np.float32) / 255)
        self._width = width

    @classmethod
    def parse(cls, argument: str, context: Context) -> Colour:
        """Make the field."""
        name, slash, number = argument.partition("/")
        try:
            rgb = ImageColor.getrgb(name.strip())
        except ValueError as error:
            raise UserError(
                f"{name!r} is not a colour: write colour:#ff8800 or a name, as colour:orange"
            ) from error
        try:
            width = float(number) if slash else WIDTH
        except ValueError:
            width = 0.0
        if not 0 < width <= MOST_WIDTH:
            raise UserError(
                f"the width in colour:{argument} must be a number above 0, to {MOST_WIDTH:g}"
            )
        return cls(rgb[:3], width)

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        away = np.square(oklab(view.rgb) - self._target).sum(-1)
        return np.asarray(np.exp(-away / np.float32(2 * self._width**2)), np.float32)


# Ottosson, "A perceptual color space for image processing", 2020.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Return sRGB `[..., 3]`, 0..1, in OKLab: lightness 0..1, then a and b around 0."""
    cones = np.cbrt(to_linear(rgb) @ TO_CONES.T)
    return np.asarray(cones @ TO_LAB.T, np.float32)
