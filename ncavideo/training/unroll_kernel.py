"""What of a step and its gradient is not a matrix product, for the cells that fire, in Numba.

One sample at a time, so that samples can share out threads and the order of sums is fixed. Grids
have a rim of one cell, and all arrays are flat: `padded` stands for `[H + 2, W + 2, C]`, `cells`
holds the n places `y * W + x` that fire, in order. The arrays of matrix products, `[n, ...]`, are
in the precision of these, as the numbers' bits: NumPy has no bfloat16.

Filters run over all cells of a row, since neighbours in memory make long vectors, and what belongs
to the cells that fire is copied from there; the way back spreads it over rows of zeros likewise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ncavideo.nca.engines.firing import firing
from ncavideo.nca.model import FILTERS, LAPLACIAN_SCALE, SOBEL_SCALE
from ncavideo.util.machine_code import compiled

_S1, _L1 = np.float32(1 / SOBEL_SCALE), np.float32(1 / LAPLACIAN_SCALE)
# The Laplacian is its neighbourhood's weighted sum, less this much of the cell itself.
_OWN = np.float32(16 / LAPLACIAN_SCALE)
_two = np.float32(2)
_FILTERS = np.uint64(FILTERS)
# Unsigned places need no check for negative ones, which would keep the compiler from vectors.
_u = np.uint64

# As many zeros as a cell's channels have words. A tuple's length is part of its type, so that the
# machine code knows their number and copies a cell without a loop. By words, since the compiler
# copies numbers one by one where it can't see that two arrays never overlap.
Unit = tuple[int, ...]

_compiled = compiled(nogil=True, fastmath={"contract"}, error_model="numpy")


class Bits(NamedTuple):
    """How a number of a matrix product is stored: the upper bits of a float32.

    `left_out`: a zero for each lower bit that is not stored, so that the machine code knows their
    number; `half`, `odd`: what rounds to the nearest, to the even one of two; `nan`, `sign` and
    `negative`: the bits of a NaN, -0 and -infinity, as stored.
    """

    left_out: tuple[int, ...]
    half: np.uint32
    odd: np.uint32
    nan: np.unsignedinteger
    sign: np.unsignedinteger
    negative: np.unsignedinteger


BFLOAT16 = Bits(
    (0,) * 16, np.uint32(0x7FFF), np.uint32(1),
    np.uint16(0x7FC0), np.uint16(0x8000), np.uint16(0xFF80),
)  # fmt: skip
FLOAT32 = Bits(
    (), np.uint32(0), np.uint32(0),
    np.uint32(0x7FC00000), np.uint32(0x80000000), np.uint32(0xFF800000),
)  # fmt: skip

_MAGNITUDE, _INFINITE = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)


class Row(NamedTuple):
    """Memory for a row of a grid: what its cells perceive, and the two sums that lead there.

    `bits` is that of `filtered`; `kept` has it rounded, and `words` is the memory of `kept`. Two
    cells more at either end are the zeros that the way back reads.
    """

    filtered: np.ndarray
    bits: np.ndarray
    kept: np.ndarray
    words: np.ndarray
    first: np.ndarray
    second: np.ndarray


def row_memory(width: int, channels: int, stored: np.dtype) -> Row:
    """Return the memory for rows of `width` cells, of products whose bits are of type `stored`."""
    filtered = np.zeros(FILTERS * (width + 4) * channels, np.float32)
    kept = np.zeros(len(filtered), stored)
    sums = (np.zeros((width + 2) * channels, np.float32) for _ in range(2))
    return Row(filtered, filtered.view(np.uint32), kept, kept.view(word(channels, stored)), *sums)


def word(channels: int, stored: np.dtype) -> np.dtype:
    """Return the largest unsigned number that a cell's channels are made of, for copying them."""
    return np.dtype(f"u{math.gcd(8, channels * stored.itemsize)}")


@_compiled
def firing_cells(
    seed: int, step: int, first: int, height: int, width: int, limit: int, cells: np.ndarray
) -> int:
    """Write the places `y * width + x` of the cells that fire to `cells`; return how many.

    `first` is the mask's row that the sample's first row stands for; see `fire_mask`.
    """
    hashes = np.empty(width, np.uint32)
    columns = np.empty(width + 1, np.int64)
    total = 0
    for y in range(height):
        count = firing(seed, step, first + y, 0, width, limit, hashes, columns)
        for i in range(count):
            cells[total + i] = y * width + columns[i]
        total += count
    return total


