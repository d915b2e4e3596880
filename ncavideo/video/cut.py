"""What is copied of a part of a clip: its sound, the subtitles that are on screen, its chapters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from av.packet import Packet

from ncavideo.video.pyav import DEFAULT_TIME_BASE, positive, time_base

ROUNDING = Fraction(1, 2000)  # seconds: a start read off a player is rounded
# Seconds before a part in which the subtitle that is on screen where it begins is looked for.
LONGEST_SUBTITLE = 60.0

Chapter = Any  # PyAV's dictionary: start, end, time_base, metadata


def time_of(packet: Packet[Any]) -> Fraction:
    """Return when a packet is decoded, in seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * (time_base(packet) or DEFAULT_TIME_BASE)


def cut_packets(
    packets: Iterable[Packet[Any]], begin: float | None, end: float | None
) -> Iterator[Packet[Any]]:
    """Yield the packets from `begin` to `end`, in seconds; either may be None.

    A subtitle that is on screen at `begin` is moved there, and lasts no longer than it did.
    """
    first = None if begin is None else Fraction(begin)
    last = None if end is None else Fraction(end)
    on_screen: dict[int, list[Packet[Any]]] = defaultdict(list)
    for packet in packets:
        time, subtitle = time_of(packet), packet.stream.type == "subtitle"
        if last is not None and time >= last - ROUNDING:
            continue
        if first is not None and time < first - ROUNDING:
            if subtitle:
                _show(on_screen[packet.stream.index], packet, first)
            continue
        for shown in on_screen.values():
            yield from _moved(shown, first or Fraction(0), last)
        on_screen.clear()
        if subtitle and last is not None:
            _shorten(packet, last)
        yield packet
    for shown in on_screen.values():
        yield from _moved(shown, first or Fraction(0), last)


def _show(shown: list[Packet[Any]], packet: Packet[Any], begin: Fraction) -> None:
    """Note a subtitle that begins before the part, if it may still be on screen then."""
    if not packet.duration:
        # A picture, or what clears it: it stays until the next.
        shown[:] = [packet]
    elif time_of(packet) + packet.duration * (time_base(packet) or 0) > begin + ROUNDING:
        shown.append(packet)


def _moved(
    shown: list[Packet[Any]], begin: Fraction, end: Fraction | None
) -> Iterator[Packet[Any]]:
    for packet in shown:
        ticks = round(begin / (time_base(packet) or DEFAULT_TIME_BASE))
        late = ticks - (packet.pts or 0)
        if packet.duration:
            packet.duration = max(packet.duration - late, 1)
        packet.pts = packet.dts = ticks
        if end is not None:
            _shorten(packet, end)
        yield packet


def _shorten(packet: Packet[Any], end: Fraction) -> None:
    """Let a subtitle end with the part."""
    room = round((end - time_of(packet)) / (time_base(packet) or DEFAULT_TIME_BASE))
    if packet.duration and packet.duration > room:
        packet.duration = max(room, 1)


def cut_chapters(
    chapters: Sequence[Chapter],
    origin: Fraction,
    shift: Fraction,
    trim: tuple[float, float | None] | None,
) -> list[Chapter]:
    """Return the chapters of a part, as they lie in an output.

    `origin`: the file's time that is 0 in the clip; `shift`: the clip's time that is 0 in the
    output; `trim`: the part, in seconds of the clip.
    """
    begin, end = trim or (None, None)
    cut = []
    for chapter in chapters:
        tick = positive(chapter["time_base"]) or Fraction(1, 1000)
        starts, ends = (chapter[name] * tick - origin for name in ("start", "end"))
        if begin is not None:
            starts = max(starts, Fraction(begin))
        if end is not None:
            ends = min(ends, Fraction(end))
        if starts < ends - ROUNDING or (trim is None and starts == ends):
            times = {"start": round((starts - shift) / tick), "end": round((ends - shift) / tick)}
            cut.append(chapter | times)
    return cut
