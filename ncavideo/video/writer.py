"""An output clip that appears under its own name only when it is complete."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import io
import itertools
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from ncavideo.util.atomic_write import NameTakenError, hidden_sibling, publish
from ncavideo.util.errors import OutputError, UserError
from ncavideo.video.codecs import (
    CONTAINERS,
    HARDWARE,
    WithAlpha,
    alpha_codec,
    choose_pixel_format,
    find_codec,
)
from ncavideo.video.colour import RESAMPLING, RGB
from ncavideo.video.numbered import is_numbered, numbered
from ncavideo.video.packets import PacketFile, read_packets
from ncavideo.video.palette import Palette
from ncavideo.video.pyav import open_output, time_base
from ncavideo.video.reader import VideoReader
from ncavideo.video.stream_copy import Passthrough

# How frames lie in memory, by channels and bytes a number.
LAYOUTS = {(3, 1): "rgb24", (3, 2): "rgb48le", (4, 1): "rgba", (4, 2): "rgba64le"}
# The samples that prepare an AAC decoder come before 0. FFmpeg 8's Matroska muxer moves the picture
# and everything else back by them, FFmpeg 9's leaves all where it is.
MATROSKA_MOVES = av.library_versions["libavformat"][0] < 63
MATROSKA_EARLIEST = 30.0  # seconds: a block's time is 16 bits of milliseconds around its cluster's
X265_DELAY = 2  # frames by which x265 decodes ahead: its `bframes` with a B-pyramid


class SegmentStore(Protocol):
    """A folder that keeps the closed segments of a clip until they are joined.

    `segments`: how many there are already.
    """

    segments: int

    def segment(self, number: int) -> Path:
        """Return where a segment's packets are."""

    def release(self, *, done: bool) -> None:
        """Let go of the folder; `done`: nobody needs what is in it any more."""


