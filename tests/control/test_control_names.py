"""Controls by their names on the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from plain_frames import grey, halves

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context
from ncavideo.control.luminance import DEFAULT_CONTRAST
from ncavideo.util.errors import UserError

RULES = ("fire", "moss", "water", "stone")


def driver(spec: str, count: int) -> Driver:
    """Return what one control makes of the first `count` rules."""
    return Driver(RULES[:count], (spec,), Context(Path()))


def save_mask(path: Path, grey_levels: np.ndarray) -> str:
    assert cv2.imwrite(str(path), grey_levels)
    return f"mask:{path}"


@pytest.mark.parametrize(
    "spec", ["luminosity", "", "mask", "mask:", "colours:3", "fire=", "=luminance"]
)
def test_unknown_controls(spec: str) -> None:
    with pytest.raises(UserError, match="control"):
        driver(spec, 2)


def test_luminance_by_name_has_the_default_contrast() -> None:
    view = grey(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40))
    default, same = (driver("luminance", 3).weights(view, c) for c in (None, DEFAULT_CONTRAST))
    assert np.array_equal(default, same)


@pytest.mark.parametrize(("kind", "name"), [(np.uint8, "m.png"), (np.uint16, "m.png"),
                                            (np.uint8, "m.bmp"), (np.uint16, "m.tif")])  # fmt: skip
@pytest.mark.parametrize("colour", [False, True])
def test_mask_greys_mix_linearly(tmp_path: Path, kind: type, name: str, colour: bool) -> None:
    levels = np.linspace(0, np.iinfo(kind).max, 64).astype(kind)
    picture = np.broadcast_to(levels, (48, 64))
    if colour:
        picture = np.repeat(picture[..., None], 3, 2)
    control = driver(save_mask(tmp_path / name, picture), 2)
    weights = control.weights(grey(np.zeros((48, 64))))
    expected = np.broadcast_to(np.linspace(0, 1, 64), (48, 64))
    np.testing.assert_allclose(weights[0], expected, atol=0.01)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("size", [(12, 16), (96, 128), (10, 100), (480, 20)], ids=str)
def test_mask_is_brought_to_the_grid(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = (255 * halves(0.5, *size)).astype(np.uint8)
    control = driver(save_mask(tmp_path / "m.png", picture), 2)
    weights = control.weights(grey(np.zeros((48, 64))))
    assert weights.shape == (2, 48, 64)
    assert weights[0][:, :24].min() > 0.95
    assert weights[1][:, 40:].min() > 0.95


def test_mask_of_a_single_rule_is_its_strength(tmp_path: Path) -> None:
    picture = np.full((8, 8), 51, np.uint8)
    control = driver(save_mask(tmp_path / "m.png", picture), 1)
    np.testing.assert_allclose(control.weights(grey(np.zeros((8, 8)))), 0.2, atol=1e-3)
    control.close()


def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    Image.new("L", (64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    for name in ("missing.png", "text.png", "folder.png", "cut.png"):
        with pytest.raises(UserError, match="mask") as caught:
            driver(f"mask:{tmp_path / name}", 2)
        assert name in str(caught.value)
