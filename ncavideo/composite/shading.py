"""Shading's bounds, and how much of the texture's finest contrast gives way to the source's."""

from __future__ import annotations

from typing import NamedTuple

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


class Detail(NamedTuple):
    """How much of the source's detail goes into shading's gain.

    With `fine`, how far the log of the source's luminance is from what is around it, and `there`,
    0..1, where that is part of a form, the gain becomes
    exp(((shade + there * led) * log(gain) + there * (added * fine - removed * own)) / power),
    where `own` is as `fine` of the texture itself.
    """

    led: float
    added: float
    removed: float
    power: float


def detail_parts(shade: float, detail: float) -> Detail:
    """Return what `detail` 0..1 adds to `shade` 0..1.

    Where the source has detail, shading is twice as strong first; then its detail is added; then
    the texture's own gives way, which costs most of its likeness. Where the source has none, the
    gain is as it was.
    """
    beyond = max(0.0, detail - AUTOMATIC) / (1 - AUTOMATIC)
    led = min(shade, 1 - shade) * (1 - (1 - detail) ** 4)
    return Detail(led, ADDED * detail**2, REMOVED * beyond, exponent(shade, detail))


def detail_of(shade: float) -> float:
    """Return how much detail goes with so much shading, 0..1, where nobody says how much."""
    return min(shade, AUTOMATIC)


def exponent(shade: float, detail: float) -> float:
    """Return the exponent of the whole factor, detail finer than a cell included: 0..1."""
    return max(shade, min(1.0, detail / AUTOMATIC))
