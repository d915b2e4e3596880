"""The triton engine: every step is one fused kernel on an NVIDIA GPU.

The kernel is in `triton_kernel.py`; here are its numbers, its buffers and its launches. State and
inputs are laid out once a call, the steps swap two buffers, and a call that comes again (eight
steps a frame, say) is recorded as a CUDA graph and replayed, which leaves the launches to the GPU.

Timed on one GPU, an H100 (`benchmarks/gpu_step.py`): 26 to 32 times the plain step and 12 to 18
times `folded`, on grids of 640x360 to 3840x2160 cells, at 35 to 40 % of the roofline; its error
there was 6.5e-4. On other GPUs it is untimed. Results are tested in Triton's interpreter, version
3.8, and the kernel is compiled for GPUs in the tests. Triton builds its launcher with the system's
C compiler.

Precision. All products are summed in float32. What is multiplied and what is kept differs:

| name | state | multiplied | error after 64 steps | bytes a cell and step |
| --- | --- | --- | --- | --- |
| `exact` | float32 | float32 | 9.2e-7 | 128 |
| `mixed` (default) | float32 | float16 | 3.2e-3 | 112 |
| `half` | float16 | float16 | 4.2e-3 | 64 |

The error is the root mean square over that of the state, of the preset `elements` against float64
(`benchmarks/precision.py` prints it, and what follows); bytes are for its 12 channels and 5 inputs.
A step adds a small change to a large state, and a float16 state near 1 moves by 0.0005 or not at
all. In `elements`, whose channels change by 0.01 in the median, 0.7 % of the changes vanish, and it
looks the same after 2,000 steps; in the same network slowed down 30 times 10 % vanish, and after
2,000 steps its error is 15 times that of `mixed`. A rule set that somebody trains tomorrow may be
slow, and instructions, not bytes, are expected to limit the kernel (`benchmarks/gpu_static.py`), so
the state stays float32 unless asked otherwise. Operands carry 11 significant bits either way,
float16 or tf32, within float16's range of 65504; but Triton cuts tf32 off where float16 is rounded
(3 to 4 times the error), and tf32 runs at half the rate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.fire_mask import UINT32, threshold
from ncavideo.nca.model import FILTERS, Edge
from ncavideo.nca.network import Network
from ncavideo.util.errors import UserError

Precision = Literal["exact", "mixed", "half"]
PRECISION: Precision = "mixed"
# What each keeps and what it multiplies.
DTYPES = {
    "exact": (torch.float32, torch.float32),
    "mixed": (torch.float32, torch.float16),
    "half": (torch.float16, torch.float16),
}
LEAST_BLOCK = 16  # the least side that `tl.dot` takes
VECTOR = 4  # channels are stored in fours, so that loads are 16 (float32) or 8 bytes wide

# Rows and columns of a tile and hidden units at a time, by the state's channel block. Chosen from
# what the compiler reports, not timed: the largest that need about 128 registers a thread for the
# presets' size (four programs a multiprocessor), and that hardly spill for the others.
TILES = {16: (8, 8, 32), 32: (4, 8, 16), 64: (4, 8, 16), 128: (4, 4, 16), 256: (4, 4, 16)}
EXACT_TILES = {**TILES, 16: (4, 8, 32)}  # without tensor cores the sums take more registers
WARPS = 4
PROGRAMS = 4  # a multiprocessor; each goes through tile after tile
HOPPER = 9  # the compute capability whose tensor cores read weights straight from shared memory
HOPPER_REGISTERS = 128  # it would take 138 and run three programs instead of four
RESIDENT_UNITS = 128

GRAPH_STEPS = 64  # longer calls, such as the warm-up, come once: recording them would not pay
LARGEST = 2**31  # addresses within a buffer are 32-bit


@dataclass(frozen=True)
class Plan:
    """How the kernel is built for one network, precision and GPU.

    `constants`: the kernel's constexpr arguments but for the edge; `options`: the compiler's.
    """

    state: torch.dtype
    operand: torch.dtype
    constants: dict[str, int]
    options: dict[str, int]


def make_plan(
    channels: int, inputs: int, hidden: int, precision: Precision, hopper: bool = True
) -> Plan:
    """Plan for C `channels`, I `inputs` and `hidden` units, on a Hopper GPU or another one."""
    state, operand = DTYPES[precision]
    block = _block(channels)
    rows, columns, units = (EXACT_TILES if precision == "exact" else TILES)[block]
    blocks = -(-hidden // units)
    # On other GPUs held weights take registers, and float32 ones would not fit either.
    resident = hopper and precision != "exact" and block == LEAST_BLOCK and hidden <= RESIDENT_UNITS
    constants = {
        "CS": _multiple(channels, VECTOR),
        "CB": block,
        "IS": _multiple(inputs, VECTOR),
        "IB": _block(inputs),
        "HB": units,
        "BLOCKS": blocks,
        "RESIDENT": resident,
        "TILE_ROWS": rows,
        "TILE_COLUMNS": columns,
    }
    # One stage: prefetching would copy nine overlapping neighbourhoods to shared memory.
    # The hash overflows on purpose, which Triton's checks (TRITON_DEBUG) would call an error.
    options = {"num_warps": WARPS, "num_stages": 1, "sanitize_overflow": False}
    if resident:
        options["maxnreg"] = HOPPER_REGISTERS
    return Plan(state, operand, constants, options)


def _multiple(count: int, of: int) -> int:
    return -(-count // of) * of


def _block(count: int) -> int:
    return max(LEAST_BLOCK, 1 << (count - 1).bit_length())


def pack(ruleset: Network, plan: Plan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights as the kernel reads them, padded with zeros.

    `w1` `[4 CB, hidden]` and `w1_inputs` `[IB, hidden]` transposed, `b1` `[hidden]`, `w2`
    `[hidden, CB]`, where hidden is a multiple of the units at a time. Raises `UserError` if a
    weight is too large for half precision.
    """
    block, inputs = plan.constants["CB"], plan.constants["IB"]
    extra = plan.constants["HB"] * plan.constants["BLOCKS"] - ruleset.hidden
    w1, b1, w2 = (torch.from_numpy(a.copy()) for a in (ruleset.w1, ruleset.b1, ruleset.w2))
    largest = torch.finfo(plan.operand).max
    if max(float(w1.abs().max()), float(w2.abs().max())) > largest:
        raise UserError(
            f"the rule set {ruleset.name} has weights above {largest:g}, which is too large for"
            " the triton engine: use --engine auto"
        )
    seen = FILTERS * ruleset.channels
    own, given = w1.T[:seen], w1.T[seen:]
    return (
        F.pad(own, (0, extra, 0, FILTERS * block - len(own))).to(plan.operand).contiguous(),
        F.pad(given, (0, extra, 0, inputs - len(given))).to(plan.operand).contiguous(),
        F.pad(b1, (0, extra)),
        F.pad(w2.T, (0, block - ruleset.channels, 0, extra)).to(plan.operand).contiguous(),
    )


