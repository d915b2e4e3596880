"""Shading's bounds, and how much of the texture's finest contrast gives way to the source's.

The expressions are the same on the processor and on a torch device: `ops` is NumPy or torch, `blur`
a Gaussian blur of a grid `[h, w]` by a deviation in cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST_GAIN = 3.0  # bound on how much shading may brighten or darken
MOST_DETAIL = 2.0  # bound on how much of that may come from detail finer than a cell
FLOOR = 0.06  # keeps ratios of near-black luminances tame
GRAIN = 0.6  # cells: what is finer stays the texture's
FORM = 3.0  # cells: the luminance's detail is what is finer than this
AROUND = 3.0  # cells: the neighbourhood in which detail counts as part of a form
IMPORTANT = 0.1  # deviation of the source's log luminance at which detail counts half
ADDED = 1.5  # times the source's detail is added
REMOVED = 0.5  # share of the texture's own that is taken away there: all of it would flatten it


def detail_gain(luma: Any, source: Any, blur: Callable[[Any, float], Any], ops: Any) -> Any:
    """Return the log of the factor that gives a texture the source's detail of a few cells.

    `luma`, `source` `[h, w]`: luminances of the texture and of the source, 0..1. Where the source
    has no detail the factor is 1, and the texture keeps its own.
    """
    wanted, own = (
        fine - blur(fine, FORM)
        for fine in (ops.log(source + FLOOR), ops.log(blur(luma, GRAIN) + FLOOR))
    )
    energy = blur(wanted * wanted, AROUND)
    return energy / (energy + IMPORTANT**2) * (ADDED * wanted - REMOVED * own)


def with_detail(gain: Any, shade: float, detail: float, log_gain: Any, ops: Any) -> Any:
    """Return shading's `gain` `[h, w]` with `detail` 0..1 of `detail_gain`, for `exponent`."""
    power = exponent(shade, detail)
    led = gain ** (shade / power) * ops.exp(log_gain * (detail / power))
    return ops.clip(led, MOST_GAIN**-2, MOST_GAIN**2)


def exponent(shade: float, detail: float) -> float:
    """Return the exponent of the whole factor, detail finer than a cell included: 0..1."""
    return max(shade, detail / 2)
