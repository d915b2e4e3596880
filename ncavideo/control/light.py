"""Light: how bright each place of the texture should be, from the source's local luminance."""

from __future__ import annotations

import numpy as np

from ncavideo.control.base import View


class Light:
    """Maps a frame's luminance to the light scale, 0 (dark) to 1 (bright).

    `strength` 1 follows the source's locally stretched luminance, 0 asks for the middle
    everywhere.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def __call__(self, view: View) -> np.ndarray:
        """Return `[h, w]` float32 in 0..1."""
        return np.clip(0.5 + self._strength * (view.local - 0.5), 0, 1).astype(np.float32)
