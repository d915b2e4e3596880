"""In what order a render takes its rules."""

from __future__ import annotations

from dataclasses import replace

from ncavideo.nca.brightness import brightest_first
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.options import RenderOptions


def in_order(options: RenderOptions, ruleset: RuleSet) -> RenderOptions:
    """Return the options with the brightest rule first, if that was asked for."""
    if not options.by_brightness:
        return options
    return replace(options, rules=brightest_first(options.rules, ruleset), by_brightness=False)
