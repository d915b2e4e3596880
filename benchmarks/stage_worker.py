"""One version's control and composite, for `stages.py`, which runs this with its sources.

    python benchmarks/stage_worker.py WIDTH HEIGHT FRAMES

Prints the core-milliseconds a frame as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"
RULES = ("fire", "moss")
WARM = 3  # frames that are not counted: tables are made, machine code is loaded


def measure_stages(size: tuple[int, int], count: int) -> dict[str, float]:
    """Return core-milliseconds a frame of control and composite, in the version on the path."""
    renderer, condition, step, composite = _renderer(size)
    spent = dict.fromkeys(("control", "composite"), 0.0)
    for index, rgb in enumerate(frames(size, WARM + count)):
        begin = time.process_time()
        conditions = condition(rgb, index / 25)
        middle = time.process_time()
        texture = step(conditions)
        end = time.process_time()
        composite(texture, conditions, rgb)
        if index >= WARM:
            spent["control"] += middle - begin
            spent["composite"] += time.process_time() - end
    renderer.close()
    return {stage: 1000 * seconds / count for stage, seconds in spent.items()}


def _renderer(size: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Return what renders frames, and its three verbs, by their names then and now."""
    levels = import_module("ncavideo.control.levels").ClipRange(0.0, 1.0)
    try:
        find_ruleset = import_module("ncavideo.nca.ruleset").find_ruleset
        options = import_module("ncavideo.rendering.options").RenderOptions(RULES)
        kind = import_module("ncavideo.rendering.frame_renderer").FrameRenderer
        verbs = ("condition", "step", "composite")
    except ModuleNotFoundError:
        find_ruleset = import_module("ncavideo.ruleset").find_ruleset
        options = import_module("ncavideo.options").RenderOptions(RULES)
        kind = import_module("ncavideo.painter").Painter
        verbs = ("read", "live", "compose")
    renderer = kind(find_ruleset(RULES, None), size, levels, options, CLIP)
    return renderer, *(getattr(renderer, verb) for verb in verbs)


def frames(size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Return the first frames of the example clip, enlarged."""
    with av.open(str(CLIP)) as container:
        decoded = [
            f.to_ndarray(format="rgb24")
            for _, f in zip(range(count), container.decode(video=0), strict=False)
        ]
    return [cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC) for rgb in decoded]


if __name__ == "__main__":
    width, height, count = map(int, sys.argv[1:])
    print(json.dumps(measure_stages((width, height), count)))
