"""Bounds of shading, for the composite and its kernel."""

MOST_GAIN = 3.0  # bound on how much shading may brighten or darken
MOST_DETAIL = 2.0  # bound on how much of that may come from detail finer than a cell
FLOOR = 0.06  # keeps ratios of near-black luminances tame
