"""A texture grown from the seed, under inputs that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.network import Network
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `UserError` unless the option `name` lies in its range."""
    if not low <= value <= high:
        raise UserError(f"--{name} must lie between {low:g} and {high:g}, not {value:g}")


def check_growth(rules: Mapping[str, float], *, steps: int, seed: int) -> None:
    """Raise `UserError` for weights, a number of steps or a seed that cannot be."""
    check_range("steps", steps, 1, 1_000_000)
    check_range("seed", seed, 0, 2**32 - 1)
    total = sum(rules.values())
    if not rules or min(rules.values()) < 0 or not 0 < total <= 1 + 1e-6:
        raise UserError(
            "the rules' weights must be 0 or more and sum to at most 1, as fire=0.7,moss=0.3"
        )


def grow(
    network: Network,
    rules: Mapping[str, float],
    light: np.ndarray,
    *,
    steps: int = 600,
    seed: int = 0,
    edge: Edge = "reflect",
    device: str = "auto",
    engine: str = "auto",
) -> np.ndarray:
    """Grow a texture from the seed; return `[h, w, 3]` float32, 0..1, gamma-encoded.

    `rules`: each rule's weight, the same in all cells; `light` `[h, w]`, 0..1, gives the grid's
    size.
    """
    from ncavideo.nca.inputs import inputs_for  # OpenCV, which the checks above do without

    height, width = light.shape
    weights = np.array(list(rules.values()), np.float32)[:, None, None]
    everywhere = np.broadcast_to(weights, (len(rules), height, width))
    inputs = inputs_for(network, list(rules), everywhere, light)
    running = engines.start(engine, network, height, width, seed=seed, edge=edge, device=device)
    running.step(inputs, steps)
    return running.picture()
