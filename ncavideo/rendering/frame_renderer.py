"""The grid that a clip's frames drive: source frame in, output frame out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.composite.blend import Look
from ncavideo.composite.composite import Composite
from ncavideo.composite.false_colour import over_source
from ncavideo.control.background import Foreground
from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, Field, Motion, View, make_view
from ncavideo.control.levels import ClipRange
from ncavideo.control.light import Light, raised, weakened
from ncavideo.control.modifiers import ModifiedField
from ncavideo.control.optical_flow import OpticalFlow
from ncavideo.control.segment import Segment, models
from ncavideo.nca import engines, patchwork
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.quality import QUALITIES
from ncavideo.rendering.step_schedule import StepSchedule
from ncavideo.rendering.warp import warp_state
from ncavideo.util.events import phase
from ncavideo.util.opencv_threads import one_opencv_thread
from ncavideo.util.pixels import luminance
from ncavideo.util.state import StateDict, Stateful
from ncavideo.util.stopwatch import Stopwatch

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 8  # steps after which a long run of them can be given up
STAGES = ("decode", "control", "step", "composite", "encode")
# In near-black a texture has too few levels to show its structure. The grid gets at least this
# light, and shading darkens the result further.
DARKEST_LIGHT = 0.2
# The local luminances that light 0 and 1 stand for, for a rule set that does not say.
LIGHT_SCALE = (0.08, 0.72)
# What OpenCV has passes for that are worth several threads, also on pictures of a grid's size.
THREADED = (OpticalFlow, Foreground, Segment)
COVERED = 1 - 1e-4  # an expression that sums to this much hides the source


@dataclass(frozen=True)
class FrameConditions:
    """The inputs of the grid and of the compositing that one source frame gives.

    `weights` `[rules, h, w]`; `light` `[h, w]`, what the texture is asked for, with its detail
    raised, and `shading` `[h, w]`, the light that `shade` pulls the finished texture towards, all
    0..1; `steps` to take; `opacity` 0..1, one number or `[h, w]`; `shade` and `detail` 0..1;
    `covers`: whether the weights are known to sum to 1 everywhere.
    """

    view: View
    weights: np.ndarray
    light: np.ndarray
    shading: np.ndarray
    steps: int
    shade: float
    opacity: float | np.ndarray
    detail: float
    covers: bool = False


class FrameRenderer(Stateful):
    """The grid that a clip's frames drive: one call a frame, in order.

    `condition`, `step` and `composite` may run in different threads, each of them in order;
    `composite` for several frames at once. `watch` has the seconds of each. `clip`: the source's
    file, for controls that read more of it than its frames.
    """

    parts = ("_driver", "_light", "_opacity", "_flow", "_schedule")

    def __init__(
        self,
        ruleset: RuleSet,
        size: tuple[int, int],
        levels: ClipRange,
        options: RenderOptions,
        clip: Path | None = None,
    ) -> None:
        cell, self.cells = grid_of(size, options, decoded=ruleset.decoder is not None)
        self._options, self._ruleset, self._levels = options, ruleset, levels
        context = Context(clip or Path())
        with ExitStack() as stack:
            self._driver = Driver(options.rules, options.control, context)
            stack.callback(self._driver.close)
            self._light = Light(_field(options.light_control, context))
            stack.callback(self._light.close)
            self._opacity = _field(options.opacity_control, context)
            if self._opacity is not None:
                stack.callback(self._opacity.close)
            self.models = models(context)  # segmentation's, by their names
            self._flow = OpticalFlow(fine=options.flow) if self._motion_is_needed() else None
            look = Look(options.blend, options.keep, options.matte, options.upscale)
            dark, bright = ruleset.provenance.get("light_scale", LIGHT_SCALE)
            self._composite = Composite(
                size, cell, dark, bright, look, ruleset.decoder, options.edge
            )
            self._schedule = StepSchedule(options)
            if not any(isinstance(part, THREADED) for part in self.walk()):
                stack.enter_context(one_opencv_thread())
            self._engine = engines.start(
                options.engine,
                ruleset,
                self.cells[1],
                self.cells[0],
                seed=options.seed,
                edge=options.edge,
                device=options.device,
            )
            self._opened = stack.pop_all()
        self._warm_steps_left = options.warmup
        self._stopped = False
        self.watch = Stopwatch(*STAGES)

    def _motion_is_needed(self) -> bool:
        options, opacity = self._options, self._opacity
        needed = self._driver.needs_motion or self._light.needs_motion
        needed = needed or options.flow or options.on_cut != "keep"
        return needed or (opacity is not None and opacity.needs_motion)

    def render(self, rgb: np.ndarray, seconds: float, duration: float = 0.04) -> np.ndarray:
        """Map a source frame `[H, W, 3]` at `seconds` to an output frame of the same type."""
        conditions = self.condition(rgb, seconds, duration)
        return self.composite(self.step(conditions), conditions, rgb)

    def condition(
        self, rgb: np.ndarray, seconds: float, duration: float = 0.04, moment: float | None = None
    ) -> FrameConditions:
        """Return the conditions that a source frame sets for the grid.

        `seconds`: its time in the clip; `duration`: for how long it is shown; `moment`: seconds
        since the render's beginning, by default those since `start`.
        """
        options = self._options
        if moment is None:
            moment = seconds - (options.start or 0)
        with self.watch("control"):
            height, width = self.cells[1], self.cells[0]
            view = make_view(rgb, height, width, seconds, self._levels, self._flow)
            strengths = options.strengths(moment)
            weights = self._driver.weights(view, options.at("contrast", moment), strengths)
            shading = self._light(view)
            detail = options.at("detail", moment) or 0
            light = weakened(raised(shading, detail), options.at("light", moment) or 0)
            opacity: float | np.ndarray = options.at("opacity", moment) or 0
            if self._opacity is not None:
                opacity = self._opacity.values(view) * np.float32(opacity)
            shade = options.at("shade", moment) or 0
            steps = self._schedule(moment, duration)
            covers = self._driver.covers and not strengths
            return FrameConditions(
                view, weights, light, shading, steps, shade, opacity, detail, covers
            )

    def step(self, conditions: FrameConditions) -> np.ndarray:
        """Step the grid for one frame; return its texture, as `Engine.texture` does."""
        with self.watch("step"):
            self._follow_scene(conditions.view.motion)
            light = DARKEST_LIGHT + (1 - DARKEST_LIGHT) * conditions.light
            inputs = inputs_for(self._ruleset, self._options.rules, conditions.weights, light)
            self._advance(inputs, conditions.steps)
            return self._engine.texture()

    def _follow_scene(self, motion: Motion | None) -> None:
        """Warp the grid along the optical flow, or restart it at a cut, as the options say."""
        options = self._options
        if motion is None:
            return
        if motion.cut and options.on_cut == "restart":
            now = self._engine.snapshot()
            self._engine.restore(Snapshot(np.zeros_like(now.state), now.step))
            self._warm_steps_left = options.warmup
        elif options.flow:
            now = self._engine.snapshot()
            state = warp_state(now.state, motion)
            if state is not None:
                self._engine.restore(Snapshot(state, now.step))

    def _advance(self, inputs: np.ndarray | Tensor, steps: int) -> None:
        """Take a frame's steps, after those of the warm-up where it is still to come."""
        if self._warm_steps_left:
            phase("warm-up")
            left = self._warm_steps_left
            if isinstance(inputs, np.ndarray) or inputs.device.type == "cpu":
                left = patchwork.begin(self._engine, np.asarray(inputs), left, self._take)
            steps += left
        self._warm_steps_left = 0
        self._take(self._engine, inputs, steps)

    def _take(self, engine: Engine, inputs: np.ndarray | Tensor, steps: int) -> None:
        """Take steps in pieces, as long as nobody has said `stop`."""
        while steps > 0 and not self._stopped:
            if isinstance(inputs, np.ndarray):
                engine.step(inputs, min(PIECE, steps))
            else:
                engine.step_on_device(inputs, min(PIECE, steps))
            steps -= PIECE

    @property
    def device(self) -> str:
        """The torch device that takes the steps."""
        return self._engine.device

    def grid(self) -> Snapshot:
        """Return the grid as the last frame left it."""
        return self._engine.snapshot()

    def resume(self, grid: Snapshot, state_dict: StateDict | None) -> None:
        """Resume from a grid that `grid` returned, and the `state_dict` after the same frame.

        None for a renderer that has itself seen all frames up to there.
        """
        self._engine.restore(grid)
        self._warm_steps_left = 0
        if state_dict is not None:
            self.load_state_dict(state_dict)

    def stop(self) -> None:
        """Cancel the steps that another thread is taking: the frames are not needed any more."""
        self._stopped = True

    def composite(
        self, texture: np.ndarray, conditions: FrameConditions, rgb: np.ndarray
    ) -> np.ndarray:
        """Lay the texture over its source frame."""
        from ncavideo.util.least_total import least_total  # Numba takes its time to load

        with self.watch("composite"):
            if self._options.show_control:
                return over_source(conditions.weights, rgb, luminance(rgb))
            coverage = None
            if not conditions.covers:
                weights = np.ascontiguousarray(conditions.weights, np.float32)
                coverage = None if least_total(weights) > COVERED else weights.sum(0)
            return self._composite(
                texture,
                conditions.shading,
                coverage,
                conditions.view,
                rgb,
                conditions.shade,
                conditions.opacity,
                conditions.detail,
            )

    def notes(self) -> list[str]:
        """Return, after the last frame, sentences that the user should read."""
        notes = [*self._driver.notes(), *self._light.notes()]
        if self._opacity is not None:
            notes += self._opacity.notes()
        return list(dict.fromkeys(notes))

    def close(self) -> None:
        """Let go of the controls' files, and of OpenCV's threads."""
        self._opened.close()


def grid_of(
    size: tuple[int, int], options: RenderOptions, decoded: bool = False
) -> tuple[int, tuple[int, int]]:
    """Return a cell's side in pixels and the grid's (columns, rows) for frames of a size.

    `decoded`: whether a learned decoder draws what is finer than a cell.
    """
    width, height = size
    cell = options.cell or QUALITIES[options.quality].cell(size, decoded)
    return cell, (-(-width // cell), -(-height // cell))


def _field(text: str | None, context: Context) -> Field | None:
    return None if text is None else ModifiedField.parse(text, context)
