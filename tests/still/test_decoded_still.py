"""Stills of a rule set with a decoder: grown pictures, fractals and their tiles, the sheet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.grow import grow
from ncavideo.nca.rule_sheet import LABEL, TILE, sheet_picture
from ncavideo.nca.ruleset import RuleSet
from ncavideo.still.fractal import grow_fractal
from ncavideo.still.options import StillOptions
from ncavideo.still.still import still
from ncavideo.util.errors import UserError


@pytest.fixture(scope="module")
def ruleset(
    make_ruleset: Callable[..., RuleSet], make_decoder: Callable[..., DecoderWeights]
) -> RuleSet:
    plain = make_ruleset(channels=5)
    return replace(plain, decoder=make_decoder(channels=5))


def test_grow_draws_as_many_pixels_a_cell_as_are_asked_for(ruleset: RuleSet) -> None:
    pictures = [ruleset.grow(9, 13, {"fire": 1.0}, steps=40, cell=cell) for cell in (1, 3)]
    assert [picture.shape for picture in pictures] == [(9, 13, 3), (27, 39, 3)]
    # A cell's middle is the same at any odd number of pixels.
    assert np.abs(pictures[0] - pictures[1][1::3, 1::3]).max() < 1e-5
    assert ruleset.grow(9, 13, {"fire": 1.0}, steps=4).shape == (36, 52, 3)


def test_grow_refuses_what_cannot_be(ruleset: RuleSet) -> None:
    with pytest.raises(UserError, match="has no decoder: it draws one pixel a cell, not 3"):
        replace(ruleset, decoder=None).grow(9, 13, {"fire": 1.0}, cell=3)
    with pytest.raises(UserError, match="a cell has 1 to 256 pixels"):
        ruleset.grow(9, 13, {"fire": 1.0}, cell=0)


@pytest.mark.parametrize("edge", ["reflect", "wrap"])
def test_a_still_is_drawn_with_it(tmp_path: Path, ruleset: RuleSet, edge: str) -> None:
    ruleset.save(tmp_path / "a.safetensors")
    file = str(tmp_path / "a.safetensors")
    options = StillOptions({"fire": 1.0}, (80, 64), file, steps=40, cell=8, edge=edge)  # type: ignore[arg-type]
    still(tmp_path / "a.png", options)
    light = np.full((8, 10), options.light, np.float32)
    expected = grow(ruleset, {"fire": 1.0}, light, steps=40, edge=edge, cell=8)  # type: ignore[arg-type]
    with Image.open(tmp_path / "a.png") as picture:
        found = np.asarray(picture.convert("RGB"), np.float32) / 255
    assert expected.std() > 0.05
    assert np.abs(found - expected).max() < 1.01 / 255


def test_by_default_a_pixel_of_a_style_picture_is_as_large_as_without(
    tmp_path: Path, ruleset: RuleSet
) -> None:
    ruleset.save(tmp_path / "a.safetensors")
    options = StillOptions({"fire": 1.0}, (40, 32), str(tmp_path / "a.safetensors"), steps=4)
    assert options.cell_of(1) == 2
    assert options.cell_of(ruleset.pixels) == 8
    assert still(tmp_path / "a.png", options)["width"] == 40


@pytest.mark.parametrize("cell", [1, 4])
def test_a_fractal_in_tiles_is_the_whole_one(ruleset: RuleSet, cell: int) -> None:
    options = StillOptions({"moss": 1.0}, fractal=1, level_steps=6, steps=30)
    whole, tiled = (
        np.array(grow_fractal(ruleset, options, 50, 70, tile=tile, cell=cell))
        for tile in (1024, 32)
    )
    assert whole.shape == (50 * cell, 70 * cell, 3)
    assert whole.std() > 1000
    assert np.abs(whole.astype(int) - tiled).max() <= 2


def test_a_fractal_s_levels_follow_what_is_seen(ruleset: RuleSet) -> None:
    options = StillOptions({"fire": 1.0}, fractal=1, level_steps=6, steps=30)
    assert ruleset.decoder is not None
    changed = replace(ruleset, decoder=replace(ruleset.decoder, w2=-ruleset.decoder.w2))
    first, second = (np.array(grow_fractal(r, options, 40, 40)) for r in (ruleset, changed))
    assert np.abs(first.astype(int) - second).mean() > 1000


def test_the_sheet_has_tiles_of_the_same_size(ruleset: RuleSet) -> None:
    sheet = sheet_picture([ruleset])
    assert sheet.height == len(ruleset.rules) * (LABEL + TILE)


def test_a_state_beyond_all_numbers_is_not_drawn(ruleset: RuleSet) -> None:
    wild = replace(ruleset, w2=np.full_like(ruleset.w2, 1e30))
    with pytest.raises(UserError, match="grow beyond all numbers"):
        wild.grow(8, 8, {"fire": 1.0}, steps=60, engine="torch")
