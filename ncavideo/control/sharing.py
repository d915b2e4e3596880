"""Ways to share a frame out between several rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import DeviceView, Field, View, even_thresholds, ramp
from ncavideo.util.state import Stateful

if TYPE_CHECKING:
    from torch import Tensor

CLEARLY = 1.3  # a sum of weights above this is a contradiction, not the soft border of two fields


class Sharing(Stateful, ABC):
    """Maps views to the weights of rules, in the order the user named them.

    It may remember earlier frames, so it is asked once for every frame, in order.
    """

    needs_motion = False
    covers = False  # whether the weights are known to sum to 1 everywhere

    @abstractmethod
    def weights(self, view: View, contrast: float | None = None) -> np.ndarray:
        """Return `[rules, h, w]` float32, >= 0, summing to at most 1.

        `contrast`: how steeply neighbouring rules change over, None for the split's own default.
        """

    @abstractmethod
    def device_weights(self, view: DeviceView, contrast: float | None = None) -> Tensor:
        """Return `weights` as a tensor on the view's device."""

    def notes(self) -> list[str]:
        """Return, after the last frame, sentences that the user should read."""
        return []

    def close(self) -> None:
        """Let go of files."""


class Ramp(Sharing):
    """A field's values shared out: 1 is the first rule, 0 the last, the others evenly between.

    Linear by default: greys may have been painted on purpose.
    """

    parts = ("_field",)

    def __init__(self, field: Field, count: int) -> None:
        self._field, self._count = field, count
        self.needs_motion, self.covers = field.needs_motion, count > 1

    def weights(self, view: View, contrast: float | None = None) -> np.ndarray:
        """Return `[count, h, w]`, summing to 1 unless there is only one rule."""
        contrast = 1.0 if contrast is None else contrast
        return ramp(self._field.values(view), even_thresholds(self._count), contrast, self._count)

    def device_weights(self, view: DeviceView, contrast: float | None = None) -> Tensor:
        """Return `[count, h, w]`."""
        from ncavideo.control import device_sharing as device

        contrast = 1.0 if contrast is None else contrast
        values, thresholds = self._field.device_values(view), even_thresholds(self._count)
        return device.ramp(values, thresholds, contrast, self._count)

    def notes(self) -> list[str]:
        """Return the field's own."""
        return self._field.notes()

    def close(self) -> None:
        """Let go of the field's files."""
        self._field.close()


class PerRule(Sharing):
    """One field a rule; where they ask for more than there is, all give way alike."""

    state_attributes = ("_contested", "_frames")
    parts = ("_fields",)

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields
        self.needs_motion = any(field.needs_motion for field in fields)
        self._contested, self._frames = 0.0, 0

    @property
    def contested(self) -> float:
        """The share of all cells so far for which the fields asked for clearly more than 1."""
        return self._contested / max(self._frames, 1)

    def weights(self, view: View, contrast: float | None = None) -> np.ndarray:
        """Return `[fields, h, w]`; `contrast` does not matter here."""
        asked = np.stack([field.values(view) for field in self._fields])
        if len(asked) > 1:
            self._contested += float((asked.sum(0) > CLEARLY).mean())
            self._frames += 1
        return fitted(asked)

    def device_weights(self, view: DeviceView, contrast: float | None = None) -> Tensor:
        """Return `[fields, h, w]`; `contrast` does not matter here."""
        import torch

        from ncavideo.control import device_sharing as device

        asked = torch.stack([field.device_values(view) for field in self._fields])
        if len(asked) > 1:
            self._contested += float((asked.sum(0) > CLEARLY).float().mean())
            self._frames += 1
        return device.fitted(asked)

    def notes(self) -> list[str]:
        """Return the fields' own, each once."""
        return list(dict.fromkeys(note for field in self._fields for note in field.notes()))

    def close(self) -> None:
        """Let go of the fields' files."""
        for field in self._fields:
            field.close()


class Constant(Sharing):
    """The same share everywhere for each of `count` rules: all of it for one, nothing for `off`."""

    def __init__(self, count: int, share: float) -> None:
        self._count, self._share = count, share
        self.covers = count * share == 1

    def weights(self, view: View, contrast: float | None = None) -> np.ndarray:
        """Return `[count, h, w]`."""
        return np.full((self._count, *view.luma.shape), self._share, np.float32)

    def device_weights(self, view: DeviceView, contrast: float | None = None) -> Tensor:
        """Return `[count, h, w]`."""
        return view.luma.new_full((self._count, *view.luma.shape), self._share)


def fitted(weights: np.ndarray) -> np.ndarray:
    """Return `[R, h, w]` with those cells scaled down whose weights sum to more than 1."""
    return np.asarray(weights / np.maximum(weights.sum(0), 1), np.float32)
