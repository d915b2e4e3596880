"""Sound, subtitles and names of a clip on standard input, copied as they come."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer, OutputContainer
from av.packet import Packet

from ncavideo.video.copy_plan import CopyPlan
from ncavideo.video.cut import ROUNDING, time_of
from ncavideo.video.frames import move
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.pipes import PIPE
from ncavideo.video.stream_copy import Passthrough

LATE = 1  # second by which sound may lie behind its picture in a stream


def copied_streams(
    source: Path | PipeIn,
    output: OutputContainer,
    trim: tuple[float, float | None] | None,
    origin: Fraction,
    shift: Fraction,
    plan: CopyPlan,
) -> Passthrough:
    """Return what copies a source's other streams; see `Passthrough`."""
    if isinstance(source, PipeIn):
        return PipedStreams(source, output, trim, origin, shift, plan)
    return Passthrough(source, output, trim, origin, shift, plan)


class PipedStreams(Passthrough):
    """Copies the packets that were demuxed on the way to the picture's.

    A stream can be read only once: what has not come by the time that its picture is written
    follows later, and the muxer puts it into its place.
    """

    def __init__(
        self,
        pipe: PipeIn,
        output: OutputContainer,
        trim: tuple[float, float | None] | None,
        origin: Fraction,
        shift: Fraction,
        plan: CopyPlan,
    ) -> None:
        self._pipe = pipe
        super().__init__(PIPE, output, trim, origin, shift, plan)
        pipe.want(set(self._streams))

    def _open(self, source: Path) -> InputContainer:
        return self._pipe.container

    def _read(self) -> Iterator[Packet[Any] | None]:
        begin, end = self._trim or (None, None)
        while True:
            packet = self._pipe.take()
            if packet is None:
                yield None  # no end: more comes while the picture is decoded
            elif packet.size and packet.pts is not None:
                move(packet, -self._origin)
                time = time_of(packet)
                early = begin is not None and time < Fraction(begin) - ROUNDING
                late = end is not None and time >= Fraction(end) - ROUNDING
                if not early and not late:
                    move(packet, -self._shift)
                    yield packet

    def copy_until(self, time: Fraction | None) -> None:
        """Copy all packets that belong before `time`, in output seconds; None for the rest."""
        end = None if self._trim is None else self._trim[1]
        if time is None and end is not None and self._streams:
            # The picture has been read as far as it goes, its sound perhaps not.
            self._pipe.read_on(self._origin + Fraction(end) + LATE)
        super().copy_until(time)

    def close(self) -> None:
        """Leave the source open: its picture may be read on."""
