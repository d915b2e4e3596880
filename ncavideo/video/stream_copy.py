"""Sound, subtitles, chapters and names of the source, copied without re-encoding."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from ncavideo.video.copy_clock import copied_packets
from ncavideo.video.cut import cut_chapters, cut_packets, time_of
from ncavideo.video.frames import move
from ncavideo.video.pyav import DEFAULT_TIME_BASE, time_base
from ncavideo.video.reader import main_video, open_clip

# Facts about the source file that would be untrue of the output.
OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
COPIED = ("audio", "subtitle")


class Passthrough:
    """Copies packets from the source into the output, a little ahead of the video.

    Reads the source a second time, so that nothing has to be kept in memory between a sound's
    place in the file and the video it belongs to. `trim`: the part to copy, in seconds on the
    clip's timeline, whose 0 is `origin` in the source; `shift` seconds of it are subtracted from
    all timestamps.
    """

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        trim: tuple[float, float | None] | None,
        origin: Fraction,
        shift: Fraction,
    ) -> None:
        self.notes: list[str] = []
        self._source = source
        self._trim, self._origin, self._shift = trim, origin, shift
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
            float(
                stream.start_time * (time_base(stream) or DEFAULT_TIME_BASE)
                - self._origin
                - self._shift
            )
            for stream in (self._container.streams[index] for index in self._streams)
            if stream.start_time is not None
        ]
        return min(begins, default=0.0)

    def _copy_names(self) -> None:
        assert self._container is not None
        for key, value in self._container.metadata.items():
            if key.lower() not in OWN_METADATA:
                self._output.metadata[key] = value
        chapters = cut_chapters(self._container.chapters(), self._origin, self._shift, self._trim)
        if chapters:
            self._output.set_chapters(chapters)

    def _read(self) -> Iterator[Packet[Any] | None]:
        assert self._container is not None
        wanted = [self._container.streams[index] for index in self._streams]
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
            packet.stream = self._streams[packet.stream.index]
            self._output.mux_one(packet)

    def close(self) -> None:
        """Close the source."""
        if self._container is not None:
            self._container.close()
            self._container = None
