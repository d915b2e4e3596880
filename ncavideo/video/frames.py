"""The frames of a video stream in the order they are shown, on the clip's own timeline."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ncavideo.video.clock import PictureClock, beginning
from ncavideo.video.deinterlace import Deinterlacer
from ncavideo.video.fields import DEINTERLACE
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.pyav import (
    DEFAULT_TIME_BASE,
    clock_may_jump,
    counts_frames,
    frame_rate,
    has_no_times,
    time_base,
)

ROUNDING = 5e-4  # seconds: a start read off a player is rounded
PAUSE = 1.5  # usual frames, from which on a frame that is still shown is a part's first one
MEASURED = 32  # packets from which an unknown frame rate is measured
MOST_HELD = 4096  # packets after a key frame that are kept until one knows whether they are needed

Timed = tuple[av.VideoFrame, int]


class TimedFrames:
    """Decodes a video stream; gives each frame its time on the clip's timeline, in `time_base`.

    `origin`: the file's time, in seconds, that is 0 on the timeline; `rate`: frames a second, if
    known; `step`: how many ticks a frame usually lasts; `first`: the first frame and its time, None
    if nothing can be decoded; `errors`: how many packets could not be. `fields`: what becomes of
    interlaced frames, see `video.deinterlace`; `pipe`: what demuxes in the container's place, where
    that is standard input.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        fields: str = DEINTERLACE,
        pipe: PipeIn | None = None,
    ) -> None:
        self._container, self._stream, self._fields = container, stream, fields
        self._pipe = pipe
        self._deinterlacer = Deinterlacer(stream.codec_context.name, fields)
        self.time_base = time_base(stream) or DEFAULT_TIME_BASE
        self._counted, self._ordered = has_no_times(container), counts_frames(container)
        # Sound that comes through a pipe is copied by one clock; so the picture has but one, too.
        self._jumps = clock_may_jump(container) and not self._counted and pipe is None
        # They tell a pause of the picture from a jump of the clock.
        self._sounds = list(container.streams.audio) if self._jumps else []
        self.errors = 0
        self._ahead: deque[Packet[Any]] = deque()
        self._looked_at: deque[Timed] = deque()
        self._demuxed = self._demux()
        self.rate = frame_rate(stream, counted=self._counted) or self._measured()
        self.step = max(1, round(1 / ((self.rate or Fraction(25)) * self.time_base)))
        self._clock = PictureClock(self.step * self.time_base, jumps=self._jumps)
        self._goes_on = False  # whether there are frames behind the last one of the part
        self._shown_until: int | None = None  # by what stands for a frame that does not change
        self._lag: int | None = None  # from a packet's decoding to the frame shown then, in ticks
        self._packet_dts: int | None = None  # of the first packet
        self._zero = 0  # the origin in ticks
        self._from: float | None = None
        self._reached = False
        self._until: float | None = None
        self._timed = self._with_times()
        self.first = next(self._timed, None)
        self.origin = Fraction(0)
        if self.first is not None:
            self._zero = self._origin(self.first[1])
            self.origin = self._zero * self.time_base
            self.first = self.first[0], self.first[1] - self._zero

    @property
    def notes(self) -> list[str]:
        """What was done to the frames that came so far, in sentences for the user."""
        return self._deinterlacer.notes()

    @property
    def clocks(self) -> int:
        """How many clocks the times have gone by so far."""
        return len(self._clock.offsets)

    def _origin(self, first: int) -> int:
        streams = self._container.streams.audio
        sounds = [
            stream.start_time * (time_base(stream) or DEFAULT_TIME_BASE)
            for stream in ([] if self._counted else streams)
            if stream.start_time is not None
        ]
        return round(beginning(first * self.time_base, sounds) / self.time_base)

    def cut(self, start: float | None, until: float | None) -> None:
        """Leave out the frames before `start` and from `until` on, in seconds on the timeline.

        To be called before any frame is taken. `first` is that of the part then.
        """
        self._from, self._until = start or None, until
        if self._from is not None and self._can_seek():
            target = int((float(self.origin) + self._from) / self.time_base)
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(target, stream=self._stream, backward=True)
                self._timed.close()
                self._ahead.clear()
                self._demuxed = self._demux()
                self._timed = self._with_times()
                self._deinterlacer = Deinterlacer(self._stream.codec_context.name, self._fields)
                self.errors = 0  # what is damaged before the part is no loss
                self.first = self._next()
        before = None
        while self.first is not None and self._is_before(self.first[1]):
            before, self.first = self.first, self._next()
        if before is not None:
            self._hold(*before)
        if self.first is not None and self._is_after(self.first[1]):
            self.first = None

    def _hold(self, frame: av.VideoFrame, ticks: int) -> None:
        """Let a part that begins in a pause begin with the frame that is shown meanwhile.

        A pause is longer than frames usually are; without one a part begins with its first frame.
        """
        start = round((self._from or 0) / self.time_base)
        if self.first is not None:
            left = self.first[1] - start
        else:
            left = ticks + (self.duration_of_last(frame, ticks) or 0) - start
        if left <= PAUSE * self.step:
            return
        if self.first is None:
            frame.duration = left
        else:
            self._looked_at.appendleft((self.first[0], self.first[1] + self._zero))
        self.first = frame, start

    def _can_seek(self) -> bool:
        """Return whether times mean the same after a jump in the file.

        Frames without times are counted from the beginning, and so are joined clocks.
        """
        if self._counted or self._jumps or self._pipe is not None:
            return False
        return not (self._ordered and self._stream.codec_context.has_b_frames)

    def duration_of_last(self, frame: av.VideoFrame, ticks: int) -> int | None:
        """Return how long the last frame is shown, None where the file does not say."""
        if self._goes_on and self._until is not None:
            left = round(self._until / self.time_base) - ticks
            if left > PAUSE * self.step:
                return left
        elif self._shown_until is not None and self._shown_until - self._zero > ticks:
            return self._shown_until - self._zero - ticks
        return frame.duration if frame.duration and frame.duration > 0 else None

    def close(self) -> None:
        """Stop decoding."""
        # A decode in progress must not go on in a container that is closed.
        self._timed.close()
        self.first = None
        self._looked_at.clear()

    def look_ahead(self, frames: int, most_bytes: int) -> list[av.VideoFrame]:
        """Return the first frames before any is taken; see `VideoReader.look_ahead`."""
        assert self.first is not None
        first = self.first[0]
        room = min(frames, most_bytes // max(sum(plane.buffer_size for plane in first.planes), 1))
        self._looked_at.extend(itertools.islice(self._timed, max(room - 1, 0)))
        return [first, *(frame for frame, _ in self._looked_at)]

    def __iter__(self) -> Iterator[Timed]:
        """Yield the frames of the part, in order, with strictly increasing times. Once."""
        timed, self.first = self.first, None
        due = None if self._from is None else round(self._from / self.time_base)
        gaps = 0
        while timed is not None and not self._is_after(timed[1]):
            gaps += self._missing(due, timed[1])
            due = timed[1] + self.step
            yield timed
            timed = self._next()
        self._goes_on = timed is not None
        if self._goes_on and self._until is not None:
            # What is damaged behind the part is no loss.
            gaps += self._missing(due, round(self._until / self.time_base))
            self.errors = min(self.errors, gaps)

    def _missing(self, due: int | None, ticks: int) -> int:
        """Return how many frames there would be from a time that one is due at to another."""
        return 0 if due is None else max(0, round((ticks - due) / self.step))

    def _next(self) -> Timed | None:
        timed = self._looked_at.popleft() if self._looked_at else next(self._timed, None)
        return None if timed is None else (timed[0], timed[1] - self._zero)

    def _is_before(self, ticks: int) -> bool:
        return self._from is not None and ticks * self.time_base < self._from - ROUNDING

    def _is_after(self, ticks: int) -> bool:
        return self._until is not None and ticks * self.time_base >= self._until - ROUNDING

    def _with_times(self) -> Generator[Timed, None, None]:
        """Yield the decoded frames, each with a time after the one before it, by the file."""
        last: int | None = None
        missing = False
        for number, frame in enumerate(self._decode()):
            ticks = self._ticks(frame, number)
            missing = missing or ticks is None
            if ticks is None:
                ticks = 0 if last is None else last + self.step
            if last is not None and ticks <= last:
                # A timestamp that stands still or goes back cannot be kept; its order can. Where
                # some are missing, those that stand still belong to other frames.
                ticks = last + (self.step if missing else 1)
            yield frame, ticks
            last = ticks

    def _ticks(self, frame: av.VideoFrame, number: int) -> int | None:
        if self._counted:
            return round(number / ((self.rate or Fraction(25)) * self.time_base))
        if not self._ordered:
            return frame.pts
        if frame.dts is None:
            return None
        if self._lag is None:
            self._lag = frame.dts - (self._packet_dts or 0)
        return frame.dts - self._lag

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Yield the decoded frames; count what fails instead of raising."""
        for packet in self._needed():
            shown = packet.dts if packet.pts is None else packet.pts
            if not packet.size and shown is not None:
                # In Ogg and AVI: the frame before is shown once more.
                self._shown_until = shown + (packet.duration or self.step)
                continue
            try:
                decoded = packet.decode()
            except (av.error.FFmpegError, OSError):
                self.errors += 1
                continue
            # Before anything is left out, for a frame's fields depend on its neighbours.
            yield from self._deinterlacer.through(decoded, last=packet.size == 0)

    def _needed(self) -> Iterator[Packet[Any]]:
        """Yield the packets, without those before the key frame that the part begins with."""
        held: list[Packet[Any]] = []
        for packet in self._packets():
            if self._from is None or not self._jumps or self._reached:
                yield packet
                continue
            shown = None if packet.pts is None else (packet.pts - self._zero) * self.time_base
            if packet.is_keyframe and shown is not None and shown <= self._from:
                held.clear()
            held.append(packet)
            beyond = shown is not None and shown > self._from
            if beyond or not packet.size or len(held) > MOST_HELD:
                self._reached = True
                yield from held
                held.clear()

    def _packets(self) -> Iterator[Packet[Any]]:
        """Yield the video packets with times that go on where a clock begins anew."""
        while True:
            packet = self._ahead.popleft() if self._ahead else next(self._demuxed, None)
            if packet is None:
                return
            if packet.stream.index != self._stream.index:
                if packet.pts is not None:
                    self._clock.hear(packet.pts * (time_base(packet) or DEFAULT_TIME_BASE))
                continue
            if packet.size and not self._counted:
                if self._packet_dts is None:
                    self._packet_dts = packet.dts
                move(packet, place_picture(self._clock, packet))
            yield packet

    def _demux(self) -> Generator[Packet[Any], None, None]:
        source = self._container if self._pipe is None else self._pipe
        packets = source.demux(self._stream, *self._sounds)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError, ValueError):
                self.errors += 1
                return
            yield packet

    def _measured(self) -> Fraction | None:
        """Return the rate of the first packets, None where they have no times."""
        while len(self._ahead) < MEASURED:
            packet = next(self._demuxed, None)
            if packet is None:
                break
            self._ahead.append(packet)
        shown = sorted(
            {p.pts for p in self._ahead if p.pts is not None and p.stream is self._stream}
        )
        steps = sorted(b - a for a, b in itertools.pairwise(shown))
        return None if not steps else 1 / (steps[len(steps) // 2] * self.time_base)


def place_picture(clock: PictureClock, packet: Packet[Any]) -> Fraction:
    """Return what a clip's clock adds to a video packet's times, in seconds."""
    base = time_base(packet) or DEFAULT_TIME_BASE
    decoded, shown = (None if t is None else t * base for t in (packet.dts, packet.pts))
    return clock.place(decoded, shown, packet.duration * base if packet.duration else None)


def move(packet: Packet[Any], seconds: Fraction) -> None:
    """Add to a packet's times."""
    if not seconds:
        return
    ticks = round(seconds / (time_base(packet) or DEFAULT_TIME_BASE))
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
