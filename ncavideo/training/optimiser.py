"""The optimisers that a recipe may name, and what a checkpoint keeps of one."""

from __future__ import annotations

from typing import Any

import torch

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def portable(optimiser: dict[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state as any device can go on from: a recorded one's rate is there."""
    groups = [
        {**group, "lr": float(group["lr"]), "capturable": False}
        for group in optimiser["param_groups"]
    ]
    return {**optimiser, "param_groups": groups}