@_compiled
def keep(bits: np.ndarray, first: int, count: int, kept: np.ndarray, form: Bits) -> None:
    """Round `count` float32 numbers, given as their `bits` from `first` on, to `kept`."""
    for i in range(_u(count)):
        b = bits[_u(first) + i]
        odd = (b >> np.uint32(len(form.left_out))) & form.odd
        rounded = np.uint32(b + form.half + odd) >> np.uint32(len(form.left_out))
        kept[i] = form.nan if (b & _MAGNITUDE) > _INFINITE else rounded


@_compiled
def _filter(padded: np.ndarray, y: int, width: int, channels: int, memory: Row, form: Bits) -> None:
    """Let all cells of row `y` perceive; `memory.kept` gets `[4, W, C]`."""
    filtered, bits, kept, _, smooth, slope = memory
    next_cell = _u(channels)
    row, inner, twice = _u(width + 2) * next_cell, _u(width) * next_cell, next_cell + next_cell
    above = _u(y) * row
    here = above + row
    below = here + row
    for i in range(row):
        smooth[i] = padded[above + i] + _two * padded[here + i] + padded[below + i]
    for i in range(row):
        slope[i] = padded[below + i] - padded[above + i]
    own = here + next_cell
    for i in range(inner):
        filtered[i] = padded[own + i]
    for i in range(inner):
        filtered[inner + i] = (smooth[i + twice] - smooth[i]) * _S1
    at = inner + inner
    for i in range(inner):
        sloping = slope[i] + _two * slope[i + next_cell] + slope[i + twice]
        filtered[at + i] = sloping * _S1
    at += inner
    for i in range(inner):
        around = smooth[i] + _two * smooth[i + next_cell] + smooth[i + twice]
        filtered[at + i] = around * _L1 - _OWN * padded[own + i]
    keep(bits, 0, _FILTERS * inner, kept, form)


@_compiled
def perceive(
    padded: np.ndarray,
    width: int,
    channels: int,
    inputs: np.ndarray,
    extra: int,
    cells: np.ndarray,
    out: np.ndarray,
    memory: Row,
    form: Bits,
    unit: Unit,
) -> None:
    """Fill `out` `[n, 4C + I]`: what each of `cells` perceives, filter by filter, and its inputs.

    `inputs` `[H * W, I]` and `out` are given as words, `extra` is I in words.
    """
    words = memory.words
    to, k, length = _u(0), _u(0), _u(len(unit))
    while k < _u(len(cells)):
        y = _u(cells[k]) // _u(width)
        _filter(padded, y, width, channels, memory, form)
        begin, end = y * _u(width), (y + _u(1)) * _u(width)
        while k < _u(len(cells)) and _u(cells[k]) < end:
            cell = _u(cells[k])
            source = (cell - begin) * length
            for _ in range(_FILTERS):
                for c in range(len(unit)):
                    out[to + _u(c)] = words[source + _u(c)]
                to += length
                source += _u(width) * length
            source = cell * _u(extra)
            for i in range(_u(extra)):
                out[to + i] = inputs[source + i]
            to += _u(extra)
            k += _u(1)


@_compiled
def _filter_back(
    padded: np.ndarray, y: int, width: int, channels: int, memory: Row, form: Bits
) -> None:
    """Add to `padded` the gradient of what row `y` perceives, `memory.kept` `[4, W + 4, C]`."""
    filtered, bits, kept, _, first, second = memory
    next_cell = _u(channels)
    row, inner, twice = _u(width + 2) * next_cell, _u(width) * next_cell, next_cell + next_cell
    across = row + twice
    down = across + across
    around = down + across
    for i in range(_FILTERS * across):
        bits[i] = np.uint32(kept[i]) << np.uint32(len(form.left_out))
    for i in range(row):
        sideways = (filtered[across + i] - filtered[across + i + twice]) * _S1
        lap = filtered[around + i] + _two * filtered[around + i + next_cell]
        first[i] = sideways + (lap + filtered[around + i + twice]) * _L1
    for i in range(row):
        sloping = filtered[down + i] + _two * filtered[down + i + next_cell]
        second[i] = (sloping + filtered[down + i + twice]) * _S1
    above = _u(y) * row
    here = above + row
    below = here + row
    for i in range(row):
        padded[above + i] += first[i] - second[i]
    for i in range(row):
        padded[here + i] += _two * first[i]
    for i in range(row):
        padded[below + i] += first[i] + second[i]
    own = here + next_cell
    for i in range(inner):
        padded[own + i] += filtered[twice + i] - _OWN * filtered[around + twice + i]


