"""Engines by name: several ways to run the same step."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncavideo.util.device import choose_device
from ncavideo.util.errors import UserError
from ncavideo.util.events import caught
from ncavideo.util.nearest import did_you_mean

if TYPE_CHECKING:
    from ncavideo.nca.engines.base import Engine
    from ncavideo.nca.model import Edge
    from ncavideo.nca.network import Network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """Where an engine is defined, and its devices; imported only when it is used."""

    module: str
    name: str
    devices: tuple[str, ...]


# The fastest first: `auto` takes the first that runs on the device and computes the right thing.
ENGINES = {
    # 12 to 18 times `folded` on an H100 (benchmarks/gpu_step.py); other GPUs have not been timed.
    "triton": Kind("ncavideo.nca.engines.triton_gpu", "TritonEngine", ("cuda",)),
    "fused": Kind("ncavideo.nca.engines.fused", "FusedEngine", ("cpu",)),
    "folded": Kind("ncavideo.nca.engines.folded", "FoldedEngine", ("cpu", "cuda", "mps")),
    "torch": Kind("ncavideo.nca.engines.reference", "ReferenceEngine", ("cpu", "cuda", "mps")),
}
TOLERANCE = 5e-3  # relative, after a few steps; leaves room for TF32, not for a wrong result

_refused: set[tuple[str, str]] = set()  # (engine, device): warned of once, not tried again


def start(
    name: str,
    ruleset: Network,
    height: int,
    width: int,
    *,
    seed: int = 0,
    edge: Edge = "reflect",
    device: str = "auto",
) -> Engine:
    """Start the named engine (`auto` for the fastest) on a grid of `height` x `width` cells.

    Before it is used, an engine takes a few steps beside the exact ones. Under `auto` one that
    fails is passed over with a warning; a named one that fails raises `UserError`.
    """
    if name != "auto" and name not in ENGINES:
        known = ("auto", *ENGINES)
        close = did_you_mean(name, known)
        raise UserError(f"unknown engine {name!r}{close}: use {', '.join(known)}")
    if name != "auto" and device == "auto" and len(ENGINES[name].devices) == 1:
        (only,) = ENGINES[name].devices
        try:
            device = choose_device(only)
        except UserError as error:
            raise UserError(
                f"the {name} engine needs a {only.upper()} device, and there is none here:"
                " use --engine auto"
            ) from error
    device = choose_device(device)
    kind = device.partition(":")[0]
    if name != "auto" and kind not in ENGINES[name].devices:
        raise UserError(
            f"the engine {name} does not run on {kind}:"
            f" use --device {ENGINES[name].devices[0]} or --engine auto"
        )
    for candidate in ENGINES if name == "auto" else (name,):
        if kind not in ENGINES[candidate].devices:
            continue
        if name == "auto" and (candidate, device) in _refused:
            continue
        try:
            make = _load(candidate)
            wrong = _wrong(make, ruleset, edge, device)
        except MemoryError:
            raise
        except UserError as error:
            if name != "auto":
                raise
            wrong = str(error)
        except Exception as error:
            # Compilers and drivers fail in ways of their own; another engine may still work.
            caught("engine.failed", engine=candidate, device=device)
            wrong = f"{type(error).__name__}: {error}".splitlines()[0]
        if not wrong:
            return make(ruleset, height, width, seed=seed, edge=edge, device=device)
        if name != "auto":
            raise UserError(f"the engine {name} does not work here ({wrong}): use --engine auto")
        _refused.add((candidate, device))
        log.warning("the engine %s does not work here (%s); using a slower one", candidate, wrong)
    raise UserError(f"no engine works on {device}: ncavideo doctor shows why")


def by_itself(name: str, device: str) -> bool:
    """Return whether `auto` may take an engine on a kind of device: up to the exact one, all."""
    tried = list(ENGINES)[: list(ENGINES).index("torch") + 1]
    return name in tried and device in ENGINES[name].devices


def _load(name: str) -> type[Engine]:
    kind = ENGINES[name]
    engine: type[Engine] = getattr(importlib.import_module(kind.module), kind.name)
    return engine


def _wrong(make: type[Engine], ruleset: Network, edge: Edge, device: str) -> str:
    """Return a sentence on wrong results of an engine; empty if they are right."""
    from ncavideo.nca.engines import check

    probe = make(ruleset, check.HEIGHT, check.WIDTH, seed=check.SEED, edge=edge, device=device)
    difference = check.difference(probe)
    right = difference <= TOLERANCE  # not so for NaN
    return "" if right else f"its results differ by {difference:.1e} from the exact ones"
