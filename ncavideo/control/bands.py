"""Luminance as a field: how bright a place is, or whether it lies in a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import Context, DeviceView, Field, View
from ncavideo.control.spec import parse_range
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SHOULDER = 0.08  # of the clip's range: how softly a band ends
THIRDS = ("dark", "mid", "bright")
MOST_GAMMA = 10.0


class Bands(Field):
    """`luminance`, `luminance:dark|mid|bright` or `luminance:LOW-HIGH[/GAMMA]`.

    Without an argument the locally stretched luminance itself. The thirds are soft and sum to 1.
    A band from LOW to HIGH, 0..1 of the clip's range after a gamma, ends softly on both sides, but
    not at 0 or 1.
    """

    def __init__(self, low: float, high: float, gamma: float = 1.0, local: bool = False) -> None:
        self._low, self._high, self._gamma, self._local = low, high, gamma, local

    @classmethod
    def parse(cls, argument: str, context: Context) -> Bands:
        """Make the field."""
        if not argument:
            return cls(0, 1, local=True)
        if argument in THIRDS:
            third = THIRDS.index(argument)
            return cls(third / 3, (third + 1) / 3)
        band, slash, power = argument.partition("/")
        low, high = parse_range(band, 0, 1, "luminance")
        try:
            gamma = float(power) if slash else 1.0
        except ValueError:
            gamma = 0.0
        if not 1 / MOST_GAMMA <= gamma <= MOST_GAMMA:
            raise UserError(
                f"the gamma in luminance:{argument} must lie between {1 / MOST_GAMMA:g} and"
                f" {MOST_GAMMA:g}"
            )
        if low >= high:
            raise UserError(f"luminance:{argument} is an empty band: give the lower number first")
        return cls(low, high, gamma)

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        if self._local:
            return view.local
        luma = view.stretched ** np.float32(1 / self._gamma)
        return np.asarray(above(luma, self._low) - above(luma, self._high), np.float32)

    def device_values(self, view: DeviceView) -> Tensor:
        """Return `[h, w]`."""
        from ncavideo.control import device_sharing as device

        if self._local:
            return view.local
        luma = view.stretched ** (1 / self._gamma)
        low, high = (device.above(luma, end, SHOULDER) for end in (self._low, self._high))
        return low - high


def above(values: np.ndarray, threshold: float, soft: float = SHOULDER) -> np.ndarray:
    """Return softly, 0..1, where `values` lie above `threshold`; all do above 0, none above 1."""
    if threshold <= 0:
        return np.ones_like(values)
    if threshold >= 1:
        return np.zeros_like(values)
    share = np.clip((values - threshold) / soft + 0.5, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
