"""Bias, ReLU and the rim of a feature map in one pass, and its gradient.

torch writes the result of a circular `F.pad` plane by plane, and it would have to be turned
channels last again before every convolution.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["cells", "height", "width"])
def rim_kernel(
    x,
    bias,
    out,
    cells,
    height,
    width,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
    CELLS: tl.constexpr,
    RELU: tl.constexpr,
    WRAP: tl.constexpr,
):
    """Write `x` `[B, H, W, F]` to `out` `[B, H + 2, W + 2, F]`, of `cells` cells.

    With `RELU` the `bias` `[F]` is added and negative sums become 0. A program has `CELLS` cells.
    """
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    f = tl.arange(0, BLOCK)[None, :]
    inside = (cell < cells)[:, None] & (f < FEATURES)
    column = cell % (width + 2) - 1
    rest = cell // (width + 2)
    row = rest % (height + 2) - 1
    sample = rest // (height + 2)
    if WRAP:
        row = tl.where(row < 0, height - 1, tl.where(row >= height, 0, row))
        column = tl.where(column < 0, width - 1, tl.where(column >= width, 0, column))
    else:
        row = tl.minimum(tl.maximum(row, 0), height - 1)
        column = tl.minimum(tl.maximum(column, 0), width - 1)
    source = ((sample * height + row) * width + column).to(tl.int64)[:, None] * FEATURES
    v = tl.load(x + source + f, inside, 0.0)
    if RELU:
        of_feature = tl.load(bias + f, f < FEATURES, 0.0).to(tl.float32)
        v = tl.maximum(v.to(tl.float32) + of_feature, 0.0)
    target = cell.to(tl.int64)[:, None] * FEATURES + f
    tl.store(out + target, v.to(out.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["cells", "height", "width"])
def unrim_kernel(
    g,
    out,
    into,
    cells,
    height,
    width,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
    CELLS: tl.constexpr,
    RELU: tl.constexpr,
    WRAP: tl.constexpr,
):
    """Bring the gradient `g` of `rim_kernel`'s `out` to `into` `[B, H, W, F]`, of `cells` cells.

    A cell at an edge gets that of its copies in the rim as well; grids are two cells wide or more,
    so that a cell has one copy in each direction at most.
    """
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    f = tl.arange(0, BLOCK)[None, :]
    inside = (cell < cells)[:, None] & (f < FEATURES)
    column = cell % width
    rest = cell // width
    row = rest % height
    sample = rest // height
    if WRAP:
        far_row = tl.where(row == 0, height + 1, 0)
        far_column = tl.where(column == 0, width + 1, 0)
    else:
        far_row = tl.where(row == 0, 0, height + 1)
        far_column = tl.where(column == 0, 0, width + 1)
    at_row = inside & ((row == 0) | (row == height - 1))[:, None]
    at_column = inside & ((column == 0) | (column == width - 1))[:, None]
    near = (sample * (height + 2) + row + 1) * (width + 2)
    far = (sample * (height + 2) + far_row) * (width + 2)
    here = (near + column + 1).to(tl.int64)[:, None] * FEATURES + f
    beyond_row = (far + column + 1).to(tl.int64)[:, None] * FEATURES + f
    beyond_column = (near + far_column).to(tl.int64)[:, None] * FEATURES + f
    beyond_both = (far + far_column).to(tl.int64)[:, None] * FEATURES + f
    v = tl.load(g + here, inside, 0.0).to(tl.float32)
    v += tl.load(g + beyond_row, at_row, 0.0).to(tl.float32)
    v += tl.load(g + beyond_column, at_column, 0.0).to(tl.float32)
    v += tl.load(g + beyond_both, at_row & at_column, 0.0).to(tl.float32)
    if RELU:
        v = tl.where(tl.load(out + here, inside, 0.0) > 0, v, 0.0)
    target = cell.to(tl.int64)[:, None] * FEATURES + f
    tl.store(into + target, v.to(into.dtype.element_ty), inside)
