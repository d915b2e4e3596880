"""What each stage of a render costs by itself, and which one a render waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import composers, frame_stages
from ncavideo.video.clip import Clip
from ncavideo.video.open_writer import open_writer
from ncavideo.video.timeline import Shot, shots

WARM = 2  # frames that are not counted: code is compiled, memory is asked for
CORES = "cores"  # what limits a render that has no core left


@dataclass(frozen=True)
class StageCost:
    """Milliseconds a frame: in wall time, and in processor time of all threads."""

    wall: float
    core: float


def stage_costs(clip: Path, output: Path, options: RenderOptions) -> dict[str, StageCost]:
    """Render a clip one stage after the other, each for all frames, and return their costs.

    All frames, more than `WARM` of them, are kept in memory. On a GPU what a stage asked for is
    waited for, so that no stage pays for the one before it. Raises what `render` does.
    """
    ruleset, costs = find_ruleset(options.rules, options.ruleset), {}
    with ExitStack() as stack:
        reader = stack.enter_context(Clip(clip).read())
        info = reader.info
        writer = stack.enter_context(open_writer(output, reader, overwrite=True))
        renderer = FrameRenderer(ruleset, (info.width, info.height), ClipRange(), options, clip)
        stack.callback(renderer.close)
        stages = frame_stages(renderer)
        wait = _waiting(renderer)

        def measure(name: str, work: Callable[[], list[Any]]) -> list[Any]:
            wall, core = time.perf_counter(), time.process_time()
            made = work()
            wait()
            wall, core = time.perf_counter() - wall, time.process_time() - core
            costs[name] = StageCost(1e3 * wall / len(made), 1e3 * core / len(made))
            return made

        def condition(seen: list[Shot]) -> list[Any]:
            return [stages.condition(shot.rgb, shot.seconds) for shot in seen]

        def step(conditions: list[Any]) -> list[Any]:
            return [stages.step(asked) for asked in conditions]

        def composite(
            textures: list[Any], conditions: list[Any], seen: list[Shot]
        ) -> list[np.ndarray]:
            asked = zip(textures, conditions, seen, strict=True)
            return [stages.composite(texture, c, shot.rgb) for texture, c, shot in asked]

        frames: list[Shot] = measure("decode", lambda: list(shots(reader, info)))
        first, rest = frames[:WARM], frames[WARM:]
        before = condition(first)
        composite(step(before), before, first)
        conditions = measure("control", lambda: condition(rest))
        textures = measure("step", lambda: step(conditions))
        out = measure("composite", lambda: composite(textures, conditions, rest))

        def encode() -> list[Shot]:
            for shot, picture in zip(rest, out, strict=True):
                writer.write(picture, shot.pts, shot.duration)
            writer.close()
            return rest

        measure("encode", encode)
    return costs


def _waiting(renderer: FrameRenderer) -> Callable[[], None]:
    """Return what waits for a GPU, where one takes the steps."""
    if not renderer.device.startswith("cuda"):
        return lambda: None
    import torch

    return partial(torch.cuda.synchronize, renderer.device)


def least_time(costs: Mapping[str, StageCost], count: int) -> tuple[float, str]:
    """Return the least milliseconds a frame on this machine with `count` cores, and what sets them.

    Stages work at the same time: no frame is faster than its slowest stage is alone (the composite
    works on several frames at once), nor than all stages' processor time shared out evenly.
    """
    least = {CORES: sum(cost.core for cost in costs.values()) / count}
    for stage, cost in costs.items():
        least[stage] = cost.wall / (composers(count) if stage == "composite" else 1)
    limit = max(least, key=least.__getitem__)
    return least[limit], limit
