"""An output clip that appears under its own name only when it is complete."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ncavideo.util.atomic_write import NameTakenError, hidden_sibling, publish
from ncavideo.util.errors import OutputError, RefusedError, UserError
from ncavideo.video import matroska_aspect
from ncavideo.video.codecs import CONTAINERS, RAW
from ncavideo.video.copy_plan import CopyPlan, plan_copies
from ncavideo.video.encoder import Encoder
from ncavideo.video.gif_rate import GifRate
from ncavideo.video.muxing import open_muxer
from ncavideo.video.names import names_of
from ncavideo.video.packets import PacketFile, read_packets
from ncavideo.video.pipe_copy import copied_streams
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.pipes import TIMELESS
from ncavideo.video.pyav import open_output, time_base
from ncavideo.video.reader import VideoReader, main_video, open_clip
from ncavideo.video.segments import Segment, SegmentStore
from ncavideo.video.stream_copy import Passthrough
from ncavideo.video.writer import Writer

WITHOUT_SOUND = ("gif", *TIMELESS)  # containers for a picture alone
# The samples that prepare an AAC decoder come before 0. FFmpeg's Matroska muxer moves the picture
# and everything else back by them; FFmpeg 9's only where nothing tells it how many they are.
MATROSKA_EARLIEST = 30.0  # seconds: a block's time is 16 bits of milliseconds around its cluster's
X265_DELAY = 2  # frames by which x265 decodes ahead: its `bframes` with a B-pyramid


class ClipWriter(Writer):
    """Encodes a clip with the source's timestamps, colour tags, sound and names."""

    def __init__(
        self,
        output: Path,
        source: VideoReader,
        *,
        codec: str | None,
        crf: float | None,
        pix_fmt: str | None,
        overwrite: bool = False,
        lead: float = 0.0,
        alpha: bool = False,
        strict: bool = False,
        open_checkpoint: Callable[[], SegmentStore] | None = None,
        container: str | None = None,
    ) -> None:
        super().__init__()
        if container is None and output.suffix.lower() not in CONTAINERS:
            raise UserError(
                f"unknown kind of output {output.suffix or output.name!r}: end its name in"
                f" {', '.join(CONTAINERS)} or as frame_%05d.png"
            )
        container = container or CONTAINERS[output.suffix.lower()][0]
        self._encoder = Encoder(
            container, source.info, codec=codec, crf=crf, pix_fmt=pix_fmt, alpha=alpha
        )
        self._output, self._info = output, source.info
        self._partial = hidden_sibling(output, ".part")
        self._overwrite = overwrite
        self._durations: dict[int, int] = {}
        trim = source.trim
        self._shift = round((source.begin + lead) / source.info.time_base)
        if lead > 0:
            trim = source.begin + lead, trim[1] if trim else None
        self._kind, self._begin = container, source.first_time
        self._source, self._path = source.pipe or source.path, source.path
        self._origin, self._trim = source.origin, trim
        self._container: OutputContainer | None = None
        self._passthrough: Passthrough | None = None
        self._segment: Segment | None = None
        self._gif = GifRate(source.info.time_base) if container == "gif" else None
        self._encoded = 0  # frames given to the encoder at work: a segment's or the clip's
        self._last_dts: int | None = None
        # No dates and no version strings: the same input gives the same file.
        options = {"fflags": "+bitexact"}
        if self._encoder.name == RAW:
            # Matroska and y4m have codes for more than 8 bits that no standard knows.
            options["strict"] = "unofficial"
        self._plan = CopyPlan(options=options)
        if container not in WITHOUT_SOUND:
            self._plan = self._ask_muxer(options, alpha, source.begin + lead)
        if strict and self._plan.left_out:
            raise UserError(f"{self._plan.left_out[0]}, which --strict-streams does not allow")
        self.notes += [*self._plan.left_out, *self._plan.notes]
        try:
            # An output that cannot be written is refused now, before any frame is rendered.
            self._open_output()
            self.notes.extend(self._encoder.notes(self._stream.codec_context))
            # A palette belongs to its whole clip, and alpha in VP9 lies beside its packets, where
            # it cannot be kept.
            joinable = container != "gif" and not (alpha and self._encoder.is_vp9)
            if open_checkpoint is not None and joinable:
                self._close_output()
                self.checkpoint = open_checkpoint()
                self._number = self.checkpoint.segments
        except BaseException:
            self.abort()
            raise

    def _ask_muxer(self, options: dict[str, str], alpha: bool, later: float) -> CopyPlan:
        """Return what goes into the output, before any frame is rendered.

        `later`: seconds from the clip's first frame to the output's.
        """
        encoder = self._encoder.small()

        def add_video(output: OutputContainer) -> VideoStream:
            stream = encoder.add_stream(output)
            try:
                encoder.open(stream)
            except UserError:
                # What the encoder refuses is told of the picture's own size.
                with contextlib.closing(open_muxer(io.BytesIO(), self._kind, options)) as unused:
                    self._encoder.open(self._encoder.add_stream(unused))
                raise
            return stream

        pipe = self._source if isinstance(self._source, PipeIn) else None
        with contextlib.ExitStack() as stack:
            if pipe is not None:
                source = pipe.container
            else:
                source = stack.enter_context(contextlib.closing(open_clip(self._path)))
            video = main_video(source, self._path)
            names = names_of(source, video, self._kind, later)
            return plan_copies(
                source,
                self._kind,
                options,
                names,
                add_video,
                lambda: encoder.blank(alpha),
                look=pipe is None,
            )

    def _open_output(self) -> None:
        """Open the output's container, its streams and its encoder."""
        options = dict(self._plan.options)
        if self._kind in ("mp4", "mov"):
            options["movflags"] = "+faststart" + options.get("movflags", "")
        try:
            self._container = self._open_muxer(options)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._stream = self._encoder.add_stream(self._container)
        self._stream.metadata.update(self._plan.names.picture)
        if self._kind not in WITHOUT_SOUND:
            shift = self._shift * self._info.time_base
            self._passthrough = copied_streams(
                self._source, self._container, self._trim, self._origin, shift, self._plan
            )
            if self._kind in ("matroska", "webm") and self._sound_leads(float(shift)):
                self._container.options["avoid_negative_ts"] = "disabled"
        try:
            self._encoder.open(self._stream)
            if self._passthrough is not None:
                self._passthrough.copy_covers()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def _sound_leads(self, shift: float) -> bool:
        """Return whether the picture begins at 0 and sound no earlier than Matroska can say."""
        assert self._passthrough is not None
        return abs(self._begin - shift) < 1e-3 and self._passthrough.begin > -MATROSKA_EARLIEST

    def _close_output(self) -> None:
        """Let go of the container, and of what it has written."""
        if self._passthrough is not None:
            self._passthrough.close()
            self._passthrough = None
        if self._container is not None:
            # Closing writes a trailer, which may fail as the rest did; the file goes anyway.
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.close()
            self._container = None
        self._discard()

    def _open_muxer(self, options: dict[str, str]) -> OutputContainer:
        """Open the container that is written into."""
        return open_muxer(self._partial.absolute(), self._kind, options, tee=self._plan.tee)

    def _discard(self) -> None:
        """Remove what has been written and not published."""
        with contextlib.suppress(OSError):  # an error on the way out would hide the one before it
            self._partial.unlink(missing_ok=True)

    def _write_aspect(self) -> None:
        """Write the shape of pixels into the closed file where FFmpeg's muxer leaves it out."""
        if self._kind in matroska_aspect.CONTAINERS and self._encoder.hides_aspect:
            matroska_aspect.write_aspect(self._partial, self._info.sample_aspect_ratio)

    def _publish(self) -> None:
        """Hand over what the closed container has written."""
        publish(self._partial, self._output, self._overwrite)

    def _open_segment(self) -> Segment:
        """Start an encoder of its own for a segment; its packets go into a file of their own."""
        assert self.checkpoint is not None
        # Never written to: it tells the encoder where the container wants its headers.
        container = open_output(io.BytesIO(), format=self._kind)
        stream = self._encoder.add_stream(container)
        self._encoder.open(stream)
        return Segment(container, stream, PacketFile(self.checkpoint.segment(self._number)))

    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Encode a frame."""
        if self._gif is None:
            self._write(rgb, pts, duration)
        elif (ready := self._gif.take(rgb, pts, duration)) is not None:
            self._write(*ready)

    def _write(self, rgb: np.ndarray, pts: int, duration: int | None) -> None:
        frame = self._encoder.convert(rgb)
        frame.pts, frame.time_base = pts - self._shift, self._info.time_base
        if duration:
            frame.duration = duration
            self._durations[frame.pts] = duration
        try:
            self._encode(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or flush the encoder; the packets go into the output or a segment."""
        if self.checkpoint is not None and self._segment is None:
            self._segment = self._open_segment()
            self._encoded = 0
        self._encoded += frame is not None
        segment = self._segment
        for packet in (self._stream if segment is None else segment.stream).encode(frame):
            self._complete(packet)
            if segment is None:
                self._mux(packet)
            else:
                segment.file.write(packet)

    def _complete(self, packet: Packet[VideoStream]) -> None:
        """Set the times that the encoder left out or got wrong."""
        # Not every encoder passes durations on; without them the last frame would be cut.
        if packet.pts in self._durations:
            packet.duration = self._durations.pop(packet.pts)
        # x265 takes from decoding times a delay that it knows from the third frame on, and before
        # that whatever its memory held (issue 781 there). Two frames cannot change places.
        if self._encoded <= X265_DELAY and self._encoder.name == "libx265":
            packet.dts = packet.pts

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._container is not None
        if self._passthrough is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts
            self._passthrough.copy_until((stamp or 0) * (time_base(packet) or Fraction(0)))
        self._container.mux_one(packet)

    def end_segment(self, save: Callable[[int], None] | None = None) -> None:
        """Close the segment that the last frame belongs to; see `Writer.end_segment`."""
        if self.checkpoint is None or self._segment is None:
            return
        try:
            self._encode(None)
            if save is not None:
                save(self._number)
            self._segment.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._segment = None
        self._number += 1

    def _join(self) -> None:
        """Put the segments together in the output, without encoding anything again."""
        assert self.checkpoint is not None
        self._open_output()
        for number in range(self._number):
            for packet in read_packets(self.checkpoint.segment(number)):
                # Each encoder counts down from its first frame: two may meet.
                if self._last_dts is not None and packet.dts is not None:
                    packet.dts = max(packet.dts, self._last_dts + 1)
                self._last_dts = packet.dts
                packet.stream = self._stream
                self._mux(packet)

    def close(self) -> None:
        """Flush the encoder, finish the container, and rename the file into place."""
        try:
            if self.checkpoint is not None:
                self.end_segment()
                self._join()
            elif self._container is None:
                return
            else:
                self._write_rest()
                self._encode(None)
            assert self._container is not None
            if self._passthrough is not None:
                self._passthrough.copy_until(None)
            self._container.close()
            self._container = None
            self._write_aspect()
            self._publish()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        except NameTakenError:
            self._release_checkpoint()
            raise
        else:
            self._release_checkpoint()
        finally:
            self.abort()

    def _write_rest(self) -> None:
        if self._gif is None:
            return
        if (last := self._gif.rest()) is not None:
            self._write(*last)
        if note := self._gif.note():
            self.notes.append(note)

    def _release_checkpoint(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint.release(done=True)
            self.checkpoint = None

    def abort(self) -> None:
        """Remove the partial file, if there still is one; a render's checkpoint stays."""
        self._close_output()
        if self._segment is not None:
            self._segment.abort()
            self._segment = None
        if self.checkpoint is not None:
            self.checkpoint.release(done=False)
            self.checkpoint = None

    def _failed(self, error: BaseException) -> OutputError:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return OutputError(f"the disk is full: {self._output} was not written")
        reason = getattr(error, "strerror", None) or error
        # The system's errors may pass; FFmpeg's own, and its "invalid argument", do not.
        kind = OutputError if isinstance(error, OSError | MemoryError) else RefusedError
        return kind(f"{self._output} could not be written ({reason})")
