"""What is known of a clip at little cost: a few frames from all over it, and how long it is."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ncavideo.video.clock import PictureClock
from ncavideo.video.frames import place_picture
from ncavideo.video.pyav import (
    DEFAULT_TIME_BASE,
    clock_may_jump,
    frame_rate,
    has_no_times,
    time_base,
)
from ncavideo.video.reader import main_video, open_clip

FRAMES = 16
LEAST = 4  # with fewer key frames than this, ordinary frames are looked at too
DECODED = 240  # how many of those are gone through at most
BEGINNING = 20  # packets among which the first frame shown is: B-frames come later than decoded
BEYOND = 1e9  # seconds: after the end of every clip
MOST_READ = 1 << 30  # bytes of a file that is read for nothing but its length
LONGEST_SIDE = 160  # pixels: enough for levels


def survey(path: Path) -> list[np.ndarray]:
    """Return some small RGB frames `[h, w, 3]`, uint8, spread over the clip.

    Decodes the key frame before each of 16 evenly spread times; a clip with hardly any key frames
    gives an even choice from its first 240 frames instead. Damage is skipped.
    """
    frames = _key_frames(path)
    return frames if len(frames) >= LEAST else _first_frames(path)


def _key_frames(path: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        stream.codec_context.skip_frame = "NONKEY"
        origin, length = container.start_time or 0, container.duration or 0
        begun: set[int] = set()  # where a search has led: several may lead to one key frame
        seen: set[int | None] = set()
        for index in range(FRAMES if length else 1):
            with contextlib.suppress(av.error.FFmpegError, OSError, StopIteration):
                if index:
                    container.seek(origin + length * index // FRAMES)
                packets = container.demux(stream)
                first = next(packets)
                if first.pts is not None:
                    if first.pts in begun:
                        continue
                    begun.add(first.pts)
                decoded = (packet.decode() for packet in chain((first,), packets))
                frame = next(chain.from_iterable(decoded))
                if frame.pts not in seen:
                    seen.add(frame.pts)
                    frames.append(small(frame))
    return frames


def _first_frames(path: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = "NONREF"  # what no other frame needs: half of H.264
        # By packets' numbers: how many of them a decoder takes before its first frame depends on
        # its threads, and with them on the machine.
        numbers: dict[int | None, int] = {}
        packets = (packet for packet in container.demux(stream) if packet.size)
        with contextlib.suppress(av.error.FFmpegError, OSError):
            for number, packet in enumerate(islice(packets, DECODED)):
                if packet.pts is None:  # an elementary stream
                    packet.pts = number
                numbers[packet.pts] = number
                with contextlib.suppress(av.error.FFmpegError):
                    _choose(packet.decode(), numbers, frames)
        with contextlib.suppress(av.error.FFmpegError):
            _choose(stream.codec_context.decode(None), numbers, frames)
    return frames


def _choose(
    decoded: list[av.VideoFrame], numbers: dict[int | None, int], frames: list[np.ndarray]
) -> None:
    """Add to `frames` the decoded ones whose turn it is by their packets' `numbers`.

    A frame whose time is that of no packet counts as one of the newest.
    """
    for frame in decoded:
        if numbers.get(frame.pts, len(numbers)) >= len(frames) * (DECODED // FRAMES):
            frames.append(small(frame))


def small(frame: av.VideoFrame) -> np.ndarray:
    """Return a decoded frame as RGB `[h, w, 3]`, uint8, as small as levels allow."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    return frame.reformat(*size, "rgb24").to_ndarray()


def clip_length(path: Path) -> float:
    """Return the seconds from a clip's first frame to the end of its last.

    From the last packets' own times. A header is no help: a live recording has none, and FFmpeg
    sums up an MP4's in decoding order, so that a pause before the last frames is left out. Where
    packets have no times, from how many there are; where clocks may begin anew, from all packets,
    unless the file is too long to be read for that. Raises `UserError` if the clip cannot be
    opened.
    """
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        counted = has_no_times(container)
        if counted or (clock_may_jump(container) and path.stat().st_size <= MOST_READ):
            return _length_of_all(container, stream, counted)
        first = _span(container, stream, packets=BEGINNING)
        last = _Span()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            ticks = time_base(stream) or DEFAULT_TIME_BASE
            container.seek(int(BEYOND / ticks), stream=stream)
            last = _span(container, stream)
    if first.begin is not None and last.end is not None and last.end > first.begin:
        return float(last.end - first.begin)
    # No index to jump by: the whole file is looked through.
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        whole = _span(container, stream)
        if whole.begin is None or whole.end is None:
            return float(whole.packets / (frame_rate(stream) or 25))
        return float(whole.end - whole.begin)


def _length_of_all(container: InputContainer, stream: VideoStream, counted: bool) -> float:
    rate = frame_rate(stream, counted=counted) or Fraction(25)
    clock = PictureClock(1 / rate, jumps=True)
    packets = 0
    sounds = [] if counted else container.streams.audio
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in container.demux(stream, *sounds):
            if packet.stream.index == stream.index:
                packets += packet.size > 0
                place_picture(clock, packet)
            elif packet.pts is not None:
                clock.hear(packet.pts * (time_base(packet) or DEFAULT_TIME_BASE))
    if counted or clock.latest is None:
        return float(packets / rate)
    return float(clock.end - clock.begins[0])


@dataclass
class _Span:
    """How many packets there are, when the first begins and when the last ends, in seconds."""

    packets: int = 0
    begin: Fraction | None = None
    end: Fraction | None = None


def _span(container: InputContainer, stream: VideoStream, packets: int | None = None) -> _Span:
    """Return the span of the stream's next `packets` packets, or of all to come."""
    ticks = time_base(stream) or DEFAULT_TIME_BASE
    usual = 1 / (frame_rate(stream) or Fraction(25))
    span = _Span()
    latest: Fraction | None = None
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in container.demux(stream):
            span.packets += packet.size > 0
            if packet.pts is not None:
                begin = packet.pts * ticks
                span.begin = begin if span.begin is None else min(span.begin, begin)
                # Only of the last one shown: see `VideoReader.__iter__` for what durations are.
                if latest is None or begin > latest:
                    latest = begin
                    span.end = begin + (packet.duration * ticks if packet.duration else usual)
            if packets is not None and span.packets >= packets:
                break
    return span
