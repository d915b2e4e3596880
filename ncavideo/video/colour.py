"""Which matrix and range turn a clip's YUV into RGB and back."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation

# Code points of ITU-T H.273 that swscale has matrices for.
BT709, UNSPECIFIED, FCC, BT470BG, BT601, SMPTE240M, BT2020, BT2020_CL = 1, 2, 4, 5, 6, 7, 9, 10
RGB = 0
_MATRICES = {
    BT709: Colorspace.ITU709,
    FCC: Colorspace.FCC,
    BT470BG: Colorspace.ITU601,
    BT601: Colorspace.ITU601,
    SMPTE240M: Colorspace.SMPTE240M,
    BT2020: Colorspace.BT2020,
    BT2020_CL: Colorspace.BT2020,
}
HD_HEIGHT = 720  # players take untagged pictures of this height and above for BT.709

# Not swscale's bit-exact mode, which takes three times as long on the way to RGB: on another kind
# of processor a channel may be off by one.
RESAMPLING = Interpolation.BICUBIC


@dataclass(frozen=True)
class Colour:
    """A clip's tags (H.273 code points, 2 for unspecified) and what to convert with.

    `space`, `primaries`, `transfer` are written to the output as they were found; `matrix` and
    `full_range` are what the pixels really go through.
    """

    space: int
    primaries: int
    transfer: int
    full_range: bool
    matrix: Colorspace

    @property
    def range(self) -> ColorRange:
        """The range in swscale's terms."""
        return ColorRange.JPEG if self.full_range else ColorRange.MPEG


def colour_of(frame: av.VideoFrame) -> Colour:
    """Return a decoded frame's colour, with what players assume where the file says nothing."""
    space = int(frame.colorspace)
    untagged = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return Colour(
        # An RGB source has no matrix of its own; its YUV output needs an ordinary one.
        UNSPECIFIED if space == RGB else space,
        int(frame.color_primaries),
        int(frame.color_trc),
        full and not is_rgb(frame),
        _MATRICES.get(space, untagged),
    )


def is_rgb(frame: av.VideoFrame) -> bool:
    """Return whether a frame's pixels are RGB or palette entries rather than YUV or grey."""
    return frame.format.is_rgb or "pal" in frame.format.name
