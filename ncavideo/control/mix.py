"""The one place where controls become the grid's input channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncavideo.ruleset import LIGHT, RuleSet

# Training shows each rule at 0.4 to 1 of its strength. Below that nothing is known to hold, so a
# rule that fades out keeps living at this strength while the composite uncovers the source.
LEAST_STRENGTH = 0.4


def inputs_for(
    ruleset: RuleSet, rules: Sequence[str], weights: np.ndarray, light: np.ndarray
) -> np.ndarray:
    """Return the input channels `[I, h, w]` float32 of one frame, in the rule set's order.

    `weights` `[len(rules), h, w]`, `light` `[h, w]` in 0..1.
    """
    inputs = np.zeros((len(ruleset.inputs), *light.shape), np.float32)
    if len(rules) == 1:
        weights = LEAST_STRENGTH + (1 - LEAST_STRENGTH) * weights
    for rule, weight in zip(rules, weights, strict=True):
        inputs[ruleset.inputs.index(rule)] += weight
    if ruleset.has_light:
        inputs[ruleset.inputs.index(LIGHT)] = 2 * light - 1
    return inputs
