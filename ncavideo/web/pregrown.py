"""The grown texture that a page begins with, small enough to be part of the file."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.engines.base import UNSOUND
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError

SIZE = 64  # rows and columns of cells: 64 kB of text for a rule set of 12 channels
STEPS = 600  # a texture has its final look after some hundred
LIGHT = 0.6  # the page's slider at the beginning


def pregrown(ruleset: RuleSet) -> dict[str, Any]:
    """Return a tile of the first rule's texture whose edges wrap, for `pregrown.js`.

    `size`: rows and columns; `low` and `span` `[C]`: each channel's least value and its range;
    `cells`: base64 of uint8 `[C, size, size]`, 0 for `low` and 255 for `low + span`. Raises
    `UserError` where the state grows beyond all numbers, which no page could read.
    """
    engine = engines.start("auto", ruleset, SIZE, SIZE, seed=0, edge="wrap", device="cpu")
    first = np.ones((1, SIZE, SIZE), np.float32)
    light = np.full((SIZE, SIZE), LIGHT, np.float32)
    engine.step(inputs_for(ruleset, (ruleset.rule_names[0],), first, light), STEPS)
    state = engine.snapshot().state
    if not np.isfinite(state).all():
        raise UserError(UNSOUND)
    low = state.min((1, 2))
    span = np.maximum(state.max((1, 2)) - low, np.float32(1e-6))
    levels = np.rint((state - low[:, None, None]) * (255 / span)[:, None, None]).astype(np.uint8)
    return {
        "size": SIZE,
        "low": [round(float(value), 5) for value in low],
        "span": [round(float(value), 5) for value in span],
        "cells": base64.b64encode(levels.tobytes()).decode(),
    }
