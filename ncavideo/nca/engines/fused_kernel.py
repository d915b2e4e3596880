"""The fused step in machine code: perception, both layers, fire mask and update in one pass.

Numba compiles this for the processor at hand; no compiler is needed. Numba's own vectoriser does
not keep a block of sums in registers, which is where a matrix product gets its speed, so the four
inner loops are written as LLVM instructions on whole vectors (`intrinsic`s); everything around
them is plain Python. Addresses are byte addresses in 64-bit integers.

The plan, for one row of the grid:

1. Copy the row as it was. The grid is updated in place, and neighbours must see the old cells.
2. Find the cells that fire. The others do not change, so they cost nothing more: at a fire rate
   of 0.5 this halves the work.
3. Eight firing cells at a time: perceive (a vector holds one cell's channels), first layer (a
   block of 4 cells x `HIDDEN_VECTORS` vectors of hidden units is summed in registers), second
   layer, and add. Everything that eight cells need stays in the first-level cache.

Rows are worked on in bands. A task is one band for one step; tasks are handed out in order, step
by step, by an atomic counter, and a task waits only for its own and the two neighbouring bands of
the step before. So a thread that is held up (an encoder needs a core, too) holds up nobody else
until the others come round to its neighbours. At the rims of bands old rows are kept aside.

Every cell's sums run in one order, whatever its place in a group of eight, its band or its
thread: results do not depend on the number of threads.

Blocking as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
TOMS 34(3), 2008. The order of tasks is that of a wavefront in time, as in Wonnacott, "Using Time
Skewing to Eliminate Idle Time due to Memory Bandwidth and Network Limitations", IPDPS 2000.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ncavideo.nca.engines.firing import firing
from ncavideo.util.machine_code import compiled

_FEATURES = llvm.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
GROUP = 8  # cells in a group; as many independent sums hide the latency of a multiply-add
BLOCK = 4  # cells in a block of the first layer
# A block's sums, the weights they meet and one perceived number have to fit into the vector
# registers: 4 x 6 + 6 + 1 of 32 (AVX-512, NEON), 4 x 2 + 2 + 1 of 16 (AVX2).
HIDDEN_VECTORS = 2 if LANES == 8 else 6

# What the first layer's weights must be scaled by, filter by filter, since perception leaves out
# the filters' own scales (powers of two, so nothing is rounded).
FILTER_SCALES = (1.0, 1 / 8, 1 / 8, 1 / 16)

# Words of the control block: the ticket counter, then, on cache lines of their own, one counter
# of finished steps for each band.
FIRST_DONE = 8

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INT = ir.IntType(64)
# Lets another thread have the core. Where the C library has none under this name, waiting spins.
_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"


# ---- LLVM instructions, a word each -----------------------------------------------------------


def _at(b: ir.IRBuilder, base: ir.Value, floats: ir.Value) -> ir.Value:
    return b.add(base, b.mul(floats, _INT(4)))


def _pointer(b: ir.IRBuilder, address: ir.Value, offset: int, to: ir.Type) -> ir.Value:
    return b.inttoptr(b.add(address, _INT(4 * offset)), to.as_pointer())


def _load(b: ir.IRBuilder, address: ir.Value, offset: int = 0) -> ir.Value:
    return b.load(_pointer(b, address, offset, _VECTOR), align=4)


def _store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, offset: int = 0) -> None:
    b.store(value, _pointer(b, address, offset, _VECTOR), align=4)


def _constant(value: float) -> ir.Value:
    return ir.Constant(_VECTOR, [value] * LANES)


def _spread(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """Load one number into every lane."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = b.insert_element(undefined, b.load(_pointer(b, address, 0, _FLOAT)), ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return b.shuffle_vector(first, undefined, lanes)


def _multiply_add(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.fmuladd.v{LANES}f32"
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), [x, y, z])


def _sums(b: ir.IRBuilder, count: int) -> list[ir.Value]:
    """Return places for `count` running sums, which LLVM moves into registers."""
    return [cgutils.alloca_once(b, _VECTOR) for _ in range(count)]


_address = types.intp
_Code = tuple[Any, Callable[..., ir.Value]]


