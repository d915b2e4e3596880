"""A clip on standard input: read once, from its beginning to its end, without a seek."""

from __future__ import annotations

import contextlib
import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ncavideo.util.errors import UserError
from ncavideo.video.pipes import CHUNK, PATIENCE, STDIN, is_pipe
from ncavideo.video.pyav import open_input, time_base

RATE, PIX_FMT = 25.0, "yuv420p"  # of raw video, where nothing is said: FFmpeg's own defaults
MOST_SIDE = 65536  # pixels
T = TypeVar("T")
AHEAD = ("audio", "subtitle")  # streams whose packets wait for the picture that they belong to


@dataclass(frozen=True)
class RawVideo:
    """What raw video does not say of itself: its frame size, pixel format and frame rate."""

    width: int
    height: int
    pix_fmt: str = PIX_FMT
    fps: float = RATE

    @property
    def options(self) -> dict[str, str]:
        """The options of FFmpeg's demuxer for raw video."""
        rate = Fraction(self.fps).limit_denominator(100_000)
        return {
            "video_size": f"{self.width}x{self.height}",
            "pixel_format": self.pix_fmt,
            "framerate": f"{rate.numerator}/{rate.denominator}",
        }


def raw_video(size: str | None, pix_fmt: str | None, fps: float | None) -> RawVideo | None:
    """Return what `--input-size`, `--input-pix-fmt` and `--fps` say, or None for no raw video.

    Raises `UserError` for a size or a pixel format that there is not.
    """
    if size is None:
        if pix_fmt is not None:
            raise UserError("--input-pix-fmt is for raw video: give its --input-size as well")
        return None
    width, _, height = size.lower().partition("x")
    # Not by `isdigit`, which takes digits that `int` does not.
    if not all(side.isdecimal() and 0 < int(side) <= MOST_SIDE for side in (width, height)):
        raise UserError(f"--input-size {size!r} is not WIDTHxHEIGHT in pixels, as 1920x1080")
    raw = RawVideo(int(width), int(height), pix_fmt or PIX_FMT, RATE if fps is None else fps)
    try:
        av.VideoFormat(raw.pix_fmt, raw.width, raw.height)
    except ValueError as error:
        raise UserError(
            f"there is no pixel format {raw.pix_fmt!r} for --input-pix-fmt: as yuv420p or rgb24"
        ) from error
    return raw


def open_pipe(
    clip: Path, size: str | None, pix_fmt: str | None, fps: float | None
) -> PipeIn | None:
    """Return standard input if a clip's name stands for it, else None.

    `size` (`WIDTHxHEIGHT`), `pix_fmt` and `fps` say what raw video does not. Raises `UserError`
    where they are given for a file, and where nothing can be read.
    """
    if is_pipe(clip):
        return PipeIn(raw_video(size, pix_fmt, fps), fps)
    if size is not None or pix_fmt is not None:
        raise UserError(
            f"--input-size and --input-pix-fmt are for standard input: render - < {clip.name}"
        )
    return None


