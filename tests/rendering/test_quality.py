"""`--quality`: cells and steps where neither is given."""

from __future__ import annotations

import pytest

from ncavideo.rendering.frame_renderer import grid_of
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.quality import QUALITIES


def options(quality: str, **others: object) -> RenderOptions:
    return RenderOptions(("fire",), quality=quality, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "cells"),
    [
        ((160, 90), (2, 2, 1)),
        ((1280, 720), (4, 2, 1)),
        ((1080, 1920), (6, 3, 1)),
        ((3840, 2160), (12, 6, 2)),
    ],
)
def test_a_quality_chooses_the_cell(size: tuple[int, int], cells: tuple[int, ...]) -> None:
    for quality, cell in zip(QUALITIES, cells, strict=True):
        found, grid = grid_of(size, options(quality))
        assert found == cell
        assert grid == (-(-size[0] // cell), -(-size[1] // cell))


def test_a_decoder_takes_coarser_cells_at_every_quality() -> None:
    found = [grid_of((1920, 1080), options(quality), decoded=True)[0] for quality in QUALITIES]
    assert found == [9, 4, 3]
    small = [grid_of((640, 272), options(quality), decoded=True)[0] for quality in QUALITIES]
    assert small == [3, 3, 2]


def test_what_is_given_is_taken() -> None:
    for quality in QUALITIES:
        assert grid_of((1280, 720), options(quality, cell=5))[0] == 5
        assert options(quality, steps=7).at("steps", 0) == 7


def test_a_draft_takes_half_the_steps() -> None:
    assert [options(q).at("steps", 0) for q in QUALITIES] == [4, 8, 8]
    assert [options(q, flow=True).at("steps", 0) for q in QUALITIES] == [2, 4, 4]
