"""The fused CPU engine: one pass over the cells a step, compiled for the CPU at hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.engines import fused_kernel as kernel
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.engines.fused_kernel import GROUP, LANES
from ncavideo.nca.engines.visible_kernel import visible
from ncavideo.nca.fire_mask import UINT32, threshold
from ncavideo.nca.network import Network
from ncavideo.util.device import cores

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

MOST_ROWS = 16  # in a band; each band keeps two rows aside, so thin ones cost more
BANDS_A_THREAD = 4  # at least, where the grid has as many rows: no thread waits long for another
CACHE_LINE = 64  # bytes; vectors that straddle two lines load at half the speed
# Machine code cannot be interrupted, so that long jobs are handed over in parts of so many
# cell-steps: some tenths of a second on two cores.
CELL_STEPS_A_CALL = 8_000_000


class FusedEngine(Engine):
    """Numba machine code over bands of rows; see `fused_kernel`. CPU only, float32.

    The state is kept cell by cell, each cell's channels filling up whole vectors, with a spare
    cell at either end of a row for what lies across the edge.
    """

    can_be_a_part = True

    def __init__(
        self,
        ruleset: Network,
        height: int,
        width: int,
        *,
        seed: int,
        edge: Edge,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        super().__init__(ruleset, height, width, seed=seed, edge=edge, device=device)
        self._lay_out_weights()
        threads = threads or cores()
        self._band = max(1, min(MOST_ROWS, height // (threads * BANDS_A_THREAD)))
        bands = -(-height // self._band)
        threads = min(threads, bands)
        stride = self._w2.shape[1]
        padded = width + 2
        self._grid = _zeros(height, padded, stride)
        self._rims = _zeros(2, bands, 2, padded, stride)
        self._control = _zeros(kernel.FIRST_DONE + 8 * bands, dtype=np.int64)
        # What eight cells perceive, their hidden units and changes, beside two rows.
        z_stride = self._w1.shape[1] + 2 * LANES
        group = GROUP * (z_stride + len(self._b1) + stride)
        self._own = [
            (
                _zeros(2 * padded * stride + group),
                np.zeros(width, np.uint32),
                np.zeros(width + GROUP, np.int64),
            )
            for _ in range(threads)
        ]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="step")

    def _lay_out_weights(self) -> None:
        """Bring the weights into the order in which the kernel reads them."""
        rules = self.ruleset
        channels, hidden = rules.channels, rules.hidden
        across = -(-hidden // LANES)
        blocks = -(-across // kernel.HIDDEN_VECTORS)
        vectors = -(-across // blocks)
        units = vectors * LANES
        own = rules.w1[:, : 4 * channels].reshape(hidden, channels, 4)
        own = own * np.array(kernel.FILTER_SCALES, np.float32)
        w1 = np.zeros((blocks * units, rules.w1.shape[1]), np.float32)
        w1[:hidden, : 4 * channels] = own.transpose(0, 2, 1).reshape(hidden, -1)
        w1[:hidden, 4 * channels :] = rules.w1[:, 4 * channels :]
        self._w1 = _zeros(blocks, w1.shape[1], units)
        self._w1[:] = w1.reshape(blocks, units, -1).transpose(0, 2, 1)
        self._b1 = _zeros(blocks * units)
        self._b1[:hidden] = rules.b1
        self._w2 = _zeros(blocks * units, -(-channels // LANES) * LANES)
        self._w2[:hidden, :channels] = rules.w2.T
        self._vectors = (0,) * vectors

    def _step(self, inputs: np.ndarray, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32."""
        inputs = np.ascontiguousarray(inputs, np.float32)
        most = max(1, CELL_STEPS_A_CALL // (self.height * self.width))
        while steps > 0:
            self._run(inputs, min(steps, most))
            steps -= most

    def _run(self, inputs: np.ndarray, steps: int) -> None:
        self._control[:] = 0
        others = [self._pool.submit(self._work, inputs, own, steps) for own in self._own[1:]]
        self._work(inputs, self._own[0], steps)
        for other in others:
            other.result()
        self.steps_taken += steps

    def _work(
        self, inputs: np.ndarray, own: tuple[np.ndarray, np.ndarray, np.ndarray], steps: int
    ) -> None:
        kernel.work(
            self._vectors,
            self._control,
            self._grid,
            inputs,
            self._rims,
            *own,
            self._w1,
            self._b1,
            self._w2,
            self.ruleset.channels,
            self._band,
            self.steps_taken,
            steps,
            self.seed % UINT32,
            np.uint64(threshold(self.ruleset.fire_rate)),
            self.edge == "wrap",
            *self.origin,
        )

    def rgb(self) -> np.ndarray:
        """Return the visible channels as float32 `[H, W, 3]`, clipped to 0..1: planes in memory."""
        planes = np.empty((3, self.height, self.width), np.float32)
        visible(self._grid, planes)
        return planes.transpose(1, 2, 0)

    def snapshot(self) -> Snapshot:
        """Return a copy of the grid that `restore` accepts."""
        state = self._grid[:, 1:-1, : self.ruleset.channels].transpose(2, 0, 1)
        return Snapshot(state.copy(order="C"), self.steps_taken)

    def _restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`."""
        grid, band = self._grid, self._band
        grid[:, 1:-1, : self.ruleset.channels] = snapshot.state.transpose(1, 2, 0)
        near, far = (-2, 1) if self.edge == "wrap" else (1, -2)
        grid[:, 0], grid[:, -1] = grid[:, near], grid[:, far]
        rims = self._rims[snapshot.step & 1]
        rims[:, 0] = grid[::band]
        rims[:, 1] = np.concatenate([grid[band - 1 : -1 : band], grid[-1:]])
        self.steps_taken = snapshot.step


def _zeros(*shape: int, dtype: type[np.float32] | type[np.int64] = np.float32) -> np.ndarray:
    """Return an array of zeros that starts on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)