def _procedure(body: Callable[[ir.IRBuilder, Any], None], *arguments: Any) -> _Code:
    """Make what an intrinsic has to return, for one that returns nothing to its caller."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        body(builder, values)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


# ---- The four inner loops ---------------------------------------------------------------------


@intrinsic
def _perceive(
    typing: Any, up: Any, here: Any, down: Any, stride: Any, z: Any, channels: Any
) -> _Code:
    """Perceive one cell's vector of channels; `stride`: floats from a cell to the next.

    The four results are stored `channels` floats apart. In ascending order each overwrites the
    idle lanes of the one before, so that z holds 4C numbers in a row, filter by filter.
    """

    def body(b: ir.IRBuilder, values: Any) -> None:
        up, here, down, stride, z, channels = values
        places = (b.neg(stride), _INT(0), stride)
        above, middle, below = ([_load(b, _at(b, r, p)) for p in places] for r in (up, here, down))
        two = _constant(2.0)
        columns = range(3)
        smooth = [_multiply_add(b, two, middle[i], b.fadd(above[i], below[i])) for i in columns]
        slope = [b.fsub(below[i], above[i]) for i in columns]
        sobel_x = b.fsub(smooth[2], smooth[0])
        sobel_y = _multiply_add(b, two, slope[1], b.fadd(slope[0], slope[2]))
        blurred = _multiply_add(b, two, smooth[1], b.fadd(smooth[0], smooth[2]))
        laplacian = _multiply_add(b, _constant(-16.0), middle[1], blurred)
        for filter_, response in enumerate((middle[1], sobel_x, sobel_y, laplacian)):
            _store(b, response, _at(b, z, b.mul(channels, _INT(filter_))))

    return _procedure(body, *[_address] * 6)


@intrinsic
def _first_layer(
    typing: Any,
    vectors: Any,
    z: Any,
    z_stride: Any,
    weights: Any,
    bias: Any,
    h: Any,
    h_stride: Any,
    seen: Any,
    blocks: Any,
) -> _Code:
    """Compute h = relu(W1 @ z + b1) for `BLOCK` cells.

    `vectors`: a tuple whose length, part of its type, is the number of vectors of hidden units
    in a block. `weights` `[blocks, seen, vectors * LANES]`.
    """
    width = vectors.count

    def body(b: ir.IRBuilder, values: Any) -> None:
        _, z, z_stride, weights, bias, h, h_stride, seen, blocks = values
        sums = [_sums(b, width) for _ in range(BLOCK)]
        cells = [_at(b, z, b.mul(z_stride, _INT(m))) for m in range(BLOCK)]
        zero = _constant(0.0)
        with cgutils.for_range(b, blocks) as block:
            start = b.mul(block.index, _INT(width * LANES))
            for v in range(width):
                first = _load(b, _at(b, bias, start), v * LANES)
                for m in range(BLOCK):
                    b.store(first, sums[m][v])
            panel = _at(b, weights, b.mul(start, seen))
            with cgutils.for_range(b, seen) as k:
                row = _at(b, panel, b.mul(k.index, _INT(width * LANES)))
                weight = [_load(b, row, v * LANES) for v in range(width)]
                for m in range(BLOCK):
                    perceived = _spread(b, _at(b, cells[m], k.index))
                    for v in range(width):
                        total = _multiply_add(b, perceived, weight[v], b.load(sums[m][v]))
                        b.store(total, sums[m][v])
            for m in range(BLOCK):
                out = _at(b, h, b.add(b.mul(h_stride, _INT(m)), start))
                for v in range(width):
                    total = b.load(sums[m][v])
                    # Written so that a NaN stays one, as it does in torch's ReLU.
                    _store(
                        b, b.select(b.fcmp_ordered("<", total, zero), zero, total), out, v * LANES
                    )

    return _procedure(body, vectors, *[_address] * 8)


@intrinsic
def _second_layer(
    typing: Any, h: Any, hidden: Any, weights: Any, stride: Any, change: Any
) -> _Code:
    """Compute change = W2 @ h for `GROUP` cells, one vector of channels.

    `hidden`: floats from one cell's h to the next; `stride`: floats from one cell's change, and
    from one hidden unit's weights `[hidden, stride]`, to the next.
    """

    def body(b: ir.IRBuilder, values: Any) -> None:
        h, hidden, weights, stride, change = values
        sums = _sums(b, GROUP)
        for total in sums:
            b.store(_constant(0.0), total)
        cells = [_at(b, h, b.mul(hidden, _INT(g))) for g in range(GROUP)]
        with cgutils.for_range(b, hidden) as j:
            weight = _load(b, _at(b, weights, b.mul(j.index, stride)))
            for g in range(GROUP):
                unit = _spread(b, _at(b, cells[g], j.index))
                b.store(_multiply_add(b, unit, weight, b.load(sums[g])), sums[g])
        for g in range(GROUP):
            _store(b, b.load(sums[g]), _at(b, change, b.mul(stride, _INT(g))))

    return _procedure(body, *[_address] * 5)


@intrinsic
def _copy(typing: Any, source: Any, target: Any) -> _Code:
    """Copy one vector."""
    return _procedure(lambda b, v: _store(b, _load(b, v[0]), v[1]), _address, _address)


@intrinsic
def _copy_one(typing: Any, source: Any, target: Any) -> _Code:
    """Copy one number."""

    def body(b: ir.IRBuilder, values: Any) -> None:
        source, target = (b.inttoptr(value, _FLOAT.as_pointer()) for value in values)
        b.store(b.load(source), target)

    return _procedure(body, _address, _address)


@intrinsic
def _add(typing: Any, source: Any, target: Any) -> _Code:
    """Add one vector to another in place."""

    def body(b: ir.IRBuilder, values: Any) -> None:
        source, target = values
        _store(b, b.fadd(_load(b, source), _load(b, target)), target)

    return _procedure(body, _address, _address)


# ---- What threads tell each other -------------------------------------------------------------


@intrinsic
def _take(typing: Any, counter: Any) -> _Code:
    """Add one to a counter; return what it was."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return b.atomic_rmw("add", b.inttoptr(values[0], _INT.as_pointer()), _INT(1), "seq_cst")

    return types.int64(_address), codegen


