"""The numbers of a learned decoder, as a rule set's file holds them; see `decoder`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = 2
REACH = 2  # cells beyond a pixel's own that it is drawn from
MOST_HIDDEN, MOST_PIXELS = 256, 64
ARRAYS = ("w1", "b1", "w2")
PREFIX = "decoder."  # of the arrays' names in a file


@dataclass(frozen=True, eq=False)
class DecoderWeights:
    """One trained decoder.

    `w1` `[hidden, C]`, `b1` `[hidden]`, `w2` `[3, hidden]`, float32. `pixels`: how many of the
    style pictures' pixels a cell is across.
    """

    pixels: int
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray

    def __post_init__(self) -> None:
        """Check that the shapes fit together. Raises `ValueError` with one sentence."""
        if not 1 <= self.pixels <= MOST_PIXELS:
            raise ValueError(f"its decoder has {self.pixels} pixels a cell")
        if self.w1.ndim != 2 or not 1 <= len(self.w1) <= MOST_HIDDEN:
            raise ValueError("its decoder's weights have the wrong number of dimensions")
        hidden = len(self.w1)
        if (self.b1.shape, self.w2.shape) != ((hidden,), (3, hidden)):
            raise ValueError("its decoder's weights' shapes do not fit each other")
        for array in self.arrays.values():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError("its decoder's weights are not all finite float32 numbers")

    @property
    def channels(self) -> int:
        """The number of state channels C that it reads."""
        return int(self.w1.shape[1])

    @property
    def hidden(self) -> int:
        """The width of its hidden layer."""
        return len(self.w1)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by their names in a file."""
        return {PREFIX + name: getattr(self, name) for name in ARRAYS}

    @property
    def config(self) -> dict[str, int]:
        """What a file says of it beside the arrays."""
        return {"version": VERSION, "hidden": self.hidden, "pixels": self.pixels}

    @classmethod
    def read(cls, config: Any, arrays: Mapping[str, np.ndarray]) -> DecoderWeights:
        """Return the decoder of a file.

        Raises `ValueError`, `KeyError` or `TypeError` for one that is not sound, and
        `OtherVersionError` for one that this program cannot draw with.
        """
        version, pixels = config["version"], config["pixels"]
        if isinstance(version, int) and version != VERSION:
            raise OtherVersionError(
                f"its decoder is of version {version}, and this ncavideo reads version {VERSION}"
            )
        if isinstance(pixels, bool) or not isinstance(pixels, int):
            raise TypeError("its decoder's pixels a cell are not a whole number")
        found = cls(pixels, *(arrays[PREFIX + name] for name in ARRAYS))
        if config["hidden"] != found.hidden:
            raise ValueError("its config says another number of the decoder's hidden units")
        return found


class OtherVersionError(ValueError):
    """A decoder of another version."""
