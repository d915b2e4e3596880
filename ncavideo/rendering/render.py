"""Load a rule set, map each frame onto the rule channels, step the grid, encode."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.rendering import memory_estimate as memory
from ncavideo.rendering.checkpoint import SEGMENT, RenderCheckpoint, State, fingerprint
from ncavideo.rendering.clip_levels import find_levels
from ncavideo.rendering.frame_place import may_be_on_device
from ncavideo.rendering.frame_renderer import FrameRenderer, grid_of
from ncavideo.rendering.gpu_memory import fitting, lost_gpu_errors
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.pipeline import Stage, overlap
from ncavideo.rendering.rule_order import in_order
from ncavideo.util.device import cores
from ncavideo.util.events import event, phase
from ncavideo.util.interrupts import held_interrupts
from ncavideo.util.preload import preload
from ncavideo.util.state import StateDict
from ncavideo.util.stopwatch import Stopwatch
from ncavideo.video.clip import Clip
from ncavideo.video.loop import looped
from ncavideo.video.numbered import clip_name, is_sequence, with_rate
from ncavideo.video.open_writer import open_writer
from ncavideo.video.pipe_in import open_pipe
from ncavideo.video.pipes import is_pipe
from ncavideo.video.reader import ClipInfo, DecodeLoss, SourceFrame, VideoReader
from ncavideo.video.timeline import Shot, held, shots

CORES_A_COMPOSER = 4  # for each so many cores one more frame is composed at a time


@dataclass
class RenderReport:
    """What a render did: counts, sizes, seconds by stage, and what the user should know.

    `models`: the names of the segmentation models that looked at the frames.

    Stages overlap: their seconds add up to more than the whole takes.
    """

    output: Path
    ruleset: str
    rules: tuple[str, ...]
    width: int = 0
    height: int = 0
    cells: tuple[int, int] = (0, 0)
    frames: int = 0
    resumed: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    models: tuple[str, ...] = ()
    loss: DecodeLoss | None = None

    def _repr_html_(self) -> str:
        from ncavideo.util.notebook import clip_html

        text = f"{self.output}: {self.frames} frames in {self.seconds:.1f} s"
        return clip_html(self.output, "; ".join([text, *self.notes]))


@dataclass(frozen=True)
class RenderProgress:
    """One frame's news.

    `frames`: how many there will be, if the clip says; `resumed`: how many were there already.
    """

    done: int
    frames: int | None
    resumed: int = 0


@dataclass(frozen=True)
class Item:
    """A frame on its way: the `number`-th, counted from 1.

    `conditions`: `FrameConditions`, or `DeviceConditions` where the frame is on a GPU; `out`: after
    the steps the texture, there too, at last the finished frame; `state`: what the render needs to
    go on after it, where a segment ends.
    """

    number: int
    shot: Shot
    conditions: Any
    state_dict: StateDict | None
    out: Any
    state: State | None


def default_output(clip: Path, options: RenderOptions) -> Path:
    """Return `in.fire-moss.mp4` in the current folder for `anywhere/in.mp4`."""
    kept = clip.suffix.lower() in KEPT_SUFFIXES and not is_sequence(clip)
    suffix = clip.suffix if kept else ".mp4"
    if options.matte:
        suffix = ".mov"  # an .mp4 cannot hold alpha
    name = "stdin" if is_pipe(clip) else clip_name(clip)
    return Path(f"{name}.{'-'.join(options.rules)}{suffix}")


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

    The name `-` stands for standard input and for standard output. Raises `UserError` for unusable
    input or options, `OutputError` when writing fails. Nothing appears under the output's name
    unless the whole file is there.
    """
    started = time.perf_counter()
    clip = with_rate(clip, options.fps)
    ruleset = find_ruleset(options.rules, options.ruleset)
    options = in_order(options, ruleset)
    report = RenderReport(output, ruleset.name, options.rules)
    with lost_gpu_errors(), ExitStack() as stack:
        pipe = open_pipe(clip, options.input_size, options.input_pix_fmt, options.fps)
        if pipe is not None:
            stack.callback(pipe.close)
        source = Clip(clip)
        reader = stack.enter_context(
            source.read(options.start, options.duration, options.fields, pipe)
        )
        stack.callback(preload().join)
        check_same = source.watch_for_another() if pipe is None else None
        info = reader.info
        size = (info.width, info.height)
        cells = grid_of(size, options, decoded=ruleset.decoder is not None)[1]
        on_device, moved = fitting(options, ruleset, size, cells, info.bit_depth)
        if moved:
            warn(moved)
        # A loop begins where its transition ends; a held frame comes before the clip's own time.
        lead = options.loop or -held(info, options.before)
        resumes = pipe is None and options.loop is None
        open_checkpoint = partial(_checkpoint, source, output, ruleset, options)
        with held_interrupts():
            writer = stack.enter_context(
                open_writer(
                    output,
                    reader,
                    lead=lead,
                    alpha=options.matte and not options.show_control,
                    open_checkpoint=open_checkpoint if resumes else None,
                    codec=options.codec,
                    crf=options.crf,
                    pix_fmt=options.pix_fmt,
                    overwrite=options.overwrite,
                    format=options.format,
                    strict=options.strict_streams,
                )
            )
        if pipe is not None:
            pipe.is_over = lambda: writer.unwanted
        checkpoint = writer.checkpoint
        assert checkpoint is None or isinstance(checkpoint, RenderCheckpoint)
        for note in [*writer.notes, *([] if checkpoint is None else checkpoint.notes)]:
            warn(note)
        phase("survey of the clip")
        levels = find_levels(source, reader, options, warn)
        phase("compiling the step")
        renderer = FrameRenderer(ruleset, size, levels, on_device, clip)
        stack.callback(renderer.close)
        stages = frame_stages(renderer)
        report.models = renderer.models
        report.width, report.height, report.cells = info.width, info.height, renderer.cells
        warning = memory.warning(info, renderer.cells, options)
        if warning:
            warn(warning)
        watch = renderer.watch
        expected = None if info.frames is None else _expected(info, options)
        timeline = shots(
            _decoded(reader, watch),
            info,
            before=options.before,
            after=options.after,
        )
        done = report.resumed = checkpoint.frames if checkpoint else 0
        event(
            "render.begin", clip=clip, output=output, ruleset=ruleset.name, options=asdict(options),
            width=info.width, height=info.height, cells=renderer.cells, frames=expected,
            resumed=done, notes=writer.notes,
        )  # fmt: skip
        if checkpoint and done:
            state = checkpoint.state()
            renderer.resume(state.grid, state.state_dict)
        rendered = overlap(
            _after(enumerate(timeline, 1), done, renderer),
            Stage(lambda numbered: _condition(renderer, stages, *numbered)),
            Stage(lambda item: _step(renderer, stages, item)),
            Stage(
                lambda item: replace(
                    item, out=stages.composite(item.out, item.conditions, item.shot.rgb)
                ),
                workers=composers(cores()),
            ),
        )
        stack.enter_context(closing(rendered))
        # Whoever leaves early does not wait for all the steps of a frame, or of the warm-up.
        stack.callback(renderer.stop)
        if pipe is not None:
            stack.callback(pipe.stop)
        finished = ((item.shot, item.out, item.state) for item in rendered)
        if options.loop is not None:
            pairs = ((shot, out) for shot, out, _ in finished)
            finished = ((shot, out, None) for shot, out in looped(pairs, options.loop))
        report.frames = done
        for shot, out, state_then in finished:
            if writer.unwanted:
                break
            with watch("encode"):
                writer.write(out, shot.pts, shot.duration)
                if state_then is not None:
                    writer.end_segment(
                        partial(checkpoint.save, state=state_then) if checkpoint else None
                    )
                    event("render.segment", output=output, frames=report.frames + 1)
            report.frames += 1
            progress(RenderProgress(report.frames, expected, done))
        if check_same is not None:
            check_same()
        with watch("encode"):
            writer.close()
        report.stages = watch.seconds
        report.notes = [*reader.notes, *writer.notes, *renderer.notes()]
        if writer.unwanted:
            report.notes.append(f"nobody read standard output after frame {report.frames}")
        else:
            report.loss = reader.loss
    report.seconds = time.perf_counter() - started
    event("render.done", **asdict(report))
    return report


