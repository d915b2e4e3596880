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
IMPORTANT = 0.06  # deviation of the source's log luminance at which detail counts half
ADDED = 1.5  # times the source's detail is added, at most
AUTOMATIC = 0.4  # detail beyond this costs more likeness to the style than it is worth
REMOVED = 0.5  # share of the texture's own that is taken away there: all of it would flatten it


def with_detail(
    gain: Any,
    luma: Any,
    source: Any,
    shade: float,
    detail: float,
    blur: Callable[[Any, float], Any],
    ops: Any,
) -> Any:
    """Return shading's `gain` `[h, w]` with `detail` 0..1 of the source's, for `exponent`.

    `luma`, `source` `[h, w]`: luminances of the texture and of the source, 0..1. Where the source
    has detail, shading is twice as strong first; then its detail is added; then the texture's own
    gives way, which costs most of its likeness. Where the source has none, the gain is as it was.
    """
    wanted = _fine(source, blur, ops)
    energy = blur(wanted * wanted, AROUND)
    there = energy / (energy + IMPORTANT**2)
    led = shade + there * min(shade, 1 - shade) * (1 - (1 - detail) ** 4)
    finer = ADDED * detail**2 * wanted
    if detail > AUTOMATIC:
        removed = REMOVED * (detail - AUTOMATIC) / (1 - AUTOMATIC)
        finer = finer - removed * _fine(blur(luma, GRAIN), blur, ops)
    whole = ops.exp((led * ops.log(gain) + there * finer) / exponent(shade, detail))
    return ops.clip(whole, MOST_GAIN**-2, MOST_GAIN**2)


def _fine(luma: Any, blur: Callable[[Any, float], Any], ops: Any) -> Any:
    """Return how far the log of a luminance is from what is around it."""
    log = ops.log(luma + FLOOR)
    return log - blur(log, FORM)


def detail_of(shade: float) -> float:
    """Return how much detail goes with so much shading, 0..1, where nobody says how much."""
    return min(shade, AUTOMATIC)


def exponent(shade: float, detail: float) -> float:
    """Return the exponent of the whole factor, detail finer than a cell included: 0..1."""
    return max(shade, min(1.0, detail / AUTOMATIC))
