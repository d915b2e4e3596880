"""Rules in the order of their own brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.pixels import LUMINANCE, to_linear

SIDE, STEPS = 64, 300  # cells and steps of the picture that is measured where nothing is on record


def brightness(ruleset: RuleSet, rule: str) -> float:
    """Return a rule's own luminance, 0..1 in linear light: that of the pictures it learnt from.

    A rule set that does not say is asked: the rule is grown in middle light.
    """
    known = ruleset.provenance.get("brightness")
    value = known.get(rule) if isinstance(known, dict) else None
    if isinstance(value, int | float):
        return float(value)
    middle = np.full((SIDE, SIDE), 0.5, np.float32)
    picture = grow(ruleset, {rule: 1.0}, middle, steps=STEPS, edge="wrap", device="cpu")
    return float((to_linear(picture) @ LUMINANCE).mean())


def brightest_first(rules: Sequence[str], ruleset: RuleSet) -> tuple[str, ...]:
    """Return the rules in the order of their own brightness."""
    return tuple(sorted(rules, key=lambda rule: -brightness(ruleset, rule)))
