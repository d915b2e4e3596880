"""Many steps and their gradient in fused kernels: `unroll` for NVIDIA GPUs.

Forwards one kernel a step, and every state is kept (float32), nothing else. Backwards one kernel a
step brings the gradient from state to state and keeps what each cell's change got; what a cell
perceived and its hidden units are computed again. One more kernel then sums the weights' gradients
over all steps and cells, so the chain of launches that wait for each other stays short.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncavideo.nca.model import NCA, Edge, Update
from ncavideo.training.gpu.launch import BackBuffers, run_backward, run_forward, words_of
from ncavideo.training.gpu.plan import Plan
from ncavideo.training.gpu.weights import pack, pack_inputs, unpack
from ncavideo.training.unroll import Firing


def plan_of(
    nca: NCA,
    shape: tuple[int, int, int],
    edge: Edge,
    operand: torch.dtype = torch.float32,
    gradient: torch.dtype | None = None,
) -> Plan:
    """Return the plan for a batch of grids of `shape` (B, H, W)."""
    if gradient is None:
        gradient = torch.float32 if operand == torch.float32 else torch.bfloat16
    return Plan(nca.channels, nca.inputs, nca.hidden, *shape, edge, operand, gradient)


def unroll_fused(
    nca: NCA,
    state: Tensor,
    inputs: Tensor,
    steps: int,
    firing: Firing,
    edge: Edge,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the state after `steps` steps, differentiable; arguments are those of `unroll`.

    On a GPU, or in Triton's interpreter (float32 only: it computes bfloat16 wrongly).
    """
    if steps == 0:
        return state
    batch, _, height, width = state.shape
    plan = plan_of(nca, (batch, height, width), edge, dtype or torch.float32)
    cells = state.permute(0, 2, 3, 1).contiguous()
    update = nca.update
    kept = (update, pack_inputs(plan, inputs), plan, firing, steps)
    stepped: Tensor = _Unrolled.apply(cells, update.w1, update.b1, update.w2, kept)
    return stepped.permute(0, 3, 1, 2)


class _Unrolled(torch.autograd.Function):
    """`unroll_fused` on cells `[B, H, W, C]`; the weights are named for autograd's sake."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, w1: Tensor, b1: Tensor, w2: Tensor,
        kept: tuple[Update, Tensor, Plan, Firing, int],
    ) -> Tensor:  # fmt: skip
        update, given, plan, firing, steps = kept
        weights = pack(plan, update)
        words = torch.tensor(words_of(firing), device=state.device)
        states = torch.empty(steps + 1, *state.shape, device=state.device)
        states[0] = state.detach()
        run_forward(plan, weights, states, given, words, steps)
        ctx.kept = (plan, weights, states, given, words, steps)
        return states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan, weights, states, given, words, steps = ctx.kept
        wants_state = ctx.needs_input_grad[0]
        into = gradients[0].detach().clone(memory_format=torch.contiguous_format)
        buffers = BackBuffers(plan, steps, states.device)
        run_backward(
            plan, weights, states, given, words, steps, into, buffers, None, wants_state
        )  # fmt: skip
        return (into if wants_state else None, *unpack(plan, buffers.partial), None)
