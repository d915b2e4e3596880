"""A large grid begun from small ones: each rule is grown once, and laid out wherever it is asked.

A warm-up grows every cell from nothing, though one rule's texture is much the same everywhere. So
each rule grows on a small grid of its own; bricks cut from it at random places then cover the large
grid, and the last steps are taken there. In those the texture closes the bricks' seams and takes up
the light and the borders between rules. After 240 steps its style distance is within 0.92 to 1.12
times that of a texture grown in place, in half the time or less (benchmarks/warmup.py). On a GPU
all of that is over in milliseconds, and there the grid grows in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.fire_mask import pcg4d
from ncavideo.nca.network import LIGHT, Network

TILE = 128  # cells on a side of a rule's own grid
BRICK = 32  # cells on a side of what is cut from it
SETTLE = 64  # steps in place after laying out
LEAST = 4  # how many times as many cells as in all the tiles make it worth while


def begin(
    engine: Engine,
    inputs: np.ndarray,
    steps: int,
    take: Callable[[Engine, np.ndarray, int], None],
) -> int:
    """Lay out `engine`'s grid as it is after most of `steps`; return how many are left to take.

    All of them where that does not pay. `inputs` `[I, H, W]`: those of the warm-up. `take`: has an
    engine take so many steps under inputs, or as many as are still wanted.
    """
    network, cells = engine.ruleset, engine.height * engine.width
    if engine.device != "cpu" or not pays(1, cells, steps):
        return steps
    rules, leads = leading(inputs, network)
    if not pays(len(rules), cells, steps):
        return steps
    size, before, tiles = (TILE, TILE), engine.steps_taken, []
    for place, rule in enumerate(rules):
        tile = type(engine)(
            network, *size, seed=engine.seed + place, edge="wrap", device=engine.device
        )
        tile.restore(Snapshot(np.zeros((network.channels, *size), np.float32), before))
        take(tile, tile_inputs(inputs, network, int(rule), leads == place), steps - SETTLE)
        tiles.append(tile.snapshot().state)
    state = laid_out(np.stack(tiles), leads, engine.seed)
    engine.restore(Snapshot(state, before + steps - SETTLE))
    return SETTLE


def pays(rules: int, cells: int, steps: int) -> bool:
    """Return whether a warm-up of `steps` on a grid of so many cells is better laid out."""
    return steps >= 2 * SETTLE and cells >= LEAST * rules * TILE**2


def leading(inputs: np.ndarray, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Return the rules that lead anywhere, and which of them does in each cell.

    `inputs` `[I, H, W]`; the rules as places in `network.inputs` `[R]`, the cells `[H, W]` as
    places in that.
    """
    rules = [place for place, name in enumerate(network.inputs) if name != LIGHT]
    cells = np.zeros(inputs.shape[1:], np.uint8)
    most = inputs[rules[0]].copy()
    for place, rule in enumerate(rules[1:], 1):
        cells[inputs[rule] > most] = place
        np.maximum(most, inputs[rule], out=most)
    found = np.flatnonzero(np.bincount(cells.ravel()))
    among = np.zeros(len(rules), np.uint8)
    among[found] = np.arange(len(found))
    return np.asarray(rules)[found], among[cells]


def tile_inputs(inputs: np.ndarray, network: Network, rule: int, cells: np.ndarray) -> np.ndarray:
    """Return the inputs `[I, TILE, TILE]` under which one rule grows by itself.

    `rule`: its place in `network.inputs`; `cells` `[H, W]` bool: where it leads. The light is the
    mean of theirs.
    """
    alone = np.zeros((len(inputs), TILE, TILE), np.float32)
    alone[rule] = 1
    if network.has_light:
        light = network.inputs.index(LIGHT)
        alone[light] = inputs[light][cells].mean()
    return alone


def laid_out(tiles: np.ndarray, cells: np.ndarray, seed: int) -> np.ndarray:
    """Return a state `[C, H, W]` of bricks from `tiles` `[R, C, TILE, TILE]`, which wrap around.

    `cells` `[H, W]`: the tile that each cell is of. Every other row of bricks is shifted by half a
    brick. A function of the seed and a cell's place, whatever the grid's size.
    """
    height, width = cells.shape
    state = np.empty((tiles.shape[1], height, width), tiles.dtype)
    column = np.arange(width)
    for course, top in enumerate(range(0, height, BRICK)):
        rows = slice(top, min(top + BRICK, height))
        brick = (column + course % 2 * (BRICK // 2)) // BRICK
        words = (np.array(seed % 2**32), np.array(course), brick, np.array(0))
        offset = pcg4d(*(word.astype(np.uint32) for word in words)).astype(np.int64)
        down = (np.arange(rows.start, rows.stop)[:, None] + offset) % TILE
        right = (column + offset // TILE) % TILE
        state[:, rows] = tiles[cells[rows], :, down, right].transpose(2, 0, 1)
    return state
