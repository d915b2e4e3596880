"""HDR metadata of a clip: what its encoder is told again, and what is dropped.

Static metadata (SMPTE ST 2086, CTA-861.3) describe the display that a clip was mastered on, and
its brightest pixel and frame: a film keeps them whatever is shown. Dynamic metadata (Dolby Vision,
HDR10+, HDR Vivid) describe the pixels of each frame, which a render replaces.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import av

from ncavideo.video.pyav import side_data

# `AVMasteringDisplayMetadata`: red, green and blue, white point (x and y each), least and most
# luminance as pairs of numerator and denominator, then whether the colours and luminances are set.
DISPLAY = struct.Struct("=20i2i")
LIGHT = struct.Struct("=2I")  # `AVContentLightMetadata`: brightest pixel, brightest frame
DYNAMIC = {
    "Dolby Vision": ("DOVI_METADATA", "DOVI_RPU_BUFFER"),
    "HDR10+": ("DYNAMIC_HDR_PLUS",),
    "HDR Vivid": ("DYNAMIC_HDR_VIVID",),
}


@dataclass(frozen=True)
class MasteringDisplay:
    """The display that a clip was mastered on.

    `red`, `green`, `blue`, `white`: x and y in CIE 1931; `least`, `most`: luminance in cd/m2.
    """

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    least: Fraction
    most: Fraction


@dataclass(frozen=True)
class Hdr:
    """The HDR metadata of a clip's first frame.

    `light`: the brightest pixel and the brightest frame's average in cd/m2; `dynamic`: the names of
    the metadata that belong to single frames.
    """

    display: MasteringDisplay | None = None
    light: tuple[int, int] | None = None
    dynamic: tuple[str, ...] = ()


def hdr_of(frame: av.VideoFrame) -> Hdr:
    """Return the HDR metadata that a frame was decoded with."""
    found = side_data(frame)
    display = found.get("MASTERING_DISPLAY_METADATA")
    light = found.get("CONTENT_LIGHT_LEVEL")
    return Hdr(
        None if display is None else _display(bytes(display)),
        None if light is None else _light(bytes(light)),
        tuple(name for name, kinds in DYNAMIC.items() if any(kind in found for kind in kinds)),
    )


def encoder_options(encoder: str, hdr: Hdr) -> dict[str, str] | None:
    """Return the options that have an encoder write static metadata, None if it cannot.

    By the names that FFmpeg, x264, x265 and SVT-AV1 document; a value that ends in `-params` is one
    of a list, to be joined to the others by a colon.
    """
    display, light = hdr.display, hdr.light
    if encoder == "libx265":
        parts = [] if display is None else [f"master-display={_counted(display)}"]
        parts += [] if light is None else [f"max-cll={light[0]},{light[1]}"]
        return {"x265-params": ":".join(parts)} if parts else {}
    if encoder == "libx264":
        parts = [] if display is None else [f"mastering-display={_counted(display)}"]
        parts += [] if light is None else [f"cll={light[0]},{light[1]}"]
        return {"x264-params": ":".join(parts)} if parts else {}
    if encoder == "libsvtav1":
        parts = [] if display is None else [f"mastering-display={_decimal(display)}"]
        parts += [] if light is None else [f"content-light={light[0]},{light[1]}"]
        return {"svtav1-params": ":".join(parts)} if parts else {}
    return None


def _counted(display: MasteringDisplay) -> str:
    """Return a display in the units of ST 2086: 0.00002 for colours, 0.0001 cd/m2 for light."""

    def colour(xy: tuple[Fraction, Fraction]) -> str:
        return f"({round(xy[0] * 50000)},{round(xy[1] * 50000)})"

    return (
        f"G{colour(display.green)}B{colour(display.blue)}R{colour(display.red)}"
        f"WP{colour(display.white)}L({round(display.most * 10000)},{round(display.least * 10000)})"
    )


def _decimal(display: MasteringDisplay) -> str:
    def colour(xy: tuple[Fraction, Fraction]) -> str:
        return f"({float(xy[0]):.6f},{float(xy[1]):.6f})"

    return (
        f"G{colour(display.green)}B{colour(display.blue)}R{colour(display.red)}"
        f"WP{colour(display.white)}L({float(display.most):.4f},{float(display.least):.4f})"
    )


def _display(data: bytes) -> MasteringDisplay | None:
    if len(data) < DISPLAY.size:
        return None
    *numbers, has_colours, has_light = DISPLAY.unpack_from(data)
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    # Half of it says nothing that an encoder could be told.
    if not (has_colours and has_light) or any(below <= 0 for _, below in pairs):
        return None
    values = [Fraction(above, below) for above, below in pairs]
    red, green, blue, white = ((values[index], values[index + 1]) for index in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, values[8], values[9])


def _light(data: bytes) -> tuple[int, int] | None:
    if len(data) < LIGHT.size:
        return None
    pixel, frame = LIGHT.unpack_from(data)
    return (pixel, frame) if pixel or frame else None
