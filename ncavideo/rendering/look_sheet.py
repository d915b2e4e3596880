"""One moment of a clip in every look that comes with the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.clip_levels import file_levels
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import looks
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import preview_frame
from ncavideo.rendering.rule_order import in_order
from ncavideo.util.errors import UserError
from ncavideo.util.write_image import check_picture_output, save_png
from ncavideo.video.clip import Clip

TILE, COLUMNS = 480, 3
LABEL = 26  # pixels above each picture
PAPER, INK = (18, 18, 20), (235, 235, 235)


def look_sheet(
    clip: Path,
    output: Path,
    *,
    at: float | None = None,
    overwrite: bool = False,
    news: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Draw a moment of `clip` in all looks, labelled; return what the user should read.

    `at`: seconds into the clip, None for its middle; `news`: is told how many looks of how many
    are drawn. Raises `UserError` for unusable input.
    """
    check_picture_output(output, overwrite)
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} must end in .png")
    source = Clip(clip)
    time = source.length / 2 if at is None else at
    if not 0 <= time < source.length:
        raise UserError(f"--at must lie between 0 and {source.length:.2f}, not {time:g}")
    pictures: dict[str, np.ndarray] = {}
    notes = []
    names = [*looks()]
    for done, name in enumerate(names, 1):
        try:
            shown = look_pictures(source, name, time)
        except UserError as error:
            # A look may want a network whose weights cannot be had here.
            notes.append(f"{name} is left out: {error}")
        else:
            pictures = {"the clip": shown["source"]} | pictures | {name: shown["result"]}
        news(done, len(names))
    if not pictures:
        raise UserError(f"no look can be drawn: {notes[0] if notes else 'there is none'}")
    save_png(_sheet(pictures), output, overwrite)
    return notes


def look_pictures(clip: Clip, name: str, time: float, across: int = TILE) -> dict[str, np.ndarray]:
    """Return the pictures of `preview_frame` at `time` seconds for the named look.

    `across`: their width in pixels. Raises `UserError` for a look that cannot be had here.
    """
    asked = RenderOptions(**load_look(Path(name)))
    ruleset = find_ruleset(asked.rules, asked.ruleset)
    options = in_order(asked, ruleset)
    levels = file_levels(clip, options)
    moment, _ = preview_frame(clip.path, ruleset, levels, options, time, across)
    return moment.pictures


def _sheet(pictures: Mapping[str, np.ndarray]) -> Image.Image:
    """Return the pictures `[h, w, 3]`, all of one size, in rows under their names."""
    height = next(iter(pictures.values())).shape[0] + LABEL
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * TILE, rows * height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(index, columns)
        draw.text((column * TILE + 8, row * height + 5), name, INK, font)
        sheet.paste(Image.fromarray(picture), (column * TILE, row * height + LABEL))
    return sheet
