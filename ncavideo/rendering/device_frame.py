"""The passes of a frame on a torch device: up once, down once, and all between stays there.

Where a renderer's engine runs on a CUDA device (see `frame_place`), a `DeviceFrame` takes the place
of the renderer's own stages. They share its controls, grid and clock, so that a checkpoint of
either goes on in the other. All passes are enqueued on the device's default stream, in the order in
which the threads of the pipeline ask for them; copies have streams of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ncavideo.composite.device_composite import DeviceComposite
from ncavideo.control.device_luma import grid_luminance
from ncavideo.control.field import DeviceView, Motion, View, make_view
from ncavideo.control.light import raised_on_device
from ncavideo.nca.device_inputs import inputs_for
from ncavideo.nca.engines.base import UNSOUND
from ncavideo.rendering.device_transfer import Transfer
from ncavideo.rendering.frame_renderer import COVERED, DARKEST_LIGHT, FrameRenderer
from ncavideo.util.errors import UserError


@dataclass(frozen=True)
class DeviceConditions:
    """`FrameConditions` on a device.

    `weights` `[rules, h, w]`, in the emptiest cell of which they sum to `least`; `light` and
    `shading` `[h, w]`; `opacity` one number or `[h, w]`; `motion` is the processor's.
    """

    view: DeviceView
    motion: Motion | None
    weights: Tensor
    least: float
    light: Tensor
    shading: Tensor
    steps: int
    shade: float
    opacity: float | Tensor
    detail: float


class DeviceFrame:
    """What `FrameRenderer` does, stage by stage, with tensors in between."""

    def __init__(self, renderer: FrameRenderer) -> None:
        self._renderer = renderer
        self._device = torch.device(renderer._engine.device)
        self._transfer = Transfer(self._device)
        self._composite = DeviceComposite(renderer._composite)

    @contextlib.contextmanager
    def _here(self, stage: str) -> Iterator[None]:
        # Threads have a device and a mode of their own.
        on = torch.cuda.device(self._device) if self._device.type == "cuda" else None
        with self._renderer.watch(stage), torch.inference_mode(), on or contextlib.nullcontext():
            yield

    def condition(
        self, rgb: np.ndarray, seconds: float, duration: float = 0.04, moment: float | None = None
    ) -> DeviceConditions:
        """Return the conditions that a source frame `[H, W, 3]` sets for the grid."""
        owner, options = self._renderer, self._renderer._options
        if moment is None:
            moment = seconds - (options.start or 0)
        with self._here("control"):
            width, height = owner.cells
            source = self._transfer.up(rgb)

            def view_here() -> View:
                return make_view(rgb, height, width, seconds, owner._levels, owner._flow)

            # Motion is followed from frame to frame: then every frame is looked at.
            here = view_here() if owner._flow is not None else None
            view = DeviceView(
                source,
                grid_luminance(source, height, width),
                seconds,
                owner._levels,
                view_here if here is None else lambda: here,
            )
            strengths, contrast = options.strengths(moment), options.at("contrast", moment)
            weights, least = owner._driver.device_weights(view, contrast, strengths)
            shading = owner._light.on_device(view)
            detail = options.at("detail", moment) or 0
            light = raised_on_device(shading, detail)
            light = 0.5 + (options.at("light", moment) or 0) * (light - 0.5)
            opacity: float | Tensor = options.at("opacity", moment) or 0
            if owner._opacity is not None:
                opacity = owner._opacity.device_values(view) * opacity
            return DeviceConditions(
                view,
                None if here is None else here.motion,
                weights,
                least,
                light,
                shading,
                owner._schedule(moment, duration),
                options.at("shade", moment) or 0,
                opacity,
                detail,
            )

    def step(self, conditions: DeviceConditions) -> Tensor:
        """Step the grid for one frame; return `Engine.texture_tensor` on the device."""
        owner = self._renderer
        with self._here("step"):
            owner._follow_scene(conditions.motion)
            light = DARKEST_LIGHT + (1 - DARKEST_LIGHT) * conditions.light
            rules, least = owner._options.rules, conditions.least
            inputs = inputs_for(owner._ruleset, rules, conditions.weights, light, least)
            owner._advance(inputs, conditions.steps)
            return owner._engine.texture_tensor().to(self._device)

    def composite(
        self, texture: Tensor, conditions: DeviceConditions, rgb: np.ndarray
    ) -> np.ndarray:
        """Lay the texture over its source frame; return the output frame on the processor.

        `rgb` is not needed: the frame is on the device already. Raises `UserError` where the state
        has grown beyond all numbers.
        """
        with self._here("composite"):
            covered = conditions.least > COVERED
            out = self._composite(
                texture,
                conditions.shading,
                None if covered else conditions.weights.sum(0),
                conditions.view.luma,
                conditions.view.source,
                conditions.shade,
                conditions.opacity,
                conditions.detail,
            )
            picture, broken = self._transfer.down(out, ~texture.isfinite().all())
            if broken:
                raise UserError(UNSOUND)
            return picture.view(rgb.dtype)
