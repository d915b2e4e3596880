"""How a decoded frame is turned and mirrored to stand as players show it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import av
import numpy as np

from ncavideo.video.pyav import side_data

MATRIX = struct.Struct("=9i")  # a b u, c d v, x y w, as in ISO/IEC 14496-12, 8.3.2


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a picture can lie.

    `transposed`: rows become columns; then `upside_down`: rows are reversed, and `mirrored`:
    columns are.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture `[H, W, ...]` as it is shown."""
        if self == Orientation():
            return picture
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        rows, columns = -1 if self.upside_down else 1, -1 if self.mirrored else 1
        return np.ascontiguousarray(picture[::rows, ::columns])


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation that a frame's display matrix asks for, to the next right angle.

    Not from `frame.rotation`, which takes a mirror for half a turn.
    """
    matrix = side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = MATRIX.unpack_from(bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)
