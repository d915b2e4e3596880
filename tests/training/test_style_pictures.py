"""Style pictures as files: large, of every mode, unusable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import run_in, tiny

from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import MOST_STYLE, load_style
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import VGGFeatures
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


def test_style_pictures_must_match_the_rules(folder: Path, vgg: VGGFeatures) -> None:
    with pytest.raises(ValueError, match="recipe's rules"):
        Trainer(tiny(folder), StyleLoss(vgg, [torch.rand(3, 64, 64)]), torch.device("cpu"))


@pytest.mark.parametrize("what", ["missing", "text", "cut", "small", "flat"])
def test_unusable_style_pictures(folder: Path, what: str) -> None:
    recipe, path = tiny(folder, iterations=1), folder / "fire.png"
    if what == "missing":
        path.unlink()
    elif what == "text":
        path.write_text("not a picture")
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    elif what == "small":
        Image.new("RGB", (32, 64)).save(path)
    else:
        Image.new("RGB", (64, 64), (200, 30, 30)).save(path)
        recipe = dataclasses.replace(recipe, rules=recipe.rules[:1])
    with pytest.raises(UserError, match="style picture"):
        run_in(recipe, folder)


def test_a_very_large_style_picture_is_shrunk(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((3000, 2000)).save(tmp_path / "photo.jpg")
    notes: list[str] = []
    picture = load_style(tmp_path / "photo.jpg", note=notes.append)
    height, width = picture.shape[1:]
    assert 0.99 * MOST_STYLE**2 < height * width < 1.01 * MOST_STYLE**2
    assert width / height == pytest.approx(1.5, abs=0.01)
    assert len(notes) == 1 and "3000x2000" in notes[0] and f"{width}x{height}" in notes[0]
    # Not made first and then found too large: that would take 29 GB.
    assert load_style(tmp_path / "photo.jpg", 20.0).shape == picture.shape
    assert load_style(tmp_path / "photo.jpg", 0.1, notes.append).shape == (3, 200, 300)
    assert len(notes) == 1


def test_style_pictures_of_every_mode(tmp_path: Path) -> None:
    for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK"):
        name = "a.tif" if mode == "CMYK" else "a.png"
        Image.new("RGB", (70, 64), (255, 255, 255)).convert(mode).save(tmp_path / name)
        picture = load_style(tmp_path / name)
        assert picture.shape == (3, 64, 70)
        assert picture.dtype == torch.float32
        assert (picture == 1).all()
    deep = np.full((64, 64), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert load_style(tmp_path / "deep.png").mean() == pytest.approx(40_000 / 65535, abs=0.01)
