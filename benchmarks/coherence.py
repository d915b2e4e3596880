"""Stripes: whether the texture on moving things is combed along the motion, beside the flicker.

    python benchmarks/coherence.py [--rules fire,moss] [--frames 100] [--ruleset FILE]
                                   [--options "" "flow=True" ...]

The texture's coherence is that of the structure tensor of its luminance (Bigun and Granlund, 1987),
(a - b) / (a + b) for its eigenvalues a >= b, in Gaussian windows of `WINDOW` cells: 0 for a texture
without direction, 1 for parallel stripes. It is averaged over the cells that move by at least
`MOVING` pixels a frame, in every tenth frame of the last two thirds of the clip. *at rest* is the
same average, over the same cells, of a grid that is shown each of these frames as a still, without
flow; *ratio* is the one over the other. *along* is the share of the gradients across the motion
minus that along it, -1..1, positive for stripes along the motion, in excess of the same at rest.
*flicker* is the warping error of benchmarks/flicker.py.

The motion of the pan is known; that of the clips is DIS optical flow of the source.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import flicker as pans
import numpy as np
import results
from clips import EXAMPLE, bikes, frames
from metrics import flicker, luminance

from ncavideo.control.levels import ClipRange, clip_range
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions

MOVING = 1.0  # pixels a frame
WINDOW = 6.0  # cells, the deviation of the Gaussian
EVERY = 10  # frames
STILL = 12  # frames for which a still is shown: 96 steps
LEAST = 0.002  # share of the cells that have to move for a frame to count

Frame = tuple[np.ndarray, float]


def tensor(texture: np.ndarray) -> np.ndarray:
    """Return the structure tensor `[3, h, w]`, xx, yy and xy, of a texture `[h, w, 3]`, 0..1."""
    light = luminance(np.float32(texture) * 255)
    x = cv2.Scharr(light, cv2.CV_32F, 1, 0)
    y = cv2.Scharr(light, cv2.CV_32F, 0, 1)
    return np.stack([cv2.GaussianBlur(part, (0, 0), WINDOW) for part in (x * x, y * y, x * y)])


def coherence(parts: np.ndarray) -> np.ndarray:
    """Return the coherence `[h, w]`, 0..1, of a structure tensor."""
    xx, yy, xy = parts
    return np.asarray(np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9))


def across(parts: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return the gradients' excess across `flow` `[h, w, 2]` over that along it, -1..1."""
    xx, yy, xy = parts
    x, y = np.moveaxis(flow, -1, 0)
    square = x * x + y * y + 1e-9
    along = (x * x * xx + y * y * yy + 2 * x * y * xy) / square
    return np.asarray(1 - 2 * along / (xx + yy + 1e-9))


@dataclass
class Reading:
    """What is measured of one render: a figure for each frame that counts."""

    moving: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    along: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def row(self) -> list[float | None]:
        """Return coherence, that at rest, ratio, along, and flicker."""
        flickers = float(np.median(self.errors))
        if not self.moving:
            return [None, None, None, None, flickers]
        moving, rest = float(np.mean(self.moving)), float(np.mean(self.rest))
        return [moving, rest, moving / rest, float(np.mean(self.along)), flickers]


def scene(name: str, count: int) -> Iterator[Frame]:
    """Yield the first frames of the pan, of `bikes` or of the example."""
    if name == "pan":
        return pans.pan(count)
    return itertools.islice(frames(bikes() if name == "bikes" else EXAMPLE), count)


def motion(name: str, now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the scene's motion `[H, W, 2]`, in pixels a frame."""
    if name == "pan":
        return np.full((*now.shape[:2], 2), np.float32(pans.STEP) * -1, np.float32)
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pair = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (now, before)]
    return -np.asarray(method.calc(pair[0], pair[1], None))


class Stills:
    """Structure tensors of the texture at rest, by the frame's index; each is grown once."""

    def __init__(self, size: tuple[int, int], levels: ClipRange, options: RenderOptions) -> None:
        ruleset = find_ruleset(options.rules, options.ruleset)
        self._renderer = FrameRenderer(ruleset, size, levels, options)
        self._known: dict[int, np.ndarray] = {}

    def __call__(self, index: int, rgb: np.ndarray) -> np.ndarray:
        """Return the structure tensor `[3, h, w]` under frame `index`, held."""
        if index not in self._known:
            for _ in range(STILL):
                texture = self._renderer.step(self._renderer.condition(rgb, index / 25))
            self._known[index] = tensor(texture)
        return self._known[index]


def measure(
    name: str, count: int, options: RenderOptions, stills: Stills, levels: ClipRange
) -> Reading:
    """Render a scene's first frames and measure them."""
    reading, before = Reading(), None
    renderer = None
    for index, (rgb, seconds) in enumerate(scene(name, count)):
        if renderer is None:
            size = (rgb.shape[1], rgb.shape[0])
            renderer = FrameRenderer(
                find_ruleset(options.rules, options.ruleset), size, levels, options
            )
        conditions = renderer.condition(rgb, seconds)
        texture = renderer.step(conditions)
        out = renderer.composite(texture, conditions, rgb)
        if before is not None:
            pan = name == "pan"
            error = pans.pan_error(out, before[1]) if pan else flicker(rgb, out, *before)
            reading.errors.append(error)
            if index % EVERY == 0 and index * 3 >= count:
                flow = cv2.resize(motion(name, rgb, before[0]), texture.shape[1::-1])
                fast = np.hypot(flow[..., 0], flow[..., 1]) >= MOVING
                if fast.mean() > LEAST:
                    parts, rest = tensor(texture), stills(index, rgb)
                    reading.moving.append(float(coherence(parts)[fast].mean()))
                    reading.rest.append(float(coherence(rest)[fast].mean()))
                    excess = across(parts, flow) - across(rest, flow)
                    reading.along.append(float(excess[fast].mean()))
        before = rgb, out
    return reading


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="fire,moss")
    parser.add_argument("--ruleset")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--clips", nargs="*", default=["pan", "bikes", "clip"])
    parser.add_argument("--options", nargs="*", default=["", "flow=True"])
    results.add_record(parser)
    arguments = parser.parse_args()
    rules = tuple(arguments.rules.split(","))
    numbers = {"coherence": ".3f", "at rest": ".3f", "ratio": ".2f", "along": ".3f"}
    columns = {"clip": "", "render": "", **numbers, "flicker": ".4f"}
    table = results.Table("stripes", columns)
    for name in arguments.clips:
        first = [rgb for rgb, _ in scene(name, 8)]
        levels = clip_range([luminance(rgb) for rgb in first])
        size = (first[0].shape[1], first[0].shape[0])
        stills = Stills(size, levels, RenderOptions(rules, ruleset=arguments.ruleset))
        for text in arguments.options:
            options = RenderOptions(rules, ruleset=arguments.ruleset, **eval(f"dict({text})"))
            reading = measure(name, arguments.frames, options, stills, levels)
            table.add(name, f"ncavideo {arguments.rules} {text}".strip(), *reading.row())
    results.record(arguments, "coherence", table)


if __name__ == "__main__":
    main()
