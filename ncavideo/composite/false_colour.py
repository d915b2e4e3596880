"""What drives the rules, as pictures to look at."""

from __future__ import annotations

import cv2
import numpy as np

# Okabe and Ito, "Color Universal Design", 2008: eight colours that everybody can tell apart.
COLOURS = np.array(
    [
        (230, 159, 0),
        (0, 158, 115),
        (86, 180, 233),
        (204, 121, 167),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (170, 170, 170),
    ],
    np.float32,
)
FAINT = 0.35  # of a colour's brightness where the source is black


def colour_of(index: int) -> tuple[int, int, int]:
    """Return the colour of the rule at `index`, uint8 RGB."""
    red, green, blue = COLOURS[index % len(COLOURS)]
    return int(red), int(green), int(blue)


def expression_picture(weights: np.ndarray) -> np.ndarray:
    """Return expression `[R, h, w]` as uint8 RGB `[h, w, 3]`: each rule in a colour of its own."""
    colours = COLOURS[np.arange(len(weights)) % len(COLOURS)]
    mixed = np.tensordot(weights, colours, (0, 0))
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)


def over_source(weights: np.ndarray, source: np.ndarray, full_luma: np.ndarray) -> np.ndarray:
    """Return a frame in the source's size and type, its brightness faintly showing through.

    `weights` `[R, h, w]`, `source` `[H, W, 3]`, `full_luma` `[H, W]` 0..1.
    """
    height, width = full_luma.shape
    picture = cv2.resize(expression_picture(weights), (width, height))
    shown = picture * (FAINT + (1 - FAINT) * full_luma)[..., None]
    scale = np.iinfo(source.dtype).max / 255
    return np.asarray(shown * scale + 0.5).astype(source.dtype)
