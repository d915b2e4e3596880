"""The input channels that controls fill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncavideo.nca.inputs import LEAST_STRENGTH, inputs_for
from ncavideo.nca.ruleset import RuleSet


def test_inputs_are_ordered_as_the_rule_set(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = make_ruleset(rules=("fire", "moss", "water"), others=("light", "wind"))
    light = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    weights = np.stack([np.full((4, 5), 0.3, np.float32), np.full((4, 5), 0.7, np.float32)])
    inputs = inputs_for(ruleset, ["water", "fire"], weights, light)
    assert inputs.shape == (5, 4, 5)
    assert inputs.dtype == np.float32
    fire, moss, water, lit, wind = inputs
    assert (fire == np.float32(0.7)).all()
    assert (water == np.float32(0.3)).all()
    assert not moss.any()
    assert not wind.any()
    np.testing.assert_allclose(lit, 2 * light - 1, atol=1e-6)


def test_inputs_without_a_light_channel(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = make_ruleset(rules=("fire", "moss"), others=())
    weights = np.full((2, 3, 3), 0.5, np.float32)
    inputs = inputs_for(ruleset, ["fire", "moss"], weights, np.zeros((3, 3), np.float32))
    assert (inputs == 0.5).all()


def test_a_single_rule_keeps_living(make_ruleset: Callable[..., RuleSet]) -> None:
    weights = np.array([[[0.0, 0.5, 1.0]]], np.float32)
    before = weights.copy()
    inputs = inputs_for(make_ruleset(), ["moss"], weights, np.full((1, 3), 0.5, np.float32))
    np.testing.assert_allclose(inputs[1], [[LEAST_STRENGTH, 0.7, 1.0]], atol=1e-6)
    assert not inputs[0].any()
    assert np.array_equal(weights, before)
