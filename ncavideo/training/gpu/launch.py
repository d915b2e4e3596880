"""Launches of the fused kernels: many steps forwards, and their gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.nca.fire_mask import UINT32, threshold
from ncavideo.nca.model import FILTERS
from ncavideo.training.gpu.kernels.back import back_kernel, gather_kernel
from ncavideo.training.gpu.kernels.forward import forward_kernel
from ncavideo.training.gpu.kernels.weight import weight_kernel
from ncavideo.training.gpu.plan import Plan
from ncavideo.training.gpu.weights import Packed
from ncavideo.training.unroll import Firing


def words_of(firing: Firing) -> list[int]:
    """Return seed, first step, threshold and first sample as the kernels take them."""
    rate = threshold(firing.rate)
    return [firing.seed % UINT32, firing.first_step % UINT32, rate, firing.first_sample]


def run_forward(
    plan: Plan, weights: Packed, states: Tensor, given: Tensor, words: Tensor, steps: int
) -> None:
    """Fill `states[1 : steps + 1]` from `states[0]`; `states` `[>= steps + 1, B, H, W, C]` float32.

    `given` is that of `pack_inputs`, `words` `[4]` int64 that of `words_of`, on the device.
    """
    launch = forward_kernel[(plan.programs(plan.forward, _multiprocessors(states)),)]
    for step in range(steps):
        launch(
            states, given, weights.w1, weights.w1_inputs, weights.w2, words, step,
            plan.batch, plan.height, plan.width,
            **plan.constants(plan.forward), **plan.network(plan.forward.units),
            **plan.options(plan.forward, states.is_cuda),
        )  # fmt: skip


class BackBuffers:
    """What the way back of up to `steps` steps writes to.

    `fired` `[steps, B, H, W, C]`: the gradients of the changes; `dz` `[2, B * H * W, 4C]`: of what
    cells perceived, of two steps in turns; both in the gradients' precision. `partial`: see
    `weight_kernel`.
    """

    def __init__(self, plan: Plan, steps: int, device: torch.device) -> None:
        grid = (plan.batch, plan.height, plan.width, plan.channels)
        self.fired = torch.zeros(steps, *grid, dtype=plan.gradient, device=device)
        self.dz = torch.zeros(
            2, plan.cells, FILTERS * plan.channels, dtype=plan.gradient, device=device
        )
        blocks = plan.padded_hidden(plan.weight_units) // plan.weight_units
        programs = max(1, _multiprocessors(self.fired) * plan.weight.programs // blocks)
        self.partial = torch.zeros(
            min(plan.tiles(plan.weight) * steps, programs),
            plan.weight_units * blocks,
            FILTERS * plan.block + plan.input_block + plan.block,
            device=device,
        )


def run_backward(
    plan: Plan,
    weights: Packed,
    states: Tensor,
    given: Tensor,
    words: Tensor,
    steps: int,
    into: Tensor,
    buffers: BackBuffers,
    between: tuple[int, Tensor] | None = None,
    wants_state: bool = False,
) -> None:
    """Bring the last state's gradient `into` `[B, H, W, C]` back through `steps` steps.

    Leaves the weights' gradients in `buffers.partial`, for `unpack`, and with `wants_state` the
    first state's in `into`. `between`: an earlier state's place in `states` and the gradient that
    it has besides.
    """
    multiprocessors = _multiprocessors(states)
    size = (plan.batch, plan.height, plan.width)
    constants = plan.constants(plan.back)
    options = plan.options(plan.back, states.is_cuda)
    grid = (plan.programs(plan.back, multiprocessors),)
    dz = buffers.dz
    dz[steps % 2].zero_()  # no step follows the last one
    for step in reversed(range(steps)):
        if between is not None and between[0] == step + 1:
            into.add_(between[1])
        back_kernel[grid](
            states, given, weights.w1, weights.w1_inputs, weights.w2_transposed, weights.w1_back,
            words, into, dz[(step + 1) % 2], dz[step % 2], buffers.fired, step, *size,
            **constants, **plan.network(plan.back.units), **options,
        )  # fmt: skip
    if wants_state:
        gather_kernel[grid](into, dz[0], *size, **constants, **options)
    partial = buffers.partial
    weight_kernel[(len(partial), partial.shape[1] // plan.weight_units)](
        states, given.to(plan.gradient), weights.w1_wide, weights.w1_inputs_wide, weights.w2_wide,
        buffers.fired, partial, steps, *size,
        **plan.constants(plan.weight), **plan.network(plan.weight_units),
        **plan.options(plan.weight, states.is_cuda),
    )  # fmt: skip


def _multiprocessors(tensor: Tensor) -> int:
    """Return how many of them the GPU has; two in the interpreter, which takes each in turn."""
    if not tensor.is_cuda:
        return 2
    return int(torch.cuda.get_device_properties(tensor.device).multi_processor_count)
