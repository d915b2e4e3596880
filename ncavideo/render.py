"""Load a rule set, map each frame onto the rule channels, step the grid, encode."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ncavideo.control.levels import clip_range
from ncavideo.cores import cores
from ncavideo.options import RenderOptions
from ncavideo.painter import Painter
from ncavideo.pipeline import Stage, overlap
from ncavideo.pixels import luminance
from ncavideo.ruleset import find_ruleset
from ncavideo.stopwatch import Stopwatch
from ncavideo.video.reader import DecodeLoss, SourceFrame, VideoReader
from ncavideo.video.survey import survey
from ncavideo.video.writer import open_writer

CORES_A_COMPOSER = 4  # for each so many cores one more frame is composed at a time


@dataclass
class RenderReport:
    """What a render did: counts, sizes, seconds by stage, and what the user should know.

    Stages overlap: their seconds add up to more than the whole takes.
    """

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
        levels = clip_range([luminance(rgb) for rgb in survey(clip)])
        painter = Painter(ruleset, (info.width, info.height), levels, options)
        stack.callback(painter.close)
        report.width, report.height, report.cells = info.width, info.height, painter.cells
        watch = painter.watch
        painted = overlap(
            _decoded(reader, watch),
            Stage(lambda frame: (frame, painter.read(frame.rgb, frame.time - reader.origin))),
            Stage(lambda item: (*item, painter.live(item[1]))),
            Stage(
                lambda item: (item[0], painter.compose(item[2], item[1], item[0].rgb)),
                workers=max(1, cores() // CORES_A_COMPOSER),
            ),
        )
        stack.enter_context(closing(painted))
        # Whoever leaves early does not wait for all the steps of a frame, or of the warm-up.
        stack.callback(painter.stop)
        for frame, out in painted:
            with watch("encode"):
                writer.write(out, frame.pts, frame.duration)
            report.frames += 1
            progress(RenderProgress(report.frames, info.frames))
        with watch("encode"):
            writer.close()
        report.stages = watch.seconds
        report.notes, report.loss = list(writer.notes), reader.loss
    report.seconds = time.perf_counter() - started
    return report


def _decoded(reader: VideoReader, watch: Stopwatch) -> Generator[SourceFrame, None, None]:
    frames = iter(reader)
    while True:
        with watch("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame
