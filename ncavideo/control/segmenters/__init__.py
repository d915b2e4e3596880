"""Ways to tell the parts of a frame apart, one file each."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ncavideo.control.base import View
from ncavideo.remember import Remembers


class Segmenter(Remembers, ABC):
    """Tells the parts of a frame apart; asked once for every frame, in order."""

    @abstractmethod
    def __call__(self, view: View) -> np.ndarray:
        """Return `[parts, h, w]` float32, 0..1, on the grid."""
