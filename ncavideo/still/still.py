"""Pictures without a clip: a rule or a mixture grown from the seed, and the sheet of all rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncavideo.composite.upscale import find_upscaler
from ncavideo.nca import engines
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet, find_ruleset, open_ruleset, presets
from ncavideo.still.zoom import check_zoom_output, save_zoom
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import to_bytes, to_deep
from ncavideo.util.write_image import check_picture_output, save_picture, save_png

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge
    from ncavideo.rendering.options import RenderOptions

MOST_PIXELS = 200_000_000
RIM = 8  # cells beyond the edge that an enlargement looks at, and more
ZOOM_SECONDS = 4.0  # a level
# The sheet: one tile a light, then a strip from dark to bright.
SHEET_LIGHTS = (0.1, 0.35, 0.65, 0.9)
SHEET_TILE = 144  # cells
SHEET_STEPS = 600
SHEET_LABEL = 28  # pixels above each row


@dataclass(frozen=True)
class StillOptions:
    """What a still is asked for; see `RenderOptions` for the words they share."""

    weights: dict[str, float]
    size: tuple[int, int] = (512, 512)
    ruleset: str | None = None
    steps: int = 600
    light: float = 0.6
    cell: int = 2
    fractal: int = 0
    scale: float = 2.0
    level_steps: int = 64
    seed: int = 0
    edge: Edge = "reflect"
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Raise `UserError` for a value out of range."""
        ranges = {
            "steps": (self.steps, 1, 1_000_000),
            "light": (self.light, 0, 1),
            "cell": (self.cell, 1, 256),
            "fractal": (self.fractal, 0, 12),
            "scale": (self.scale, 1.25, 8),
            "level-steps": (self.level_steps, 1, 512),
            "seed": (self.seed, 0, 2**32 - 1),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise UserError(f"--{name} must lie between {low:g} and {high:g}, not {value:g}")
        total = sum(self.weights.values())
        if not self.weights or min(self.weights.values()) < 0 or not 0 < total <= 1 + 1e-6:
            raise UserError(
                "the rules' weights must be 0 or more and sum to at most 1, as fire=0.7,moss=0.3"
            )


def parse_weights(text: str) -> dict[str, float]:
    """Parse `fire=0.7,moss=0.3`; rules without a weight share what is left evenly."""
    weights: dict[str, float | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, number = part.partition("=")
        try:
            value = float(number) if given else None
        except ValueError as error:
            raise UserError(f"{part!r} is not a rule and its weight, as fire=0.7") from error
        if name.strip() in weights:
            raise UserError(f"the rule {name.strip()!r} is named twice")
        weights[name.strip()] = value
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


def grow(ruleset: RuleSet, options: StillOptions, light: np.ndarray) -> np.ndarray:
    """Grow a texture from the seed under constant inputs; return `[h, w, 3]` float32, 0..1.

    `light` `[h, w]`, 0..1, gives the grid's size.
    """
    height, width = light.shape
    rules = tuple(options.weights)
    weights = np.array(list(options.weights.values()), np.float32)[:, None, None]
    inputs = inputs_for(ruleset, rules, np.broadcast_to(weights, (len(rules), *light.shape)), light)
    engine = engines.start(
        options.engine,
        ruleset,
        height,
        width,
        seed=options.seed,
        edge=options.edge,
        device=options.device,
    )
    engine.step(inputs, options.steps)
    return engine.rgb()


def still(
    output: Path,
    options: StillOptions,
    overwrite: bool = False,
    *,
    depth: int | None = None,
    zoom: Path | None = None,
    news: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Grow a picture and write it, a PNG with the settings in its metadata.

    `depth`: 16 bits a channel where the suffix allows; `zoom`: a clip to write that goes into the
    picture's middle. Raises `UserError` for unusable options or an existing output.
    """
    check_picture_output(output, overwrite, depth)
    if zoom is not None:
        check_zoom_output(zoom, overwrite)
    ruleset = find_ruleset(tuple(options.weights), options.ruleset)
    width, height = options.size
    if options.edge == "wrap" and (width % options.cell or height % options.cell):
        raise UserError(
            f"--edge wrap needs a --size of whole cells, multiples of {options.cell} pixels"
        )
    picture = _grown(ruleset, options, news)
    settings = vars(options) | {"ruleset": ruleset.name}
    save_picture(picture, output, settings, depth)
    if zoom is not None:
        save_zoom(picture, zoom, ZOOM_SECONDS * max(1, options.fractal))
    return {"output": str(output), "width": width, "height": height, "ruleset": ruleset.name}


def _grown(ruleset: RuleSet, options: StillOptions, news: Callable[[float], None]) -> np.ndarray:
    """Return the picture `[H, W, 3]` uint16."""
    width, height = options.size
    rows, columns = -(-height // options.cell), -(-width // options.cell)
    if options.fractal:
        from ncavideo.still.fractal import grow_fractal

        cells = grow_fractal(ruleset, options, rows, columns, news)
        if options.cell == 1:
            return cells
        texture = np.asarray(cells, np.float32) / np.float32(65535)
    else:
        texture = grow(ruleset, options, np.full((rows, columns), options.light, np.float32))
    rim = RIM if options.edge == "wrap" else 0
    # A picture that is to be tiled is enlarged with what lies across its edges.
    texture = np.pad(texture, ((rim, rim), (rim, rim), (0, 0)), mode="wrap") if rim else texture
    size = (texture.shape[1] * options.cell, texture.shape[0] * options.cell)
    picture = find_upscaler("auto")(texture, size)
    edge = rim * options.cell
    return to_deep(picture[edge : edge + height, edge : edge + width])


def still_of(
    photo: Path,
    output: Path,
    options: RenderOptions,
    overwrite: bool = False,
    *,
    size: tuple[int, int] | None = None,
    depth: int | None = None,
) -> dict[str, Any]:
    """Turn a picture into texture, as `render` does a frame; `size`: (width, height) in pixels.

    Raises `UserError` for an unusable picture or options.
    """
    import cv2

    from ncavideo.control.levels import clip_range
    from ncavideo.nca.brightness import in_order
    from ncavideo.rendering.frame_renderer import Painter
    from ncavideo.util.pixels import luminance
    from ncavideo.util.read_image import read_picture

    check_picture_output(output, overwrite, depth)
    ruleset = find_ruleset(options.rules, options.ruleset)
    options = in_order(options, ruleset)
    source = to_deep(read_picture(photo, "picture"))
    if size is not None:
        source = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    height, width = source.shape[:2]
    painter = Painter(ruleset, (width, height), clip_range([luminance(source)]), options, photo)
    try:
        picture = painter.paint(source, 0.0)
    finally:
        painter.close()
    settings = {"picture": photo.name, "ruleset": ruleset.name, **asdict(options)}
    save_picture(picture, output, settings, depth)
    return {"output": str(output), "width": width, "height": height, "ruleset": ruleset.name}


def sheet(output: Path, source: str | None = None, overwrite: bool = False) -> None:
    """Draw one labelled picture of all rules of `source`, or of every preset."""
    check_picture_output(output, overwrite)
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} must end in .png")
    sets = [open_ruleset(source)] if source else [RuleSet.load(p) for p in presets().values()]
    if not sets:
        raise UserError("there is no preset to draw")
    save_png(sheet_picture(sets), output)


def sheet_picture(sets: Sequence[RuleSet]) -> Image.Image:
    """Draw all rules of some rule sets, a labelled row each, from dark to bright."""
    rows = [_sheet_row(ruleset, rule) for ruleset in sets for rule in ruleset.rule_names]
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    return Image.fromarray(np.concatenate(padded))


def _sheet_row(ruleset: RuleSet, rule: str) -> np.ndarray:
    tiles = []
    # Without a light channel all columns would be one picture: the strip takes their place.
    lights = SHEET_LIGHTS if ruleset.has_light else ()
    for light in lights:
        field = np.full((SHEET_TILE, SHEET_TILE), light, np.float32)
        options = StillOptions({rule: 1.0}, steps=SHEET_STEPS, edge="wrap")
        tiles.append(grow(ruleset, options, field))
    width = (len(SHEET_LIGHTS) - len(lights) + 2) * SHEET_TILE
    strip = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (SHEET_TILE, width))
    tiles.append(grow(ruleset, StillOptions({rule: 1.0}, steps=SHEET_STEPS), strip))
    picture = to_bytes(np.concatenate(tiles, 1))
    prompt = next(r.prompt for r in ruleset.rules if r.name == rule)
    text = f"{ruleset.name} / {rule}" + (f"   “{prompt}”" if prompt else "")
    font = ImageFont.load_default(15)
    width = max(picture.shape[1], 16 + math.ceil(font.getlength(text)))
    label = Image.new("RGB", (width, SHEET_LABEL), (16, 16, 18))
    ImageDraw.Draw(label).text((8, 6), text, (235, 235, 235), font)
    picture = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)))
    return np.concatenate([np.asarray(label), picture])
