"""The options of a still."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncavideo.nca.check_growth import check_growth
from ncavideo.rendering.option_table import option, table
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

MOST_PIXELS = 200_000_000
CELL, FRACTAL_CELL = 2, 1  # pixels, by default, of a picture and of a fractal
STILL = "Options"  # their heading in --help


@dataclass(frozen=True)
class StillOptions:
    """The options of a still; those that it shares with a render are in `RenderOptions`."""

    weights: dict[str, float]
    size: tuple[int, int] = (512, 512)
    ruleset: str | None = None
    steps: int = option(600, "Number of steps that it grows.", STILL, bounds=(1, 1_000_000))
    light: float = option(
        0.6, "Light from dark to bright; with --picture, as in render.", STILL, bounds=(0, 1)
    )
    cell: int | None = option(
        None,
        "Side of a cell in pixels.",
        STILL,
        bounds=(1, 256),
        metavar="PIXELS",
        automatic=f"{CELL}, of a fractal {FRACTAL_CELL}; times a decoder's pixels",
    )
    fractal: int = option(
        0,
        "Number of zoom levels: enlarge the grid this many times, growing it after each.",
        STILL,
        bounds=(0, 12),
        metavar="LEVELS",
    )
    scale: float = option(2.0, "Enlargement of a zoom level.", STILL, bounds=(1.25, 8))
    level_steps: int = option(64, "Number of steps after each enlargement.", STILL, bounds=(1, 512))
    seed: int = 0
    edge: Edge = "reflect"
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Raise `UserError` for a value out of range."""
        check_growth(self.weights, steps=self.steps, seed=self.seed)
        known = {**table(StillOptions), "edge": table(RenderOptions)["edge"]}
        for name, entry in known.items():
            entry.check(getattr(self, name))

    def cell_of(self, pixels: int) -> int:
        """Return the side of a cell for a rule set whose cells are `pixels` of its pictures'."""
        return self.cell or (FRACTAL_CELL if self.fractal else CELL) * pixels


def parse_weights(text: str) -> dict[str, float]:
    """Parse `fire=0.7,moss=0.3`; rules without a weight share what is left evenly."""
    weights: dict[str, float | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, number = part.partition("=")
        try:
            value = float(number) if given else None
        except ValueError as error:
            raise UserError(f"{part!r} is not a rule and its weight, as fire=0.7") from error
        name = name.strip().lower()
        if name in weights:
            raise UserError(f"the rule {name!r} is named twice")
        weights[name] = value
    open_ones = [name for name, value in weights.items() if value is None]
    left = max(0.0, 1 - sum(value for value in weights.values() if value is not None))
    return {n: left / len(open_ones) if v is None else v for n, v in weights.items()}


def parse_size(text: str) -> tuple[int, int]:
    """Parse `640x360` as (width, height)."""
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text.strip())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
        raise UserError(f"--size must be WIDTHxHEIGHT in pixels, as 512x512, not {text!r}")
    return size
