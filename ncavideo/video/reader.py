"""A clip as upright RGB frames with its own timestamps."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from ncavideo.util.errors import UserError
from ncavideo.video.colour import RESAMPLING, Colour, colour_of, is_rgb
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.pipes import is_pipe
from ncavideo.video.pyav import DEFAULT_TIME_BASE, frame_rate, open_input, positive, time_base

# A clip that ends this much before its header says is a damaged one; less is rounding.
SHORT_FRAMES, SHORT_SECONDS = 2.5, 0.1


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is.

    `width`, `height`: as displayed, after rotation, in stored pixels (`sample_aspect_ratio` is a
    pixel's width over its height); `frames`, `duration` (seconds): estimates, after trimming;
    `rotation`: degrees counter-clockwise that the frames have been turned by; `bit_depth`: 8 or
    what is above.
    """

    path: Path
    width: int
    height: int
    sample_aspect_ratio: Fraction
    time_base: Fraction
    average_rate: Fraction | None
    frames: int | None
    duration: float | None
    rotation: int
    bit_depth: int
    colour: Colour


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

    `start` and `duration` in seconds cut a part out: the frames shown from `start` on. `origin`:
    the timestamp, in seconds, at which the whole clip begins; `first_time`: that of the first frame
    to come. `pipe`: standard input, already open, in place of the file. A damaged clip yields what
    can be decoded and then tells its `loss`. Raises `UserError` when there is nothing to decode.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: float | None = None,
        duration: float | None = None,
        pipe: PipeIn | None = None,
    ) -> None:
        self.path, self.pipe = path, pipe
        self._container = open_clip(path) if pipe is None else pipe.container
        self._ahead: deque[av.VideoFrame] = deque()
        try:
            self._stream = main_video(self._container, path)
            self._stream.thread_type = "AUTO"
            self._start, self._errors, self._frames_out = start, 0, 0
            # One for all frames: it keeps its tables and threads from frame to frame.
            self._reformatter = VideoReformatter()
            self._time_base = time_base(self._stream) or DEFAULT_TIME_BASE
            self._rate = frame_rate(self._stream)
            self._end: float | None = None
            self.origin = self._stream_origin()
            self._from = None if start is None else self.origin + start
            self._until = None if duration is None else (self._from or self.origin) + duration
            # Nothing below may ask the container again: it can be closed before its loss is told.
            self._expected = self._expected_end()
            if self._from is not None and start and pipe is None:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    self._container.seek(
                        int(self._from / self._time_base), stream=self._stream, backward=True
                    )
            self._decoded = self._decode()
            self._first = next(self._decoded, None)
            if self._first is None:
                what = f"has no frame at {start:g} s" if start else "has no frame to decode"
                raise UserError(f"{path} {what}")
            pts = self._first.pts
            self.first_time = self.origin if pts is None else float(pts * self._time_base)
            self.info = self._describe(self._first)
        except BaseException:
            self._container.close()
            raise

    @property
    def trim(self) -> tuple[float, float | None] | None:
        """The part that was asked for, as container times in seconds, or None for all of it.

        A pipe's begins wherever its first packet does.
        """
        begins_late = self.pipe is not None and self.origin != 0
        if self._from is None and self._until is None and not begins_late:
            return None
        return (self._from if self._from is not None else self.origin), self._until

    @property
    def has_sound(self) -> bool:
        """Whether there is sound beside the picture, before `close`."""
        return bool(self._container.streams.audio)

    @property
    def loss(self) -> DecodeLoss | None:
        """After the last frame: what could not be decoded, or None."""
        expected = self._expected
        rate = float(self._rate or 25)
        missing = 0.0
        if expected is not None and self._end is not None:
            missing = expected - self._end
            if missing <= max(SHORT_FRAMES / rate, SHORT_SECONDS):
                missing = 0.0
        if not missing and not self._errors:
            return None
        frames = max(round(missing * rate), self._errors, 1)
        return DecodeLoss(frames, max(missing, frames / rate))

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. No further frame comes after it."""
        # A decode in progress must not go on in a container that is closed.
        self._decoded.close()
        self._first = None
        self._ahead.clear()
        self._container.close()

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames in the order they are shown, with strictly increasing timestamps.

        A frame lasts until the next one. What the file says of a duration only counts for the last:
        with B-frames at a variable rate FFmpeg's MP4 demuxer gives each packet the gap to the next
        packet in decoding order.
        """
        if self.pipe is not None:
            self.pipe.begin()
        step = self._typical_duration()
        timed = self._with_times(step)
        now = next(timed, None)
        while now is not None:
            frame, pts = now
            following = next(timed, None)
            if following is not None:
                duration: int | None = following[1] - pts
            else:
                duration = frame.duration if frame.duration and frame.duration > 0 else None
            time = float(pts * self._time_base)
            self._end = time + float((duration or step) * self._time_base)
            yield SourceFrame(self._to_rgb(frame), pts, duration, time, self._frames_out)
            self._frames_out += 1
            now = following

    def _with_times(self, step: int) -> Iterator[tuple[av.VideoFrame, int]]:
        """Yield the decoded frames, each with a timestamp after the one before it."""
        last: int | None = None
        frame, self._first = self._first, None
        while frame is not None:
            pts = frame.pts
            if pts is None:
                pts = 0 if last is None else last + step
            if last is not None and pts <= last:
                # A timestamp that stands still or goes back cannot be kept; its order can.
                pts = last + 1
            yield frame, pts
            last = pts
            frame = self._ahead.popleft() if self._ahead else next(self._decoded, None)

    def look_ahead(self, frames: int, most_bytes: int) -> list[av.VideoFrame]:
        """Return the first frames before they are read, which keeps them; 1 at least.

        `frames`: how many at most, `most_bytes`: of memory for them.
        """
        first = self._first
        assert first is not None
        room = min(frames, most_bytes // max(sum(plane.buffer_size for plane in first.planes), 1))
        self._ahead.extend(itertools.islice(self._decoded, max(room - 1, 0)))
        return [first, *self._ahead]

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Yield the decoded frames within the trim; count what fails instead of raising."""
        packets = (self.pipe or self._container).demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError, ValueError):
                self._errors += 1
                return
            try:
                decoded = packet.decode()
            except (av.error.FFmpegError, OSError):
                self._errors += 1
                continue
            for frame in decoded:
                if not isinstance(frame, av.VideoFrame):
                    continue
                shown = None if frame.pts is None else float(frame.pts * self._time_base)
                # Half a millisecond: a start read off a player is rounded.
                if shown is not None and self._from is not None and shown < self._from - 5e-4:
                    continue
                if shown is not None and self._until is not None and shown >= self._until - 5e-4:
                    return
                yield frame

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        info = self.info
        turned = info.rotation % 180 != 0
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
        rgb: np.ndarray = converted.to_ndarray()
        if info.rotation:
            rgb = np.ascontiguousarray(np.rot90(rgb, info.rotation // 90))
        return rgb

    def _stream_origin(self) -> float:
        """Return the container time, in seconds, that a user would call 0."""
        first = self._container.start_time
        return 0.0 if first is None else first / av.time_base

    def _typical_duration(self) -> int:
        return max(1, round(1 / ((self._rate or Fraction(25)) * self._time_base)))

    def _stream_end(self) -> float | None:
        """Return the time at which the file says the video ends, if it says so reliably."""
        stream, base = self._stream, self._time_base
        if stream.duration:
            return float(((stream.start_time or 0) + stream.duration) * base)
        tag = stream.metadata.get("DURATION")
        if tag:
            try:
                hours, minutes, seconds = tag.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            except ValueError:
                return None
        # Only alone may a stream be taken to last as long as its container.
        if self._container.duration and len(self._container.streams) == 1:
            return self.origin + self._container.duration / av.time_base
        return None

    def _expected_end(self) -> float | None:
        end = self._stream_end()
        if end is not None and self._until is not None:
            return min(end, self._until)
        return end

    def _describe(self, frame: av.VideoFrame) -> ClipInfo:
        stream = self._stream
        rotation = round(frame.rotation / 90) * 90 % 360
        width, height = frame.width, frame.height
        ratio = positive(stream.sample_aspect_ratio) or Fraction(1)
        if rotation % 180:
            width, height, ratio = height, width, 1 / ratio
        rate = self._rate
        end, begin = self._expected, float((frame.pts or 0) * self._time_base)
        seconds = None if end is None else max(end - begin, 0.0)
        if self.trim is None and stream.frames:
            frames: int | None = stream.frames
        else:
            frames = round(seconds * float(rate)) if seconds is not None and rate else None
        return ClipInfo(
            self.path,
            width,
            height,
            ratio,
            self._time_base,
            rate,
            frames,
            seconds,
            rotation,
            max(component.bits for component in frame.format.components),
            colour_of(frame),
        )


def open_clip(path: Path) -> InputContainer:
    """Open a clip. Raises `UserError` with one sentence when that cannot be done."""
    if is_pipe(path):
        raise UserError(
            "standard input can be read once only, and only `render` reads a clip from it: save it"
            " in a file first for a preview, a mask or the audio control"
        )
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


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream to render: the first that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise UserError(f"{path} holds video in a codec that cannot be decoded here")
            return stream
    if container.streams.audio:
        raise UserError(f"{path} has sound but no video stream")
    raise UserError(f"{path} has no video stream")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
