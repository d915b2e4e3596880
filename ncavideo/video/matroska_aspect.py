"""The shape of pixels in Matroska and WebM, written into a finished header.

FFmpeg's muxer takes it from a field of the stream that PyAV cannot set. H.264 and H.265 say it
themselves; VP9, AV1, FFV1, ProRes and raw video were squeezed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# RFC 9559 (Matroska) and RFC 8794 (EBML).
SEGMENT, SEEK_HEAD, INFO, TRACKS = 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B
SEEK, SEEK_ID, SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
TRACK_ENTRY, VIDEO = 0xAE, 0xE0
PIXEL_WIDTH, PIXEL_HEIGHT = 0xB0, 0xBA
# How large the picture is shown; without the unit, in pixels. FFmpeg writes "unknown" there.
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
SHOWN = (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
VOID, CRC = 0xEC, 0xBF
CONTAINERS = ("matroska", "webm")
HEAD = 1 << 20  # bytes of a file among which its tracks are


@dataclass(frozen=True)
class _Element:
    """An element: where it begins, where its data do, and those."""

    id: int
    begin: int
    data_begin: int
    data: bytes

    @property
    def end(self) -> int:
        return self.data_begin + len(self.data)


def write_aspect(file: Path, ratio: Fraction) -> bool:
    """Write the pixels' width over their height into a file; return whether that was possible."""
    with file.open("r+b") as stream:
        head = stream.read(HEAD)
        made = with_aspect(head, ratio)
        if made is None or len(made) != len(head):
            return False
        stream.seek(0)
        stream.write(made)
    return True


def with_aspect(head: bytes, ratio: Fraction) -> bytes | None:
    """Return the beginning of a file with the pixels' width over their height in its tracks.

    As long as before, out of the room behind the table of contents; longer in a stream, which has
    no such table. None for what has no tracks, or no such room.
    """
    try:
        return _with_aspect(head, ratio)
    # A header that is not FFmpeg's own.
    except (StopIteration, LookupError, ValueError, ArithmeticError):
        return None


def _with_aspect(head: bytes, ratio: Fraction) -> bytes | None:
    segment = next(e for e in _elements(head, 0) if e.id == SEGMENT)
    parts: dict[int, _Element] = {}
    for part in _elements(head, segment.data_begin):
        parts[part.id] = part
        if part.id == TRACKS:
            break
    tracks = parts[TRACKS]
    made = _element(TRACKS, _checked(_tracks(tracks.data, ratio)), tracks)
    more = len(made) - (tracks.end - tracks.begin)
    if SEEK_HEAD not in parts:
        return head[: tracks.begin] + made + head[tracks.end :]
    void, contents = parts.get(VOID), parts[SEEK_HEAD]
    if void is None:
        return None
    room = void.end - void.begin - more
    if room < 0 or room == 1:
        return None
    moved = {
        part.begin - segment.data_begin: more
        for part in parts.values()
        if part.begin > void.begin
    }  # fmt: skip
    found = _element(SEEK_HEAD, _checked(_seek_head(contents.data, moved)), contents)
    if len(found) != contents.end - contents.begin:
        return None
    filler = _filler(room)
    between = head[contents.end : void.begin], head[void.end : tracks.begin]
    return b"".join(
        [head[: contents.begin], found, between[0], filler, between[1], made, head[tracks.end :]]
    )


def _filler(room: int) -> bytes:
    """Return an element of `room` bytes, 0 or 2 at least, that means nothing."""
    if not room:
        return b""
    length = 1 if room < 129 else 8
    left = room - 1 - length
    return bytes([VOID]) + (left | 1 << 7 * length).to_bytes(length) + bytes(left)


def _tracks(data: bytes, ratio: Fraction) -> bytes:
    """Return tracks whose picture is shown with pixels of another shape."""
    out = b""
    for part in _elements(data, 0):
        if part.id == TRACK_ENTRY:
            inner = b"".join(
                _element(VIDEO, _video(e.data, ratio), e) if e.id == VIDEO else _whole(part.data, e)
                for e in _elements(part.data, 0)
            )
            out += _element(TRACK_ENTRY, inner, part)
        else:
            out += _whole(data, part)
    return out


def _video(data: bytes, ratio: Fraction) -> bytes:
    parts = [e for e in _elements(data, 0) if e.id not in SHOWN]
    sizes = {e.id: int.from_bytes(e.data) for e in parts}
    shown = _shown(sizes[PIXEL_WIDTH], sizes[PIXEL_HEIGHT], ratio)
    return b"".join(_whole(data, e) for e in parts) + b"".join(
        _element(name, size.to_bytes(max(1, (size.bit_length() + 7) // 8)))
        for name, size in zip((DISPLAY_WIDTH, DISPLAY_HEIGHT), shown, strict=True)
    )


def _shown(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """Return a size in square pixels: another width, or the height where only that is exact."""
    if (width * ratio).denominator > 1 and (height / ratio).denominator == 1:
        return width, int(height / ratio)
    return max(1, round(width * ratio)), height


def _seek_head(data: bytes, moved: dict[int, int]) -> bytes:
    """Return a table of contents, in which some places have come nearer to the beginning."""
    out = bytearray(data)
    for seek in _elements(data, 0):
        for part in _elements(seek.data, 0) if seek.id == SEEK else ():
            if part.id == SEEK_POSITION:
                place = int.from_bytes(part.data)
                at = seek.data_begin + part.data_begin
                left = place - moved.get(place, 0)
                out[at : at + len(part.data)] = left.to_bytes(len(part.data))
    return bytes(out)


def _whole(data: bytes, element: _Element) -> bytes:
    """Return an element as it lies in `data`."""
    return data[element.begin : element.end]


def _checked(data: bytes) -> bytes:
    """Return an element's data, the checksum at their beginning put right if there is one."""
    first = next(_elements(data, 0), None)
    if first is None or first.id != CRC:
        return data
    return data[: first.data_begin] + zlib.crc32(data[first.end :]).to_bytes(4, "little") + data[
        first.end :
    ]  # fmt: skip


def _element(name: int, data: bytes, instead_of: _Element | None = None) -> bytes:
    """Return an element's bytes, with a size no shorter than that of the one it replaces."""
    size = len(data)
    head = name.to_bytes((name.bit_length() + 7) // 8)
    least = 1 if instead_of is None else instead_of.data_begin - instead_of.begin - len(head)
    length = next(n for n in range(least, 9) if size < (1 << 7 * n) - 1)
    return head + (size | 1 << 7 * length).to_bytes(length) + data


def _elements(data: bytes, at: int) -> Iterator[_Element]:
    """Yield the elements that lie one behind the other from `at` on."""
    while at < len(data):
        begin = at
        length = 9 - data[at].bit_length()
        name = int.from_bytes(data[at : at + length])
        at += length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)
        at += length
        yield _Element(name, begin, at, data[at : at + size])
        at += size
