"""A contact sheet of what a render would be: a few moments, and what drives them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncavideo.composite.false_colour import colour_of, expression_picture
from ncavideo.composite.mask_picture import mask_picture, segmented
from ncavideo.control.levels import ClipRange
from ncavideo.control.rising import CLIMB
from ncavideo.control.spec import parse_control
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.rendering.clip_levels import file_levels
from ncavideo.rendering.frame_renderer import FrameConditions, FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.rule_order import in_order
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import as_float, to_bytes
from ncavideo.util.write_image import check_picture_output, save_png
from ncavideo.video.clip import Clip
from ncavideo.video.numbered import with_rate
from ncavideo.video.reader import SourceFrame, VideoReader

TILE = 320  # pixels across
HEAD, SIDE = 26, 56  # pixels: the row of names above, the column of times at the left
# Seconds before a moment that controls see, so that what they remember is there; more where no
# frame begins in them.
LEADS = (0.3, 3.0, 30.0)
MOMENTS, MOST_MOMENTS = 3, 12
PAPER, INK, FAINT_INK = (18, 18, 20), (235, 235, 235), (150, 150, 155)


@dataclass(frozen=True)
class Moment:
    """One row: its time in the clip, and pictures `[h, w, 3]` uint8 by name.

    `notes`: sentences for the user that are about the clip, whatever the moment.
    """

    time: float
    pictures: dict[str, np.ndarray]
    notes: list[str]


@dataclass(frozen=True)
class _Opened:
    """What a preview works on: its clip, once as a path and once opened."""

    path: Path
    clip: Clip
    ruleset: RuleSet
    options: RenderOptions
    levels: ClipRange


def _open(path: Path, output: Path, options: RenderOptions) -> _Opened:
    """Open the clip and the rule set of a preview that is written to `output`."""
    if output.suffix.lower() != ".png":
        raise UserError(f"{output} must end in .png")
    check_picture_output(output, options.overwrite)
    path = with_rate(path, options.fps)
    ruleset = find_ruleset(options.rules, options.ruleset)
    options, clip = in_order(options, ruleset), Clip(path)
    return _Opened(path, clip, ruleset, options, file_levels(clip, options))


def preview(clip: Path, output: Path, options: RenderOptions, moments: int = MOMENTS) -> list[str]:
    """Draw the sheet of `moments` moments spread over the clip; return what the user should read.

    Raises `UserError` for unusable input or options.
    """
    if not 1 <= moments <= MOST_MOMENTS:
        raise UserError(f"--moments must lie between 1 and {MOST_MOMENTS}, not {moments}")
    of = _open(clip, output, options)
    rows, notes = [], []
    for time in _times(of.clip, of.options, moments):
        row, said = preview_frame(of.path, of.ruleset, of.levels, of.options, time)
        rows.append(row)
        notes += said
    save_png(_sheet(rows, of.options.rules), output, options.overwrite)
    of_clip = [note for row in rows for note in row.notes]
    return list(dict.fromkeys(of_clip + (notes if len(rows) == 1 else [])))


def finished_frame(clip: Path, output: Path, options: RenderOptions, time: float) -> list[str]:
    """Write the finished frame at `time` seconds as a PNG of the clip's size.

    With 8 bits a channel, and alpha for a matte. Returns what the user should read. Raises
    `UserError` for unusable input or options.
    """
    of = _open(clip, output, options)
    if not 0 <= time <= of.clip.length:
        raise UserError(f"--at must lie between 0 and {of.clip.length:.2f}, not {time:g}")
    seen = _see(of.path, of.ruleset, of.levels, of.options, time)
    result = seen.result if seen.result.dtype == np.uint8 else to_bytes(as_float(seen.result))
    save_png(Image.fromarray(result), output, options.overwrite)
    return list(dict.fromkeys(seen.notes + seen.said))


def frame_output(name: str, time: float) -> str:
    """Return the default output of `finished_frame` for a clip's name without its suffix."""
    return f"{name}.{time:g}s.png"


def preview_frame(
    clip: Path,
    ruleset: RuleSet,
    levels: ClipRange,
    options: RenderOptions,
    time: float,
    across: int = TILE,
    grown: Callable[[Snapshot], None] = lambda grid: None,
) -> tuple[Moment, list[str]]:
    """Return what a render shows at `time` seconds into the clip, and what drives it there.

    `across`: the pictures' width in pixels; `grown` is told the grid, for `preview_motion`.
    The grid is warmed up on that moment alone, so that it takes as long at a clip's end as at its
    beginning; in a render it has lived through all that came before.
    """
    seen = _see(clip, ruleset, levels, options, time, grown)
    frame, conditions = seen.frame, seen.conditions
    height, width = frame.rgb.shape[:2]
    size = (across, max(1, round(across * height / width)))
    pictures = {"source": _small(frame.rgb, size)}
    for rule, weight in zip(options.rules, conditions.weights, strict=True):
        pictures[rule] = _small(np.repeat(weight[..., None], 3, 2), size)
    for rule in segmented(options.control, options.rules):
        index = options.rules.index(rule)
        over = mask_picture(pictures["source"], conditions.weights[index], index)
        pictures[f"{rule} over the clip"] = over
    pictures["expression"] = _small(expression_picture(conditions.weights), size)
    if ruleset.has_light:
        pictures["light"] = _small(np.repeat(conditions.light[..., None], 3, 2), size)
    pictures["result"] = _small(seen.result, size)
    return Moment(frame.time, pictures, seen.notes), seen.said


@dataclass(frozen=True)
class _Seen:
    """A moment at full size: its frame, what drives it there and its result.

    `notes`: sentences about the clip; `said`: those about the render.
    """

    frame: SourceFrame
    conditions: FrameConditions
    result: np.ndarray
    notes: list[str]
    said: list[str]


