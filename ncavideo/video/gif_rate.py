"""Frames that a GIF can show: it counts in hundredths of a second."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

HUNDREDTH = Fraction(1, 100)
# Frames shorter than this are shown for a tenth of a second by browsers.
LEAST = 2  # hundredths
MOST_RATE = 50  # frames a second

Held = tuple[np.ndarray, int, int | None]


class GifRate:
    """Leaves out frames that come too soon after the one before, which is shown for longer then.

    `tick`: what frames' times count in, in seconds; `dropped`, `seen`: how many frames there were.
    """

    def __init__(self, tick: Fraction) -> None:
        self._tick = tick
        self._held: Held | None = None
        self.dropped = self.seen = 0

    def take(self, rgb: np.ndarray, pts: int, duration: int | None) -> Held | None:
        """Take a frame; return the one before it, if it is complete."""
        self.seen += 1
        held = self._held
        if held is not None and self._hundredths(pts) < self._hundredths(held[1]) + LEAST:
            self.dropped += 1
            end = None if duration is None else pts + duration - held[1]
            self._held = (held[0], held[1], end)
            return None
        self._held = (rgb, pts, duration)
        return None if held is None else (held[0], held[1], pts - held[1])

    def rest(self) -> Held | None:
        """Return the last frame."""
        held, self._held = self._held, None
        return held

    def note(self) -> str | None:
        """Tell of the frames that were left out."""
        if not self.dropped:
            return None
        return (
            f"a GIF shows at most {MOST_RATE} frames a second: {self.dropped} of {self.seen} were"
            " left out"
        )

    def _hundredths(self, pts: int) -> int:
        return round(pts * self._tick / HUNDREDTH)
