"""From cells to pixels with a rule set's learned decoder, on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.decoder_weights import REACH, DecoderWeights

if TYPE_CHECKING:
    from jaxtyping import Float32

    from ncavideo.nca.model import Edge

GROUP = 4  # hidden units that the kernel takes at a time
GRAIN = 2  # pixels a side that a cell's mean colour is taken from


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
    return np.pad(decoder.w2, ((0, 0), (0, _filled(decoder.hidden) - decoder.hidden)))


def planes(
    decoder: DecoderWeights, state: Float32[np.ndarray, "h w C"], edge: Edge
) -> Float32[np.ndarray, "planes h_and_2 w_and_2"]:
    """Return what is interpolated: the first three channels as colour, then the hidden units' sums.

    With a rim of one cell: `wrap` joins opposite sides, `reflect` repeats the cell at the edge.
    """
    height, width, channels = state.shape
    rim = ((REACH, REACH), (REACH, REACH), (0, 0))
    near = np.ascontiguousarray(state, np.float32)
    wide = np.pad(near, rim, "wrap") if edge == "wrap" else np.pad(near, rim, "edge")
    rows = _soft(wide[:-2], wide[1:-1], wide[2:])
    flat = _soft(rows[:, :-2], rows[:, 1:-1], rows[:, 2:]).reshape(-1, channels)
    found = np.zeros((3 + _filled(decoder.hidden), height + 2, width + 2), np.float32)
    rest = found.reshape(len(found), -1)
    np.add(flat[:, :3].T, np.float32(0.5), out=rest[:3])
    sums = rest[3 : 3 + decoder.hidden]
    np.matmul(decoder.w1, flat.T, out=sums)
    sums += decoder.b1[:, None]
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
    """Return each cell's mean colour, 0..1, from what `planes` returned."""
    fine = drawn(decoder, planes, GRAIN)
    height, width = fine.shape[0] // GRAIN, fine.shape[1] // GRAIN
    return np.asarray(fine.reshape(height, GRAIN, width, GRAIN, 3).mean((1, 3)), np.float32)


def _soft(before: np.ndarray, own: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the sum of cells and their neighbours, weighed 1/2, 1/4 and 1/4."""
    found: np.ndarray = before + after
    found *= np.float32(0.5)
    found += own
    found *= np.float32(0.5)
    return found


def _filled(hidden: int) -> int:
    return -(-hidden // GROUP) * GROUP
