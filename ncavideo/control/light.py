"""Light: how bright each place of the texture should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import DeviceView, Field, View
from ncavideo.util.state import Stateful

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor


def weakened(light: np.ndarray, strength: float) -> np.ndarray:
    """Return light `[h, w]` led towards the middle: `strength` 0 asks for it everywhere."""
    return np.asarray(0.5 + strength * (light - 0.5), np.float32)


class Light(Stateful):
    """Maps a frame to the light scale, 0 (dark) to 1 (bright), the same for every rule.

    By default from the source's locally stretched luminance; or from any other field: a picture,
    the sound, what moves.
    """

    parts = ("_field",)

    def __init__(self, field: Field | None = None) -> None:
        self._field = field
        self.needs_motion = field is not None and field.needs_motion

    def __call__(self, view: View) -> Float32[np.ndarray, "h w"]:
        """Return the light, in 0..1."""
        values = view.local if self._field is None else self._field.values(view)
        return np.asarray(np.clip(values, 0, 1), np.float32)

    def on_device(self, view: DeviceView) -> Tensor:
        """Return the light, in 0..1, as a tensor on the view's device."""
        values = view.local if self._field is None else self._field.device_values(view)
        return values.clamp(0, 1)

    def notes(self) -> list[str]:
        """Return the field's own."""
        return [] if self._field is None else self._field.notes()

    def close(self) -> None:
        """Let go of the field's files."""
        if self._field is not None:
            self._field.close()
