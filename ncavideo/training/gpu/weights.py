"""The network's weights and inputs as the fused kernels read them, and their gradients back."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.model import FILTERS, LAPLACIAN_SCALE, SOBEL_SCALE, Update
from ncavideo.training.gpu.plan import Plan


class Packed(NamedTuple):
    """The weights, padded with zeros, the bias as one more input channel's.

    HIDDEN is a multiple of the units of `Plan.back`, WIDE of those of `Plan.weight`.
    """

    w1: Tensor  # [4 CB, HIDDEN], in operand precision
    w1_inputs: Tensor  # [IB, HIDDEN]
    w2: Tensor  # [HIDDEN, CB]
    w2_transposed: Tensor  # [CB, HIDDEN], in the gradients' precision from here on
    w1_back: Tensor  # [HIDDEN, 4 CB], scaled for `gathered`
    w1_wide: Tensor  # [WIDE, 4 CB]
    w1_inputs_wide: Tensor  # [WIDE, IB]
    w2_wide: Tensor  # [WIDE, CB]


def pack(plan: Plan, update: Update) -> Packed:
    """Return the weights. Some twenty small launches, which cost little within a CUDA graph."""
    block, seen = plan.block, FILTERS * plan.channels
    narrow = plan.padded_hidden(plan.back.units)
    wide = plan.padded_hidden(plan.weight_units)
    hidden = max(narrow, wide)
    w1, b1, w2 = (w.detach() for w in (update.w1, update.b1, update.w2))
    own = w1.new_zeros(FILTERS * block, hidden)
    own[:seen, : plan.hidden] = w1[:, :seen].t()
    given = w1.new_zeros(plan.input_block, hidden)
    given[: plan.inputs, : plan.hidden] = w1[:, seen:].t()
    given[plan.inputs, : plan.hidden] = b1
    second = w1.new_zeros(hidden, block)
    second[: plan.hidden, : plan.channels] = w2.t()
    identity, sobel_x, sobel_y, laplacian = own.view(block, FILTERS, hidden).unbind(1)
    # The Laplacian's -12/16 at the cell itself is 4/16 as for its neighbours' sums, less 1.
    back = torch.stack([
        identity - laplacian,
        sobel_x / SOBEL_SCALE,
        sobel_y / SOBEL_SCALE,
        laplacian / LAPLACIAN_SCALE,
    ], 1).view(FILTERS * block, hidden)  # fmt: skip
    operand, gradient = plan.operand, plan.gradient
    return Packed(
        own[:, :narrow].to(operand).contiguous(),
        given[:, :narrow].to(operand).contiguous(),
        second[:narrow].to(operand).contiguous(),
        second[:narrow].t().to(gradient).contiguous(),
        back[:, :narrow].t().to(gradient).contiguous(),
        own[:, :wide].t().to(gradient).contiguous(),
        given[:, :wide].t().to(gradient).contiguous(),
        second[:wide].to(gradient).contiguous(),
    )


def pack_inputs(plan: Plan, inputs: Tensor) -> Tensor:
    """Return `[B, I, H, W]` as `[B, H, W, IS]` in operand precision, with the 1 of the bias."""
    given = inputs.detach().permute(0, 2, 3, 1)
    given = F.pad(F.pad(given, (0, 1), value=1.0), (0, plan.input_stride - plan.inputs - 1))
    return given.to(plan.operand).contiguous()


def unpack(plan: Plan, partial: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of w1, b1 and w2 from the weight kernel's partial sums."""
    total = partial.sum(0)[: plan.hidden]
    seen, inputs = FILTERS * plan.channels, FILTERS * plan.block
    bias, second = inputs + plan.inputs, inputs + plan.input_block
    w1 = torch.cat([total[:, :seen], total[:, inputs:bias]], 1)
    w2 = total[:, second : second + plan.channels].t().contiguous()
    return w1, total[:, bias].clone(), w2
