"""An output on standard output: written in order, without a seek."""

from __future__ import annotations

import io
import os
import select
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av.container import OutputContainer

from ncavideo.util.errors import UserError
from ncavideo.video import matroska_aspect
from ncavideo.video.clip_writer import ClipWriter
from ncavideo.video.codecs import RAW
from ncavideo.video.muxing import open_muxer
from ncavideo.video.pipes import DEFAULT, FORMATS, STDOUT, TIMELESS, stream_descriptor
from ncavideo.video.reader import VideoReader


class _Waiting(io.BytesIO):
    """What FFmpeg has written, until it is sent.

    Not sent from within FFmpeg, through which neither a closed pipe nor Ctrl-C finds its way; for
    the same reason its `write` is no Python code.
    """

    def seekable(self) -> bool:
        """Return False: FFmpeg asks for no seek then."""
        return False

    def close(self) -> None:
        """Do nothing: what FFmpeg has closed is yet to be sent."""

    def clear(self) -> None:
        """Drop what is waiting."""
        self.seek(0)
        self.truncate()


class PipeWriter(ClipWriter):
    """Encodes a clip onto standard output.

    `format`: a key of `FORMATS`. Frames that nobody reads any more are dropped; see `unwanted`.
    Raises `UserError` for what the container cannot hold, before any byte is written.
    """

    def __init__(
        self,
        source: VideoReader,
        *,
        format: str | None,
        codec: str | None,
        crf: float | None,
        pix_fmt: str | None,
        lead: float = 0.0,
        alpha: bool = False,
        strict: bool = False,
    ) -> None:
        container = FORMATS[format or DEFAULT]
        if container in TIMELESS and codec not in (None, RAW):
            raise UserError(f"--format {format} holds raw video alone: leave out --codec {codec}")
        self._waiting, self._fd = _Waiting(), stream_descriptor()
        self._rate = (source.info.average_rate or Fraction(25)).limit_denominator(1001000)
        self._gone = self._begun = False
        self._frames = 0
        self._zero: int | None = None  # the first frame's place
        super().__init__(
            Path(STDOUT),
            source,
            codec=codec or RAW,
            crf=crf,
            pix_fmt=pix_fmt,
            lead=lead,
            alpha=alpha,
            strict=strict,
            container=container,
        )
        assert self._container is not None
        self._container.options["flush_packets"] = "1"  # whoever watches wants each frame at once
        if container in TIMELESS:
            if source.has_sound:
                lost = f"the sound was left out: --format {format} cannot hold any"
                if strict:
                    self.abort()
                    raise UserError(f"{lost}, which --strict-streams does not allow")
                self.notes.append(lost)
            self._stream.time_base = 1 / self._rate
        try:
            # Into memory: what the muxer refuses, it refuses now.
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.abort()
            stored = self._stream.codec_context.pix_fmt
            raise UserError(
                f"--format {format or DEFAULT} cannot hold {self._encoder.name} video in {stored}:"
                " try another --pix-fmt, or --format nut"
            ) from error
        if container == "rawvideo":
            context, rate = self._stream.codec_context, float(self._rate)
            self.notes.append(
                f"the raw video is {context.pix_fmt}, {context.width}x{context.height} pixels, at"
                f" {rate:g} frames a second"
            )

    @property
    def unwanted(self) -> bool:
        """Whether the pipe has been closed at its other end."""
        if not self._gone and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._fd, 0)
            self._gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
        return self._gone

    def _open_muxer(self, options: dict[str, str]) -> OutputContainer:
        if not self._plan.tee:
            return open_muxer(self._waiting, self._kind, options)
        return open_muxer("-", self._kind, options, tee=True, io_open=lambda *_: self._waiting)

    def _discard(self) -> None:
        self._waiting.clear()

    def _write_aspect(self) -> None:
        """Write it into the header, if that has not been sent."""
        if self._begun or self._kind not in matroska_aspect.CONTAINERS:
            return
        ratio = self._info.sample_aspect_ratio
        if self._encoder.hides_aspect and (data := self._waiting.getvalue()):
            header = matroska_aspect.with_aspect(data, ratio)
            if header is not None:
                self._waiting.clear()
                self._waiting.write(header)
        self._begun = bool(self._waiting.tell())

    def _publish(self) -> None:
        self._send()

    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Encode and send a frame."""
        if self._kind not in TIMELESS:
            super().write(rgb, pts, duration)
            self._send()
            return
        # Frames come at a fixed rate: this one as often as it takes to keep to its time.
        tick = self._info.time_base
        self._zero = pts if self._zero is None else self._zero
        end = (pts - self._zero + duration) * tick * self._rate if duration else self._frames + 1
        while self._frames < round(end) and not self._gone:
            place = self._shift + round(self._frames / (self._rate * tick))
            super().write(rgb, place)
            self._send()
            self._frames += 1

    def close(self) -> None:
        """Finish the stream; the pipe itself stays open until the process ends."""
        if self.unwanted:
            self.abort()
        else:
            super().close()

    def _send(self) -> None:
        """Send what is waiting. Raises `OutputError` if that fails, but not for a closed pipe."""
        self._write_aspect()
        try:
            with self._waiting.getbuffer() as data:
                sent = 0
                while sent < len(data) and not self._gone:
                    sent += os.write(self._fd, data[sent:])
        except BrokenPipeError:
            self._gone = True
        except OSError as error:
            raise self._failed(error) from error
        self._waiting.clear()
