"""The step of `model.py` as one Triton kernel; `triton_gpu.py` plans, lays out and launches it.

A program takes one tile of cells after another. For each it reads the cells and their eight
neighbours, forms the four filters, multiplies by W1 and W2 with `tl.dot` (float32 accumulation
throughout), asks the hash of `fire_mask.py` which cells fire, and writes the next state to the
other buffer. Nothing between the old state and the new one leaves the chip.

Layout: cells stand channels last, `[H, W, CS]`. A tile's row with its rim is then one unbroken run
of memory, and the neighbour one column away starts a whole cell further on, so that every load
keeps its alignment and is 16 bytes wide (8 for half-precision states of 12 channels). In planes
`[C, H, W]` the shift by a column would cost the alignment, and coalescing would want long flat
tiles, which read every row three times; a square tile of 8 x 8 reads 1.6 times its cells.

Sizes ending in `S` are strides (channels stored for a cell), those ending in `B` blocks: powers of
two of at least 16, as `tl.dot` needs. What pads them is zero, so it never changes a result.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ncavideo.nca.fire_mask import LCG_INCREMENT, LCG_MULTIPLIER
from ncavideo.nca.model import LAPLACIAN_SCALE, SOBEL_SCALE

MULTIPLIER = tl.constexpr(LCG_MULTIPLIER)
INCREMENT = tl.constexpr(LCG_INCREMENT)
# The scales are powers of two, so multiplying by the inverse is exact.
SOBEL = tl.constexpr(1.0 / SOBEL_SCALE)
LAPLACIAN = tl.constexpr(1.0 / LAPLACIAN_SCALE)


@triton.jit
def fires(words: tl.tensor, offset: tl.tensor, row: tl.tensor, column: tl.tensor) -> tl.tensor:
    """Tell which of the cells at `row`, `column` (int32) fire: `fire_mask.pcg4d`, word for word.

    `words` points at three int64 numbers: seed, step and threshold; `offset` is added to the step.
    The arithmetic overflows on purpose: it is modulo 2**32.
    """
    multiplier = tl.full([], MULTIPLIER, tl.uint32)
    increment = tl.full([], INCREMENT, tl.uint32)
    x = tl.load(words).to(tl.uint32) * multiplier + increment
    y = (tl.load(words + 1) + offset).to(tl.uint32) * multiplier + increment
    z = row.to(tl.uint32) * multiplier + increment
    w = column.to(tl.uint32) * multiplier + increment
    a = x + y * w
    b = y + z * a
    c = z + a * b
    d = w + b * c
    a = a ^ (a >> 16)
    b = b ^ (b >> 16)
    d = d ^ (d >> 16)
    return (a + b * d).to(tl.int64) < tl.load(words + 2)


@triton.jit
def perceive(
    state: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    CS: tl.constexpr,
    CB: tl.constexpr,
    WRAP: tl.constexpr,
) -> tl.tensor:
    """Return the cells at `row`, `column` `[M]` and what they perceive: `[M, CB]`, `[M, 4 CB]`.

    Float32. The four filters of a channel stand side by side, as W1 has them.
    """
    if WRAP:
        up = tl.where(row > 0, row - 1, height - 1)
        down = tl.where(row < height - 1, row + 1, 0)
        left = tl.where(column > 0, column - 1, width - 1)
        right = tl.where(column < width - 1, column + 1, 0)
    else:
        up = tl.maximum(row - 1, 0)
        down = tl.minimum(row + 1, height - 1)
        left = tl.maximum(column - 1, 0)
        right = tl.minimum(column + 1, width - 1)
    k = tl.arange(0, CB)[None, :]
    stored = k < CS
    above = state + (up * width)[:, None] * CS + k
    here = state + (row * width)[:, None] * CS + k
    below = state + (down * width)[:, None] * CS + k
    west, centre, east = left[:, None] * CS, column[:, None] * CS, right[:, None] * CS
    nw = tl.load(above + west, stored, 0.0).to(tl.float32)
    n = tl.load(above + centre, stored, 0.0).to(tl.float32)
    ne = tl.load(above + east, stored, 0.0).to(tl.float32)
    w = tl.load(here + west, stored, 0.0).to(tl.float32)
    own = tl.load(here + centre, stored, 0.0).to(tl.float32)
    e = tl.load(here + east, stored, 0.0).to(tl.float32)
    sw = tl.load(below + west, stored, 0.0).to(tl.float32)
    s = tl.load(below + centre, stored, 0.0).to(tl.float32)
    se = tl.load(below + east, stored, 0.0).to(tl.float32)
    smooth_w = nw + 2.0 * w + sw
    smooth_e = ne + 2.0 * e + se
    sobel_x = (smooth_e - smooth_w) * SOBEL
    sobel_y = ((sw - nw) + 2.0 * (s - n) + (se - ne)) * SOBEL
    laplacian = (smooth_w + 2.0 * (n + 2.0 * own + s) + smooth_e) * LAPLACIAN - own
    # Joined in this order, the new axes unfold to identity, Sobel x, Sobel y, Laplacian; a thread
    # that holds four channels holds their sixteen numbers in a row already.
    filters = tl.join(tl.join(own, sobel_y), tl.join(sobel_x, laplacian))
    return own, tl.reshape(filters, [row.shape[0], 4 * CB])


@triton.jit
def weights(
    w1: tl.tensor,
    w1_inputs: tl.tensor,
    b1: tl.tensor,
    w2: tl.tensor,
    first: tl.tensor,
    HIDDEN: tl.constexpr,
    HB: tl.constexpr,
    CB: tl.constexpr,
    IB: tl.constexpr,
) -> tl.tensor:
    """Return the weights of the hidden units `first` to `first + HB`, as `propose` takes them."""
    unit = first + tl.arange(0, HB)
    return (
        tl.load(w1 + tl.arange(0, 4 * CB)[:, None] * HIDDEN + unit[None, :]),
        tl.load(w1_inputs + tl.arange(0, IB)[:, None] * HIDDEN + unit[None, :]),
        tl.load(b1 + unit)[None, :],
        tl.load(w2 + unit[:, None] * CB + tl.arange(0, CB)[None, :]),
    )


@triton.jit
def propose(change: tl.tensor, z: tl.tensor, given: tl.tensor, block: tl.tensor) -> tl.tensor:
    """Add to `change` `[M, CB]` what one block of hidden units proposes.

    Half-precision operands are multiplied on tensor cores; float32 ones exactly ("ieee"), never
    as tf32, which Triton truncates to and which would bias every product.
    """
    h = tl.dot(z, block[0], input_precision="ieee")
    h = tl.dot(given, block[1], h, input_precision="ieee")
    # Rounded first, then cut off: the same numbers, and half-precision ones go two at a time.
    h = (h + block[2]).to(block[3].dtype)
    h = tl.maximum(h, tl.full([], 0.0, block[3].dtype))
    return tl.dot(h, block[3], change, input_precision="ieee")


@triton.jit(do_not_specialize=["offset", "height", "width"])
def step_kernel(
    old: tl.tensor,
    new: tl.tensor,
    inputs: tl.tensor,
    w1: tl.tensor,
    w1_inputs: tl.tensor,
    b1: tl.tensor,
    w2: tl.tensor,
    words: tl.tensor,
    offset: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    CS: tl.constexpr,
    CB: tl.constexpr,
    IS: tl.constexpr,
    IB: tl.constexpr,
    HB: tl.constexpr,
    BLOCKS: tl.constexpr,
    RESIDENT: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    WRAP: tl.constexpr,
) -> None:
    """Take one step: `old` `[height, width, CS]` to `new`, under `inputs` `[height, width, IS]`.

    `w1` `[4 CB, HB * BLOCKS]`, `w1_inputs` `[IB, HB * BLOCKS]`, `b1` `[HB * BLOCKS]`, `w2`
    `[HB * BLOCKS, CB]`; `words` and `offset` as in `fires`. `RESIDENT`: whether a program holds all
    weights on the chip from its first tile to its last, or reads them again for every tile.
    """
    M: tl.constexpr = TILE_ROWS * TILE_COLUMNS
    HIDDEN: tl.constexpr = HB * BLOCKS
    m = tl.arange(0, M)
    k = tl.arange(0, CB)[None, :]
    i = tl.arange(0, IB)[None, :]
    held = ()
    if RESIDENT:
        for j in tl.static_range(BLOCKS):
            held = held + (weights(w1, w1_inputs, b1, w2, j * HB, HIDDEN, HB, CB, IB),)
    across = (width + TILE_COLUMNS - 1) // TILE_COLUMNS
    tiles = (height + TILE_ROWS - 1) // TILE_ROWS * across
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        row = (tile // across) * TILE_ROWS + m // TILE_COLUMNS
        column = (tile % across) * TILE_COLUMNS + m % TILE_COLUMNS
        inside = ((row < height) & (column < width))[:, None]
        # Cells beyond the grid are computed like its last ones and not stored.
        row = tl.minimum(row, height - 1)
        column = tl.minimum(column, width - 1)
        own, z = perceive(old, row, column, height, width, CS, CB, WRAP)
        z = z.to(w1.dtype.element_ty)
        cell = (row * width + column)[:, None]
        given = tl.load(inputs + cell * IS + i, i < IS, 0.0)
        change = tl.full([M, CB], 0.0, tl.float32)
        if RESIDENT:
            for j in tl.static_range(BLOCKS):
                change = propose(change, z, given, held[j])
        else:
            for j in range(BLOCKS):
                block = weights(w1, w1_inputs, b1, w2, j * HB, HIDDEN, HB, CB, IB)
                change = propose(change, z, given, block)
        fire = fires(words, offset, row, column)[:, None]
        stepped = tl.where(fire, own + change, own).to(new.dtype.element_ty)
        tl.store(new + cell * CS + k, stepped, inside & (k < CS))
