"""Masks over the frames that they were found in."""

from __future__ import annotations

import numpy as np
import pytest

from ncavideo.composite.false_colour import colour_of
from ncavideo.composite.mask_picture import mask_picture, segmented


def test_a_mask_is_bright_inside_dark_outside_and_outlined() -> None:
    frame = np.full((40, 60, 3), 120, np.uint8)
    weight = np.zeros((20, 30), np.float32)
    weight[:, 15:] = 1
    picture = mask_picture(frame, weight, 1)
    assert picture.shape == frame.shape and picture.dtype == np.uint8
    assert (picture[10:30, :20] == 36).all()
    inside = picture[10:30, 40:50].reshape(-1, 3)
    assert (inside == inside[0]).all() and inside[0, 1] > 120 > inside[0, 0]
    assert (picture[20, 28:33] == colour_of(1)).all(-1).any()


@pytest.mark.parametrize(
    ("controls", "found"),
    [
        (("luminance",), []),
        (("fire=segment:person",), ["fire"]),
        (("fire=segment:person", "moss=segment:person,invert"), ["fire", "moss"]),
        (("segment:kmeans",), ["fire", "moss"]),
        (("segment:kmeans", "moss=motion"), ["fire"]),
    ],
)
def test_only_rules_of_segmentation_are_shown(controls: tuple[str, ...], found: list[str]) -> None:
    assert segmented(controls, ("fire", "moss")) == found
