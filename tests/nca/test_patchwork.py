"""A grid begun with patches of grown texture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncavideo.nca import patchwork
from ncavideo.nca.catalog import presets
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.patchwork import BRICK, LEAST, SETTLE, TILE
from ncavideo.nca.ruleset import RuleSet

ELEMENTS = RuleSet.load(presets()["elements"])


def numbered(rules: int) -> np.ndarray:
    """Return tiles `[rules, 3, TILE, TILE]` whose cells say where they come from."""
    row, column = np.mgrid[:TILE, :TILE]
    return np.stack([np.stack([np.full_like(row, rule), row, column]) for rule in range(rules)])


@given(st.integers(0, 2**40), st.integers(1, 3 * BRICK), st.integers(1, 3 * BRICK))
def test_each_cell_comes_from_its_rules_tile(seed: int, height: int, width: int) -> None:
    cells = np.indices((height, width)).sum(0) % 3
    state = patchwork.laid_out(numbered(3), cells, seed)
    assert state.shape == (3, height, width)
    assert (state[0] == cells).all()


@given(st.integers(0, 2**40))
def test_bricks_are_pieces_of_a_tile(seed: int) -> None:
    cells = np.zeros((3 * BRICK, 4 * BRICK), int)
    _, rows, columns = patchwork.laid_out(numbered(1), cells, seed)
    for course in range(3):
        for first in range(course % 2 * BRICK // 2, 4 * BRICK - BRICK // 2, BRICK):
            brick = (
                slice(course * BRICK, (course + 1) * BRICK),
                slice(first, first + BRICK),
            )
            down = np.arange(rows[brick].shape[0])[:, None]
            right = np.arange(rows[brick].shape[1])[None, :]
            assert (rows[brick] == (rows[brick][0, 0] + down) % TILE).all()
            assert (columns[brick] == (columns[brick][0, 0] + right) % TILE).all()
    starts = {(rows[y, x], columns[y, x]) for y in (0, 64) for x in range(0, 4 * BRICK, BRICK)}
    assert len(starts) > 5


def test_the_seed_says_which_pieces() -> None:
    cells = np.zeros((64, 64), int)
    first = patchwork.laid_out(numbered(1), cells, 1)
    assert (first == patchwork.laid_out(numbered(1), cells, 1)).all()
    assert (first != patchwork.laid_out(numbered(1), cells, 2)).any()
    # A cell's piece depends on its place alone.
    assert (patchwork.laid_out(numbered(1), cells[:40, :50], 1) == first[:, :40, :50]).all()


def test_the_rule_with_the_greatest_weight_leads() -> None:
    fire, moss = ELEMENTS.inputs.index("fire"), ELEMENTS.inputs.index("moss")
    weights = np.zeros((2, 20, 30), np.float32)
    weights[0, :, :10], weights[1, :, 10:] = 0.7, 0.6
    weights[1, :, :10] = 0.3
    light = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    inputs = inputs_for(ELEMENTS, ("fire", "moss"), weights, light)
    rules, cells = patchwork.leading(inputs, ELEMENTS)
    assert sorted(rules) == sorted([fire, moss])
    assert (rules[cells[:, :10]] == fire).all() and (rules[cells[:, 10:]] == moss).all()
    alone = patchwork.tile_inputs(inputs, ELEMENTS, fire, rules[cells] == fire)
    assert alone.shape == (len(ELEMENTS.inputs), TILE, TILE)
    assert (alone[fire] == 1).all() and not alone[moss].any()
    lit = alone[ELEMENTS.inputs.index("light")]
    assert lit == pytest.approx(2 * light[:, :10].mean() - 1, abs=1e-5)


@given(st.integers(1, 8), st.integers(1, 10**7), st.integers(0, 10**4))
def test_laying_out_takes_fewer_steps_of_cells(rules: int, cells: int, steps: int) -> None:
    if patchwork.pays(rules, cells, steps):
        apart = rules * TILE**2 * (steps - SETTLE)
        assert apart + cells * SETTLE < 0.75 * cells * steps
        assert cells >= LEAST * rules * TILE**2
