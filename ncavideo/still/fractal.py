"""Fractals: a grid that is enlarged again and again, and goes on living at every size.

The grown texture becomes the light in which the next, finer texture grows: a rule set with a light
channel knows what its own stuff looks like in the bright and in the dark, so that coarse structure
stays visible in the fine one at every level (scaling the grid between steps after J. Whitaker, "Fun
With Neural Cellular Automata", 2022).

Only the last levels are large. They are worked on in tiles: a step sees one cell far, and which
cells fire is a function of their place, so a tile with a rim of n cells is exact after n steps.
States lie in files, so that memory does not grow with the picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ncavideo.control.field import shared_out
from ncavideo.nca import engines
from ncavideo.nca.decode import colours, decoded, planes
from ncavideo.nca.decoder_weights import REACH
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.still.options import StillOptions
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import LUMINANCE

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

TILE = 1024  # cells a side that a tile adds to the picture
LEAST_SIDE = 12  # cells of the coarsest grid
BLUR = 1.0  # cells of the coarser grid: what is finer is for the next level to make
GAIN = 0.9  # how far the light follows what is there already
SAMPLE = 400_000  # cells from which the range of brightness is taken
SHARPNESS = 8.0  # how steeply rules change over, in shares of the picture
# Between two pieces of news: steps at least, and times cells if that is more.
PIECE, PIECE_OF_WORK = 8, 2_000_000


@dataclass(frozen=True)
class Level:
    """What one level leaves to the next: its cells' states `[h, w, C]` and steps taken."""

    state: np.ndarray
    step: int


def sizes(height: int, width: int, levels: int, scale: float) -> list[tuple[int, int]]:
    """Return each level's (height, width), coarsest first, the last the size asked for.

    Raises `UserError` if the first would be too small to hold anything.
    """
    found = [(round(height / scale**k), round(width / scale**k)) for k in range(levels, -1, -1)]
    if min(found[0]) < LEAST_SIDE:
        raise UserError(
            f"--fractal {levels} would begin with {found[0][1]}x{found[0][0]} cells: use fewer"
            " levels, a larger --size or a smaller --scale"
        )
    return found


def grow_fractal(
    ruleset: RuleSet,
    options: StillOptions,
    height: int,
    width: int,
    news: Callable[[float], None] = lambda share: None,
    tile: int = TILE,
    cell: int = 1,
) -> np.ndarray:
    """Grow a picture `[height * cell, width * cell, 3]` uint16, in a file that goes with it.

    `height`, `width`: in cells; `cell`: pixels a cell, which only a decoder draws several of.
    `options`: `fractal` levels beyond the first, each `scale` times as fine, `level_steps` long;
    `news` is called with the share that is done. Raises `UserError` for options that exclude
    each other.
    """
    every = sizes(height, width, options.fractal, options.scale)
    if options.edge == "wrap" and max(height, width) > tile:
        raise UserError(
            f"a fractal with --edge wrap has at most {tile} cells a side, not {width}x{height}: use"
            " a smaller --size or a larger --cell"
        )
    # What a level costs is the steps of its cells: those of its tiles' rims are not counted.
    steps = [options.steps, *[options.level_steps] * options.fractal]
    work = sum(h * w * taken for (h, w), taken in zip(every, steps, strict=True))
    done = 0

    def tell(cell_steps: int) -> None:
        nonlocal done
        done += cell_steps
        news(done / work)

    level = _first(ruleset, options, *every[0], tell)
    picture = _on_disk(np.uint16, (height * cell, width * cell, 3))
    for number, (h, w) in enumerate(every[1:], 1):
        last = number == options.fractal
        state = None
        if not last:
            state = _on_disk(np.float32, (h, w, ruleset.channels))
        light, weights = _asked(ruleset, options, level)
        for rows, columns in _tiles(h, w, tile):
            inner = _live(
                ruleset, options, level, (h, w), rows, columns, light, weights, tell,
                whole=h <= tile and w <= tile, cell=cell if last else None,
            )  # fmt: skip
            if state is not None:
                state[slice(*rows), slice(*columns)] = inner
            else:
                place = tuple(slice(a * cell, b * cell) for a, b in (rows, columns))
                picture[place] = inner * 65535 + 0.5
        if state is not None:
            level = Level(state, level.step + options.level_steps)
    if not options.fractal:
        picture[:] = drawn_tile(ruleset, level.state, cell, options.edge) * 65535 + 0.5
    return picture


