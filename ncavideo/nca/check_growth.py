"""Checks of what a texture is to be grown from, without NumPy: for options and their help."""

from __future__ import annotations

from collections.abc import Mapping

from ncavideo.util.errors import UserError


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `UserError` unless the option `name` lies in its range."""
    if not low <= value <= high:
        raise UserError(f"--{name} must lie between {low:g} and {high:g}, not {value:g}")


def check_growth(rules: Mapping[str, float], *, steps: int, seed: int) -> None:
    """Raise `UserError` for weights, a number of steps or a seed that cannot be."""
    check_range("steps", steps, 1, 1_000_000)
    check_range("seed", seed, 0, 2**32 - 1)
    total = sum(rules.values())
    if not rules or min(rules.values()) < 0 or not total <= 1 + 1e-6:
        raise UserError(
            "the rules' weights must be 0 or more and sum to at most 1, as fire=0.7,moss=0.3"
        )
    if total == 0:
        raise UserError("no rule has a weight above 0: there is nothing to grow")
