"""A rule set with a learned decoder beside the plain one: what can be read, and what it costs.

    python benchmarks/decoder.py [--limit 40] [--record]

Fire and moss on `bikes.mp4` and the example clip, on cells of several sizes; *default* is what
`--quality standard` takes. *Small* and *small light*: legible, and by light alone, at the scale of
eyes and letters (metrics.py), medians over every tenth frame. *Flicker*: the median over all pairs.
*control*, *step*, *composite*: processor time of all threads in milliseconds a frame.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import results
from clips import EXAMPLE, bikes, frames
from metrics import Reading

from ncavideo.control.levels import clip_range
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.pixels import luminance
from ncavideo.video.survey import survey

RULES = ("fire", "moss")
RENDERS = (("elements", None), ("elements-fine", None), *(("elements-fine", n) for n in (6, 4, 2)))
EVERY = 10
STAGES = ("control", "step", "composite")


def measure(clip: Path, name: str, cell: int | None, limit: int) -> list[float | str]:
    """Return a row of the table, from the beginning of a clip."""
    ruleset, options = open_ruleset(name), RenderOptions(RULES, ruleset=name, cell=cell)
    first, seconds = next(frames(clip))
    levels = clip_range([luminance(rgb) for rgb in survey(clip)])
    renderer = FrameRenderer(ruleset, first.shape[1::-1], levels, options)
    renderer.render(first, seconds)  # warm-up
    reading, spent = Reading(), np.zeros(len(STAGES))
    for index, (rgb, seconds) in enumerate(itertools.islice(frames(clip), limit)):
        times = [time.process_time()]
        conditions = renderer.condition(rgb, seconds)
        times.append(time.process_time())
        texture = renderer.step(conditions)
        times.append(time.process_time())
        out = renderer.composite(texture, conditions, rgb)
        times.append(time.process_time())
        spent += np.diff(times)
        reading.add(rgb, out, index % EVERY == EVERY - 1)
    columns, rows = renderer.cells
    shares = 1000 * spent / (index + 1)
    return [f"{columns}x{rows}", *reading.small_medians(), reading.medians()[2], *shares]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=60, help="frames from a clip's beginning")
    results.add_record(parser)
    arguments = parser.parse_args()
    numbers = {"small": ".2f", "small light": ".2f", "flicker": ".3f"}
    columns = {"clip": "", "rule set": "", "cell": "", "cells": "", **numbers}
    table = results.Table("renders", {**columns, **dict.fromkeys(STAGES, ".1f")})
    for clip in (bikes(), EXAMPLE):
        for name, cell in RENDERS:
            row = measure(clip, name, cell, arguments.limit)
            table.add(clip.stem, name, "default" if cell is None else f"{cell}", *row)
    results.record(arguments, "decoder", table)


if __name__ == "__main__":
    main()