class PipeIn:
    """Standard input, opened as a container.

    The picture's packets are demuxed in the thread that decodes; those of sound and subtitles wait
    until the writer, in another thread, takes them. Raises `UserError` with one sentence where
    there is nothing that can be read.
    """

    path = Path(STDIN)  # what stands in messages for a file's name

    def __init__(self, raw: RawVideo | None = None, fps: float | None = None, fd: int = 0) -> None:
        self._fd, self._stopped = fd, False
        self.is_over: Callable[[], bool] = lambda: False  # whether nobody needs more any longer
        self._waiting: deque[Packet[Any]] = deque()
        self._wanted: set[int] | None = None  # stream indices; None until somebody has said
        self._packets: Iterator[Packet[Any]] | None = None
        self._head = b""
        if os.isatty(fd):
            raise UserError(f"{STDIN} is a terminal: pipe a video into it")
        # FFmpeg reads in this thread alone. Ctrl-C is an exception in the main thread, and would be
        # lost if it came while FFmpeg is asking for bytes there.
        self._thread = ThreadPoolExecutor(1, "standard input")
        try:
            self.container = self._apart(lambda: self._open(raw, fps))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"{STDIN} is not a video that can be read without seeking, or it is cut short"
                f" ({reason}): pipe y4m, NUT, Matroska or MPEG-TS, or raw video with --input-size"
            ) from error

    def _apart(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, done in the thread that reads."""
        future = self._thread.submit(work)
        while True:
            try:
                return future.result(timeout=PATIENCE)
            except TimeoutError:
                if future.done():  # its own
                    raise
            except KeyboardInterrupt:
                self.stop()
                wait([future])  # nobody may close what it is still reading from
                raise

    def _open(self, raw: RawVideo | None, fps: float | None) -> InputContainer:
        self._head = self.read(CHUNK)
        if not self._head:
            raise UserError(f"{STDIN} is empty (0 bytes): what should write it may have failed")
        # A playlist from a stranger must not open connections or files.
        options = {"protocol_whitelist": "pipe"}
        if raw is not None:
            return open_input(
                self, format="rawvideo", options=options | raw.options, buffer_size=CHUNK
            )
        if fps is not None:
            options["framerate"] = str(fps)
        container = open_input(self, options=options, buffer_size=CHUNK)
        # Only pictures in a row, as `cat *.png` writes them, leave their rate to an option.
        if fps is not None and not container.format.name.endswith("_pipe"):
            container.close()
            kind = container.format.name
            raise UserError(f"the {kind} video on {STDIN} has times of its own: leave out --fps")
        return container

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end and after `stop`; FFmpeg calls it.

        A pipe that nothing comes through must not keep a render from ending.
        """
        while not self._stopped and not self.is_over():
            if self._head:
                head, self._head = self._head[:size], self._head[size:]
                return head
            if os.name != "posix" or select.select([self._fd], [], [], PATIENCE)[0]:
                return os.read(self._fd, size)
        return b""

    def demux(self, video: VideoStream) -> Iterator[Packet[Any]]:
        """Yield the packets of the picture; the others wait for `take`."""
        others = [s for s in self.container.streams if s.type in AHEAD]
        self._packets = packets = self.container.demux([video, *others])
        while (packet := self._apart(lambda: next(packets, None))) is not None:
            if packet.stream.index == video.index:
                yield packet
            elif self._wanted is None or packet.stream.index in self._wanted:
                self._waiting.append(packet)

    def want(self, streams: set[int]) -> None:
        """Say which streams the output takes; without, it is none of them when `begin` comes."""
        self._wanted = streams

    def begin(self) -> None:
        """Keep nothing for an output that has not asked for it: it would fill the memory."""
        if self._wanted is None:
            self._wanted = set()
            self._waiting.clear()

    def take(self) -> Packet[Any] | None:
        """Return the next packet of sound or subtitles that has come, or None."""
        while self._waiting:
            packet = self._waiting.popleft()
            if self._wanted is None or packet.stream.index in self._wanted:
                return packet
        return None

    def read_on(self, until: Fraction) -> None:
        """Demux on for sound and subtitles, up to `until` in the container's seconds.

        Only when nobody decodes the picture any more.
        """
        packets = self._packets
        assert packets is not None
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            while (packet := self._apart(lambda: next(packets, None))) is not None:
                stamp = packet.dts if packet.dts is not None else packet.pts
                base = time_base(packet)
                if stamp is not None and base is not None and stamp * base >= until:
                    return
                if self._wanted is not None and packet.stream.index in self._wanted:
                    self._waiting.append(packet)

    def stop(self) -> None:
        """Let the thread that waits for more go; nothing further is read."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the container; standard input itself stays open."""
        self.stop()
        self._thread.shutdown()
        self.container.close()
