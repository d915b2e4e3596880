"""Masks from segmentation, shown over the frame that they were found in."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.composite.false_colour import colour_of
from ncavideo.control.spec import parse_control

OUTSIDE = 0.3  # of a frame's brightness where the mask is 0
TINT = 0.25  # of a rule's colour where it is 1
EDGE = 0.5  # the weight at which the outline is drawn


def segmented(controls: tuple[str, ...], rules: tuple[str, ...]) -> list[str]:
    """Return those of the rules that segmentation drives, by `--control`'s values."""
    specs = [parse_control(text) for text in controls]
    own = {spec.rule for spec in specs if spec.rule is not None}
    driven = {spec.rule for spec in specs if spec.name == "segment"}
    return [rule for rule in rules if rule in driven or (None in driven and rule not in own)]


def mask_picture(frame: np.ndarray, weight: np.ndarray, index: int) -> np.ndarray:
    """Return a frame `[H, W, 3]`, uint8 RGB, with a rule's weight `[h, w]`, 0..1, laid over it.

    Where it is 0 the frame is dark, where it is 1 tinted in the colour of the rule at `index`, and
    the border between is outlined.
    """
    height, width = frame.shape[:2]
    share = cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    colour = np.array(colour_of(index), np.float32)
    inside = frame + TINT * (colour - frame)
    shown = OUTSIDE * frame + share * (inside - OUTSIDE * frame)
    picture = np.ascontiguousarray(np.clip(shown + 0.5, 0, 255), np.uint8)
    found = (share[..., 0] > EDGE).astype(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, colour_of(index), 1)
    return picture
