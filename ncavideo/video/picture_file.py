"""Pictures as a file that FFmpeg reads: a QuickTime movie of raw frames, made as it is read."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Sequence

import numpy as np

IDENTITY = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # a track's matrix


class PictureFile(io.RawIOBase):
    """A seekable file object whose frames are asked for when they are read.

    QuickTime File Format, "Movie atoms" and "Uncompressed RGB": a header with every frame's place
    and duration, then the frames as they are. Nothing is encoded and nothing is kept but the last
    frame. `size`: width and height; `deep`: whether frames are uint16; `lengths`: of all frames, in
    ticks of which there are `scale` a second; `frame`: gives frame `i`, `[height, width, 3]`.
    """

    def __init__(
        self,
        size: tuple[int, int],
        deep: bool,
        lengths: Sequence[int],
        scale: int,
        frame: Callable[[int], np.ndarray],
    ) -> None:
        self._bytes = size[0] * size[1] * (6 if deep else 3)
        self._frame, self._deep = frame, deep
        # The places of the frames are part of the header, and as long as any others.
        begin = len(_header(size, deep, lengths, scale, self._bytes, 0))
        self._head = _header(size, deep, lengths, scale, self._bytes, begin)
        self._end = begin + self._bytes * len(lengths)
        self._at, self._last = 0, (-1, b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which need not be in the file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes of one frame or of the header. Raises what `frame` does."""
        number, at = divmod(self._at - len(self._head), self._bytes)
        if self._at >= self._end:
            return b""
        if number < 0:
            found = self._head[self._at :]
        else:
            if number != self._last[0]:
                pixels = self._frame(number)
                self._last = number, pixels.astype(">u2" if self._deep else "u1").tobytes()
            found = self._last[1][at:] if size < 0 else self._last[1][at : at + size]
        found = found if size < 0 else found[:size]
        self._at += len(found)
        return found


def _header(
    size: tuple[int, int], deep: bool, lengths: Sequence[int], scale: int, each: int, begin: int
) -> bytes:
    """Return all that comes before the first frame, which is at `begin`."""
    (width, height), count, total = size, len(lengths), sum(lengths)
    places = (begin + each * np.arange(count, dtype=np.int64)).astype(">u8").tobytes()
    entry = struct.pack(">6xH16xHH", 1, width, height)
    entry += struct.pack(">IIIH32xHh", 72 << 16, 72 << 16, 0, 1, 48 if deep else 24, -1)
    runs = [(len(list(group)), length) for length, group in itertools.groupby(lengths)]
    spans = b"".join(struct.pack(">II", *run) for run in runs)
    table = b"".join((
        _full("stsd", struct.pack(">I", 1) + _atom("b48r" if deep else "raw ", entry)),
        _full("stts", struct.pack(">I", len(runs)) + spans),
        _full("stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        _full("stsz", struct.pack(">II", each, count)),
        _full("co64", struct.pack(">I", count) + places),
    ))  # fmt: skip
    reference = _full("dref", struct.pack(">I", 1) + _atom("url ", b"\0\0\0\1"))
    media = b"".join((
        _atom("mdhd", b"\1\0\0\0" + struct.pack(">QQIQHH", 0, 0, scale, total, 0, 0)),
        _full("hdlr", b"mhlrvide" + bytes(13)),
        _atom("minf", _full("vmhd", bytes(8)) + _atom("dinf", reference) + _atom("stbl", table)),
    ))  # fmt: skip
    track = b"\1\0\0\7" + struct.pack(">QQIIQ8xHHHH", 0, 0, 1, 0, total, 0, 0, 0, 0)
    track += struct.pack(">9iII", *IDENTITY, width << 16, height << 16)
    movie = b"\1\0\0\0" + struct.pack(">QQIQIH10x", 0, 0, scale, total, 0x10000, 0x100)
    movie += struct.pack(">9i24xI", *IDENTITY, 2)
    trak = _atom("trak", _atom("tkhd", track) + _atom("mdia", media))
    head = _atom("ftyp", b"qt  " + bytes(4) + b"qt  ") + _atom("moov", _atom("mvhd", movie) + trak)
    return head + struct.pack(">I4sQ", 1, b"mdat", 16 + each * count)


def _atom(name: str, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + name.encode() + data


def _full(name: str, data: bytes) -> bytes:
    return _atom(name, bytes(4) + data)
