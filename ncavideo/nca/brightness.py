"""Rules in the order of their own brightness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.options import RenderOptions
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
    ones = np.ones((1, SIDE, SIDE), np.float32)
    inputs = inputs_for(ruleset, [rule], ones, np.full((SIDE, SIDE), 0.5, np.float32))
    engine = engines.start("auto", ruleset, SIDE, SIDE, edge="wrap", device="cpu")
    engine.step(inputs, STEPS)
    return float((to_linear(engine.rgb()) @ LUMINANCE).mean())


def in_order(options: RenderOptions, ruleset: RuleSet) -> RenderOptions:
    """Return the options with the brightest rule first, if that was asked for."""
    if not options.by_brightness:
        return options
    rules = sorted(options.rules, key=lambda rule: -brightness(ruleset, rule))
    return replace(options, rules=tuple(rules), by_brightness=False)
