"""Kernels that take a sample at a time, for Triton's interpreter: it runs programs one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ncavideo.training.gpu.plan import LEAST_BLOCK

if TYPE_CHECKING:
    from ncavideo.training.gpu.plan import Plan


def whole_samples(plan_of: Callable[..., Plan]) -> Callable[..., Plan]:
    """Return `plan_of` of `ncavideo.training.gpu.buffers` with tiles of up to 32 rows of cells.

    What is computed beside a grid and beyond a network's hidden units is little.
    """

    def coarse(*given: Any) -> Plan:
        plan = plan_of(*given)
        tile = (32, 1 << (plan.width - 1).bit_length())
        kernels = {
            name: dataclasses.replace(getattr(plan, name), tile=tile, units=LEAST_BLOCK)
            for name in ("forward", "back", "weight")
        }
        return dataclasses.replace(plan, **kernels)

    return coarse
