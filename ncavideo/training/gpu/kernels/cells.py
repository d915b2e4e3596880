"""What the kernels of training share: a tile's cells, their hidden units, the stencil's transpose.

Sizes ending in `S` are strides (numbers stored for a cell), those ending in `B` blocks: powers of
two of at least 16, as `tl.dot` needs. What pads them is zero, so it never changes a result. The
bias is one more input channel, which is 1 everywhere.
"""

from __future__ import annotations

import triton
import triton.language as tl


# Triton's own `cdiv` and `sum` are kernels' functions, too: compiled or interpreted, as was decided
# when Triton was imported, which is too early for tests.
@triton.jit
def _ceiling(count, of: tl.constexpr):
    return (count + of - 1) // of


@triton.jit
def place(tile, height, width, TILE_ROWS: tl.constexpr, TILE_COLUMNS: tl.constexpr):
    """Return a tile's sample, and its cells' rows, columns and whether they are on the grid.

    Cells beyond the grid are moved to its last row or column: computed alike, and not stored.
    """
    across = _ceiling(width, TILE_COLUMNS)
    of_sample = across * _ceiling(height, TILE_ROWS)
    m = tl.arange(0, TILE_ROWS * TILE_COLUMNS)
    sample = tile // of_sample
    rest = tile % of_sample
    row = (rest // across) * TILE_ROWS + m // TILE_COLUMNS
    column = (rest % across) * TILE_COLUMNS + m % TILE_COLUMNS
    inside = (row < height) & (column < width)
    return sample, tl.minimum(row, height - 1), tl.minimum(column, width - 1), inside


@triton.jit
def tile_count(batch, height, width, TILE_ROWS: tl.constexpr, TILE_COLUMNS: tl.constexpr):
    """Return the number of tiles of all samples."""
    return batch * _ceiling(height, TILE_ROWS) * _ceiling(width, TILE_COLUMNS)


@triton.jit
def first_layer(
    w1, w1_inputs, j, HIDDEN: tl.constexpr, HB: tl.constexpr, CB: tl.constexpr, IB: tl.constexpr
):
    """Return block `j` of the first layer: `[4 CB, HB]` and `[IB, HB]`, the bias among these."""
    unit = j * HB + tl.arange(0, HB)
    return (
        tl.load(w1 + tl.arange(0, 4 * CB)[:, None] * HIDDEN + unit[None, :]),
        tl.load(w1_inputs + tl.arange(0, IB)[:, None] * HIDDEN + unit[None, :]),
    )


@triton.jit
def hidden_units(z, given, first, operand: tl.constexpr):
    """Return a block of hidden units before ReLU, `[M, HB]`, in `operand` precision."""
    h = tl.dot(z, first[0], input_precision="ieee")
    return tl.dot(given, first[1], h, input_precision="ieee").to(operand)


@triton.jit
def _sent(dz, cell, f, x, y, both, own, CS: tl.constexpr):
    """Return one neighbour's numbers, each times what its filter gives the cell: `[M, 4 CB]`."""
    part = tl.load(dz + cell[:, None] * (4 * CS) + f, f < 4 * CS, 0.0).to(tl.float32)
    kind = f % 4
    return part * tl.where(kind == 0, own, tl.where(kind == 1, x, tl.where(kind == 2, y, both)))


@triton.jit
def gathered(
    dz, base, row, column, height, width, CS: tl.constexpr, CB: tl.constexpr, WRAP: tl.constexpr
):
    """Return what the transposed stencil sends to the cells, `[M, CB]` float32.

    `dz` `[cells, CS, 4]` is the gradient of what the cells perceived: of identity (less the
    Laplacian's own part), Sobel x, Sobel y and Laplacian, with the filters' scales multiplied in.
    Gathered, not scattered: sums keep their order, and no two programs write to one place. Beyond
    a reflecting edge lies a copy of the edge cell, which is seen from the other side: the sign of
    the Sobel filter across that edge turns round.
    """
    one = tl.full([1, 1], 1.0, tl.float32)
    if WRAP:
        up = tl.where(row > 0, row - 1, height - 1)
        down = tl.where(row < height - 1, row + 1, 0)
        left = tl.where(column > 0, column - 1, width - 1)
        right = tl.where(column < width - 1, column + 1, 0)
        west, east, north, south = one, -one, one, -one
    else:
        up = tl.maximum(row - 1, 0)
        down = tl.minimum(row + 1, height - 1)
        left = tl.maximum(column - 1, 0)
        right = tl.minimum(column + 1, width - 1)
        west = tl.where(column > 0, 1.0, -1.0)[:, None]
        east = tl.where(column < width - 1, -1.0, 1.0)[:, None]
        north = tl.where(row > 0, 1.0, -1.0)[:, None]
        south = tl.where(row < height - 1, -1.0, 1.0)[:, None]
    f = tl.arange(0, 4 * CB)[None, :]
    above, here, below = base + up * width, base + row * width, base + down * width
    g = _sent(dz, here + column, f, 0.0, 0.0, 4.0, 1.0, CS)
    g += _sent(dz, above + left, f, west, north, 1.0, 0.0, CS)
    g += _sent(dz, above + column, f, 0.0, 2.0 * north, 2.0, 0.0, CS)
    g += _sent(dz, above + right, f, east, north, 1.0, 0.0, CS)
    g += _sent(dz, here + left, f, 2.0 * west, 0.0, 2.0, 0.0, CS)
    g += _sent(dz, here + right, f, 2.0 * east, 0.0, 2.0, 0.0, CS)
    g += _sent(dz, below + left, f, west, south, 1.0, 0.0, CS)
    g += _sent(dz, below + column, f, 0.0, 2.0 * south, 2.0, 0.0, CS)
    g += _sent(dz, below + right, f, east, south, 1.0, 0.0, CS)
    even, odd = tl.split(tl.reshape(g, [row.shape[0], CB, 2, 2]))
    first, second = tl.split(even + odd)
    return first + second
