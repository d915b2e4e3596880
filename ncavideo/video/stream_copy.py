"""Sound, subtitles, chapters and names of the source, copied without re-encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from ncavideo.video.pyav import DEFAULT_TIME_BASE, time_base
from ncavideo.video.reader import open_clip

# Facts about the source file that would be untrue of the output.
OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
COPIED = ("audio", "subtitle")


class Passthrough:
    """Copies packets from the source into the output, a little ahead of the video.

    Reads the source a second time, so that nothing has to be kept in memory between a sound's
    place in the file and the video it belongs to. `trim`: the part to copy, in the source's
    seconds, with `shift` seconds subtracted from all timestamps.
    """

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        trim: tuple[float, float | None] | None,
        shift: float,
    ) -> None:
        self.notes: list[str] = []
        self._trim, self._shift = trim, shift
        self._container: InputContainer | None = self._open(source)
        self._output = output
        self._streams: dict[int, Stream] = {}
        for stream in self._container.streams:
            if stream.type in COPIED:
                self._add(stream)
        self._copy_names()
        self._packets = self._read()
        self._next: Packet[Any] | None = None

    def _open(self, source: Path) -> InputContainer:
        return open_clip(source)

    def _add(self, stream: Stream) -> None:
        context = stream.codec_context
        name = context.name if context is not None else "unknown"
        kind = "sound" if stream.type == "audio" else "subtitle"
        codec = context.codec.canonical_name if context is not None else None
        if codec is None or codec not in self._output.supported_codecs:
            self.notes.append(
                f"the {kind} stream in {name} was left out: {self._output.format.name} cannot hold"
                " it (an .mkv output can)"
            )
            return
        copy = self._output.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        copy.metadata.update({k: v for k, v in stream.metadata.items() if k != "DURATION"})
        copy.disposition = stream.disposition
        self._streams[stream.index] = copy

    @property
    def begin(self) -> float:
        """When the first copied stream begins, in output seconds; 0 without one."""
        assert self._container is not None
        begins = [
            float(stream.start_time * (time_base(stream) or DEFAULT_TIME_BASE)) - self._shift
            for stream in (self._container.streams[index] for index in self._streams)
            if stream.start_time is not None
        ]
        return min(begins, default=0.0)

    def _copy_names(self) -> None:
        assert self._container is not None
        for key, value in self._container.metadata.items():
            if key.lower() not in OWN_METADATA:
                self._output.metadata[key] = value
        chapters = self._container.chapters()
        if chapters and self._trim is None and not self._shift:
            self._output.set_chapters(chapters)

    def _read(self) -> Iterator[Packet[Any] | None]:
        assert self._container is not None
        wanted = [self._container.streams[index] for index in self._streams]
        if not wanted:
            return
        begin, end = self._trim or (None, None)
        if begin:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(int(begin * av.time_base), backward=True)
        packets = self._container.demux(wanted)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError, OSError, ValueError):
                return
            if packet.size == 0 or packet.pts is None:
                continue
            time = self._time(packet)
            if begin is not None and time < begin - 5e-4:
                continue
            if end is not None and time >= end - 5e-4:
                continue
            yield packet

    @staticmethod
    def _time(packet: Packet[Any]) -> float:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return float((stamp or 0) * (time_base(packet) or DEFAULT_TIME_BASE))

    def copy_until(self, time: float | None) -> None:
        """Copy all packets that belong before `time`, in output seconds; None for the rest."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None:
                return
            if time is not None and self._time(packet) - self._shift > time:
                return
            self._next = None
            if self._shift:
                ticks = round(self._shift / (time_base(packet) or DEFAULT_TIME_BASE))
                packet.pts = None if packet.pts is None else packet.pts - ticks
                packet.dts = None if packet.dts is None else packet.dts - ticks
            packet.stream = self._streams[packet.stream.index]
            self._output.mux_one(packet)

    def close(self) -> None:
        """Close the source."""
        if self._container is not None:
            self._container.close()
            self._container = None
