"""Pictures without a clip: a rule or a mixture grown from the seed, a photograph as texture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncavideo.composite.upscale import find_upscaler
from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.still.options import StillOptions
from ncavideo.still.zoom import check_zoom_output, save_zoom
from ncavideo.util.errors import UserError
from ncavideo.util.events import phase
from ncavideo.util.pixels import to_deep
from ncavideo.util.write_image import check_picture_output, save_picture

if TYPE_CHECKING:
    from ncavideo.rendering.options import RenderOptions

RIM = 8  # cells beyond the edge that an enlargement looks at, and more
ZOOM_SECONDS = 4.0  # a level


def still(
    output: Path,
    options: StillOptions,
    overwrite: bool = False,
    *,
    depth: int | None = None,
    zoom: Path | None = None,
    news: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Grow a picture and write it, a PNG with the settings in its metadata.

    `depth`: 16 bits a channel where the suffix allows; `zoom`: a clip to write that goes into the
    picture's middle; `news`: is told how many steps of how many are taken, of a fractal how many
    percent of the work is done. Raises `UserError` for unusable options or an existing output.
    """
    check_picture_output(output, overwrite, depth)
    if zoom is not None:
        check_zoom_output(zoom, overwrite)
    ruleset = find_ruleset(tuple(options.weights), options.ruleset)
    width, height = options.size
    cell = options.cell_of(ruleset.pixels)
    if options.edge == "wrap" and (width % cell or height % cell):
        raise UserError(f"--edge wrap needs a --size of whole cells, multiples of {cell} pixels")
    phase("compiling the step")
    picture = _grown(ruleset, options, cell, news)
    settings = vars(options) | {"ruleset": ruleset.name, "cell": cell}
    save_picture(picture, output, settings, depth, overwrite)
    if zoom is not None:
        save_zoom(picture, zoom, ZOOM_SECONDS * max(1, options.fractal), overwrite)
    return {"output": str(output), "width": width, "height": height, "ruleset": ruleset.name}


def _grown(
    ruleset: RuleSet, options: StillOptions, cell: int, news: Callable[[int, int], None]
) -> np.ndarray:
    """Return the picture `[H, W, 3]` uint16; `cell`: pixels a cell."""
    width, height = options.size
    rows, columns = -(-height // cell), -(-width // cell)
    drawn = ruleset.decoder is not None
    if options.fractal:
        from ncavideo.still.fractal import grow_fractal

        cells = grow_fractal(
            ruleset, options, rows, columns, lambda share: news(int(100 * share), 100),
            cell=cell if drawn else 1,
        )  # fmt: skip
        if drawn or cell == 1:
            return cells[:height, :width]
        texture = np.asarray(cells, np.float32) / np.float32(65535)
    else:
        texture = grow(
            ruleset, options.weights, np.full((rows, columns), options.light, np.float32),
            steps=options.steps, seed=options.seed, edge=options.edge,
            device=options.device, engine=options.engine, cell=cell if drawn else 1,
            news=lambda done: news(done, options.steps),
        )  # fmt: skip
        if drawn:
            return to_deep(texture[:height, :width])
    rim = RIM if options.edge == "wrap" else 0
    # A picture that is to be tiled is enlarged with what lies across its edges.
    texture = np.pad(texture, ((rim, rim), (rim, rim), (0, 0)), mode="wrap") if rim else texture
    size = (texture.shape[1] * cell, texture.shape[0] * cell)
    picture = find_upscaler("auto")(texture, size)
    edge = rim * cell
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
    from ncavideo.rendering.frame_renderer import FrameRenderer
    from ncavideo.rendering.rule_order import in_order
    from ncavideo.util.pixels import luminance
    from ncavideo.util.read_image import read_picture

    check_picture_output(output, overwrite, depth)
    ruleset = find_ruleset(options.rules, options.ruleset)
    options = in_order(options, ruleset)
    source = to_deep(read_picture(photo, "picture"))
    if size is not None:
        source = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    height, width = source.shape[:2]
    renderer = FrameRenderer(
        ruleset, (width, height), clip_range([luminance(source)]), options, photo
    )
    try:
        picture = renderer.render(source, 0.0)
    finally:
        renderer.close()
    settings = {"picture": photo.name, "ruleset": ruleset.name, **asdict(options)}
    save_picture(picture, output, settings, depth, overwrite)
    return {"output": str(output), "width": width, "height": height, "ruleset": ruleset.name}
