"""Encoded packets kept in a file of their own until a clip is put together.

Containers round timestamps, or are of no use before they are complete. This is neither: a line that
names the format and the time base, then each packet with its numbers in front, and at the end a
digest of all that stands before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from ncavideo.util.errors import OutputError
from ncavideo.video.pyav import DEFAULT_TIME_BASE, time_base

MAGIC = b"ncavideo packets 2 "
HEAD = struct.Struct("<qqq?I")  # pts, dts, duration, key frame, bytes
NO_TIME = -(2**63)
NOTHING = MAGIC + b"none\n"  # the line of a segment without packets
DIGEST = 32  # bytes
MOST_BYTES = 1 << 30  # of a packet; more is a damaged file


class PacketFile:
    """Takes packets; the file has its name only when it is whole and on the disk."""

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_suffix(".part")
        self._file = self._partial.open("wb")
        self._digest = hashlib.blake2b(digest_size=DIGEST)
        self._base: Fraction | None = None

    def write(self, packet: Packet) -> None:  # type: ignore[type-arg]
        """Add a packet; all must have one time base."""
        base = time_base(packet) or DEFAULT_TIME_BASE
        if self._base is None:
            self._base = base
            self._add(MAGIC + f"{base.numerator}/{base.denominator}\n".encode())
        assert base == self._base
        data = bytes(packet)
        pts = NO_TIME if packet.pts is None else packet.pts
        dts = NO_TIME if packet.dts is None else packet.dts
        key = bool(packet.is_keyframe)
        self._add(HEAD.pack(pts, dts, packet.duration or 0, key, len(data)))
        self._add(data)

    def _add(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)

    def close(self) -> None:
        """Write the file out and give it its name."""
        if self._base is None:
            self._add(NOTHING)
        self._file.write(self._digest.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)

    def abort(self) -> None:
        """Remove what has been written, if it has not been closed."""
        if not self._file.closed:
            # What is still in memory has no place to go where the disk is full.
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def __enter__(self) -> PacketFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.abort()


def is_whole(path: Path) -> bool:
    """Return whether a file of packets is there and is, byte for byte, what was written."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    try:
        with path.open("rb") as file:
            left = path.stat().st_size - DIGEST
            while left > 0 and (data := file.read(min(left, 1 << 20))):
                digest.update(data)
                left -= len(data)
            return left == 0 and file.read() == digest.digest()
    except OSError:
        return False


def read_packets(path: Path) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield a file's packets. Raises `OutputError` for one that is damaged."""
    if not is_whole(path):
        raise _damaged(path)
    with path.open("rb") as file:
        end = path.stat().st_size - DIGEST
        line = file.readline(256)
        if line == NOTHING:
            return  # a segment whose frames the encoder had nothing to say about
        try:
            if not line.startswith(MAGIC):
                raise ValueError
            base = Fraction(line.removeprefix(MAGIC).decode("ascii").strip())
        except (ValueError, ZeroDivisionError) as error:
            raise _damaged(path) from error
        while file.tell() < end:
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                raise _damaged(path)
            pts, dts, duration, key, size = HEAD.unpack(head)
            data = file.read(size) if size <= MOST_BYTES else b""
            if len(data) < size or size > MOST_BYTES:
                raise _damaged(path)
            packet = av.Packet(data)
            packet.pts = None if pts == NO_TIME else pts
            packet.dts = None if dts == NO_TIME else dts
            packet.duration, packet.time_base = duration, base
            packet.is_keyframe = key
            yield packet


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path} is damaged: the same command renders that part again")
