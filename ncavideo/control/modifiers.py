"""A field with the user's wishes for it: inverted, weighted, smooth in time and space, rising."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ncavideo.control import make_field
from ncavideo.control.field import Context, DeviceView, Field, View
from ncavideo.control.rising import Rising
from ncavideo.control.spec import ControlSpec, parse_control

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor


class ModifiedField(Field):
    """What `spec` asks for: a field inverted, weighted, blurred, smooth in time, rising.

    Smoothing is exponential with a time constant in seconds, so that it is the same at any frame
    rate; at a cut it begins anew.
    """

    state_attributes = ("_before", "_time")
    parts = ("_field", "_rising")

    def __init__(self, spec: ControlSpec, field: Field) -> None:
        self._spec, self._field = spec, field
        self.needs_motion = field.needs_motion
        self._before: np.ndarray | None = None
        self._time = 0.0
        self._rising = Rising(spec.rise) if spec.rise else None

    @classmethod
    def parse(cls, argument: str, context: Context) -> ModifiedField:
        """Make the field of a whole control, `NAME[:ARGUMENT][,OPTION...]`."""
        spec = parse_control(argument)
        return cls(spec, make_field(spec, context))

    def values(self, view: View) -> Float32[np.ndarray, "h w"]:
        """Return the modified values, in 0..1."""
        spec, values = self._spec, self._field.values(view)
        if spec.invert:
            values = 1 - values
        if spec.weight != 1:
            values = np.minimum(values * np.float32(spec.weight), 1)
        if spec.blur:
            values = cv2.GaussianBlur(values, (0, 0), spec.blur, borderType=cv2.BORDER_REPLICATE)
        if spec.smooth:
            values = self._followed(values, view)
        if self._rising is not None:
            values = self._rising(values, view)
        return np.asarray(values, np.float32)

    def device_values(self, view: DeviceView) -> Tensor:
        """Return the modified values; what changes with time keeps its state on the processor."""
        spec = self._spec
        if spec.smooth or spec.rise:
            return super().device_values(view)
        values = self._field.device_values(view)
        if spec.invert:
            values = 1 - values
        if spec.weight != 1:
            values = (values * spec.weight).clamp(max=1)
        if spec.blur:
            from ncavideo.util.device_filters import REPLICATE, gaussian_blur

            values = gaussian_blur(values, spec.blur, REPLICATE)
        return values

    def _followed(self, values: np.ndarray, view: View) -> np.ndarray:
        cut = view.motion is not None and view.motion.cut
        if self._before is not None and not cut:
            follow = -math.expm1(-max(view.time - self._time, 0) / self._spec.smooth)
            values = self._before + np.float32(follow) * (values - self._before)
        self._before, self._time = values, view.time
        return values

    def notes(self) -> list[str]:
        """Return the field's own."""
        return self._field.notes()

    def close(self) -> None:
        """Let go of the field's files."""
        self._field.close()