def _see(
    clip: Path,
    ruleset: RuleSet,
    levels: ClipRange,
    options: RenderOptions,
    time: float,
    grown: Callable[[Snapshot], None] = lambda grid: None,
) -> _Seen:
    with _before(clip, time, options) as reader:
        info = reader.info
        options = replace(options, start=options.start or 0.0)
        renderer = FrameRenderer(ruleset, (info.width, info.height), levels, options, clip)
        conditions = frame = None
        try:
            for coming in reader:
                seconds = coming.time
                if frame is not None and seconds > time + 1e-3:
                    break  # the one before is still shown
                frame = coming
                conditions = renderer.condition(frame.rgb, seconds)
            assert conditions is not None and frame is not None  # a reader has at least one frame
            texture = renderer.step(conditions)
            result = renderer.composite(texture, conditions, frame.rgb)
            grown(renderer.grid())
            return _Seen(frame, conditions, result, reader.notes, renderer.notes())
        finally:
            renderer.close()


@dataclass(frozen=True)
class MovingFrame:
    """A frame of a moment in motion: its time in the clip, pictures `[h, w, 3]` uint8 of both."""

    time: float
    source: np.ndarray
    result: np.ndarray


def preview_motion(
    clip: Path,
    ruleset: RuleSet,
    levels: ClipRange,
    options: RenderOptions,
    time: float,
    length: float,
    across: int = TILE,
    grid: Snapshot | None = None,
) -> Generator[MovingFrame, None, None]:
    """Yield what a render shows in the `length` seconds after `time`, as far as the clip goes.

    `across`: the pictures' width in pixels, which is made even, as their height. `grid`: what
    `preview_frame` told of that moment; without it the grid is warmed up on the first frame.
    """
    with _before(clip, time, options) as reader:
        info = reader.info
        options = replace(options, start=options.start or 0.0)
        renderer = FrameRenderer(ruleset, (info.width, info.height), levels, options, clip)
        size = (across // 2 * 2, max(2, round(across * info.height / info.width / 2) * 2))
        if grid is not None:
            renderer.resume(grid, None)

        def shown(frame: SourceFrame, conditions: FrameConditions) -> MovingFrame:
            result = renderer.composite(renderer.step(conditions), conditions, frame.rgb)
            return MovingFrame(frame.time, _small(frame.rgb, size), _small(result, size))

        held = None
        try:
            for frame in reader:
                if frame.time > time + length:
                    break
                spell = frame.duration or 1 / (info.average_rate or 25) / info.time_base
                lasts = float(spell * info.time_base)
                conditions = renderer.condition(frame.rgb, frame.time, lasts)
                if held is not None and frame.time > time + 1e-3:
                    yield shown(*held)  # this one was still shown at `time`
                held = (frame, conditions) if frame.time < time - 1e-3 else None
                if held is None:
                    yield shown(frame, conditions)
            if held is not None:
                yield shown(*held)
        finally:
            renderer.close()


def _before(clip: Path, time: float, options: RenderOptions) -> VideoReader:
    """Return a reader whose first frame comes a little before `time`, and not after it.

    A frame may be held for long: then one looks further back.
    """
    least = _remembered(options)
    for lead in LEADS:
        begin = max(time - max(lead, least), 0.0)
        if not begin:
            break
        try:
            reader = VideoReader(clip, start=begin, fields=options.fields)
        except UserError:
            continue  # no frame comes after that
        if reader.first_time <= time + 1e-3:
            return reader
        reader.close()
    return VideoReader(clip, fields=options.fields)


def _remembered(options: RenderOptions) -> float:
    """Return for how many seconds controls remember what they saw, up to the second of `LEADS`."""
    texts = (*options.control, options.light_control, options.opacity_control)
    specs = [parse_control(text) for text in texts if text]
    seconds = [max(spec.smooth, CLIMB if spec.rise else 0.0) for spec in specs]
    return min(max(seconds, default=0.0), LEADS[1])


def _times(clip: Clip, options: RenderOptions, moments: int) -> list[float]:
    """Return times in the middle of as many equal parts of what would be rendered."""
    begin = options.start or 0.0
    length = clip.length - begin
    if options.duration is not None:
        length = min(length, options.duration)
    with clip.read(options.start):
        pass  # the sentence for a clip that has nothing there
    return [begin + length * (index + 0.5) / moments for index in range(moments)]


def _small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture as a tile, uint8, over a chequered ground if it has alpha."""
    shown = as_float(picture)
    method = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_LINEAR
    shown = cv2.resize(shown, size, interpolation=method)
    if shown.shape[2] == 4:
        y, x = np.indices(shown.shape[:2]) // 8
        ground = np.where((x + y) % 2, np.float32(0.35), np.float32(0.25))[..., None]
        shown = ground + shown[..., 3:] * (shown[..., :3] - ground)
    return to_bytes(shown)


def _sheet(rows: list[Moment], rules: tuple[str, ...]) -> Image.Image:
    names = list(rows[0].pictures)
    height = rows[0].pictures["source"].shape[0]
    sheet = Image.new("RGB", (SIDE + len(names) * TILE, HEAD + len(rows) * height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, name in enumerate(names):
        x = SIDE + column * TILE
        if name in rules:
            draw.rectangle((x + 8, 8, x + 18, 18), colour_of(rules.index(name)))
            draw.text((x + 24, 5), name, INK, font)
        else:
            draw.text((x + 8, 5), name, INK, font)
    for index, row in enumerate(rows):
        y = HEAD + index * height
        draw.text((6, y + 6), f"{row.time:.2f} s", FAINT_INK, font)
        for column, name in enumerate(names):
            sheet.paste(Image.fromarray(row.pictures[name]), (SIDE + column * TILE, y))
    return sheet
