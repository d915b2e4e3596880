"""Sound, subtitles, chapters and names of the source, copied without re-encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from ncavideo.video.copy_clock import copied_packets
from ncavideo.video.copy_plan import CopyPlan
from ncavideo.video.cut import cut_chapters, cut_packets, time_of
from ncavideo.video.frames import move
from ncavideo.video.muxing import add_copy, known_duration
from ncavideo.video.pyav import DEFAULT_TIME_BASE, time_base
from ncavideo.video.reader import main_video, open_clip

# Streams whose packets have a place in time. An attachment is whole in the header.
TIMED = ("audio", "subtitle", "data")


class Passthrough:
    """Copies packets from the source into the output, a little ahead of the video.

    Reads the source a second time, so that nothing has to be kept in memory between a sound's
    place in the file and the video it belongs to. `trim`: the part to copy, in seconds on the
    clip's timeline, whose 0 is `origin` in the source; `shift` seconds of it are subtracted from
    all timestamps. `plan`: which streams.
    """

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        trim: tuple[float, float | None] | None,
        origin: Fraction,
        shift: Fraction,
        plan: CopyPlan,
    ) -> None:
        self._trim, self._origin, self._shift = trim, origin, shift
        self._container: InputContainer | None = self._open(source)
        self._source, self._output = source, output
        self._names = plan.names
        self._last: dict[int, int] = {}
        # Of sound without durations: when the last packet began, and for how long one lasts.
        self._sound_steps: dict[int, tuple[int, int]] = {}
        self._streams: dict[int, Stream] = {}
        for stream in self._container.streams:
            if stream.index in plan.streams:
                self._streams[stream.index] = add_copy(output, stream)
        for cover in plan.covers:
            output.add_attachment(*cover)
        self._copy_names()
        self._packets = self._read()
        self._next: Packet[Any] | None = None

    def _open(self, source: Path) -> InputContainer:
        return open_clip(source)

    @property
    def begin(self) -> float:
        """When the first copied stream begins, in output seconds; 0 without one."""
        assert self._container is not None
        begins = [
            float(
                stream.start_time * (time_base(stream) or DEFAULT_TIME_BASE)
                - self._origin
                - self._shift
            )
            for stream in self._sources()
            if stream.start_time is not None and stream.type in TIMED
        ]
        return min(begins, default=0.0)

    def _sources(self) -> list[Stream]:
        assert self._container is not None
        return [self._container.streams[index] for index in self._streams]

    def copy_covers(self) -> None:
        """Copy the cover pictures. They have no place in time and go first."""
        covers = {stream.index for stream in self._sources() if stream.type == "video"}
        if not covers:
            return
        with (
            contextlib.closing(open_clip(self._source)) as container,
            contextlib.suppress(av.error.FFmpegError, OSError),
        ):
            # Demuxers give them out before everything else.
            for packet in container.demux([container.streams[index] for index in covers]):
                if packet.size and packet.stream.index in covers:
                    covers.remove(packet.stream.index)
                    packet.pts = packet.dts = 0
                    packet.stream = self._streams[packet.stream.index]
                    self._output.mux_one(packet)
                if not covers:
                    return

    def _copy_names(self) -> None:
        assert self._container is not None
        self._output.metadata.update(self._names.clip)
        chapters = cut_chapters(self._container.chapters(), self._origin, self._shift, self._trim)
        if chapters:
            self._output.set_chapters(chapters)

    def _read(self) -> Iterator[Packet[Any] | None]:
        assert self._container is not None
        wanted = [stream for stream in self._sources() if stream.type in TIMED]
        if not wanted:
            return
        begin, end = self._trim or (None, None)
        picture = main_video(self._container, self._source)
        packets = copied_packets(self._container, picture, wanted, self._origin, begin)
        for packet in cut_packets(packets, begin, end):
            move(packet, -self._shift)
            yield packet

    def copy_until(self, time: Fraction | None) -> None:
        """Copy all packets that belong before `time`, in output seconds; None for the rest."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None:
                return
            if time is not None and time_of(packet) > time:
                return
            self._next = None
            packet.duration = known_duration(packet) or self._usual_duration(packet)
            self._rise(packet)
            packet.stream = self._streams[packet.stream.index]
            self._output.mux_one(packet)

    def _usual_duration(self, packet: Packet[Any]) -> int:
        """Return how long the sound packet before lasted, for one that does not say; else 0.

        FLAC in NUT says nothing. An MP4 would end with the beginning of its last packet.
        """
        if packet.stream.type != "audio" or packet.pts is None:
            return 0
        index = packet.stream.index
        began, usual = self._sound_steps.get(index, (packet.pts, 0))
        usual = packet.pts - began if packet.pts > began else usual
        self._sound_steps[index] = packet.pts, usual
        return usual

    def _rise(self, packet: Packet[Any]) -> None:
        """Let no packet be decoded before the one that came before it: see DVB's subtitles."""
        index, stamp = packet.stream.index, packet.dts if packet.dts is not None else packet.pts
        last = self._last.get(index)
        if stamp is None or packet.stream.type == "audio":
            return
        if last is not None and stamp <= last:
            late = last + 1 - stamp
            packet.dts, packet.pts = stamp + late, (packet.pts or stamp) + late
            stamp += late
        self._last[index] = stamp

    def close(self) -> None:
        """Close the source."""
        if self._container is not None:
            self._container.close()
            self._container = None
