"""Measures of a rendered clip: legibility, faithfulness to the light, flicker.

All measures compare output frames with source frames `[H, W, 3]`, uint8, of one size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. ITU-R BT.709
FINE = 0.006  # of the width: detail below this is the texture's own
COARSE = 0.04  # of the width: variations above this are exposure, not shapes
SMALL = 0.003, 0.008  # the same two for eyes and letters
CONTRAST_FLOOR = 0.004  # of the full range: local contrast below this is noise
CONSISTENT = 1.0  # pixels that forward and backward flow may disagree by


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return the luminance `[H, W]`, 0..1, of gamma-encoded RGB."""
    return np.asarray(rgb, np.float32) @ LUMINANCE / 255


def local_structure(image: np.ndarray, scales: tuple[float, float] = (FINE, COARSE)) -> np.ndarray:
    """Band-pass an image `[H, W]` and divide it by its local contrast.

    The band lies between Gaussians of two `scales`, shares of the width; the local contrast is the
    band's own deviation within the coarser one.
    """
    fine, coarse = (scale * image.shape[1] for scale in scales)
    band = cv2.GaussianBlur(image, (0, 0), fine) - cv2.GaussianBlur(image, (0, 0), coarse)
    contrast = np.sqrt(np.maximum(cv2.GaussianBlur(band * band, (0, 0), coarse), 0))
    return np.asarray(band / (contrast + CONTRAST_FLOOR))


def legible(
    source: np.ndarray, output: np.ndarray, scales: tuple[float, float] = (FINE, COARSE)
) -> float:
    """Return how well colour tells shapes, 0..1.

    The multiple correlation of the source's local structure with that of the output's three
    channels: how much of the scene a viewer can read, whatever colour stands for bright.
    """
    wanted = local_structure(luminance(source), scales).ravel()
    shown = [local_structure(np.float32(output[..., c]) / 255, scales).ravel() for c in range(3)]
    design = np.stack([*shown, np.ones_like(wanted)], 1)
    solution, *_ = np.linalg.lstsq(design.T @ design, design.T @ wanted, rcond=None)
    fitted = design @ solution
    return float(np.corrcoef(fitted, wanted)[0, 1])


def by_light_alone(
    source: np.ndarray, output: np.ndarray, scales: tuple[float, float] = (FINE, COARSE)
) -> float:
    """Return the correlation, -1..1, of the two luminances' local structure."""
    pair = (local_structure(luminance(frame), scales).ravel() for frame in (source, output))
    return float(np.corrcoef(*pair)[0, 1])


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(method.calc(first, second, None))


def flicker(
    source: np.ndarray, output: np.ndarray, last_source: np.ndarray, last_output: np.ndarray
) -> float:
    """Return the mean difference, 0..1, to the last output frame carried along the scene.

    The carrier is DIS optical flow of the source; only pixels whose forward and backward flow
    agree within a pixel count.
    """
    now, before = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (source, last_source))
    back, forth = _flow(now, before), _flow(before, now)
    height, width = now.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    where = grid + back
    there = cv2.remap(forth, where, None, cv2.INTER_LINEAR)
    inside = ((where >= 0) & (where <= (width - 1, height - 1))).all(-1)
    trusted = inside & (np.abs(back + there).max(-1) < CONSISTENT)
    carried = cv2.remap(last_output, where, None, cv2.INTER_LINEAR)
    difference = np.abs(output.astype(np.float32) - carried.astype(np.float32)).mean(-1) / 255
    return float(difference[trusted].mean())


@dataclass
class Reading:
    """The measures of one clip's frames, taken one by one."""

    legible: list[float] = field(default_factory=list)
    light: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)
    small_light: list[float] = field(default_factory=list)
    _last: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, source: np.ndarray, output: np.ndarray, measure: bool) -> None:
        """Add the next frame; `measure`: legible and light too. Flicker takes every pair."""
        if measure:
            self.legible.append(legible(source, output))
            self.light.append(by_light_alone(source, output))
            self.small.append(legible(source, output, SMALL))
            self.small_light.append(by_light_alone(source, output, SMALL))
        if self._last is not None:
            self.flicker.append(flicker(source, output, *self._last))
        self._last = (source, output)

    def medians(self) -> tuple[float, float, float]:
        """Return the medians over frames: legible, by light alone, flicker."""
        legible_, light, flicker_ = (
            float(np.median(values)) for values in (self.legible, self.light, self.flicker)
        )
        return legible_, light, flicker_

    def small_medians(self) -> tuple[float, float]:
        """Return the medians at the scale of eyes and letters: legible, by light alone."""
        return float(np.median(self.small)), float(np.median(self.small_light))
