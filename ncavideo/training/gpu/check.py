"""Whether the fused kernels compute on this GPU what plain torch does: asked before a run."""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.nca.model import NCA, Edge
from ncavideo.training.gpu.unroll import unroll_fused
from ncavideo.training.unroll import Firing
from ncavideo.training.unroll_gpu import unroll_on_device

BATCH, HEIGHT, WIDTH, STEPS, SEED = 2, 19, 11, 5, 7
# Measured on an H100, float16 forwards and bfloat16 back: 1.6e-2 at most. What a compiler broke
# there was off by 0.8.
TOLERANCE = 0.1


def difference(
    channels: int, inputs: int, hidden: int, edge: Edge, operand: torch.dtype, device: torch.device
) -> float:
    """Return the largest relative error of states and gradients of a network of this shape.

    Compiles the kernels that training launches. Raises whatever their compiler does.
    """
    generator = torch.Generator().manual_seed(SEED)
    nca = NCA(channels, inputs, hidden)
    with torch.no_grad():
        for parameter, scale in zip(nca.parameters(), (0.2, 0.1, 0.3 / hidden**0.5), strict=True):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    nca = nca.to(device)
    state, towards = (
        torch.randn(BATCH, channels, HEIGHT, WIDTH, generator=generator).to(device) * 0.5
        for _ in range(2)
    )
    given = torch.rand(BATCH, inputs, HEIGHT, WIDTH, generator=generator).to(device)
    firing = Firing(SEED, 0, 0.5)
    found: list[list[Tensor]] = []
    for way, dtype in ((unroll_fused, operand), (unroll_on_device, None)):
        nca.zero_grad()
        after = way(nca, state, given, STEPS, firing, edge, dtype)
        (after * towards).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in nca.parameters() if p.grad is not None]
        found.append([after.detach(), *(gradient.clone() for gradient in gradients)])
    errors = [(a - b).norm() / b.norm() for a, b in zip(*found, strict=True)]
    return float(torch.stack(errors).nan_to_num(torch.inf).max())