class TritonEngine(Engine):
    """One kernel launch a step; see the module for `precision`.

    `graphs`: record a number of steps that comes again as a CUDA graph. Runs on CPU tensors under
    Triton's interpreter (`TRITON_INTERPRET=1`), which is for tests. Raises `UserError` where there
    is no CUDA device or no Triton, for a grid of more than 2**31 stored numbers, and for a rule set
    that half precision cannot hold. States beyond 65504 overflow unless `precision` is `exact`.
    """

    def __init__(
        self,
        ruleset: Network,
        height: int,
        width: int,
        *,
        seed: int,
        edge: Edge,
        device: str,
        precision: Precision = PRECISION,
        graphs: bool = True,
    ) -> None:
        super().__init__(ruleset, height, width, seed=seed, edge=edge, device=device)
        try:
            import triton

            from ncavideo.nca.engines.triton_kernel import step_kernel
        except ModuleNotFoundError as error:
            raise UserError(
                f"the triton engine needs the package {error.name}: install it with pip where it"
                " exists (Linux with an NVIDIA GPU), or use --engine auto"
            ) from error
        interpreted = not isinstance(step_kernel, triton.JITFunction)
        on_gpu = torch.device(device).type == "cuda"
        if not on_gpu and not interpreted:
            raise UserError(
                "the triton engine needs a CUDA device (an NVIDIA GPU): use --engine auto"
            )
        self._graphs = graphs
        self._guard = torch.cuda.device(device) if on_gpu else contextlib.nullcontext()
        hopper, programs = True, 2
        if on_gpu:
            gpu = torch.cuda.get_device_properties(device)
            hopper = gpu.major == HOPPER and torch.version.hip is None
            programs = PROGRAMS * gpu.multi_processor_count
        inputs = len(ruleset.inputs)
        self._plan = plan = make_plan(ruleset.channels, inputs, ruleset.hidden, precision, hopper)
        if height * width * max(plan.constants["CS"], plan.constants["IS"]) > LARGEST:
            raise UserError(
                f"a grid of {width}x{height} cells is too large for the triton engine:"
                " use a larger --cell, or --engine auto"
            )
        rows, columns = plan.constants["TILE_ROWS"], plan.constants["TILE_COLUMNS"]
        tiles = -(-height // rows) * -(-width // columns)
        self._launch = step_kernel[(min(programs, tiles),)]
        self._weights = [array.to(device) for array in pack(ruleset, plan)]
        grid, stride = (height, width), plan.constants["CS"]
        self._cells = [
            torch.zeros(*grid, stride, dtype=plan.state, device=device) for _ in range(2)
        ]
        stride = plan.constants["IS"]
        self._given = torch.zeros(*grid, stride, dtype=plan.operand, device=device)
        # Seed, step and threshold live on the device, so that a graph can be replayed.
        words = [seed % UINT32, 0, threshold(ruleset.fire_rate)]
        self._words = torch.tensor(words, dtype=torch.int64, device=device)
        self._current = 0
        self._calls: dict[tuple[int, int], Callable[[], None] | None] = {}

    @property
    def _state(self) -> Tensor:
        """The state without what pads it, `[H, W, C]`."""
        return self._cells[self._current][:, :, : self.ruleset.channels]

    def _step(self, inputs: np.ndarray, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32."""
        self.step_on_device(torch.from_numpy(inputs), steps)

    @torch.inference_mode()
    def step_on_device(self, inputs: Tensor, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32, on any device."""
        given = inputs.to(self.device)
        self._given[:, :, : len(given)].copy_(given.permute(1, 2, 0))
        with self._guard:
            self._call(steps)()
        self._current = (self._current + steps) % 2
        self.steps_taken += steps

    def _call(self, steps: int) -> Callable[[], None]:
        """Return what takes `steps` steps from the current buffer and moves the clock on.

        The first time these are the launches, after that a recording of them.
        """
        first = self._current
        if not self._graphs or not 0 < steps <= GRAPH_STEPS:
            return lambda: self._take(steps, first)
        key = (steps, first)
        if key not in self._calls:
            self._calls[key] = None
            return lambda: self._take(steps, first)
        recorded = self._calls[key]
        if recorded is None:
            recorded = self._calls[key] = self._record(lambda: self._take(steps, first))
        return recorded

    def _take(self, steps: int, first: int) -> None:
        for offset in range(steps):
            old, new = self._cells[(first + offset) % 2], self._cells[(first + offset + 1) % 2]
            self._launch(
                old,
                new,
                self._given,
                *self._weights,
                self._words,
                offset,
                self.height,
                self.width,
                **self._plan.constants,
                WRAP=self.edge == "wrap",
                **self._plan.options,
            )
        self._words[1].add_(steps)

    def _record(self, take: Callable[[], None]) -> Callable[[], None]:
        """Record `take` as a CUDA graph and return its replay; without a GPU, return `take`."""
        if self._given.device.type != "cuda":
            return take
        graph = torch.cuda.CUDAGraph()
        # Only this thread's calls belong to the recording: another may be decoding video.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            take()
        return graph.replay

    def rgb(self) -> np.ndarray:
        """Return the visible channels as float32 `[H, W, 3]`, clipped to 0..1."""
        return self.rgb_tensor().cpu().numpy()

    def rgb_tensor(self) -> Tensor:
        """Return `rgb()` on the engine's device."""
        return (self._state[:, :, :3].float() + 0.5).clamp(0, 1)

    def state_tensor(self) -> Tensor:
        """Return a copy of the state `[H, W, C]` on the engine's device."""
        return self._state.float().clone()

    def snapshot(self) -> Snapshot:
        """Return a copy of the grid that `restore` accepts."""
        state = self._state.permute(2, 0, 1).float().cpu().contiguous()
        return Snapshot(state.numpy().copy(), self.steps_taken)

    def _restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`; a half-precision state rounds it."""
        self._state.copy_(torch.from_numpy(snapshot.state.copy()).permute(1, 2, 0))
        self._words[1] = snapshot.step
        self.steps_taken = snapshot.step
