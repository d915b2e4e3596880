"""Levels: a frame's luminance stretched to the clip's range, locally and over time.

The grid can only show what the control separates. A face in even light spans a tenth of the
luminance range; CLAHE (Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics
Gems IV, 1994) spreads it, within limits that keep noise down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncavideo.control.clahe import clahe
from ncavideo.util.errors import UserError
from ncavideo.util.state import Stateful

CLIP_LIMIT = 3.0  # the most by which CLAHE may raise a flat region's contrast
TILES = 6  # CLAHE's tiles along the shorter side
CUT = 0.35  # histograms that differ by this share of all cells are two scenes
SMOOTHING = 0.6  # seconds that a threshold takes to follow a change of 63 %
LEAST_SPAN = 1 / 16  # of the full range: a clip is not stretched further than this
MOST_SHIFT = 0.1  # how far a threshold may be moved to feed a band that would starve
FLAT = 0.04  # below this deviation a frame has no valleys worth following
EXTREMES = (0.01, 0.99)  # quantiles of luminance that are a clip's darkest and brightest
ROUNDS = 16  # of k-means, at the most
LEAST_SHARE = 0.5  # of its even share of the frame that a band keeps


@dataclass(frozen=True)
class ClipRange:
    """The darkest and brightest luminance of a clip, 0..1, leaving out the extreme percent."""

    low: float = 0.0
    high: float = 1.0

    @property
    def stretched(self) -> tuple[float, float]:
        """The luminance that becomes 0, and how much more becomes 1."""
        low, span = self.low, self.high - self.low
        if span < LEAST_SPAN:
            # A clip of nearly one brightness keeps it: its little span grows around its middle.
            low, span = min(max((low + self.high - LEAST_SPAN) / 2, 0), 1 - LEAST_SPAN), LEAST_SPAN
        return low, span

    def stretch(self, luma: np.ndarray) -> np.ndarray:
        """Map luminance so that the clip's range fills 0..1."""
        from ncavideo.control.light_kernel import stretch  # Numba takes its time to load

        luma = np.ascontiguousarray(luma, np.float32)
        out = np.empty_like(luma)
        stretch(luma.ravel(), *(np.float32(number) for number in self.stretched), out.ravel())
        return out


def clip_range(lumas: list[np.ndarray]) -> ClipRange:
    """Return the range of a clip from some of its frames' luminance."""
    if not lumas:
        return ClipRange()
    values = np.concatenate([luma.ravel() for luma in lumas])
    low, high = np.quantile(values, EXTREMES)
    return ClipRange(float(low), float(high))


def parse_levels(text: str) -> ClipRange:
    """Parse `DARKEST,BRIGHTEST`, both 0..1. Raises `UserError`."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 1:
        raise UserError(f"--levels {text!r} is not DARKEST,BRIGHTEST, each 0 to 1, as 0.05,0.9")
    return ClipRange(low, high)


def local_contrast(luma: np.ndarray) -> np.ndarray:
    """Map `[h, w]` in 0..1 to the same with local contrast raised, by CLAHE."""
    tiles = local_tiles(*luma.shape)
    return luma if tiles is None else clahe(luma, CLIP_LIMIT, tiles)


def local_tiles(height: int, width: int) -> tuple[int, int] | None:
    """Return CLAHE's tiles (across, down) for a grid, None where it is too small for them."""
    shorter = min(height, width)
    if shorter < 2 * TILES:
        return None
    return max(1, round(TILES * width / shorter)), max(1, round(TILES * height / shorter))


class Thresholds(Stateful):
    """Where to split a frame's luminance into bands, steady over time.

    One-dimensional k-means (Lloyd 1982; for two bands the threshold of Otsu 1979) on the
    frame's histogram puts each threshold in a valley between two groups of values. It follows the
    clip smoothly in time, whatever the frame rate, and jumps at a cut.
    """

    BINS = 128
    state_attributes = ("_current", "_histogram", "_time")

    def __init__(self, bands: int) -> None:
        self.bands = bands
        self._current: np.ndarray | None = None
        self._histogram: np.ndarray | None = None
        self._time = 0.0

    def update(self, luma: np.ndarray, time: float) -> np.ndarray:
        """Return the thresholds `[bands - 1]`, ascending in 0..1, for a frame at `time` seconds."""
        from ncavideo.control.sharing_kernel import count  # Numba takes its time to load

        counts = np.zeros((4, self.BINS), np.int64)
        count(np.ascontiguousarray(luma, np.float32).ravel(), counts)
        return self.follow(counts.sum(0) / luma.size, time)

    def follow(self, histogram: np.ndarray, time: float) -> np.ndarray:
        """Return what `update` does, for a frame's histogram `[BINS]`, which sums to 1."""
        target = self._split(histogram)
        if self._current is None or self._histogram is None or self._is_cut(histogram):
            self._current = target
        else:
            follow = 1 - np.exp(-max(time - self._time, 0) / SMOOTHING)
            self._current = self._current + follow * (target - self._current)
        self._histogram, self._time = histogram, time
        return self._current

    def _is_cut(self, histogram: np.ndarray) -> bool:
        return 0.5 * float(np.abs(histogram - self._histogram).sum()) > CUT

    def _split(self, histogram: np.ndarray) -> np.ndarray:
        from ncavideo.control.sharing_kernel import split_bands

        values = (np.arange(self.BINS) + 0.5) / self.BINS
        cumulative = np.cumsum(histogram)
        even = np.arange(1, self.bands) / self.bands
        at_share = np.interp(even, cumulative, values)
        thresholds = at_share.copy()
        split_bands(values, histogram, thresholds, ROUNDS)
        # No band may starve: each keeps `LEAST_SHARE` of its even share of the frame.
        low = np.interp(even - LEAST_SHARE / 2 / self.bands, cumulative, values)
        high = np.interp(even + LEAST_SHARE / 2 / self.bands, cumulative, values)
        # Not into a cluster, though: a frame of two flat tones is split between them.
        fed = np.clip(thresholds, low, high)
        thresholds = thresholds + np.clip(fed - thresholds, -MOST_SHIFT, MOST_SHIFT)
        # A frame without contrast (a fade) is split by the clip's range, not by its noise.
        mean = float(histogram @ values)
        deviation = float(histogram @ (values - mean) ** 2) ** 0.5
        trust = min(1.0, deviation / FLAT)
        return np.asarray(trust * thresholds + (1 - trust) * even, dtype=np.float32)