def composers(count: int) -> int:
    """Return how many frames are composed at once on so many cores."""
    return max(1, count // CORES_A_COMPOSER)


def _checkpoint(
    clip: Clip, output: Path, ruleset: RuleSet, options: RenderOptions
) -> RenderCheckpoint:
    """Return the checkpoint folder of this very render."""
    about = {"clip": str(clip.path), "output": str(output), "options": vars(options)}
    return RenderCheckpoint(output, fingerprint(clip, ruleset, options), about, fresh=options.fresh)


def _after(
    shots: Iterable[tuple[int, Shot]], done: int, renderer: FrameRenderer
) -> Generator[tuple[int, Shot], None, None]:
    """Yield the shots after the first `done`; the renderer sees those again if it has to."""
    for number, shot in shots:
        if number > done:
            yield number, shot
        elif renderer.needs_replay:
            renderer.condition(shot.rgb, shot.seconds, shot.span, shot.moment)


def frame_stages(renderer: FrameRenderer) -> Any:
    """Return what works on the frames: the renderer, or with it the GPU that its engine is on."""
    if not may_be_on_device(renderer):
        return renderer
    from ncavideo.rendering.device_frame import DeviceFrame  # torch takes its time to load

    return DeviceFrame(renderer)


def _condition(renderer: FrameRenderer, stages: Any, number: int, shot: Shot) -> Item:
    conditions = stages.condition(shot.rgb, shot.seconds, shot.span, shot.moment)
    keep = number % SEGMENT == 0 and not renderer.needs_replay
    return Item(number, shot, conditions, renderer.state_dict() if keep else None, shot.rgb, None)


def _step(renderer: FrameRenderer, stages: Any, item: Item) -> Item:
    texture = stages.step(item.conditions)
    state = State(renderer.grid(), item.state_dict) if item.number % SEGMENT == 0 else None
    return replace(item, out=texture, state=state)


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
