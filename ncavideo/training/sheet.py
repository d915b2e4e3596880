"""One picture of all rules: a row a rule, from dark to bright."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ncavideo.firemask import fire_mask_torch
from ncavideo.nca import NCA, Edge, seed_state, to_rgb

LIGHTS = (0.1, 0.35, 0.65, 0.9)


@torch.no_grad()
def grow(
    nca: NCA, inputs: Tensor, steps: int, fire_rate: float, *, seed: int = 0, edge: Edge = "wrap"
) -> Tensor:
    """Grow from the seed state under constant `inputs` `[B, I, H, W]`; return the state."""
    batch, _, height, width = inputs.shape
    state = seed_state(batch, nca.channels, height, width).to(inputs.device)
    for step in range(steps):
        mask = fire_mask_torch(seed, step, height, width, fire_rate, inputs.device)
        state = nca(state, inputs, mask[None, None], edge)
    return state


def sample_sheet(
    nca: NCA, rules: int, has_light: bool, fire_rate: float, *, size: int = 96, steps: int = 256
) -> np.ndarray:
    """Return uint8 `[rules * size, 6 * size, 3]`: four lights, then a dark-to-bright ramp."""
    rows = []
    for rule in range(rules):
        tiles = []
        for light in (*LIGHTS, None):
            width = size if light is not None else 2 * size
            inputs = torch.zeros(1, nca.inputs, size, width)
            inputs[:, rule] = 1
            if has_light:
                ramp = torch.linspace(0, 1, width) if light is None else torch.tensor(light)
                inputs[:, rules] = 2 * ramp - 1
            device = next(nca.parameters()).device
            edge: Edge = "reflect" if light is None else "wrap"
            state = grow(nca, inputs.to(device), steps, fire_rate, edge=edge)
            tiles.append(to_rgb(state)[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy())
            if not has_light and light is not None:
                break
        rows.append(np.concatenate(tiles, 1))
    return (np.concatenate(rows) * 255 + 0.5).astype(np.uint8)
