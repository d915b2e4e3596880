"""One step of a batch, forwards."""

from __future__ import annotations

import triton
import triton.language as tl

from ncavideo.nca.engines.triton_kernel import fires, perceive
from ncavideo.training.gpu.kernels.cells import first_layer, hidden_units, place, tile_count


@triton.jit(do_not_specialize=["offset", "batch", "height", "width"])
def forward_kernel(
    states,
    inputs,
    w1,
    w1_inputs,
    w2,
    words,
    offset,
    batch,
    height,
    width,
    CS: tl.constexpr,
    CB: tl.constexpr,
    IS: tl.constexpr,
    IB: tl.constexpr,
    HB: tl.constexpr,
    BLOCKS: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    WRAP: tl.constexpr,
):
    """Take the step from `states[offset]` to `states[offset + 1]`, each `[B, H, W, CS]` float32.

    `inputs` `[B, H, W, IS]`; `w1` `[4 CB, HB * BLOCKS]`, `w1_inputs` `[IB, HB * BLOCKS]`, `w2`
    `[HB * BLOCKS, CB]`; `words` as in `fires`, where samples stand one above the
    other, and then the number of samples of the batch that stand above these.
    """
    M: tl.constexpr = TILE_ROWS * TILE_COLUMNS
    HIDDEN: tl.constexpr = HB * BLOCKS
    operand: tl.constexpr = w2.dtype.element_ty
    k = tl.arange(0, CB)[None, :]
    i = tl.arange(0, IB)[None, :]
    held = ()  # the weights stay on the chip from a program's first tile to its last
    for j in tl.static_range(BLOCKS):
        unit = j * HB + tl.arange(0, HB)
        second = tl.load(w2 + unit[:, None] * CB + k)
        held = held + ((first_layer(w1, w1_inputs, j, HIDDEN, HB, CB, IB), second),)
    above = tl.load(words + 3).to(tl.int32)
    plane = height * width
    old = states + offset.to(tl.int64) * batch * plane * CS
    new = old + batch * plane * CS
    tiles = tile_count(batch, height, width, TILE_ROWS, TILE_COLUMNS)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        sample, row, column, inside = place(tile, height, width, TILE_ROWS, TILE_COLUMNS)
        own, z = perceive(old + sample * plane * CS, row, column, height, width, CS, CB, WRAP)
        z = z.to(operand)
        cell = (sample * plane + row * width + column)[:, None]
        given = tl.load(inputs + cell * IS + i, i < IS, 0.0)
        change = tl.full([M, CB], 0.0, tl.float32)
        for j in tl.static_range(BLOCKS):
            h = hidden_units(z, given, held[j][0], operand)
            # tl.maximum of bfloat16 numbers gives float32.
            h = tl.maximum(h, tl.full([], 0.0, operand)).to(operand)
            change = tl.dot(h, held[j][1], change, input_precision="ieee")
        fire = fires(words, offset, (above + sample) * height + row, column)[:, None]
        tl.store(new + cell * CS + k, tl.where(fire, own + change, own), inside[:, None] & (k < CS))
