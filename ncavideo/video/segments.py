"""Segments: parts of a clip that are encoded by themselves and joined at the end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av.error
from av.container import OutputContainer
from av.video.stream import VideoStream

from ncavideo.video.packets import PacketFile


class SegmentStore(Protocol):
    """A folder that keeps the closed segments of a clip until they are joined.

    `segments`: how many there are already.
    """

    segments: int

    def segment(self, number: int) -> Path:
        """Return where a segment's packets are."""

    def release(self, *, done: bool) -> None:
        """Let go of the folder; `done`: nobody needs what is in it any more."""


@dataclass
class Segment:
    """An encoder at work on one segment, and where its packets go."""

    container: OutputContainer
    stream: VideoStream
    file: PacketFile

    def close(self) -> None:
        """Close the file; it is whole."""
        self.file.close()
        self._leave()

    def abort(self) -> None:
        """Drop the file."""
        self.file.abort()
        self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self.container.close()
