"""A texture grown from the seed, under inputs that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.network import Network

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

PIECE = 8  # steps between two pieces of news


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
    cell: int = 1,
    news: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Grow a texture from the seed; return `[h * cell, w * cell, 3]`, 0..1, gamma-encoded.

    `rules`: each rule's weight, the same in all cells; `light` `[h, w]`, 0..1, gives the grid's
    size; `cell`: pixels a cell that a learned decoder draws, 1 for a network without one; `news`:
    is told how many steps are taken, now and then.
    """
    from ncavideo.nca.inputs import inputs_for

    height, width = light.shape
    weights = np.array(list(rules.values()), np.float32)[:, None, None]
    everywhere = np.broadcast_to(weights, (len(rules), height, width))
    inputs = inputs_for(network, list(rules), everywhere, light)
    running = engines.start(engine, network, height, width, seed=seed, edge=edge, device=device)
    if news is None:
        running.step(inputs, steps)
        return running.picture(cell)
    news(0)
    for done in range(0, steps, PIECE):
        running.step(inputs, min(PIECE, steps - done))
        news(min(done + PIECE, steps))
    return running.picture(cell)
