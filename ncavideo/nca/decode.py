"""From cells to pixels with a rule set's learned decoder, on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.decoder_weights import DecoderWeights

if TYPE_CHECKING:
    from jaxtyping import Float32

    from ncavideo.nca.model import Edge

GROUP = 4  # hidden units, and channels, that the kernel takes at a time


@lru_cache(64)
def taps(cell: int) -> np.ndarray:
    """Return the weights `[cell, 3]` of the cell before a pixel's own, that one, and the next.

    As `decoder.spline_taps`.
    """
    t = (np.arange(cell) + 0.5) / cell - 0.5
    found = np.stack([(0.5 - t) ** 2 / 2, 0.75 - t**2, (0.5 + t) ** 2 / 2], 1)
    return found.astype(np.float32)


@lru_cache(32)
def second_layer(decoder: DecoderWeights) -> np.ndarray:
    """Return a decoder's `w2`, filled up with units of no weight to a multiple of `GROUP`."""
    return _filled(decoder.w2, 1)


@lru_cache(32)
def _first_layer(decoder: DecoderWeights) -> tuple[np.ndarray, np.ndarray]:
    """Return a decoder's `w1` and `b1`, filled up with units and channels of no weight."""
    return _filled(_filled(decoder.w1, 0), 1), _filled(decoder.b1, 0)


def planes(
    decoder: DecoderWeights, state: Float32[np.ndarray, "h w C"], edge: Edge
) -> Float32[np.ndarray, "planes h_and_2 w_and_2"]:
    """Return what is interpolated: the first three channels as colour, then the hidden units' sums.

    With a rim of one cell: `wrap` joins opposite sides, `reflect` repeats the cell at the edge.
    """
    from ncavideo.nca.decode_kernel import fill_planes  # Numba takes its time to load

    height, width = state.shape[:2]
    w1, b1 = _first_layer(decoder)
    found = np.empty((3 + len(b1), height + 2, width + 2), np.float32)
    fill_planes(np.ascontiguousarray(state, np.float32), edge == "wrap", w1, b1, found)
    return found


def decoded(
    decoder: DecoderWeights, state: Float32[np.ndarray, "h w C"], cell: int, edge: Edge
) -> Float32[np.ndarray, "H W 3"]:
    """Draw a state: `[h * cell, w * cell, 3]`, 0..1, gamma-encoded. `cell`: pixels a cell."""
    return drawn(decoder, planes(decoder, state, edge), cell)


def drawn(
    decoder: DecoderWeights, planes: Float32[np.ndarray, "planes h_and_2 w_and_2"], cell: int
) -> Float32[np.ndarray, "H W 3"]:
    """Draw what `planes` returned, as `decoded`."""
    from ncavideo.nca.decode_kernel import draw  # Numba takes its time to load

    height, width = planes.shape[1] - 2, planes.shape[2] - 2
    out = np.empty((height * cell, width * cell, 3), np.float32)
    draw(planes, taps(cell), second_layer(decoder), out)
    return out


def colours(
    decoder: DecoderWeights, planes: Float32[np.ndarray, "planes h_and_2 w_and_2"]
) -> Float32[np.ndarray, "h w 3"]:
    """Return the colour in the middle of each cell, 0..1, from what `planes` returned."""
    return drawn(decoder, planes, 1)


def _filled(array: np.ndarray, axis: int) -> np.ndarray:
    room = [(0, 0)] * array.ndim
    room[axis] = (0, -array.shape[axis] % GROUP)
    return np.pad(array, room)
