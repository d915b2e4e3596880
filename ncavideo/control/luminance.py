"""Luminance: the first rule takes the brightest parts, the last the darkest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.bilateral import bilateral
from ncavideo.control.field import Context, DeviceView, Field, View, even_thresholds, ramp
from ncavideo.control.levels import Thresholds
from ncavideo.control.modifiers import ModifiedField
from ncavideo.control.sharing import Sharing
from ncavideo.control.spec import ControlSpec

if TYPE_CHECKING:
    from torch import Tensor

# Steep enough that under a tenth of a typical frame is in between two rules.
DEFAULT_CONTRAST = 6.0
# Before it is split into regions the picture is smoothed a little, edges kept: islands smaller
# than a texture's own grain cannot show their rule and only make mud.
SMOOTHING_CELLS = 2.0
SMOOTHING_RANGE = 0.12


class Regions(Field):
    """The locally stretched luminance, smoothed with its edges kept."""

    @classmethod
    def parse(cls, argument: str, context: Context) -> Regions:
        """Make the field; it takes no argument."""
        return cls()

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        return bilateral(view.local, SMOOTHING_RANGE, SMOOTHING_CELLS)

    def device_values(self, view: DeviceView) -> Tensor:
        """Return `[h, w]`."""
        from ncavideo.control.device_bilateral import bilateral

        return bilateral(view.local, SMOOTHING_RANGE, SMOOTHING_CELLS)


class Plain(Field):
    """The luminance stretched to the clip's range."""

    @classmethod
    def parse(cls, argument: str, context: Context) -> Plain:
        """Make the field; it takes no argument."""
        return cls()

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        return view.stretched

    def device_values(self, view: DeviceView) -> Tensor:
        """Return `[h, w]`."""
        return view.stretched


class Luminance(Sharing):
    """Splits a frame by its luminance at thresholds that follow the picture.

    `contrast` 1 is the plain linear ramp over the clip's range; above it neighbouring rules
    change over that much more steeply, at the frame's own thresholds.
    """

    parts = ("_steep", "_plain", "_thresholds")

    def __init__(self, count: int, spec: ControlSpec | None = None) -> None:
        spec = spec or ControlSpec(None, "luminance")
        self.count, self.covers = count, count > 1
        self._steep, self._plain = ModifiedField(spec, Regions()), ModifiedField(spec, Plain())
        self._thresholds = Thresholds(max(count, 2))

    def weights(self, view: View, contrast: float | None = None) -> np.ndarray:
        """Return `[count, h, w]`."""
        contrast = DEFAULT_CONTRAST if contrast is None else contrast
        if contrast <= 1:
            position = self._plain.values(view)
            return ramp(position, even_thresholds(self.count), contrast, self.count)
        position = self._steep.values(view)
        thresholds = self._thresholds.update(position, view.time)
        return ramp(position, thresholds, contrast, self.count)

    def device_weights(self, view: DeviceView, contrast: float | None = None) -> Tensor:
        """Return `[count, h, w]`; of the frame only its histogram comes to the processor."""
        from ncavideo.control import device_sharing as device

        contrast = DEFAULT_CONTRAST if contrast is None else contrast
        if contrast <= 1:
            position = self._plain.device_values(view)
            return device.ramp(position, even_thresholds(self.count), contrast, self.count)
        position = self._steep.device_values(view)
        histogram = device.histogram(position, self._thresholds.BINS)
        thresholds = self._thresholds.follow(histogram, view.time)
        return device.ramp(position, thresholds, contrast, self.count)
