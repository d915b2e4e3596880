"""How all functions of Numba are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile with Numba; keep the machine code for the next run where a folder can be written."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # "no locator available": nowhere to write to
            return numba.njit(function, **options)

    return decorate
