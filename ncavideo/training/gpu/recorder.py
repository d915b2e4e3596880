"""Work on a GPU that comes again and again, as CUDA graphs that are replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch


class Recorder:
    """Runs work; on a GPU it is recorded when it comes again, which leaves launches to the GPU.

    The first of a kind runs as it is, and warms up: compilers and libraries take memory and look at
    the device, which no recording allows. Later ones are recorded, one for each key. Work must
    read and write tensors that stay where they are, and launch the same kernels every time.
    """

    def __init__(self, device: torch.device) -> None:
        self._on = device.type == "cuda"
        self.forget()

    def forget(self) -> None:
        """Drop all recordings, because a tensor that they know has been replaced."""
        self._warm: set[Hashable] = set()
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        # All share one pool of memory. It goes with its last graph, so it is asked for anew: a
        # recording into one that is gone writes to memory that others own.
        self._memory = torch.cuda.graph_pool_handle() if self._on else None

    def __call__(self, kind: Hashable, key: Hashable, work: Callable[[], None]) -> None:
        """Do `work`, of this kind, which is the same for equal keys."""
        if not self._on or kind not in self._warm:
            self._warm.add(kind)
            work()
            return
        if (kind, key) not in self._graphs:
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Only this thread's calls belong to the recording: another may be writing a picture.
            with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
                work()
            self._graphs[kind, key] = graph
        self._graphs[kind, key].replay()
