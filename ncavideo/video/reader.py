"""A clip as upright RGB frames with its own timestamps."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from ncavideo.util.errors import UserError
from ncavideo.video.colour import RESAMPLING, Colour, colour_of, is_rgb
from ncavideo.video.fields import DEINTERLACE
from ncavideo.video.frames import TimedFrames
from ncavideo.video.grey import grey_curve
from ncavideo.video.hdr import Hdr, hdr_of
from ncavideo.video.orientation import Orientation, orientation_of
from ncavideo.video.picture_clip import moving_streams, open_pictures
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.pipes import is_pipe
from ncavideo.video.pyav import open_input, positive

# A clip that ends this much before its header says is a damaged one; less is rounding.
SHORT_FRAMES, SHORT_SECONDS = 2.5, 0.1


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is.

    `width`, `height`: as displayed, after `orientation`, in stored pixels (`sample_aspect_ratio` is
    a pixel's width over its height); `frames`, `duration` (seconds): estimates, after trimming;
    `orientation`: how the frames have been turned and mirrored; `bit_depth`: 8 or what is above;
    `hdr`: that of its first frame.
    """

    path: Path
    width: int
    height: int
    sample_aspect_ratio: Fraction
    time_base: Fraction
    average_rate: Fraction | None
    frames: int | None
    duration: float | None
    orientation: Orientation
    bit_depth: int
    colour: Colour
    hdr: Hdr = field(default_factory=Hdr)


@dataclass(frozen=True)
class SourceFrame:
    """One frame: `rgb` `[H, W, 3]`, uint8, or uint16 over its full range for deeper sources.

    `pts` and `duration` count in `ClipInfo.time_base`; `time` is `pts` in seconds.
    """

    rgb: np.ndarray
    pts: int
    duration: int | None
    time: float
    index: int


@dataclass(frozen=True)
class DecodeLoss:
    """What a damaged clip kept to itself: an estimate in frames, and in seconds."""

    frames: int
    seconds: float


