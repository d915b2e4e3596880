"""Light: how bright each place of the texture should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import DeviceView, Field, View
from ncavideo.util.state import Stateful
from ncavideo.util.wide_blur import wide_blur

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor


FORM = 3.0  # cells: the light's detail is what is finer than this
RAISED = 10.0  # times `detail`: how much of it is added
MOST_RAISED = 4.0  # more shows nothing that this does not, and lays rims around edges


def raised(light: np.ndarray, detail: float) -> np.ndarray:
    """Return light `[h, w]` in 0..1 with its detail of a few cells raised by `detail` 0..1.

    A texture follows light in its own way, within some steps and cells: what is as small as eyes
    and letters has to be asked for louder than it is.
    """
    amount = _amount(detail)
    if amount <= 0:
        return light
    from ncavideo.control.light_kernel import raise_detail  # Numba takes its time to load

    light = np.ascontiguousarray(light, np.float32)
    louder = np.empty_like(light)
    raise_detail(light, wide_blur(light, FORM), np.float32(amount), louder)
    return louder


def raised_on_device(light: Tensor, detail: float) -> Tensor:
    """Return what `raised` does, as a tensor on the light's device."""
    from ncavideo.util.device_filters import wide_blur  # torch takes its time to load

    amount = _amount(detail)
    return light if amount <= 0 else light.lerp(wide_blur(light, FORM), -amount).clamp_(0, 1)


def _amount(detail: float) -> float:
    return min(RAISED * detail, MOST_RAISED)


def weakened(light: np.ndarray, strength: float) -> np.ndarray:
    """Return light `[h, w]` led towards the middle: `strength` 0 asks for it everywhere."""
    return light if strength == 1 else np.asarray(0.5 + strength * (light - 0.5), np.float32)


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
        if self._field is None:
            return view.local  # which keeps to these bounds
        return np.asarray(np.clip(self._field.values(view), 0, 1), np.float32)

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
