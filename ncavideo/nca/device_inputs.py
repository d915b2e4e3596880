"""From controls to the grid's input channels on a torch device: `inputs.py` in tensors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ncavideo.nca.inputs import FULL, LEAST_STRENGTH, SPREAD, TRACE
from ncavideo.nca.network import LIGHT, Network
from ncavideo.util.device_filters import wide_blur


def inputs_for(
    ruleset: Network, rules: Sequence[str], weights: Tensor, light: Tensor, least: float
) -> Tensor:
    """Return one frame's input channels `[inputs, h, w]` float32, in the rule set's order.

    `weights` `[rules, h, w]` sum to at most 1 in each cell, and to `least` in the emptiest one;
    `light` `[h, w]` is in 0..1.
    """
    inputs = light.new_zeros((len(ruleset.inputs), *light.shape))
    living = weights if least >= FULL else alive(weights)
    for rule, weight in zip(rules, living, strict=True):
        inputs[ruleset.inputs.index(rule)] += weight
    if ruleset.has_light:
        inputs[ruleset.inputs.index(LIGHT)] = 2 * light - 1
    return inputs


def alive(weights: Tensor) -> Tensor:
    """Return weights `[R, h, w]` that sum to `LEAST_STRENGTH` or more: see `inputs.alive`."""
    missing = (LEAST_STRENGTH * (1 - weights.sum(0))).clamp(min=0)
    if len(weights) == 1:
        return weights + missing
    shares = weights + TRACE * wide_blur(weights, SPREAD) + TRACE**2
    return weights + missing * (shares / shares.sum(0))