@intrinsic
def _see(typing: Any, counter: Any) -> _Code:
    """Return a counter; what was written before it was set can be read after."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return b.load_atomic(b.inttoptr(values[0], _INT.as_pointer()), "acquire", 8)

    return types.int64(_address), codegen


@intrinsic
def _tell(typing: Any, counter: Any, value: Any) -> _Code:
    """Set a counter; what was written before can be read by whoever sees it."""

    def body(b: ir.IRBuilder, values: Any) -> None:
        counter, value = values
        b.store_atomic(value, b.inttoptr(counter, _INT.as_pointer()), "release", 8)

    return _procedure(body, _address, types.int64)


@intrinsic
def _yield_core(typing: Any) -> _Code:
    """Let another thread have the core."""

    def body(b: ir.IRBuilder, values: Any) -> None:
        if llvm.address_of_symbol(_YIELD):
            kind = ir.FunctionType(ir.IntType(32), [])
            b.call(cgutils.get_or_insert_function(b.module, kind, _YIELD), [])

    return _procedure(body)


# ---- The step ---------------------------------------------------------------------------------


@compiled(inline="always")
def _copy_row(source: int, target: int, floats: int) -> None:
    for i in range(0, floats, LANES):
        _copy(source + 4 * i, target + 4 * i)


@compiled(nogil=True)
def work(
    vectors: tuple[int, ...],
    control: np.ndarray,
    grid: np.ndarray,
    inputs: np.ndarray,
    rims: np.ndarray,
    scratch: np.ndarray,
    hashes: np.ndarray,
    cells: np.ndarray,
    w1: np.ndarray,
    b1: np.ndarray,
    w2: np.ndarray,
    channels: int,
    band: int,
    first_step: int,
    steps: int,
    seed: int,
    limit: int,
    wrap: bool,
    first_row: int,
    first_column: int,
) -> None:
    """Take tasks until none is left: one thread's share of `steps` steps.

    `control` `[FIRST_DONE + 8 * bands]` int64, all zero before the first thread starts. `grid`
    `[H, W + 2, S]` float32, S the channels rounded up to whole vectors, a copy of the wrapped or
    reflected cell at either end of a row. `inputs` `[I, H, W]` float32. `rims`
    `[2, bands, 2, W + 2, S]`: the first and last row of each band, at even and odd steps.
    `scratch`, `hashes`, `cells`: this thread's own, see `FusedEngine`. `w1`
    `[blocks, 4C + I, units]`, `b1` `[blocks * units]`, `w2` `[blocks * units, S]`. `limit`: the
    fire rate's threshold, 0..2**32. `first_row`, `first_column`:
    the grid's place in a larger one.
    """
    height, padded, stride = grid.shape
    width = padded - 2
    blocks, seen, units = w1.shape
    hidden = blocks * units
    bands = rims.shape[1]
    row_floats = padded * stride
    row_bytes, cell_bytes = 4 * row_floats, 4 * stride
    z_stride = seen + 2 * LANES
    input_channels, plane_bytes = len(inputs), 4 * height * width
    rims_at = rims.ctypes.data
    kept = scratch.ctypes.data
    z = kept + 2 * row_bytes
    h = z + 4 * GROUP * z_stride
    change = h + 4 * GROUP * hidden
    ticket = control.ctypes.data
    done = ticket + 8 * FIRST_DONE
    while True:
        task = _take(ticket)
        if task >= steps * bands:
            return
        turn = task // bands
        mine = task - turn * bands
        above = mine - 1 if mine > 0 else (bands - 1 if wrap else 0)
        below = mine + 1 if mine < bands - 1 else (0 if wrap else mine)
        while (
            _see(done + 64 * above) < turn
            or _see(done + 64 * below) < turn
            or _see(done + 64 * mine) < turn
        ):
            _yield_core()
        step = first_step + turn
        old, new = step & 1, 1 - (step & 1)
        first, last = mine * band, min(height, mine * band + band) - 1
        for y in range(first, last + 1):
            row = grid.ctypes.data + y * row_bytes
            here = kept + (y & 1) * row_bytes
            _copy_row(row, here, row_floats)
            if y > first:
                up = kept + ((y - 1) & 1) * row_bytes
            elif y == 0 and not wrap:
                up = here
            else:
                up = rims_at + ((old * bands + above) * 2 + 1) * row_bytes
            if y < last:
                down = row + row_bytes
            elif y == height - 1 and not wrap:
                down = here
            else:
                down = rims_at + (old * bands + below) * 2 * row_bytes
            count = firing(seed, step, first_row + y, first_column, width, limit, hashes, cells)
            for spare in range(count, count + GROUP):
                cells[spare] = cells[max(count - 1, 0)]  # fills the last group
            for start in range(0, count, GROUP):
                for g in range(GROUP):
                    column = cells[start + g]
                    place = (column + 1) * cell_bytes
                    seen_at = z + 4 * g * z_stride
                    # The last vector, the one with idle lanes, first: see `_perceive`.
                    for c in range(4 * (stride - LANES), -1, -4 * LANES):
                        at = place + c
                        _perceive(up + at, here + at, down + at, stride, seen_at + c, channels)
                    given = inputs.ctypes.data + 4 * (y * width + column)
                    for i in range(input_channels):
                        _copy_one(given + i * plane_bytes, seen_at + 4 * (4 * channels + i))
                for g in range(0, GROUP, BLOCK):
                    _first_layer(
                        vectors,
                        z + 4 * g * z_stride,
                        z_stride,
                        w1.ctypes.data,
                        b1.ctypes.data,
                        h + 4 * g * hidden,
                        hidden,
                        seen,
                        blocks,
                    )
                for c in range(0, 4 * stride, 4 * LANES):
                    _second_layer(h, hidden, w2.ctypes.data + c, stride, change + c)
                for g in range(min(GROUP, count - start)):
                    cell = row + (cells[start + g] + 1) * cell_bytes
                    for c in range(0, 4 * stride, 4 * LANES):
                        _add(change + g * cell_bytes + c, cell + c)
            left, right = row + cell_bytes, row + width * cell_bytes
            _copy_row(right if wrap else left, row, stride)
            _copy_row(left if wrap else right, right + cell_bytes, stride)
            if y == first:
                _copy_row(row, rims_at + (new * bands + mine) * 2 * row_bytes, row_floats)
            if y == last:
                _copy_row(row, rims_at + ((new * bands + mine) * 2 + 1) * row_bytes, row_floats)
        _tell(done + 64 * mine, turn + 1)
