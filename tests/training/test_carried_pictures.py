"""Pictures are carried by a motion as far, and to the side, that it says."""

from __future__ import annotations

import math

import pytest
import torch

from ncavideo.training.motion import velocity, warped
from ncavideo.training.recipe import MotionRecipe


def test_a_velocity_points_where_its_angle_says() -> None:
    assert velocity(None) == (0, 0)
    for angle, way in ((0, (1, 0)), (90, (0, -1)), (180, (-1, 0)), (-90, (0, 1))):
        assert velocity(MotionRecipe(angle, 0.5)) == pytest.approx([0.5 * w for w in way], abs=1e-9)


def test_carrying_by_whole_cells_is_rolling() -> None:
    rgb = torch.rand(2, 3, 12, 16)
    shift = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 12, 16)
    moved, known = warped(rgb, shift, 3, "wrap")
    torch.testing.assert_close(moved, rgb.roll((-2, 3), (2, 3)), rtol=1e-4, atol=1e-5)
    assert (known == 1).all()
    moved, known = warped(rgb, shift, 3, "reflect")
    inside = known[0] == 1
    assert inside.sum() == 10 * 13
    torch.testing.assert_close(
        moved[0][:, inside], rgb[0].roll((-2, 3), (1, 2))[:, inside], rtol=1e-4, atol=1e-5
    )


def test_carrying_by_parts_of_a_cell() -> None:
    x = torch.arange(32) / 32 * 2 * math.pi
    wave = torch.sin(2 * x).expand(1, 3, 32, 32)
    shift = torch.tensor([0.4, 0.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    moved, _ = warped(wave, shift, 0.4, "wrap")
    torch.testing.assert_close(
        moved[0, 0, 0], torch.sin(2 * (x - 0.4 / 32 * 2 * math.pi)), rtol=0, atol=0.015
    )
