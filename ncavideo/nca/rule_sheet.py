"""The sheet of a rule set: a labelled row for each rule, from dark to bright."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncavideo.nca.catalog import presets
from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import to_bytes
from ncavideo.util.write_image import check_picture_output, save_png

# One tile a light, then a strip from dark to bright.
LIGHTS = (0.1, 0.35, 0.65, 0.9)
TILE = 144  # pixels, of a style picture
STEPS = 600
LABEL = 28  # pixels above each row


def sheet(output: Path, source: str | None = None, overwrite: bool = False) -> None:
    """Draw one labelled picture of all rules of `source`, or of every preset."""
    check_picture_output(output, overwrite)
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} must end in .png")
    sets = [open_ruleset(source)] if source else [RuleSet.load(p) for p in presets().values()]
    if not sets:
        raise UserError("there is no preset to draw")
    save_png(sheet_picture(sets), output, overwrite)


def sheet_picture(sets: Sequence[RuleSet]) -> Image.Image:
    """Draw all rules of some rule sets, a labelled row each, from dark to bright."""
    rows = [_row(ruleset, rule) for ruleset in sets for rule in ruleset.rule_names]
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    return Image.fromarray(np.concatenate(padded))


def _row(ruleset: RuleSet, rule: str) -> np.ndarray:
    tiles, cell, tile = [], ruleset.pixels, TILE // ruleset.pixels
    # Without a light channel all columns would be one picture: the strip takes their place.
    lights = LIGHTS if ruleset.has_light else ()
    for light in lights:
        field = np.full((tile, tile), light, np.float32)
        tiles.append(grow(ruleset, {rule: 1.0}, field, steps=STEPS, edge="wrap", cell=cell))
    width = (len(LIGHTS) - len(lights) + 2) * tile
    strip = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (tile, width))
    tiles.append(grow(ruleset, {rule: 1.0}, strip, steps=STEPS, cell=cell))
    picture = to_bytes(np.concatenate(tiles, 1))
    prompt = next(r.prompt for r in ruleset.rules if r.name == rule)
    text = f"{ruleset.name} / {rule}" + (f"   “{prompt}”" if prompt else "")
    font = ImageFont.load_default(15)
    width = max(picture.shape[1], 16 + math.ceil(font.getlength(text)))
    label = Image.new("RGB", (width, LABEL), (16, 16, 18))
    ImageDraw.Draw(label).text((8, 6), text, (235, 235, 235), font)
    picture = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)))
    return np.concatenate([np.asarray(label), picture])
