"""Pictures that repeat themselves, on whose deepest features every place is alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ncavideo.training.style import LEAST_DEVIATION, PLAIN, StyleLoss, feature_maps
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures, load_vgg

pytestmark = pytest.mark.train
STYLES = Path(__file__).parents[2] / "examples" / "styles"
PERIOD = 16  # pixels: as many as a position of VGG's deepest map is across


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return load_vgg()


def scales(side: int = 128) -> Tensor:
    """Draw rows of scales, all alike: `[3, side, side]`."""
    y, x = np.mgrid[:side, :side] % PERIOD / PERIOD - 0.5
    away = np.hypot(x, y)[..., None]
    rgb = np.where(away < 0.45, (0.1, 0.5, 0.5) - 0.4 * away * (0, 1, 1), (0.8, 0.6, 0.2))
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))


def deviation(feature_map: Tensor) -> tuple[float, float]:
    """Return a map's deviation from place to place, and the features' size."""
    flat = feature_map[0].flatten(1)
    return float(flat.var(1).mean().sqrt()), float(flat.square().mean().sqrt())


def test_no_map_is_divided_by_next_to_nothing(vgg: VGGFeatures) -> None:
    picture = scales()
    found = StyleLoss(vgg, [picture]).scales
    with torch.no_grad():
        maps = feature_maps(vgg, picture[None], "wrap")
    bound = 0
    for index, (scale, features) in enumerate(zip(found, maps, strict=True)):
        varies, size = deviation(features)
        least = LEAST_DEVIATION * size if index >= PLAIN else 0.0
        assert scale == pytest.approx(max(varies, least), rel=1e-4)
        bound += least > 2 * varies
    assert bound, "this picture's maps vary enough: it is no test"


def test_others_are_judged_as_before(vgg: VGGFeatures) -> None:
    picture = load_style(STYLES / "stone.png")
    with torch.no_grad():
        maps = feature_maps(vgg, picture[None], "wrap")
    style = StyleLoss(vgg, [picture])
    for scale, features in zip(style.scales, maps, strict=True):
        assert scale == pytest.approx(deviation(features)[0], rel=1e-4)
