"""One step of a batch, backwards: the chain of the states' gradients."""

from __future__ import annotations

import triton
import triton.language as tl

from ncavideo.nca.engines.triton_kernel import fires, perceive
from ncavideo.training.gpu.kernels.cells import (
    first_layer,
    gathered,
    hidden_units,
    place,
    tile_count,
)


@triton.jit(do_not_specialize=["offset", "batch", "height", "width"])
def back_kernel(
    states,
    inputs,
    w1,
    w1_inputs,
    w2_transposed,
    w1_back,
    words,
    into,
    dz_from,
    dz_to,
    fired,
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
    """Take step `offset` back.

    `into` `[B, H, W, CS]` float32 holds the gradient of `states[offset + 1]` but for what the step
    after this one perceived of it, which comes from `dz_from` `[B * H * W, CS, 4]` and is added in
    place. `fired[offset]` gets that gradient where the cell fires and 0 elsewhere, for the weights'
    gradient; `dz_to` gets the gradient of what the cells perceived, whose computation takes the
    hidden units once more from `states[offset]`. `w2_transposed` `[CB, HB * BLOCKS]`, `w1_back`
    `[HB * BLOCKS, 4 CB]`, scaled for `gathered`; others as in `forward_kernel`.
    """
    M: tl.constexpr = TILE_ROWS * TILE_COLUMNS
    HIDDEN: tl.constexpr = HB * BLOCKS
    k = tl.arange(0, CB)[None, :]
    i = tl.arange(0, IB)[None, :]
    f = tl.arange(0, 4 * CB)[None, :]
    operand: tl.constexpr = w1.dtype.element_ty
    gradient: tl.constexpr = w1_back.dtype.element_ty
    held = ()
    for j in tl.static_range(BLOCKS):
        unit = j * HB + tl.arange(0, HB)
        second = tl.load(w2_transposed + tl.arange(0, CB)[:, None] * HIDDEN + unit[None, :])
        back = tl.load(w1_back + unit[:, None] * (4 * CB) + f)
        held = held + ((first_layer(w1, w1_inputs, j, HIDDEN, HB, CB, IB), second, back),)
    above = tl.load(words + 3).to(tl.int32)
    plane = height * width
    old = states + offset.to(tl.int64) * batch * plane * CS
    to = fired + offset.to(tl.int64) * batch * plane * CS
    tiles = tile_count(batch, height, width, TILE_ROWS, TILE_COLUMNS)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        sample, row, column, inside = place(tile, height, width, TILE_ROWS, TILE_COLUMNS)
        base = sample * plane
        cell = (base + row * width + column)[:, None]
        kept = inside[:, None] & (k < CS)
        g = tl.load(into + cell * CS + k, k < CS, 0.0)
        g += gathered(dz_from, base, row, column, height, width, CS, CB, WRAP)
        tl.store(into + cell * CS + k, g, kept)
        fire = fires(words, offset, (above + sample) * height + row, column)[:, None]
        d = tl.where(fire, g, 0.0).to(gradient)
        tl.store(to + cell * CS + k, d, kept)
        _, z = perceive(old + base * CS, row, column, height, width, CS, CB, WRAP)
        z = z.to(operand)
        given = tl.load(inputs + cell * IS + i, i < IS, 0.0)
        dz = tl.full([M, 4 * CB], 0.0, tl.float32)
        for j in tl.static_range(BLOCKS):
            h = hidden_units(z, given, held[j][0], operand)
            below = tl.dot(d, held[j][1], input_precision="ieee")
            below = tl.where(h > 0, below, 0.0).to(gradient)
            dz = tl.dot(below, held[j][2], dz, input_precision="ieee")
        tl.store(dz_to + cell * (4 * CS) + f, dz.to(gradient), inside[:, None] & (f < 4 * CS))


@triton.jit(do_not_specialize=["batch", "height", "width"])
def gather_kernel(
    into,
    dz,
    batch,
    height,
    width,
    CS: tl.constexpr,
    CB: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    WRAP: tl.constexpr,
):
    """Add to `into` what the first step perceived: it is then the first state's gradient."""
    k = tl.arange(0, CB)[None, :]
    tiles = tile_count(batch, height, width, TILE_ROWS, TILE_COLUMNS)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        sample, row, column, inside = place(tile, height, width, TILE_ROWS, TILE_COLUMNS)
        base = sample * height * width
        cell = (base + row * width + column)[:, None]
        g = tl.load(into + cell * CS + k, k < CS, 0.0)
        g += gathered(dz, base, row, column, height, width, CS, CB, WRAP)
        tl.store(into + cell * CS + k, g, inside[:, None] & (k < CS))
