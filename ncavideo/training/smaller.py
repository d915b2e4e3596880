"""Advice for a training that does not fit into memory."""

from __future__ import annotations

import torch

from ncavideo.training.recipe import LEAST_SIZE, Recipe


def smaller(recipe: Recipe, device: torch.device) -> str:
    """Say which settings to lower, and to what, for a run that needs half of the memory."""
    training, guide = recipe.training, recipe.guide
    # If memory runs out before the first iteration, the pool is too large.
    pool = training.pool * training.size**2 * recipe.model.channels
    batch = training.batch * training.steps[1] * training.size**2 * recipe.model.hidden
    advice = []
    if pool > batch and training.pool > 1:
        advice.append(f"`training.pool` from {training.pool} to {training.pool // 2}")
    elif training.batch > 1:
        advice.append(f"`training.batch` from {training.batch} to {training.batch // 2}")
    elif training.size > LEAST_SIZE:
        size = max(LEAST_SIZE, training.size * 7 // 10)
        advice.append(f"`training.size` from {training.size} to {size}")
    else:
        advice.append(f"`training.steps`, whose most is {training.steps[1]}")
    if guide.kind != "none" and guide.cutouts > 1:
        advice.append(f"`guide.cutouts` from {guide.cutouts} to {guide.cutouts // 2}")
    text = "lower " + ", or ".join(advice)
    return text if device.type == "cpu" else f"{text}, or use --device cpu"
