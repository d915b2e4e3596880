"""Long runs on the GPU: samples live on, unjudged, all together and a chunk of steps at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ncavideo.nca.model import NCA, Edge
from ncavideo.training.gpu.buffers import Buffers
from ncavideo.training.gpu.launch import run_forward
from ncavideo.training.gpu.recorder import Recorder
from ncavideo.training.gpu.weights import pack
from ncavideo.training.pool import without_broken
from ncavideo.training.share import Share


class LongRun(NamedTuple):
    """The `places` in the batch that take a long run, and how many chunks of steps each takes."""

    places: list[int]
    chunks: list[int]

    def of(self, share: Share) -> tuple[LongRun, Share]:
        """Return the part of a share of the batch, its places there, and its share of the run."""
        places, own = share.within(self.places)
        return LongRun(places, self.chunks[own.rows]), own

    @property
    def most(self) -> int:
        """The chunks of the longest."""
        return max(self.chunks, default=0)


def live_on(b: Buffers, nca: NCA, run: LongRun, edge: Edge, replay: Recorder) -> None:
    """Bring `b.states[0]` of the run's samples as many steps on; see `Trainer._grow_old`.

    `b.upload.old_words` moves on with them, and `b.states[1:]` is written over.
    """
    count, device = len(run.places), b.states.device
    plan, states = b.plan(nca, count, edge), b.old_states(count)
    if count not in b.old_given:
        b.old_given[count] = b.given.new_zeros(count, *b.given.shape[1:])
    given, words = b.old_given[count], b.upload.old_words
    places = _on(device, run.places)
    given.copy_(b.given.index_select(0, places))
    states[0].copy_(b.states[0].index_select(0, places))

    def work() -> None:
        run_forward(plan, pack(plan, nca.update), states, given, words, b.chunk)
        states[0].copy_(states[b.chunk])
        words[1].add_(b.chunk)

    for done in range(1, run.most + 1):
        replay(("long run", edge), count, work)
        for which, (place, wanted) in enumerate(zip(run.places, run.chunks, strict=True)):
            if wanted == done:
                old = states[0, which].permute(2, 0, 1)[None]
                b.states[0, place].copy_(without_broken(old)[0].permute(1, 2, 0))


def _on(device: torch.device, numbers: list[int]) -> Tensor:
    """Return integers on the device, without waiting for it."""
    found = torch.tensor(numbers)
    if device.type != "cuda":
        return found
    return found.pin_memory().to(device, non_blocking=True)
