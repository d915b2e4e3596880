"""Textures that drift: a picture warped by a constant velocity.

DyNCA (Pajouheshgar et al., CVPR 2023) compares a flow network's field with a target. Here a
picture some steps on is compared with the earlier one, moved by direction and speed: no network
to download, and a still texture is the case of no motion.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.recipe import MotionRecipe


def velocity(motion: MotionRecipe | None) -> tuple[float, float]:
    """Return cells a step to the right and downwards."""
    if motion is None:
        return 0.0, 0.0
    angle = math.radians(motion.angle)
    return motion.speed * math.cos(angle), -motion.speed * math.sin(angle)


def warped(rgb: Tensor, shift: Tensor, most: float, edge: Edge) -> tuple[Tensor, Tensor]:
    """Return pictures `[B, 3, H, W]` moved by `shift` `[B, 2, H, W]`, and where that is known.

    `shift` is in cells, to the right and downwards, at the place where things arrive, and nowhere
    more than `most`: to look for its largest value would be to wait for the device. The second
    result `[B, H, W]` is 0 where things would come from beyond an edge that does not wrap.
    """
    _, _, height, width = rgb.shape
    rim = math.ceil(most) + 2
    mode = "circular" if edge == "wrap" else "replicate"
    # A rim wider than the grid itself cannot be copied from it; no sane speed needs one.
    rim = min(rim, height, width)
    padded = F.pad(rgb, (rim,) * 4, mode=mode)
    y = torch.arange(height, device=rgb.device)[:, None] - shift[:, 1]
    x = torch.arange(width, device=rgb.device)[None, :] - shift[:, 0]
    tall, wide = padded.shape[2:]
    grid = torch.stack([2 * (x + rim) / (wide - 1) - 1, 2 * (y + rim) / (tall - 1) - 1], -1)
    moved = F.grid_sample(padded, grid, mode="bicubic", padding_mode="border", align_corners=True)
    known = torch.ones_like(x)
    if edge != "wrap":
        known = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).to(rgb.dtype)
    return moved, known
