"""Interlaced frames made progressive: one frame out for each frame in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import av.filter

from ncavideo.video.fields import DEINTERLACE

# FFmpeg's decoder of PNG calls a picture interlaced that is stored in Adam7's seven passes.
NOT_FIELDS = ("png", "apng")


class Deinterlacer:
    """FFmpeg's bwdif over the frames of one stream, in the order they are shown.

    The frames themselves say whether they hold two fields, and which comes first; a progressive
    frame passes as it is, and nothing is done before the first interlaced one. A frame keeps its
    time, duration, rotation and colour. `count`: how many frames were deinterlaced so far.
    """

    def __init__(self, codec: str, fields: str = DEINTERLACE) -> None:
        self._wanted = fields == DEINTERLACE and codec not in NOT_FIELDS
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[str, int, int] | None = None
        self._times: deque[tuple[Any, Any, Any]] = deque()  # of the frames in the filter
        self._pushed = self._passed = self.count = 0

    def through(self, frames: Iterable[Any], last: bool) -> Iterator[av.VideoFrame]:
        """Yield the frames that are ready when these have come, and all of them at the `last`.

        An interlaced frame is ready when the one after it has come.
        """
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                yield from self._push(frame)
        if last:
            yield from self._flush()

    def notes(self) -> list[str]:
        """Return a sentence for the user, if anything was deinterlaced."""
        if not self.count:
            return []
        if self._passed:
            return ["the clip is interlaced in places, and was deinterlaced there: see --fields"]
        return ["the clip is interlaced and was deinterlaced: --fields keep leaves it so"]

    def _push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        interlaced = self._wanted and frame.interlaced_frame
        if self._graph is None and not interlaced:
            self._passed += self._wanted
            yield frame
            return
        kind = frame.format.name, frame.width, frame.height
        if kind != self._kind:
            yield from self._flush()
            self._graph, self._kind = _graph(frame), kind
        assert self._graph is not None
        self.count += interlaced
        self._passed += not interlaced
        # The filter halves ticks, guesses the time of its last frame, and needs some time at all.
        self._times.append((frame.pts, frame.duration, frame.time_base))
        frame.pts, self._pushed = self._pushed, self._pushed + 1
        self._graph.push(frame)
        yield from self._ready()

    def _flush(self) -> Iterator[av.VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
        self._graph = self._kind = None

    def _ready(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            frame.pts, frame.duration, frame.time_base = self._times.popleft()
            yield frame


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=Fraction(1, 25),
    )
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink"))
    graph.configure()
    return graph
