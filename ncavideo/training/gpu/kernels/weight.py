"""The weights' gradients, of all steps and cells in one launch."""

from __future__ import annotations

import triton
import triton.language as tl

from ncavideo.nca.engines.triton_kernel import perceive
from ncavideo.training.gpu.kernels.cells import place, tile_count


@triton.jit(do_not_specialize=["steps", "batch", "height", "width"])
def weight_kernel(
    states,
    inputs,
    w1,
    w1_inputs,
    w2,
    fired,
    partial,
    steps,
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
    """Sum the weights' gradients into `partial` `[P, HB * BLOCKS, 4 CB + IB + CB]` float32.

    Program (p, j) has the units from j * HB on, of every P-th tile of every step, and a place of
    its own to write to: the sums' order is fixed, so equal runs give equal bits. `states` and
    `fired` are those of `back_kernel`; `w1` `[HB * BLOCKS, 4 CB]`, `w1_inputs` `[HB * BLOCKS, IB]`
    and `w2` `[HB * BLOCKS, CB]` and `inputs` all have the gradients' precision: ptxas 12.8
    miscompiles this kernel if float16 and bfloat16 products mix in it (it reads registers that
    nothing wrote).
    """
    HIDDEN: tl.constexpr = HB * BLOCKS
    WIDE: tl.constexpr = 4 * CB + IB + CB
    k = tl.arange(0, CB)[None, :]
    i = tl.arange(0, IB)[None, :]
    f = tl.arange(0, 4 * CB)[None, :]
    gradient: tl.constexpr = w2.dtype.element_ty
    unit = (tl.program_id(1) * HB + tl.arange(0, HB))[:, None]
    first = tl.load(w1 + unit * (4 * CB) + f)
    first_given = tl.load(w1_inputs + unit * IB + i)
    second = tl.load(w2 + unit * CB + k)
    d_seen = tl.full([HB, 4 * CB], 0.0, tl.float32)
    d_given = tl.full([HB, IB], 0.0, tl.float32)
    d_second = tl.full([HB, CB], 0.0, tl.float32)
    plane = height * width
    tiles = tile_count(batch, height, width, TILE_ROWS, TILE_COLUMNS)
    for index in range(tl.program_id(0), steps * tiles, tl.num_programs(0)):
        step = (index // tiles).to(tl.int64)
        sample, row, column, inside = place(index % tiles, height, width, TILE_ROWS, TILE_COLUMNS)
        cell = (sample * plane + row * width + column)[:, None]
        old = states + (step * batch + sample) * plane * CS
        _, seen = perceive(old, row, column, height, width, CS, CB, WRAP)
        seen = seen.to(gradient)
        given = tl.load(inputs + cell * IS + i, i < IS, 0.0)
        # Cells beyond the grid were moved onto it: their gradient must not count twice.
        counts = inside[:, None] & (k < CS)
        d = tl.load(fired + step * batch * plane * CS + cell * CS + k, counts, 0.0)
        # Units by cells: the left factors of the sums below are then in registers already.
        h = tl.dot(first, tl.trans(seen), input_precision="ieee")
        h = tl.dot(first_given, tl.trans(given), h, input_precision="ieee").to(gradient)
        below = tl.dot(second, tl.trans(d), input_precision="ieee")
        below = tl.where(h > 0, below, 0.0).to(gradient)
        d_seen = tl.dot(below, seen, d_seen, input_precision="ieee")
        d_given = tl.dot(below, given, d_given, input_precision="ieee")
        h = tl.maximum(h, tl.full([], 0.0, gradient)).to(gradient)
        d_second = tl.dot(h, d, d_second, input_precision="ieee")
    at = partial + (tl.program_id(0) * HIDDEN + unit) * WIDE
    tl.store(at + f, d_seen)
    tl.store(at + 4 * CB + i, d_given)
    tl.store(at + 4 * CB + IB + k, d_second)
