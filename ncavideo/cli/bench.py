"""How fast this machine is: every engine beside what its matrix product could do, and renders."""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncavideo.cli.bench_stages import least_time, stage_costs
from ncavideo.nca import engines
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.frame_renderer import STAGES
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, render
from ncavideo.util.device import choose_device, cores
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.nca.engines.base import Engine

GRID = (360, 640)  # rows and columns of cells: what a render of any size takes by default
FRAME_STEPS = 8  # what a render takes by default
LEAST_SECONDS = 0.25  # that one measurement lasts
MEASUREMENTS = 5
# Output sizes (width, height) and the frames that are rendered to time them.
SIZES = {
    "360p": (640, 360, 60),
    "720p": (1280, 720, 40),
    "1080p": (1920, 1080, 24),
    "4K": (3840, 2160, 12),
}
PRODUCT = 2048  # rows and columns of the matrices whose product is timed


@dataclass(frozen=True)
class EngineRate:
    """One engine's speed on one device: cell-steps a second, or None and why it does not run."""

    engine: str
    device: str
    rate: float | None
    why: str = ""


def measure(
    ruleset_name: str, device: str, engine: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure engines and renders with a rule set (a preset's name or a file).

    `say` is called with each result, and all are returned. Raises `UserError` for a rule set,
    device or engine that is not here.
    """
    ruleset = open_ruleset(ruleset_name)
    device = choose_device(device)
    engines.start(engine, ruleset, 1, 1, device=device)  # refused now, not after a minute
    limit = product_rate(device) / flops(ruleset)
    say(f"{platform.machine()}, {cores()} cores, device {device}, rule set {ruleset.name}")
    say(
        f"{flops(ruleset) / 1000:.1f} kFLOP a cell-step; at the speed of its float32 matrix product"
    )
    say(f"this machine would do {limit / 1e6:.1f} million cell-steps a second\n")
    rates = engine_rates(ruleset, device)
    plain = next(rate.rate for rate in rates if rate.engine == "torch")
    say("engine      million cell-steps/s   x torch   x matrix product")
    for rate in rates:
        if rate.rate is None or plain is None:
            say(f"{rate.engine:10}  {rate.why}")
            continue
        relative = f"{rate.rate / plain:7.1f}   {rate.rate / limit:16.2f}"
        say(f"{rate.engine:10}  {rate.rate / 1e6:20.1f}   {relative}")
    options = RenderOptions(
        rules=ruleset.rule_names[:2], ruleset=ruleset_name, device=device, engine=engine, warmup=0
    )
    say("\nRenders, and what each of their stages takes alone, in milliseconds a frame:")
    say("output   frames/s  limited by  " + "".join(f"{stage:>11}" for stage in STAGES))
    renders = []
    for size in SIZES:
        timed = render_rate(size, options)
        renders.append(timed)
        for head, kind in (
            (f"{size:7}  {timed.fps:8.1f}  {timed.limit:10}", "wall"),
            ("", "core"),
        ):
            spent = (f"{timed.stages[stage][kind]:6.1f} {kind}" for stage in STAGES)
            say(f"{head:29}  " + "".join(f"{cell:>11}" for cell in spent))
    return {
        "device": device,
        "cores": cores(),
        "flops_a_cell_step": flops(ruleset),
        "matrix_product_cell_steps": limit,
        "engines": [vars(rate) for rate in rates],
        "renders": [vars(rate) for rate in renders],
    }


def flops(ruleset: RuleSet) -> int:
    """Return the floating-point operations of one cell's step, if the cell fires.

    Two for each weight, and four 3x3 filters on each channel.
    """
    return 2 * (ruleset.w1.size + ruleset.w2.size) + 4 * 9 * 2 * ruleset.channels


def product_rate(device: str = "cpu") -> float:
    """Return the floating-point operations a second of torch's own float32 matrix product."""
    import torch

    a, b = (torch.rand(PRODUCT, PRODUCT, device=device) for _ in range(2))

    def run(count: int) -> None:
        for _ in range(count):
            torch.matmul(a, b)
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return 2 * PRODUCT**3 / seconds_each(run)


def engine_rates(ruleset: RuleSet, device: str = "auto") -> list[EngineRate]:
    """Measure every engine that runs on `device`, on a grid of `GRID` (rows, columns) of cells."""
    device = choose_device(device)
    inputs = np.full((len(ruleset.inputs), *GRID), 0.5, np.float32)
    rates = []
    for name, kind in engines.ENGINES.items():
        if device.partition(":")[0] not in kind.devices:
            continue
        try:
            engine = engines.start(name, ruleset, *GRID, device=device)
        except UserError as error:
            rates.append(EngineRate(name, device, None, str(error)))
            continue

        rates.append(EngineRate(name, device, 1 / seconds_a_cell_step(engine, inputs)))
    return rates


def seconds_a_cell_step(engine: Engine, inputs: np.ndarray) -> float:
    """Return what one cell's step takes as renders go: `FRAME_STEPS` steps, then the picture."""

    def run(frames: int) -> None:
        for _ in range(frames):
            engine.step(inputs, FRAME_STEPS)
            engine.rgb()  # waits for a GPU to finish

    return seconds_each(run) / (FRAME_STEPS * engine.height * engine.width)


def seconds_each(run: Callable[[int], None]) -> float:
    """Return the seconds that one of many repetitions takes: the median of some measurements."""
    run(1)  # compiles, fills caches
    started = time.perf_counter()
    run(1)
    count = max(1, round(LEAST_SECONDS / max(time.perf_counter() - started, 1e-9)))
    took = []
    for _ in range(MEASUREMENTS):
        started = time.perf_counter()
        run(count)
        took.append((time.perf_counter() - started) / count)
    return statistics.median(took)


@dataclass(frozen=True)
class RenderRate:
    """How fast clips of one size render: frames a second, and what limits them.

    `stages`: each stage's milliseconds a frame when it works alone, `wall` in wall time and `core`
    in processor time of all threads; `limit`: the stage that a render waits for, or `cores`. In a
    render the stages work at the same time.
    """

    size: str
    fps: float
    limit: str
    stages: dict[str, dict[str, float]]


def render_rate(size: str, options: RenderOptions) -> RenderRate:
    """Render a made-up clip of one of `SIZES`; warm-up and start are not counted."""
    width, height, frames = SIZES[size]
    times: list[float] = []

    def progress(news: RenderProgress) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="ncavideo-bench-") as folder:
        clip = Path(folder) / "clip.mp4"
        moving_picture(clip, width, height, frames)
        render(clip, Path(folder) / "out.mp4", options, progress)
        costs = stage_costs(clip, Path(folder) / "again.mp4", options)
    fps = (len(times) - 1) / (times[-1] - times[0])
    _, limit = least_time(costs, cores())
    return RenderRate(size, fps, limit, {name: vars(cost) for name, cost in costs.items()})


def moving_picture(path: Path, width: int, height: int, frames: int) -> None:
    """Write a clip of drifting soft shapes with grain: something for every stage to work on."""
    import av

    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    grain = rng.normal(0, 6, (height, width, 1)).astype(np.float32)
    tint = np.array([1.0, 0.85, 0.7], np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            drift = index / 25
            waves = np.sin(5 * x + 2 * drift) * np.cos(4 * y - drift) + np.sin(3 * (x + y) - drift)
            rgb = (128 + 50 * waves)[..., None] * tint + np.roll(grain, 7 * index, 1)
            frame = av.VideoFrame.from_ndarray(rgb.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
