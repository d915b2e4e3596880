"""The learned decoder: its kernel against its plain definition, and its place in the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ncavideo.nca.decode import colours, decoded, planes
from ncavideo.nca.decoder import Decoder
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError

Make = Callable[..., RuleSet]
MakeDecoder = Callable[..., DecoderWeights]


def plain(weights: DecoderWeights, state: np.ndarray, cell: int, edge: Edge) -> np.ndarray:
    cells = torch.from_numpy(state).permute(2, 0, 1)[None]
    with torch.no_grad():
        rgb = Decoder.of(weights)(cells, cell, edge)[0]
    return np.asarray(rgb.clamp(0, 1).permute(1, 2, 0))


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize(("cell", "hidden"), [(1, 4), (2, 7), (4, 16), (5, 1), (8, 32)])
def test_the_kernel_draws_as_the_plain_definition(
    make_decoder: MakeDecoder, cell: int, hidden: int, edge: Edge
) -> None:
    weights = make_decoder(channels=5, hidden=hidden)
    state = np.random.default_rng(1).normal(size=(7, 11, 5)).astype(np.float32) / 2
    expected = plain(weights, state, cell, edge)
    assert expected.std() > 0.1
    assert np.abs(decoded(weights, state, cell, edge) - expected).max() < 1e-5


def test_a_cell_s_colour_is_that_of_its_middle(make_decoder: MakeDecoder) -> None:
    weights = make_decoder(channels=5)
    state = np.random.default_rng(1).normal(size=(6, 9, 5)).astype(np.float32) / 2
    fine = plain(weights, state, 3, "reflect")
    middle = colours(weights, planes(weights, state, "reflect"))
    assert np.abs(middle - fine[1::3, 1::3]).max() < 1e-5


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1), (2, 3)])
def test_a_grid_of_hardly_any_cells(
    make_decoder: MakeDecoder, size: tuple[int, int], edge: Edge
) -> None:
    weights = make_decoder(channels=5)
    state = np.random.default_rng(1).normal(size=(*size, 5)).astype(np.float32) / 2
    tiled = (
        np.tile(state, (5, 5, 1))
        if edge == "wrap"
        else np.pad(state, ((2, 2), (2, 2), (0, 0)), "edge")
    )
    near = plain(weights, tiled, 2, edge)
    top, left = (2 * 2 * size[0], 2 * 2 * size[1]) if edge == "wrap" else (4, 4)
    expected = near[top : top + 2 * size[0], left : left + 2 * size[1]]
    assert np.abs(decoded(weights, state, 2, edge) - expected).max() < 1e-5


def test_it_draws_the_same_texture_at_every_size(make_decoder: MakeDecoder) -> None:
    weights = make_decoder(channels=5)
    state = np.random.default_rng(1).normal(size=(6, 6, 5)).astype(np.float32) / 4
    # Three pixels a cell have their middle one where nine have theirs.
    coarse, fine = (decoded(weights, state, cell, "wrap") for cell in (3, 9))
    assert np.abs(coarse - fine[1::3, 1::3]).max() < 1e-5


def test_what_changes_from_cell_to_cell_is_not_drawn(make_decoder: MakeDecoder) -> None:
    """A checkerboard of cells would be drawn as stairs along the lattice."""
    weights = make_decoder(channels=5)
    y, x, _ = np.mgrid[:8, :12, :5]
    for board in ((x + y) % 2, x % 2, y % 2):
        drawn = decoded(weights, board.astype(np.float32) - 0.5, 4, "wrap")
        assert np.abs(drawn - drawn[0, 0]).max() < 1e-5


def test_it_is_seamless_where_the_grid_is(make_decoder: MakeDecoder) -> None:
    weights = make_decoder(channels=5)
    state = np.random.default_rng(1).normal(size=(6, 8, 5)).astype(np.float32) / 2
    moved = decoded(weights, np.roll(state, (2, 3), (0, 1)), 4, "wrap")
    assert np.abs(moved - np.roll(decoded(weights, state, 4, "wrap"), (8, 12), (0, 1))).max() < 1e-5


# The file


def test_it_comes_back_from_the_file(
    tmp_path: Path, make_ruleset: Make, make_decoder: MakeDecoder
) -> None:
    weights = make_decoder(channels=4)
    replace(make_ruleset(), decoder=weights).save(tmp_path / "a.safetensors")
    found = RuleSet.load(tmp_path / "a.safetensors").decoder
    assert found is not None and found.pixels == weights.pixels
    assert all((found.arrays[name] == array).all() for name, array in weights.arrays.items())


def test_without_one_a_file_is_as_it_was(tmp_path: Path, make_ruleset: Make) -> None:
    make_ruleset().save(tmp_path / "a.safetensors")
    assert b'"version": 1' in (tmp_path / "a.safetensors").read_bytes().replace(b'\\"', b'"')
    assert RuleSet.load(tmp_path / "a.safetensors").decoder is None


def test_one_of_another_version_is_refused_by_name(
    tmp_path: Path, make_ruleset: Make, make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    with monkeypatch.context() as later:
        later.setattr("ncavideo.nca.decoder_weights.VERSION", 7)
        replace(make_ruleset(), decoder=make_decoder(channels=4)).save(path)
    with pytest.raises(UserError, match=r"decoder is of version 7, and this ncavideo reads"):
        RuleSet.load(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"w2": np.zeros((3, 5), np.float32)}, "shapes do not fit"),
        ({"w1": np.zeros(3, np.float32)}, "dimensions"),
        ({"b1": np.full(16, np.nan, np.float32)}, "finite"),
        ({"pixels": 0}, "0 pixels a cell"),
    ],
)
def test_one_that_is_not_sound_says_so(
    make_decoder: MakeDecoder, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(make_decoder(channels=4), **changes)  # type: ignore[arg-type]


def test_one_of_another_network_says_so(make_ruleset: Make, make_decoder: MakeDecoder) -> None:
    with pytest.raises(ValueError, match="another number of channels"):
        replace(make_ruleset(), decoder=make_decoder(channels=5))
