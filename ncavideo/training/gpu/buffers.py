"""The tensors of an iteration: they stay where they are as long as a stage lasts."""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.nca.model import NCA, Edge
from ncavideo.training.gpu.launch import BackBuffers
from ncavideo.training.gpu.maps import Maps
from ncavideo.training.gpu.plan import Plan
from ncavideo.training.gpu.unroll import plan_of
from ncavideo.training.gpu.upload import Download, Upload
from ncavideo.training.recipe import TrainingRecipe
from ncavideo.training.share import Share

CHUNK = 32  # steps that a long run takes at a time


class Buffers:
    """Those of a stage's grids, for the B samples of this process's `share` of a batch.

    `states` `[T + 2, B, S, S, C]`, T the most steps; `given` as `pack_inputs` makes it; `weights`
    `[B, R, S, S]`, `light` `[B, S, S]`; `ends`, `gradients`: the judged states, earlier and last,
    and their gradients, `[B, S, S, C]`; `everyone`: the last states of the whole batch;
    `gradient`, `numbers`: the weights' gradients, flat, and the log's. `of_network` and
    `of_decoder`, which has `drawing` weights, are parts of `gradient`. `upload` and `download` are
    of all samples of the batch.
    """

    def __init__(
        self, nca: NCA, rules: int, r: TrainingRecipe, share: Share, operand: torch.dtype,
        device: torch.device, drawing: int = 0,
    ) -> None:  # fmt: skip
        size, channels, batch, whole = r.size, nca.channels, share.count, share.whole
        self.share, self.size, self.most, self.operand = share, size, r.steps[1], operand
        self.chunk = _chunk(r)
        self.old_given: dict[int, Tensor] = {}  # `given` of long runs, by the number of samples
        self.plans = {edge: self.plan(nca, batch, edge) for edge in ("wrap", "reflect")}
        grid = (batch, size, size)
        plan = self.plans["wrap"]
        self.states = torch.zeros(self.most + 2, *grid, channels, device=device)
        self.given = torch.zeros(*grid, plan.input_stride, dtype=operand, device=device)
        self.weights = torch.zeros(batch, rules, size, size, device=device)
        self.light = torch.zeros(*grid, device=device)
        self.ends = [torch.zeros(*grid, channels, device=device) for _ in range(2)]
        # One tensor with the share's last states where that is the whole batch.
        alone, last = batch == whole, self.ends[1]
        self.everyone = last if alone else last.new_zeros(whole, size, size, channels)
        self.gradients = [torch.zeros_like(end) for end in self.ends]
        self.back = BackBuffers(plan, self.most, device)
        weights = sum(parameter.numel() for parameter in nca.parameters())
        # Side by side, since processes that share a batch add both up at once.
        self.sums = torch.zeros(weights + drawing + 16 + whole, device=device)
        self.gradient, self.numbers = self.sums[: weights + drawing], self.sums[weights + drawing :]
        self.of_network, self.of_decoder = self.gradient[:weights], self.gradient[weights:]
        self.upload, self.download = Upload(whole, device), Download(16 + whole, device)
        self.maps = Maps(size, rules, device, r.light_detail > 0)

    def plan(self, nca: NCA, samples: int, edge: Edge) -> Plan:
        """Return the plan for as many samples."""
        return plan_of(nca, (samples, self.size, self.size), edge, self.operand)

    def fits(self, r: TrainingRecipe, share: Share) -> bool:
        """Return whether these are the buffers for such a stage and share of its batches."""
        wanted = (share, r.size, r.steps[1], _chunk(r), r.light_detail > 0)
        return (self.share, self.size, self.most, self.chunk, self.maps.detailed) == wanted

    def old_states(self, count: int) -> Tensor:
        """Return memory for a chunk of `count` samples, `[chunk + 1, count, S, S, C]`.

        It is that of `states` but for the first one, which is written after the long run.
        """
        shape = (self.chunk + 1, count, *self.states.shape[2:])
        flat = self.states[1:].flatten()
        return flat[: torch.Size(shape).numel()].view(shape)


def _chunk(r: TrainingRecipe) -> int:
    """Return the steps that a long run takes at a time, which the states' memory has room for."""
    return min(CHUNK, r.steps[1], r.long_rollout_steps)
