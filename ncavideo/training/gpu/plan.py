"""How the fused kernels are built and launched for one network on one grid. Needs no Triton."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ncavideo.nca.model import FILTERS, Edge

VECTOR = 4  # input channels are stored in fours, so that loads are 8 bytes wide or more
LEAST_BLOCK = 16  # the least side that `tl.dot` takes
# Beyond these the kernels would hold more weights than fit on the chip.
MOST_CHANNELS, MOST_HIDDEN, MOST_INPUTS = 32, 256, 31
LARGEST = 2**31  # addresses within a step's buffers are 32-bit


@dataclass(frozen=True)
class Tiling:
    """A kernel's tile of cells, hidden units at a time, and what it takes of a multiprocessor.

    `registers`: the most a thread may have, None for the compiler's choice.
    """

    tile: tuple[int, int] = (8, 8)
    units: int = 32
    warps: int = 4
    programs: int = 4
    registers: int | None = 128

    def options(self, narrow: bool, gpu: bool) -> dict[str, Any]:
        """Return Triton's launch options; `narrow`: the network has 16 channels at most."""
        # One stage: prefetching would copy nine overlapping neighbourhoods to shared memory.
        # The hash overflows on purpose, which Triton's checks (TRITON_DEBUG) would call an error.
        found: dict[str, Any] = {
            "num_warps": self.warps, "num_stages": 1, "sanitize_overflow": False,
        }  # fmt: skip
        if self.registers and narrow and gpu:
            found["maxnreg"] = self.registers
        return found


# Measured on an H100 with 8 samples of 192x192 cells, 12 channels and 96 hidden units: a step takes
# 31 µs forwards and 79 µs back, and its part of the weights' gradients 58 µs. `back` needs 172
# registers for reflecting edges; three programs a multiprocessor leave it 168.
FORWARD = Tiling()
BACK = Tiling(programs=3, registers=168)
WEIGHT = Tiling(units=64, programs=3, registers=168)


@dataclass(frozen=True)
class Plan:
    """Sizes and precisions. `operand`: of the products forwards, `gradient`: of those of gradients.

    Sums are float32. Gradients need bfloat16's range, states float16's precision.
    """

    channels: int
    inputs: int
    hidden: int
    batch: int
    height: int
    width: int
    edge: Edge
    operand: torch.dtype = torch.float32
    gradient: torch.dtype = torch.float32
    forward: Tiling = field(default=FORWARD)
    back: Tiling = field(default=BACK)
    weight: Tiling = field(default=WEIGHT)

    @property
    def block(self) -> int:
        """Channels in a kernel's block."""
        return _block(self.channels)

    @property
    def input_stride(self) -> int:
        """Stored input channels of a cell: with the 1 of the bias, a multiple of four."""
        return _multiple(self.inputs + 1, VECTOR)

    @property
    def input_block(self) -> int:
        """Input channels in a kernel's block."""
        return _block(self.input_stride)

    @property
    def cells(self) -> int:
        """Cells of all samples."""
        return self.batch * self.height * self.width

    @property
    def weight_units(self) -> int:
        """Hidden units of a program of the weight kernel."""
        return min(self.weight.units, _block(self.hidden))

    def padded_hidden(self, units: int) -> int:
        """Return the hidden units as a multiple of the `units` that a kernel takes at a time."""
        return _multiple(self.hidden, units)

    def constants(self, tiling: Tiling) -> dict[str, Any]:
        """Return a kernel's constexpr arguments but for those of `network`."""
        rows, columns = tiling.tile
        return {
            "CS": self.channels,
            "CB": self.block,
            "TILE_ROWS": rows,
            "TILE_COLUMNS": columns,
            "WRAP": self.edge == "wrap",
        }

    def network(self, units: int) -> dict[str, Any]:
        """Return the constexpr arguments of kernels that multiply by the network's weights."""
        return {
            "IS": self.input_stride,
            "IB": self.input_block,
            "HB": units,
            "BLOCKS": self.padded_hidden(units) // units,
        }

    def options(self, tiling: Tiling, gpu: bool) -> dict[str, Any]:
        """Return a kernel's launch options."""
        return tiling.options(self.block == LEAST_BLOCK, gpu)

    def tiles(self, tiling: Tiling) -> int:
        """Return the number of tiles of all samples."""
        rows, columns = tiling.tile
        return self.batch * -(-self.height // rows) * -(-self.width // columns)

    def programs(self, tiling: Tiling, multiprocessors: int) -> int:
        """Return how many programs a launch has; each goes through tile after tile."""
        return min(self.tiles(tiling), multiprocessors * tiling.programs)


def fits(channels: int, inputs: int, hidden: int) -> bool:
    """Return whether the kernels take a network of this shape."""
    return channels <= MOST_CHANNELS and inputs <= MOST_INPUTS and hidden <= MOST_HIDDEN


def addressable(channels: int, batch: int, size: int) -> bool:
    """Return whether a batch of grids of `size` x `size` cells is within 32-bit addresses."""
    return batch * size**2 * FILTERS * channels < LARGEST


def _multiple(count: int, of: int) -> int:
    return -(-count // of) * of


def _block(count: int) -> int:
    return max(LEAST_BLOCK, 1 << (count - 1).bit_length())
