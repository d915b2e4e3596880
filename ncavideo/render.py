"""Load a rule set, map each frame onto the rule channels, step the grid, encode."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ncavideo.control.base import LUMINANCE
from ncavideo.control.levels import clip_range
from ncavideo.painter import Painter, RenderOptions
from ncavideo.ruleset import find_ruleset
from ncavideo.video.reader import DecodeLoss, VideoReader
from ncavideo.video.survey import survey
from ncavideo.video.writer import open_writer


@dataclass
class RenderReport:
    """What a render did: counts, sizes, seconds by stage, and what the user should know."""

    output: Path
    ruleset: str
    rules: tuple[str, ...]
    width: int = 0
    height: int = 0
    cells: tuple[int, int] = (0, 0)
    frames: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    loss: DecodeLoss | None = None


@dataclass(frozen=True)
class RenderProgress:
    """One frame's news. `frames`: how many there will be, if the clip says."""

    done: int
    frames: int | None


def default_output(clip: Path, rules: tuple[str, ...]) -> Path:
    """Return `in.fire-moss.mp4` in the current folder for `anywhere/in.mp4`."""
    suffix = clip.suffix if clip.suffix.lower() in KEPT_SUFFIXES else ".mp4"
    return Path(f"{clip.stem}.{'-'.join(rules)}{suffix}")


# Containers that a source's name may pass on to the output's.
KEPT_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif")


def render(
    clip: Path,
    output: Path,
    options: RenderOptions,
    progress: Callable[[RenderProgress], None] = lambda news: None,
) -> RenderReport:
    """Render `clip` to `output` and report.

    Raises `UserError` for unusable input or options, `OutputError` when writing fails. Nothing
    appears under the output's name unless the whole file is there.
    """
    started = time.perf_counter()
    ruleset = find_ruleset(options.rules, options.ruleset)
    report = RenderReport(output, ruleset.name, options.rules)
    with ExitStack() as stack:
        reader = stack.enter_context(
            VideoReader(clip, start=options.start, duration=options.duration)
        )
        info = reader.info
        writer = stack.enter_context(
            open_writer(
                output,
                reader,
                codec=options.codec,
                crf=options.crf,
                pix_fmt=options.pix_fmt,
                overwrite=options.overwrite,
            )
        )
        levels = clip_range([luma_of(rgb) for rgb in survey(clip)])
        painter = Painter(ruleset, (info.width, info.height), levels, options)
        stack.callback(painter.close)
        report.width, report.height, report.cells = info.width, info.height, painter.cells
        stages = dict.fromkeys(("decode", "encode"), 0.0)
        frames = iter(reader)
        while True:
            before = time.perf_counter()
            frame = next(frames, None)
            stages["decode"] += time.perf_counter() - before
            if frame is None:
                break
            out = painter.paint(frame.rgb, frame.time - reader.origin)
            before = time.perf_counter()
            writer.write(out, frame.pts, frame.duration)
            stages["encode"] += time.perf_counter() - before
            report.frames += 1
            progress(RenderProgress(report.frames, info.frames))
        before = time.perf_counter()
        writer.close()
        stages["encode"] += time.perf_counter() - before
        order = ("decode", *painter.stages, "encode")
        report.stages = {name: (stages | painter.stages)[name] for name in order}
        report.notes, report.loss = list(writer.notes), reader.loss
    report.seconds = time.perf_counter() - started
    return report


def luma_of(rgb: np.ndarray) -> np.ndarray:
    """Return the luminance `[H, W]`, 0..1, of a frame `[H, W, 3]`, uint8 or uint16."""
    return rgb.astype(np.float32) @ (LUMINANCE / np.float32(np.iinfo(rgb.dtype).max))
