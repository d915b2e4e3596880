"""The one place where controls become the grid's input channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.network import LIGHT, Network
from ncavideo.util.wide_blur import wide_blur

if TYPE_CHECKING:
    from jaxtyping import Float32

# Training covers strengths of 0.4 to 1 of each rule. A rule that fades out keeps living at this
# strength, while the composite uncovers the source.
LEAST_STRENGTH = 0.4
SPREAD = 8.0  # cells over which a rule stays alive beyond the places where it is active
FULL = 1 - 1e-4  # weights that sum to this much everywhere leave nothing to keep alive
TRACE = 1e-3  # of a weight: where there is hardly any, the rules' shares come from around


def inputs_for(
    ruleset: Network,
    rules: Sequence[str],
    weights: Float32[np.ndarray, "rules h w"],
    light: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "inputs h w"]:
    """Return the input channels of one frame, in the rule set's order.

    `weights` of `rules` sum to at most 1; `light` is in 0..1.
    """
    inputs = np.zeros((len(ruleset.inputs), *light.shape), np.float32)
    for rule, weight in zip(rules, alive(weights), strict=True):
        inputs[ruleset.inputs.index(rule)] += weight
    if ruleset.has_light:
        inputs[ruleset.inputs.index(LIGHT)] = 2 * light - 1
    return inputs


def alive(weights: np.ndarray) -> np.ndarray:
    """Return weights `[R, h, w]` that sum to `LEAST_STRENGTH` or more everywhere.

    A total t becomes 0.4 + 0.6 t. Where no rule is active, the rules nearby stay alive
    invisibly, so that they are there when their weight returns.
    """
    from ncavideo.util.least_total import least_total  # Numba takes its time to load

    if least_total(np.ascontiguousarray(weights, np.float32)) >= FULL:
        return weights
    missing = np.maximum(LEAST_STRENGTH * (1 - weights.sum(0)), 0)
    if len(weights) == 1:
        return np.asarray(weights + missing, np.float32)
    around = np.stack([wide_blur(weight, SPREAD) for weight in weights])
    shares = weights + TRACE * around + TRACE**2
    return np.asarray(weights + missing * (shares / shares.sum(0)), np.float32)
