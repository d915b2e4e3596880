"""Where a render's frames are worked on: on the GPU that takes the steps, or on the processor."""

from __future__ import annotations

import os

from ncavideo.rendering.frame_renderer import FrameRenderer

# For tests and benchmarks: `device` has the device's passes run by torch wherever the engine is,
# also on the processor; `processor` leaves a GPU nothing but the steps.
SWITCH = "NCAVIDEO_FRAME"


def may_be_on_device(renderer: FrameRenderer) -> bool:
    """Return whether a renderer's frames go through `DeviceFrame`."""
    wanted = os.environ.get(SWITCH)
    if renderer._options.show_control or wanted == "processor":
        return False
    return wanted == "device" or renderer._engine.device.startswith("cuda")