def _on_disk(kind: type[np.generic], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array in a nameless file, gone with it, and with a process that is killed."""
    with tempfile.TemporaryFile(prefix="ncavideo-") as file:
        # The mapping has a descriptor of its own, and holds the file for as long as it is.
        return np.memmap(file, kind, "w+", shape=shape)


def _first(
    ruleset: RuleSet, options: StillOptions, height: int, width: int, tell: Callable[[int], None]
) -> Level:
    """Grow the coarsest level from the seed; `tell` is told the cells' steps as they are taken."""
    engine = _start(ruleset, options, height, width)
    light = np.full((height, width), options.light, np.float32)
    weights = np.array(list(options.weights.values()), np.float32)[:, None, None]
    weights = np.broadcast_to(weights, (len(weights), height, width))
    inputs = inputs_for(ruleset, tuple(options.weights), weights, light)
    _step(engine, inputs, options.steps, lambda taken: tell(height * width * taken))
    now = engine.snapshot()
    return Level(now.state.transpose(1, 2, 0), now.step)


def _step(engine: Engine, inputs: np.ndarray, steps: int, tell: Callable[[int], None]) -> None:
    """Take the steps, a few at a time, and tell how many were taken each time."""
    most = max(PIECE, PIECE_OF_WORK // (engine.height * engine.width))
    for done in range(0, steps, most):
        piece = min(most, steps - done)
        engine.step(inputs, piece)
        tell(piece)


def _start(ruleset: RuleSet, options: StillOptions, height: int, width: int) -> Engine:
    return engines.start(
        options.engine, ruleset, height, width,
        seed=options.seed, edge=options.edge, device=options.device,
    )  # fmt: skip


def _asked(ruleset: RuleSet, options: StillOptions, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Return the light `[h, w]` and the rules' weights `[R, h, w]` for what comes after `level`.

    Both follow the brightness of what is there: the light directly, and of several rules the first
    takes the brightest parts, each as much of the picture as its weight says.
    """
    luma = _luma(ruleset, options, level)
    border = cv2.BORDER_REFLECT
    if options.edge == "wrap":
        luma = np.pad(luma, 4, mode="wrap")
    luma = cv2.GaussianBlur(luma, (0, 0), BLUR, borderType=border)
    if options.edge == "wrap":
        luma = luma[4:-4, 4:-4]
    stride = max(1, luma.size // SAMPLE)
    sample = np.sort(luma.ravel()[::stride])
    low, high = np.quantile(sample, [0.02, 0.98])
    bright = np.clip((luma - low) / max(high - low, 1e-3), 0, 1)
    light = np.clip(options.light + GAIN * (bright - 0.5), 0, 1).astype(np.float32)
    shares = np.array(list(options.weights.values()), np.float32)
    if len(shares) == 1:
        return light, np.broadcast_to(shares[:, None, None], (1, *light.shape))
    rank = np.interp(luma, sample, np.linspace(0, 1, len(sample))).astype(np.float32)
    # From dark to bright the last rule comes first.
    ends = np.cumsum(shares[::-1] / shares.sum())[:-1]
    return light, shared_out(rank, ends, SHARPNESS) * shares.sum()


def _luma(ruleset: RuleSet, options: StillOptions, level: Level) -> np.ndarray:
    """Return the luminance of a level's cells, `[h, w]`."""
    if ruleset.decoder is not None:
        cells = planes(ruleset.decoder, level.state, options.edge)
        return np.asarray(cv2.transform(colours(ruleset.decoder, cells), LUMINANCE[None]))
    luma = cv2.transform(np.ascontiguousarray(level.state[..., :3]), LUMINANCE[None]) + 0.5
    return np.asarray(luma)


def drawn_tile(ruleset: RuleSet, state: np.ndarray, cell: int, edge: Edge) -> np.ndarray:
    """Return a state `[h, w, C]` as it is seen, `[h * cell, w * cell, 3]`, 0..1."""
    if ruleset.decoder is not None:
        return decoded(ruleset.decoder, state, cell, edge)
    return np.clip(state[..., :3] + 0.5, 0, 1)


def _tiles(height: int, width: int, tile: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            yield (top, min(height, top + tile)), (left, min(width, left + tile))


def _live(
    ruleset: RuleSet,
    options: StillOptions,
    level: Level,
    size: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    light: np.ndarray,
    weights: np.ndarray,
    tell: Callable[[int], None],
    *,
    whole: bool,
    cell: int | None,
) -> np.ndarray:
    """Enlarge a tile of `level` and let it live; return its states `[h, w, C]`.

    Or, with `cell` pixels a cell, what is seen of it. `tell` is told the steps of the tile's own
    cells as they are taken.
    """
    # A decoder sees further than the steps do.
    rim = 0 if whole else options.level_steps + REACH * (ruleset.decoder is not None)
    top, bottom = max(0, rows[0] - rim), min(size[0], rows[1] + rim)
    left, right = max(0, columns[0] - rim), min(size[1], columns[1] + rim)
    engine = _start(ruleset, options, bottom - top, right - left)
    if not whole:
        try:
            engine.place(top, left)
        except ValueError as error:
            raise UserError(
                f"a picture of {size[1]}x{size[0]} cells is worked on in tiles, and only --engine"
                " fused --device cpu can do that"
            ) from error
    window = ((top, bottom), (left, right))
    wraps = options.edge == "wrap"
    state = enlarged(level.state, size, window, wraps=wraps)
    fine_light = enlarged(light[..., None], size, window, wraps=wraps)[..., 0]
    fine_weights = enlarged(weights.transpose(1, 2, 0), size, window, wraps=wraps)
    fine_weights = np.clip(fine_weights.transpose(2, 0, 1), 0, 1)
    fine_weights /= np.maximum(1, fine_weights.sum(0))
    inputs = inputs_for(ruleset, tuple(options.weights), fine_weights, np.clip(fine_light, 0, 1))
    engine.restore(Snapshot(np.ascontiguousarray(state.transpose(2, 0, 1)), level.step))
    own = (rows[1] - rows[0]) * (columns[1] - columns[0])
    _step(engine, inputs, options.level_steps, lambda taken: tell(own * taken))
    now = engine.snapshot().state.transpose(1, 2, 0)
    within = ((rows[0] - top, rows[1] - top), (columns[0] - left, columns[1] - left))
    if cell is None:
        return now[slice(*within[0]), slice(*within[1])]
    seen = drawn_tile(ruleset, now, cell, options.edge)
    (first, last), (start, end) = within
    return seen[first * cell : last * cell, start * cell : end * cell]


def enlarged(
    cells: np.ndarray,
    size: tuple[int, int],
    window: tuple[tuple[int, int], tuple[int, int]],
    *,
    wraps: bool = False,
) -> np.ndarray:
    """Return a window of `cells` `[h, w, C]` enlarged to `size`, by cubic interpolation.

    Catmull-Rom (1974), row by row and column by column. A cell's value hangs on its place in the
    whole alone, so that windows fit each other bit for bit.
    """
    for axis in (0, 1):
        first, last = window[axis]
        count, target = cells.shape[axis], size[axis]
        at = ((np.arange(first, last) + 0.5) * (count / target) - 0.5).astype(np.float64)
        base = np.floor(at).astype(int)
        t = (at - base).astype(np.float32)
        taps = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        shape = [1, 1, 1]
        shape[axis] = last - first
        total: np.ndarray | None = None
        for offset, tap in zip((-1, 0, 1, 2), taps, strict=True):
            index = base + offset
            index = index % count if wraps else np.clip(index, 0, count - 1)
            part = np.take(cells, index, axis) * tap.reshape(shape).astype(np.float32)
            total = part if total is None else total + part
        assert total is not None
        cells = total
    return cells
