"""The order of rules by their brightness."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driven_views import HEIGHT, RULES, WIDTH, driver, view

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, make_view
from ncavideo.nca.brightness import brightness
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.rule_order import in_order


def test_rules_in_the_order_of_their_brightness(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = open_ruleset("elements")
    options = RenderOptions(("moss", "water", "fire"), by_brightness=True)
    assert in_order(options, ruleset).rules == ("fire", "water", "moss")
    assert in_order(RenderOptions(("moss", "fire")), ruleset).rules == ("moss", "fire")
    unknown = make_ruleset()
    assert 0 <= brightness(unknown, "moss") <= 1


def test_driver_state_is_plain() -> None:
    driver = Driver(("fire", "moss"), ["fire=edges,smooth=1"], Context(Path()))
    driver.weights(make_view(np.zeros((16, 16, 3), np.uint8), 16, 16, 0.0))
    state = driver.state_dict()
    assert json.dumps(state, default=lambda value: value.tolist())


@pytest.mark.parametrize(
    ("covers", "rules", "controls"),
    [
        (True, RULES, ()),
        (False, ("fire",), ()),
        (True, RULES, ("edges",)),
        (False, ("fire",), ("luminance",)),
        (False, RULES, ("fire=edges",)),
    ],
)
@pytest.mark.parametrize("contrast", [None, 1.0, 20.0])
def test_weights_that_are_known_to_cover_sum_to_1(
    covers: bool, rules: tuple[str, ...], controls: tuple[str, ...], contrast: float | None
) -> None:
    """So that nobody has to look."""
    made = driver(*controls, rules=rules)
    assert made.covers == covers
    if covers:
        seen = view(np.random.default_rng(0).random((HEIGHT, WIDTH)))
        np.testing.assert_allclose(made.weights(seen, contrast).sum(0), 1, atol=1e-5)
