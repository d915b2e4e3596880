"""Engines by name: several ways to run the same step."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ncavideo.errors import UserError

if TYPE_CHECKING:
    from ncavideo.engines.base import Engine
    from ncavideo.nca import Edge
    from ncavideo.ruleset import RuleSet

# Name, module and class: a module is imported only when its engine is asked for.
ENGINES = {
    "folded": ("ncavideo.engines.folded", "FoldedEngine"),
    "torch": ("ncavideo.engines.reference", "ReferenceEngine"),
}
AUTO = "folded"
DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(device: str = "auto") -> str:
    """Return the torch device to run on. Raises `UserError` if the named one is not here."""
    import torch

    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    name = device.split(":")[0]
    if name not in here:
        raise UserError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if not here[name]:
        raise UserError(f"there is no {name} device here: use --device cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": 1}[name]
    index = device.partition(":")[2]
    if ":" in device and not (index.isdecimal() and int(index) < count):
        raise UserError(f"there is no device {device!r} here: {name} has {count}, counted from 0")
    return device


def start(
    name: str,
    ruleset: RuleSet,
    height: int,
    width: int,
    *,
    seed: int = 0,
    edge: Edge = "reflect",
    device: str = "auto",
) -> Engine:
    """Start the named engine (`auto` for the fastest) on a grid of `height` x `width` cells."""
    if name != "auto" and name not in ENGINES:
        raise UserError(f"unknown engine {name!r}: use auto, {', '.join(ENGINES)}")
    module, kind = ENGINES[AUTO if name == "auto" else name]
    engine: Engine = getattr(importlib.import_module(module), kind)(
        ruleset, height, width, seed=seed, edge=edge, device=choose_device(device)
    )
    return engine