class VideoReader:
    """Iterates the frames of a clip's main video stream, once.

    Times are seconds on the clip's own timeline, which begins at 0 (see `ncavideo.video.clock`).
    `start` and `duration` in seconds cut a part out: the frames shown from `start` on. `origin`:
    the file's time that is 0 on the timeline; `first_time`: that of the first frame to come;
    `fields`: what becomes of interlaced frames, see `video.deinterlace`; `pipe`: standard input,
    already open, in place of the file. A damaged clip yields what can be decoded and then tells its
    `loss`. Raises `UserError` when there is nothing to decode.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: float | None = None,
        duration: float | None = None,
        fields: str = DEINTERLACE,
        pipe: PipeIn | None = None,
    ) -> None:
        self.path, self.pipe = path, pipe
        self._container = open_clip(path) if pipe is None else pipe.container
        try:
            self._stream = main_video(self._container, path)
            self._not_read = _others(video_streams(self._container), self._stream)
            self._stream.thread_type = "AUTO"
            # Or FFmpeg crops no part of a frame's left edge, and too much of its right one.
            self._stream.codec_context.flags |= int(Flags.unaligned)
            self._frames_out = 0
            # One for all frames: it keeps its tables and threads from frame to frame.
            self._reformatter = VideoReformatter()
            self._start = start
            self._until = None if duration is None else (start or 0.0) + duration
            self._end: float | None = None
            self._frames = TimedFrames(self._container, self._stream, fields, pipe)
            self._time_base, self._rate = self._frames.time_base, self._frames.rate
            self.origin = self._frames.origin
            # Nothing below may ask the container again: it can be closed before its loss is told.
            self._expected = self._expected_end()
            self._frames.cut(start, self._until)
            if self._frames.first is None:
                what = f"has no frame at {start:g} s" if start else "has no frame to decode"
                raise UserError(f"{path} {what}")
            frame, ticks = self._frames.first
            self.first_time = float(ticks * self._time_base)
            self.info = self._describe(frame)
        except BaseException:
            self._container.close()
            raise

    @property
    def begin(self) -> float:
        """The time that is 0 in an output: that of the first frame of a part, else 0."""
        return self.first_time if self._start else 0.0

    @property
    def trim(self) -> tuple[float, float | None] | None:
        """The part that was asked for, from `begin` on, in seconds, or None for all of it."""
        if self._start is None and self._until is None:
            return None
        return self.begin, self._until

    @property
    def has_sound(self) -> bool:
        """Whether there is sound beside the picture, before `close`."""
        return bool(self._container.streams.audio)

    def look_ahead(self, frames: int, most_bytes: int) -> list[av.VideoFrame]:
        """Return the first frames before they are read, which keeps them; 1 at least.

        `frames`: how many at most, `most_bytes`: of memory for them.
        """
        return self._frames.look_ahead(frames, most_bytes)

    @property
    def loss(self) -> DecodeLoss | None:
        """After the last frame: what could not be decoded, or None."""
        expected = self._expected
        rate = float(self._rate or 25)
        missing = 0.0
        # A header knows of one clock.
        if expected is not None and self._end is not None and self._frames.clocks == 1:
            missing = expected - self._end
            if missing <= max(SHORT_FRAMES / rate, SHORT_SECONDS):
                missing = 0.0
        errors = self._frames.errors
        if not missing and not errors:
            return None
        frames = max(round(missing * rate), errors, 1)
        return DecodeLoss(frames, max(missing, frames / rate))

    @property
    def notes(self) -> list[str]:
        """What is not read, and what was done to the frames so far, in sentences for the user."""
        return [*self._not_read, *self._frames.notes]

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. No further frame comes after it."""
        self._frames.close()
        self._container.close()

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames in the order they are shown, with strictly increasing timestamps.

        A frame lasts until the next one. What the file says of a duration only counts for the last:
        with B-frames at a variable rate FFmpeg's MP4 demuxer gives each packet the gap to the next
        packet in decoding order.
        """
        if self.pipe is not None:
            self.pipe.begin()
        timed = iter(self._frames)
        now = next(timed, None)
        while now is not None:
            frame, pts = now
            following = next(timed, None)
            if following is not None:
                duration: int | None = following[1] - pts
            else:
                duration = self._frames.duration_of_last(frame, pts)
            time = float(pts * self._time_base)
            self._end = time + float((duration or self._frames.step) * self._time_base)
            yield SourceFrame(self._to_rgb(frame), pts, duration, time, self._frames_out)
            self._frames_out += 1
            now = following

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        info = self.info
        turned = info.orientation.transposed
        width, height = (info.height, info.width) if turned else (info.width, info.height)
        deep = info.bit_depth > 8
        colour = info.colour
        converted = self._reformatter.reformat(
            frame,
            width,
            height,
            "rgb48le" if deep else "rgb24",
            src_colorspace=colour.matrix,
            dst_colorspace=colour.matrix,
            src_color_range=ColorRange.JPEG if is_rgb(frame) else colour.range,
            dst_color_range=ColorRange.JPEG,
            interpolation=RESAMPLING,
        )
        # A frame of RGB that needs no conversion keeps the gaps between its rows.
        rgb: np.ndarray = np.ascontiguousarray(converted.to_ndarray())
        curve = grey_curve(frame.format.name, frame.color_range, deep)
        if curve is not None:
            rgb = curve[rgb]
        return info.orientation.apply(rgb)

    def _stream_end(self) -> float | None:
        """Return the time at which the file says the video ends, if it says so reliably."""
        stream, base, origin = self._stream, self._time_base, float(self.origin)
        # Matroska's. Beside it FFmpeg may give a stream the duration of its container.
        tag = stream.metadata.get("DURATION")
        if tag:
            try:
                hours, minutes, seconds = tag.split(":")
                end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            except ValueError:
                return None
            return end - origin if math.isfinite(end) else None
        if stream.duration:
            return float(((stream.start_time or 0) + stream.duration) * base) - origin
        # Only alone may a stream be taken to last as long as its container.
        if self._container.duration and len(self._container.streams) == 1:
            return self._container.duration / av.time_base
        return None

    def _expected_end(self) -> float | None:
        end = self._stream_end()
        if end is not None and self._until is not None:
            return min(end, self._until)
        return end

    def _describe(self, frame: av.VideoFrame) -> ClipInfo:
        stream = self._stream
        orientation = orientation_of(frame)
        width, height = frame.width, frame.height
        ratio = positive(stream.sample_aspect_ratio) or Fraction(1)
        if orientation.transposed:
            width, height, ratio = height, width, 1 / ratio
        rate = self._rate
        end = self._expected
        seconds = None if end is None else max(end - self.first_time, 0.0)
        frames = round(seconds * float(rate)) if seconds is not None and rate else None
        # Some demuxers count ticks of their clock.
        if self.trim is None and stream.frames and (not frames or stream.frames <= 2 * frames):
            frames = stream.frames
        return ClipInfo(
            self.path,
            width,
            height,
            ratio,
            self._time_base,
            rate,
            frames,
            seconds,
            orientation,
            max(component.bits for component in frame.format.components),
            colour_of(frame),
            hdr_of(frame),
        )


def open_clip(path: Path) -> InputContainer:
    """Open a clip. Raises `UserError` with one sentence when that cannot be done."""
    if is_pipe(path):
        raise UserError(
            "standard input can be read once only, and only `render` reads a clip from it: save it"
            " in a file first for a preview, a mask or the audio control"
        )
    pictures = open_pictures(path)
    if pictures is not None:
        return pictures
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path} is a folder: name a clip in it")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is not a regular file: copy the clip to a file first")
        if status.st_size == 0:
            raise UserError(f"{path} is empty (0 bytes)")
        if not os.access(path, os.R_OK):
            raise UserError(f"{path} cannot be read: check its permissions")
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error
    try:
        # Only local files: a playlist from a stranger must not open connections or other files.
        return open_input(str(path), options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"{path} is not a video that can be read, or it is cut short ({_reason(error)})"
        ) from error


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that are not cover pictures."""
    return [s for s in moving_streams(container) if not s.disposition & Disposition.attached_pic]


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream to render: the default one of those that are not cover pictures."""
    streams = video_streams(container)
    for stream in sorted(streams, key=lambda s: not s.disposition & Disposition.default):
        if stream.codec_context is None:
            raise UserError(f"{path} holds video in a codec that cannot be decoded here")
        return stream
    if container.streams.audio:
        raise UserError(f"{path} has sound but no video stream")
    raise UserError(f"{path} has no video stream")


def _others(streams: list[VideoStream], rendered: VideoStream) -> list[str]:
    """Return a note on the video streams that are not rendered, if there are any."""
    if len(streams) < 2:
        return []
    number = streams.index(rendered) + 1
    which = "the first" if number == 1 else f"number {number}, the default one,"
    return [f"the clip has {len(streams)} video streams: {which} is rendered, and no other"]


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
