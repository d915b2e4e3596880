"""Where packets that are copied from a file lie on the clip's timeline."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ncavideo.video.clock import PREPARATION, PictureClock, Place, SoundClock, nearest_offset
from ncavideo.video.cut import LONGEST_SUBTITLE, time_of
from ncavideo.video.frames import move, place_picture
from ncavideo.video.pyav import DEFAULT_TIME_BASE, clock_may_jump, frame_rate, time_base

MOST_WAITING = 2000  # packets of a stream that wait for the picture; a minute of sound


def copied_packets(
    container: InputContainer,
    picture: VideoStream,
    streams: list[Stream],
    origin: Fraction,
    begin: float | None,
) -> Iterator[Packet[Any]]:
    """Yield the packets of `streams`, in the file's order, with times on the clip's timeline.

    `picture`: the video stream that they follow; `origin`: the file's time that is 0 on the
    timeline; `begin`: where to begin reading, in seconds on the timeline, where the kind of file
    allows it. Packets without times are left out, and damage ends the stream.
    """
    if not clock_may_jump(container):
        # One clock, and no need to read the picture.
        if begin and any(stream.type == "subtitle" for stream in streams):
            begin = max(begin - LONGEST_SUBTITLE, 0.0)
        if begin:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                container.seek(int((float(origin) + begin) * av.time_base), backward=True)
        for packet in _demuxed(container, streams):
            move(packet, -origin)
            if not _is_hidden(packet):
                yield packet
        return
    placed = _Placed(container, picture, streams)
    for packet in placed:
        move(packet, -origin)
        yield packet


def _is_hidden(packet: Packet[Any]) -> bool:
    """Return whether an edit list hides a sound packet that no decoder needs as its preparation.

    A clip that was cut without encoding keeps them from the key frame before the cut on; Matroska
    has no such lists, and they would be heard before the picture begins.
    """
    if not packet.is_discard or packet.stream.type != "audio":
        return False
    length = (packet.duration or 0) * (time_base(packet) or DEFAULT_TIME_BASE)
    return time_of(packet) + length <= -PREPARATION


def _demuxed(container: InputContainer, streams: list[Stream]) -> Iterator[Packet[Any]]:
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError, OSError, ValueError):
            return
        if packet.size and packet.pts is not None:
            yield packet


class _Placed:
    """The packets of streams beside a picture whose clock may begin anew."""

    def __init__(
        self, container: InputContainer, picture: VideoStream, streams: list[Stream]
    ) -> None:
        self._container, self._picture = container, picture
        self._wanted = {stream.index for stream in streams}
        self._clock = PictureClock(1 / (frame_rate(picture) or Fraction(25)), jumps=True)
        self._sounds = {s.index: SoundClock(self._clock) for s in streams if s.type == "audio"}
        self._waiting: dict[int, deque[Packet[Any]]] = {index: deque() for index in self._sounds}

    def __iter__(self) -> Iterator[Packet[Any]]:
        # As the reader of the picture reads them, so that both see the same clock.
        others = [
            s for s in self._container.streams if s.type == "audio" or s.index in self._wanted
        ]
        for packet in _demuxed(self._container, [self._picture, *others]):
            index = packet.stream.index
            if index == self._picture.index:
                clocks = len(self._clock.offsets)
                place_picture(self._clock, packet)
                if len(self._clock.offsets) > clocks:
                    for stream in self._waiting:
                        yield from self._go_on(stream)
                continue
            if packet.stream.type == "audio":
                self._clock.hear(time_of(packet))
            if index in self._sounds:
                self._waiting[index].append(packet)
                yield from self._go_on(index)
            elif index in self._wanted:
                move(packet, nearest_offset(self._clock, time_of(packet)))
                yield packet
        for stream in self._waiting:
            yield from self._go_on(stream, last=True)

    def _go_on(self, index: int, *, last: bool = False) -> Iterator[Packet[Any]]:
        """Yield the packets of a sound stream that have a place by now."""
        waiting = self._waiting[index]
        while waiting:
            packet = waiting[0]
            wait = not last and len(waiting) < MOST_WAITING
            length = (packet.duration or 0) * (time_base(packet) or DEFAULT_TIME_BASE)
            found = self._sounds[index].place(time_of(packet), length, wait=wait)
            if found is Place.WAIT:
                return
            waiting.popleft()
            if isinstance(found, Fraction):
                move(packet, found)
                yield packet