@_compiled
def spread(
    back: np.ndarray,
    cells: np.ndarray,
    padded: np.ndarray,
    width: int,
    channels: int,
    memory: Row,
    form: Bits,
    unit: Unit,
) -> None:
    """Add to `padded` the gradient `back` `[n, 4C]` of what cells perceived: `perceive` transposed.

    `back` is given as words.
    """
    kept, words = memory.kept, memory.words
    source, k, length = _u(0), _u(0), _u(len(unit))
    while k < _u(len(cells)):
        y = _u(cells[k]) // _u(width)
        kept[:] = 0
        begin, end = y * _u(width), (y + _u(1)) * _u(width)
        while k < _u(len(cells)) and _u(cells[k]) < end:
            to = (_u(cells[k]) - begin + _u(2)) * length
            for _ in range(_FILTERS):
                for c in range(len(unit)):
                    words[to + _u(c)] = back[source + _u(c)]
                source += length
                to += _u(width + 4) * length
            k += _u(1)
        _filter_back(padded, y, width, channels, memory, form)


@_compiled
def gather(
    padded: np.ndarray,
    width: int,
    channels: int,
    cells: np.ndarray,
    change: np.ndarray,
    memory: Row,
    form: Bits,
    unit: Unit,
) -> None:
    """Round the cells of `padded` that fire to `change` `[n, C]`; given as bits and as words."""
    kept, words = memory.kept, memory.words
    target, k, length = _u(0), _u(0), _u(len(unit))
    row = _u(width + 2) * _u(channels)
    while k < _u(len(cells)):
        y = _u(cells[k]) // _u(width)
        keep(padded, (y + _u(1)) * row, row, kept, form)
        begin, end = y * _u(width), (y + _u(1)) * _u(width)
        while k < _u(len(cells)) and _u(cells[k]) < end:
            source = (_u(cells[k]) - begin + _u(1)) * length
            for c in range(len(unit)):
                change[target + _u(c)] = words[source + _u(c)]
            target += length
            k += _u(1)


@_compiled
def add_changes(
    now: np.ndarray,
    then: np.ndarray,
    width: int,
    channels: int,
    cells: np.ndarray,
    change: np.ndarray,
    memory: Row,
    form: Bits,
    unit: Unit,
) -> None:
    """Set `then` to `now` with `change` `[n, C]` added to the cells that fire; its rim is not set.

    Both stand for `[H + 2, W + 2, C]`; `change` is given as words.
    """
    filtered, bits, kept, words, _, _ = memory
    source, k, length = _u(0), _u(0), _u(len(unit))
    row = _u(width + 2) * _u(channels)
    for y in range(_u(len(now)) // row - _u(2)):
        begin, end = y * _u(width), (y + _u(1)) * _u(width)
        for i in range(row):
            kept[i] = 0
        while k < _u(len(cells)) and _u(cells[k]) < end:
            to = (_u(cells[k]) - begin + _u(1)) * length
            for c in range(len(unit)):
                words[to + _u(c)] = change[source + _u(c)]
            source += length
            k += _u(1)
        for i in range(row):
            bits[i] = np.uint32(kept[i]) << np.uint32(len(form.left_out))
        here = (y + _u(1)) * row
        for i in range(row):
            then[here + i] = now[here + i] + filtered[i]


@_compiled
def rectify(hidden: np.ndarray, form: Bits) -> None:
    """Set negative numbers to 0; what is not a number stays."""
    for i in range(_u(len(hidden))):
        value = hidden[i]
        hidden[i] = value if value < form.sign or value > form.negative else 0


@_compiled
def rectify_back(below: np.ndarray, hidden: np.ndarray) -> None:
    """Set the gradient `below` of rectified units to 0 where these are 0."""
    for i in range(_u(len(below))):
        below[i] = below[i] if hidden[i] != 0 else hidden[i]