class Writer(ABC):
    """Takes frames in order; `close` finishes the output, `abort` leaves no trace of it.

    `notes`: sentences that the user should read, such as a sound stream that was left out.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.work: SegmentStore | None = None

    def end_segment(self, save: Callable[[int], None] | None = None) -> None:  # noqa: B027
        """Close the segment that the last frame belongs to, if there are segments.

        `save`: called with the segment's number before it is closed. A closed segment is one
        after which a render can resume, so whatever that needs has to be on disk by then.
        """

    @abstractmethod
    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Add a frame at `pts` in the source's time base.

        `[H, W, 3]`, uint8 or uint16, or `[H, W, 4]` for a writer with alpha.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and put the output under its name. Raises `OutputError` if that fails."""

    @abstractmethod
    def abort(self) -> None:
        """Remove what has been written."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever leaves without having closed, with an error or not, has not finished.
        self.abort()


def open_writer(
    output: Path,
    source: VideoReader,
    *,
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    lead: float = 0.0,
    alpha: bool = False,
    make_work: Callable[[], SegmentStore] | None = None,
) -> Writer:
    """Return the writer for an output's name: a clip, or numbered pictures (`frame_%05d.png`).

    `lead`: seconds that the output leaves out at the source's beginning, below 0 for what it adds;
    `alpha`: frames have four channels, the fourth straight alpha; `make_work` gives the
    folder in which the render can be gone on with, where the kind of output allows it.
    Raises `UserError` when the name, its folder or the encoder cannot be used.
    """
    folder = output.absolute().parent
    if output.is_dir():
        raise UserError(f"{output} is a folder: name a file in it")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to write {output.name} in")
    if not os.access(folder, os.W_OK):
        raise UserError(f"the folder {folder} cannot be written to")
    if output.suffix.lower() == ".png":
        if codec or crf is not None or pix_fmt:
            raise UserError("numbered pictures take no --codec, --crf or --pix-fmt")
        return PictureWriter(output, overwrite)
    if os.path.lexists(output):
        if output.exists() and output.samefile(source.path):
            raise UserError(f"{output} is the input: name another output")
        if not overwrite:
            raise UserError(f"{output} exists: name another output or give --overwrite")
    return ClipWriter(
        output,
        source,
        codec=codec,
        crf=crf,
        pix_fmt=pix_fmt,
        overwrite=overwrite,
        lead=lead,
        alpha=alpha,
        make_work=make_work,
    )


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


@dataclass(frozen=True)
class Stored:
    """How pixels are stored: the format's name and its matrix (H.273)."""

    format: str
    space: int


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
        make_work: Callable[[], SegmentStore] | None = None,
    ) -> None:
        super().__init__()
        if output.suffix.lower() not in CONTAINERS:
            raise UserError(
                f"unknown kind of output {output.suffix or output.name!r}: end its name in"
                f" {', '.join(CONTAINERS)} or as frame_%05d.png"
            )
        container, _ = CONTAINERS[output.suffix.lower()]
        self._with_alpha: WithAlpha | None = None
        if alpha:
            self._codec, self._with_alpha = alpha_codec(codec, container)
        else:
            self._codec = find_codec(codec, container)
        self._output, self._info = output, source.info
        self._partial = hidden_sibling(output, ".part")
        self._overwrite = overwrite
        self._deep = source.info.bit_depth > 8
        self._durations: dict[int, int] = {}
        self._reformatter = VideoReformatter()
        trim = source.trim
        begin = 0.0 if trim is None else trim[0]
        self._shift = round((begin + lead) / source.info.time_base)
        if lead > 0:
            trim = (source.origin if trim is None else begin) + lead, trim[1] if trim else None
        self._kind, self._crf, self._pix_fmt = container, crf, pix_fmt
        self._source, self._trim, self._begin = source.path, trim, source.first_time
        self._palette = Palette() if container == "gif" else None
        self._container: OutputContainer | None = None
        self._passthrough: Passthrough | None = None
        self._segment: Segment | None = None
        self._encoded = 0  # frames given to the encoder at work: a segment's or the clip's
        self._last_dts: int | None = None
        try:
            # Whatever this output cannot be is told now, before any work is done.
            self._open_output()
            self._note_formats(self._stream.codec_context)
            # A palette belongs to its whole clip, and alpha in VP9 lies beside its packets, where
            # it cannot be kept.
            if make_work is not None and container != "gif" and not (alpha and self._is_vp9):
                self._close_output()
                self.work = make_work()
                self._number = self.work.segments
        except BaseException:
            self.abort()
            raise

    @property
    def _is_vp9(self) -> bool:
        return "vp9" in self._codec.encoder

    def _open_output(self) -> None:
        """Open the output's container, its streams and its encoder."""
        # No dates and no version strings: the same input gives the same file.
        options = {"fflags": "+bitexact"}
        if self._kind in ("mp4", "mov"):
            options["movflags"] = "+faststart"
        try:
            self._container = open_output(str(self._partial), format=self._kind, options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._stream = self._add_video(self._container, self._kind, self._crf, self._pix_fmt)
        if self._kind != "gif":
            shift = float(self._shift * self._info.time_base)
            self._passthrough = Passthrough(self._source, self._container, self._trim, shift)
            self.notes = list(dict.fromkeys([*self.notes, *self._passthrough.notes]))
            if MATROSKA_MOVES and self._kind in ("matroska", "webm") and self._sound_leads(shift):
                self._container.options["avoid_negative_ts"] = "disabled"
        self._open_encoder(self._stream, self._pix_fmt)

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
        with contextlib.suppress(OSError):  # an error on the way out would hide the one before it
            self._partial.unlink(missing_ok=True)

    def _open_segment(self) -> Segment:
        """Start an encoder of its own for a segment; its packets go into a file of their own."""
        assert self.work is not None
        # Never written to: it tells the encoder where the container wants its headers.
        container = open_output(io.BytesIO(), format=self._kind)
        stream = self._add_video(container, self._kind, self._crf, self._pix_fmt)
        self._open_encoder(stream, self._pix_fmt)
        return Segment(container, stream, PacketFile(self.work.segment(self._number)))

    def _add_video(
        self, output: OutputContainer, container: str, crf: float | None, pix_fmt: str | None
    ) -> VideoStream:
        codec, info = self._codec, self._info
        name = av.codec.Codec(codec.encoder, "w").canonical_name
        if name not in output.supported_codecs:
            fitting = [s for s, (c, _) in CONTAINERS.items() if c != container]
            raise UserError(
                f"{container} cannot hold {name} video: name an output that ends in"
                f" {' or '.join(fitting[-3:])}, or choose another --codec"
            )
        with_alpha = self._with_alpha
        options = codec.options | (with_alpha.options if with_alpha else {})
        quality = codec.crf if crf is None else crf
        if quality is not None:
            if codec.crf is None:
                raise UserError(f"{codec.encoder} has no --crf")
            options[codec.quality] = f"{quality:g}"
        rate = info.average_rate or Fraction(25)
        # An encoder's idea of the rate is a hint for its rate control; the timestamps rule.
        rate = max(Fraction(1, 10), min(rate, Fraction(1000))).limit_denominator(1001000)
        stream = output.add_stream(codec.encoder, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        context, colour = stream.codec_context, info.colour
        context.thread_count = codec.threads(info.height)
        if codec.most_threads is not None:
            context.thread_type = "FRAME"  # slices would cost bits
        context.width, context.height = info.width, info.height
        if with_alpha:
            own = with_alpha.deep if self._deep else with_alpha.pix_fmt
        else:
            own = choose_pixel_format(codec, info.width, info.height, self._deep)
        wanted = pix_fmt or own
        try:
            context.pix_fmt = av.VideoFormat(wanted, info.width, info.height).name
        except ValueError as error:
            raise UserError(f"there is no --pix-fmt {wanted!r}: try {own}") from error
        parts = av.VideoFormat(wanted).components
        if with_alpha and not any(part.is_alpha for part in parts):
            raise UserError(f"--pix-fmt {wanted} cannot hold alpha: leave it out, or try {own}")
        context.sample_aspect_ratio = info.sample_aspect_ratio
        stream.time_base = context.time_base = info.time_base
        context.framerate = rate
        tag = with_alpha.tag if with_alpha else codec.tag
        if tag and container in ("mp4", "mov"):
            context.codec_tag = tag
        self._rgb_encoder = "rgb" in context.pix_fmt or context.pix_fmt.startswith(
            ("gbr", "bgr", "pal")
        )
        self._range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
        if self._rgb_encoder:
            self._range = ColorRange.JPEG
        context.color_range = int(self._range)
        context.colorspace = RGB if self._rgb_encoder else colour.space
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        self._stored = Stored(context.pix_fmt, int(context.colorspace))
        return stream

    def _note_formats(self, context: VideoCodecContext) -> None:
        """Note what the user may not expect of the output's pixels."""
        codec, info, pix_fmt = self._codec, self._info, self._pix_fmt
        if (info.width % 2 or info.height % 2) and context.pix_fmt in ("yuv444p", "yuv444p10le"):
            self.notes.append(
                f"the odd size {info.width}x{info.height} needs {context.pix_fmt}, which some"
                " players do not show"
            )
        if self._deep and codec.encoder == "libx264" and not pix_fmt:
            self.notes.append(
                f"the {info.bit_depth}-bit source becomes 8-bit H.264, which every player shows:"
                " --codec h265 keeps 10 bits"
            )
        if self._deep and self._with_alpha and self._is_vp9:
            self.notes.append(
                f"the {info.bit_depth}-bit source becomes 8-bit VP9, which has no deeper alpha:"
                " -o out.mov keeps 10 bits"
            )

    def _open_encoder(self, stream: VideoStream, pix_fmt: str | None) -> None:
        """Open the encoder now, so that a setting it refuses is told before any work is done."""
        try:
            stream.codec_context.open(strict=False)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise self._failed(error) from error
            if self._codec.encoder.endswith(HARDWARE):
                raise UserError(
                    f"the encoder {self._codec.encoder} needs the hardware it is made for and its"
                    " driver, or does not take this picture: try --codec h264"
                ) from error
            raise UserError(
                f"the encoder {self._codec.encoder} refuses {self._info.width}x{self._info.height}"
                f" in {pix_fmt or stream.codec_context.pix_fmt}: try another --codec or"
                " --pix-fmt"
            ) from error

    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Encode a frame."""
        frame = av.VideoFrame.from_ndarray(rgb, LAYOUTS[rgb.shape[2], rgb.dtype.itemsize])
        if self._palette is not None:
            frame = self._palette(frame)
        else:
            matrix = self._info.colour.matrix
            frame = self._reformatter.reformat(
                frame,
                format=self._stored.format,
                src_colorspace=matrix,
                dst_colorspace=matrix,
                src_color_range=ColorRange.JPEG,
                dst_color_range=self._range,
                interpolation=RESAMPLING,
            )
            frame.color_range = int(self._range)
            frame.colorspace = self._stored.space
            # ProRes writes these from its frames, other encoders from the context.
            frame.color_primaries = self._info.colour.primaries
            frame.color_trc = self._info.colour.transfer
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
        if self.work is not None and self._segment is None:
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
        if self._encoded <= X265_DELAY and self._codec.encoder == "libx265":
            packet.dts = packet.pts

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._container is not None
        if self._passthrough is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts
            self._passthrough.copy_until(float((stamp or 0) * (time_base(packet) or 0)))
        self._container.mux_one(packet)

    def end_segment(self, save: Callable[[int], None] | None = None) -> None:
        """Close the segment that the last frame belongs to; see `Writer.end_segment`."""
        if self.work is None or self._segment is None:
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
        assert self.work is not None
        self._open_output()
        for number in range(self._number):
            for packet in read_packets(self.work.segment(number)):
                # Each encoder counts down from its first frame: two may meet.
                if self._last_dts is not None and packet.dts is not None:
                    packet.dts = max(packet.dts, self._last_dts + 1)
                self._last_dts = packet.dts
                packet.stream = self._stream
                self._mux(packet)

    def close(self) -> None:
        """Flush the encoder, finish the container, and rename the file into place."""
        try:
            if self.work is not None:
                self.end_segment()
                self._join()
            elif self._container is None:
                return
            else:
                self._encode(None)
            assert self._container is not None
            if self._passthrough is not None:
                self._passthrough.copy_until(None)
            self._container.close()
            self._container = None
            publish(self._partial, self._output, self._overwrite)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        except NameTakenError:
            self._let_go_of_work()
            raise
        else:
            self._let_go_of_work()
        finally:
            self.abort()

    def _let_go_of_work(self) -> None:
        if self.work is not None:
            self.work.release(done=True)
            self.work = None

    def abort(self) -> None:
        """Remove the partial file, if there still is one; what can be gone on with stays."""
        self._close_output()
        if self._segment is not None:
            self._segment.abort()
            self._segment = None
        if self.work is not None:
            self.work.release(done=False)
            self.work = None

    def _failed(self, error: BaseException) -> OutputError:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return OutputError(f"the disk is full: {self._output} was not written")
        reason = getattr(error, "strerror", None) or error
        return OutputError(f"{self._output} could not be written ({reason})")


class PictureWriter(Writer):
    """Writes numbered PNG pictures, 8 or 16 bits deep, counted from 1.

    They grow in a hidden sibling folder and move into place together at the end.
    """

    def __init__(self, pattern: Path, overwrite: bool) -> None:
        super().__init__()
        if not is_numbered(pattern):
            raise UserError(f"{pattern.name} needs a place for the number: as frame_%05d.png")
        self._pattern, self._overwrite, self._count = pattern, overwrite, 0
        if os.path.lexists(self._name(1)) and not overwrite:
            raise UserError(f"{self._name(1)} exists: name another output or give --overwrite")
        folder = hidden_sibling(pattern.absolute(), ".part")
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise OutputError(f"cannot write {pattern}: {error.strerror}") from error
        self._folder: Path | None = folder

    def _name(self, number: int) -> Path:
        return numbered(self._pattern, number)

    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Write one picture; its time is not kept."""
        import cv2

        assert self._folder is not None
        self._count += 1
        done, data = cv2.imencode(".png", rgb[..., [2, 1, 0, 3][: rgb.shape[2]]])
        if not done:
            raise OutputError(f"{self._name(self._count)} could not be encoded")
        try:
            (self._folder / str(self._count)).write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {self._pattern}: {error.strerror}") from error

    def close(self) -> None:
        """Move the pictures into place."""
        if self._folder is None:
            return
        try:
            names = [self._name(number) for number in range(1, self._count + 1)]
            taken = [] if self._overwrite else self._taken(names)
            if taken:
                kept = self._kept()
                raise OutputError(
                    f"{taken[0]} appeared meanwhile and is left alone: the finished pictures are in"
                    f" {kept}"
                )
            # The first comes last: where it is, all are, however this ends.
            for number, name in reversed(list(enumerate(names, start=1))):
                if self._overwrite or not os.path.lexists(name):
                    publish(self._folder / str(number), name, self._overwrite)
        except OSError as error:
            raise OutputError(f"cannot write {self._pattern}: {error.strerror}") from error
        finally:
            self.abort()

    def _taken(self, names: list[Path]) -> list[Path]:
        """Return the names that hold anything but the very picture which belongs there.

        That is the same render's, killed while it moved its pictures.
        """
        assert self._folder is not None
        return [
            name
            for number, name in enumerate(names, start=1)
            if os.path.lexists(name) and not _same_bytes(name, self._folder / str(number))
        ]

    def _kept(self) -> Path:
        """Move the pictures, under their names, into a folder that was not there; return it."""
        assert self._folder is not None
        made = self._folder
        for number in range(1, self._count + 1):
            (made / str(number)).rename(made / self._name(number).name)
        for number in itertools.count(2):
            folder = self._pattern.with_name(f"{self._pattern.stem.partition('%')[0]}-{number}")
            with contextlib.suppress(OSError):  # it is there, and not empty
                if not os.path.lexists(folder):
                    made.rename(folder)
                    self._folder = None
                    return folder
        raise AssertionError  # numbers do not end

    def abort(self) -> None:
        """Remove the hidden folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return not one.is_symlink() and one.is_file() and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
