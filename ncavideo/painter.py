"""The grid that a clip's frames drive: source frame in, output frame out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ncavideo import engines
from ncavideo.composite import Composite
from ncavideo.control import make_control
from ncavideo.control.base import View, make_view
from ncavideo.control.levels import ClipRange
from ncavideo.control.light import Light
from ncavideo.control.mix import inputs_for
from ncavideo.errors import UserError
from ncavideo.ruleset import RuleSet
from ncavideo.stopwatch import Stopwatch

if TYPE_CHECKING:
    from ncavideo.nca import Edge

# A grid of about 640x360 cells shows faces and type at any frame size; finer costs time with the
# square, coarser loses the picture.
GRID_ROWS = 360
LEAST_CELL = 2
WARM_UP_STEPS = 240
PIECE = 8  # steps after which a long run of them can be given up
STAGES = ("decode", "control", "step", "composite", "encode")
# In near-black a texture keeps too few levels to show what it is made of. The grid is asked for
# no less light than this, and shading takes it the rest of the way down.
DARKEST_LIGHT = 0.2
# The local luminances that light 0 and 1 stand for, for a rule set that does not say.
LIGHT_SCALE = (0.08, 0.72)


@dataclass(frozen=True)
class RenderOptions:
    """What a render is asked for.

    `cell`: pixels a cell, None for about 360 rows of cells; `steps` a frame; `warmup` steps
    before the first frame; `contrast` None for the control's own; `light` and `shade` 0..1.
    """

    rules: tuple[str, ...]
    ruleset: str | None = None
    control: str = "luminance"
    contrast: float | None = None
    light: float = 1.0
    shade: float = 0.5
    steps: int = 8
    cell: int | None = None
    warmup: int = WARM_UP_STEPS
    seed: int = 0
    edge: Edge = "reflect"
    start: float | None = None
    duration: float | None = None
    codec: str | None = None
    crf: float | None = None
    pix_fmt: str | None = None
    device: str = "auto"
    engine: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Raise `UserError` for a value out of range."""
        if not self.rules:
            raise UserError("name at least one rule: --rules fire,moss")
        for rule in self.rules:
            if self.rules.count(rule) > 1:
                raise UserError(f"the rule {rule!r} is named twice")
        ranges = {
            "contrast": (self.contrast, 0.05, 1000),
            "light": (self.light, 0, 1),
            "shade": (self.shade, 0, 1),
            "steps": (self.steps, 1, 1000),
            "cell": (self.cell, 1, 256),
            "warmup": (self.warmup, 0, 100_000),
            "seed": (self.seed, 0, 2**32 - 1),
            "start": (self.start, 0, 1e9),
            "duration": (self.duration, 1e-6, 1e9),
            "crf": (self.crf, 0, 63),
        }
        for name, (value, low, high) in ranges.items():
            if value is not None and not low <= value <= high:
                raise UserError(f"--{name} must lie between {low:g} and {high:g}, not {value:g}")


@dataclass(frozen=True)
class Guide:
    """What a source frame asks of the grid: `weights` `[rules, h, w]`, `light` `[h, w]`, 0..1."""

    view: View
    weights: np.ndarray
    light: np.ndarray


class Painter:
    """The grid that a clip's frames drive: one call a frame, in order.

    `read`, `live` and `compose` may run in different threads, each of them in order; `compose` for
    several frames at once. `watch` tells what each took.
    """

    def __init__(
        self, ruleset: RuleSet, size: tuple[int, int], levels: ClipRange, options: RenderOptions
    ) -> None:
        width, height = size
        cell = options.cell or max(LEAST_CELL, round(min(width, height) / GRID_ROWS))
        self.cells = (-(-width // cell), -(-height // cell))
        self._options, self._ruleset, self._levels = options, ruleset, levels
        self._control = make_control(options.control, len(options.rules), options.contrast)
        self._light = Light(options.light)
        dark, bright = ruleset.provenance.get("light_scale", LIGHT_SCALE)
        self._composite = Composite(size, options.shade, dark, bright)
        self._engine = engines.start(
            options.engine,
            ruleset,
            self.cells[1],
            self.cells[0],
            seed=options.seed,
            edge=options.edge,
            device=options.device,
        )
        self._warm_steps_left = options.warmup
        self._stopped = False
        self.watch = Stopwatch(*STAGES)

    def paint(self, rgb: np.ndarray, seconds: float) -> np.ndarray:
        """Map a source frame `[H, W, 3]` at `seconds` to an output frame of the same type."""
        guide = self.read(rgb, seconds)
        return self.compose(self.live(guide), guide, rgb)

    def read(self, rgb: np.ndarray, seconds: float) -> Guide:
        """Read from a source frame what the grid is asked for."""
        with self.watch("control"):
            view = make_view(rgb, self.cells[1], self.cells[0], seconds, self._levels)
            return Guide(view, self._control.weights(view), self._light(view))

    def live(self, guide: Guide) -> np.ndarray:
        """Step the grid for one frame; return the texture `[h, w, 3]`, 0..1, one pixel a cell."""
        with self.watch("step"):
            light = DARKEST_LIGHT + (1 - DARKEST_LIGHT) * guide.light
            inputs = inputs_for(self._ruleset, self._options.rules, guide.weights, light)
            self._take(inputs, self._warm_steps_left + self._options.steps)
            self._warm_steps_left = 0
            return self._engine.rgb()

    def _take(self, inputs: np.ndarray, steps: int) -> None:
        while steps > 0 and not self._stopped:
            self._engine.step(inputs, min(PIECE, steps))
            steps -= PIECE

    def stop(self) -> None:
        """Give up the steps that another thread is taking; nobody wants the frames any more."""
        self._stopped = True

    def compose(self, texture: np.ndarray, guide: Guide, rgb: np.ndarray) -> np.ndarray:
        """Lay the texture over its source frame."""
        with self.watch("composite"):
            coverage = guide.weights.sum(0) if len(guide.weights) == 1 else None
            return self._composite(texture, guide.light, coverage, guide.view, rgb)

    def close(self) -> None:
        """Let go of the control's files."""
        self._control.close()
