"""The sample sheet of a network: a row a rule, from dark to bright."""

from __future__ import annotations

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.model import Edge
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import RuleSet

LIGHTS = (0.1, 0.35, 0.65, 0.9)


def rule_inputs(ruleset: RuleSet, rule: int, light: np.ndarray) -> np.ndarray:
    """Return the input channels `[I, H, W]` for one rule everywhere under `light` `[H, W]`."""
    inputs = np.zeros((len(ruleset.inputs), *light.shape), np.float32)
    inputs[rule] = 1
    if ruleset.has_light:
        inputs[ruleset.inputs.index(LIGHT)] = 2 * light - 1
    return inputs


def grown(
    ruleset: RuleSet,
    rule: int,
    light: np.ndarray,
    steps: int,
    edge: Edge = "reflect",
    device: str = "cpu",
) -> np.ndarray:
    """Return one rule, grown from the seed under `light` `[h, w]`: `[H, W, 3]`, 0..1.

    With a decoder a cell is drawn as many pixels across as a style picture's; else it is one.
    """
    height, width = light.shape
    engine = engines.start("auto", ruleset, height, width, seed=0, edge=edge, device=device)
    engine.step(rule_inputs(ruleset, rule, light), steps)
    return engine.picture(ruleset.pixels)


def sample_sheet(
    ruleset: RuleSet, *, size: int = 96, steps: int = 256, device: str = "cpu"
) -> np.ndarray:
    """Return uint8 `[rules * size, 6 * size, 3]`: four lights, then a dark-to-bright ramp.

    Without a light channel there is only one light to show: `[rules * size, size, 3]`.
    """
    side = max(1, size // ruleset.pixels)
    lights = [np.full((side, side), light, np.float32) for light in LIGHTS]
    ramp = np.broadcast_to(np.linspace(0, 1, 2 * side, dtype=np.float32), (side, 2 * side))
    fields = [*lights, ramp] if ruleset.has_light else lights[:1]
    rows = []
    for rule in range(len(ruleset.rules)):
        tiles = []
        for light in fields:
            edge: Edge = "reflect" if light is ramp else "wrap"
            tiles.append(grown(ruleset, rule, light, steps, edge, device))
        rows.append(np.concatenate(tiles, 1))
    return (np.concatenate(rows) * 255 + 0.5).astype(np.uint8)
