"""Style pictures: read, scaled, and checked for something to learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.training.recipe import Recipe, StylePicture
from ncavideo.util.errors import UserError
from ncavideo.util.read_image import open_picture, picture_rgb
from ncavideo.util.reduce_image import reduced

MOST_STYLE = 2048  # px: the root of the most pixels that are kept of a style picture
FLAT_STYLE = 0.004  # deviation of all channels, 0..1, below which a picture shows nothing
LEAST_STYLE = 64  # pixels a side


def load_style(
    path: Path, scale: float = 1.0, note: Callable[[str], None] = lambda text: None
) -> Tensor:
    """Read a style picture as RGB `[3, H, W]` in 0..1, enlarged or shrunk by `scale`.

    It has `MOST_STYLE` pixels squared at most; one that would have more is shrunk to that, and
    `note` is told.
    """
    with open_picture(path, "style picture") as image:
        pixels = image.width * image.height
        small = reduced(image)
        shrunk = math.sqrt(pixels / (small.width * small.height))
        rgb = torch.from_numpy(picture_rgb(small).transpose(2, 0, 1).copy())
    wanted = [side * shrunk * scale for side in rgb.shape[1:]]
    fit = min(1.0, MOST_STYLE / math.sqrt(wanted[0] * wanted[1]))
    height, width = (max(1, round(side * fit)) for side in wanted)
    if fit < 1:
        note(
            f"the style picture {path.name} would have {wanted[1]:.0f}x{wanted[0]:.0f} px and is"
            f" shrunk to {width}x{height}: cut a part out, or give it a smaller `scale`"
        )
    if (height, width) == rgb.shape[1:]:
        return rgb
    resized = F.interpolate(
        rgb[None], (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return resized[0].clamp(0, 1)


def recipe_style(recipe: Recipe, picture: StylePicture, note: Callable[[str], None]) -> Tensor:
    """Load one of a recipe's style pictures, as `load_style` does.

    Raises `UserError` for one that nothing can be learnt from: it is tiny, or one flat colour.
    """
    rgb = load_style(recipe.folder / picture.path, picture.scale, note)
    height, width = rgb.shape[1:]
    if min(height, width) < LEAST_STYLE:
        raise UserError(
            f"the style picture {picture.path} is too small: it has {width}x{height} px, and at"
            f" least {LEAST_STYLE}x{LEAST_STYLE} are needed"
        )
    if float(rgb.flatten(1).std(1).max()) < FLAT_STYLE:
        raise UserError(f"the style picture {picture.path} is one flat colour: nothing to learn")
    return rgb
