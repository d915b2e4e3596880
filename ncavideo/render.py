"""Load a rule set, map each frame onto the rule channels, step the grid, encode."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ncavideo import memory
from ncavideo.brightness import in_order
from ncavideo.control.levels import clip_range
from ncavideo.cores import cores
from ncavideo.loop import looped
from ncavideo.options import RenderOptions
from ncavideo.painter import Painter
from ncavideo.pipeline import Stage, overlap
from ncavideo.pixels import luminance
from ncavideo.ruleset import find_ruleset
from ncavideo.stopwatch import Stopwatch
from ncavideo.timeline import held, shots
from ncavideo.video.reader import ClipInfo, DecodeLoss, SourceFrame, VideoReader
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


def default_output(clip: Path, options: RenderOptions) -> Path:
    """Return `in.fire-moss.mp4` in the current folder for `anywhere/in.mp4`."""
    suffix = clip.suffix if clip.suffix.lower() in KEPT_SUFFIXES else ".mp4"
    if options.matte:
        suffix = ".mov"  # an .mp4 cannot hold alpha
    return Path(f"{clip.stem}.{'-'.join(options.rules)}{suffix}")


# Containers that a source's name may pass on to the output's.
KEPT_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif")


def render(
    clip: Path,
    output: Path,
    options: RenderOptions,
    progress: Callable[[RenderProgress], None] = lambda news: None,
    warn: Callable[[str], None] = lambda note: None,
) -> RenderReport:
    """Render `clip` to `output` and report; `warn` is told what should be known before it begins.

    Raises `UserError` for unusable input or options, `OutputError` when writing fails. Nothing
    appears under the output's name unless the whole file is there.
    """
    started = time.perf_counter()
    ruleset = find_ruleset(options.rules, options.ruleset)
    options = in_order(options, ruleset)
    report = RenderReport(output, ruleset.name, options.rules)
    with ExitStack() as stack:
        reader = stack.enter_context(
            VideoReader(clip, start=options.start, duration=options.duration)
        )
        info = reader.info
        # A loop begins where its transition ends; a held frame comes before the clip's own time.
        lead = options.loop or -held(info, options.before)
        writer = stack.enter_context(
            open_writer(
                output,
                reader,
                lead=lead,
                alpha=options.matte and not options.show_control,
                codec=options.codec,
                crf=options.crf,
                pix_fmt=options.pix_fmt,
                overwrite=options.overwrite,
            )
        )
        levels = clip_range([luminance(rgb) for rgb in survey(clip)])
        painter = Painter(ruleset, (info.width, info.height), levels, options, clip)
        stack.callback(painter.close)
        report.width, report.height, report.cells = info.width, info.height, painter.cells
        warning = memory.warning(info, painter.cells, options)
        if warning:
            warn(warning)
        watch = painter.watch
        expected = None if info.frames is None else _expected(info, options)
        timeline = shots(
            _decoded(reader, watch),
            info,
            reader.origin,
            before=options.before,
            after=options.after,
        )
        painted = overlap(
            timeline,
            Stage(
                lambda shot: (shot, painter.read(shot.rgb, shot.seconds, shot.span, shot.moment))
            ),
            Stage(lambda item: (*item, painter.live(item[1]))),
            Stage(
                lambda item: (item[0], painter.compose(item[2], item[1], item[0].rgb)),
                workers=max(1, cores() // CORES_A_COMPOSER),
            ),
        )
        stack.enter_context(closing(painted))
        # Whoever leaves early does not wait for all the steps of a frame, or of the warm-up.
        stack.callback(painter.stop)
        for shot, out in painted if options.loop is None else looped(painted, options.loop):
            with watch("encode"):
                writer.write(out, shot.pts, shot.duration)
            report.frames += 1
            progress(RenderProgress(report.frames, expected))
        with watch("encode"):
            writer.close()
        report.stages = watch.seconds
        report.notes, report.loss = [*writer.notes, *painter.notes()], reader.loss
    report.seconds = time.perf_counter() - started
    return report


def _expected(info: ClipInfo, options: RenderOptions) -> int:
    """Return how many frames there will be, as far as the clip says."""
    rate = float(info.average_rate or 25)
    more = options.before + options.after - (options.loop or 0)
    return max(1, (info.frames or 0) + round(more * rate))


def _decoded(reader: VideoReader, watch: Stopwatch) -> Generator[SourceFrame, None, None]:
    frames = iter(reader)
    while True:
        with watch("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame
