"""The video encoder of a clip: its settings, and how frames of RGB become the pixels it takes."""

from __future__ import annotations

import copy
import errno
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from ncavideo.util.errors import UserError
from ncavideo.util.thread_priority import kept_priority
from ncavideo.video import planes
from ncavideo.video.codecs import (
    FORGET_RANGE,
    HARDWARE,
    WithAlpha,
    alpha_codec,
    cannot_hold,
    choose_pixel_format,
    find_codec,
)
from ncavideo.video.colour import RESAMPLING, RGB
from ncavideo.video.hdr import encoder_options
from ncavideo.video.muxing import share_headers
from ncavideo.video.palette import Palette
from ncavideo.video.reader import ClipInfo

SMALL = 256  # pixels a side
SAY_ASPECT = ("h264", "hevc")
# How frames lie in memory, by channels and bytes a number.
LAYOUTS = {(3, 1): "rgb24", (3, 2): "rgb48le", (4, 1): "rgba", (4, 2): "rgba64le"}


@dataclass(frozen=True)
class Stored:
    """How pixels are stored: the format's name and its matrix (H.273)."""

    format: str
    space: int


class Encoder:
    """A clip's video encoder: the codec, its settings, and the pixels that it takes.

    `container`: FFmpeg's name of the output's format. `alpha`: frames have four channels, the
    fourth straight alpha. Raises `UserError` for a codec that is not here or cannot be used.
    """

    def __init__(
        self,
        container: str,
        info: ClipInfo,
        *,
        codec: str | None,
        crf: float | None,
        pix_fmt: str | None,
        alpha: bool,
    ) -> None:
        self._with_alpha: WithAlpha | None = None
        if alpha:
            self._codec, self._with_alpha = alpha_codec(codec, container)
        else:
            self._codec = find_codec(codec, container)
        self.name = self._codec.encoder
        self._container, self._info = container, info
        self._crf, self._pix_fmt = crf, pix_fmt
        self._deep = info.bit_depth > 8
        self._too_deep = False  # for this build of the encoder
        self._reformatter = VideoReformatter()
        self._palette = Palette() if container == "gif" else None

    @property
    def is_vp9(self) -> bool:
        """Whether it encodes VP9."""
        return "vp9" in self.name

    @property
    def hides_aspect(self) -> bool:
        """Whether pixels are not square and the encoder's own stream does not say so."""
        name = av.codec.Codec(self.name, "w").canonical_name
        return self._info.sample_aspect_ratio != 1 and name not in SAY_ASPECT

    def small(self) -> Encoder:
        """Return an encoder of the same settings for a small picture, which costs little to try."""
        other = copy.copy(self)
        width, height = (
            side if side <= SMALL else SMALL + side % 2
            for side in (self._info.width, self._info.height)
        )
        other._info = replace(self._info, width=width, height=height)
        other._reformatter = VideoReformatter()
        return other

    def blank(self, alpha: bool) -> av.VideoFrame:
        """Return a black frame at 0 in the pixels that are stored; see `add_stream`."""
        shape = (self._info.height, self._info.width, 4 if alpha else 3)
        # By swscale also where the machine code would do: that takes its time to load.
        frame = self._tagged(self._reformatted(np.zeros(shape, np.uint8)))
        frame.pts, frame.time_base = 0, self._info.time_base
        return frame

    def add_stream(self, output: OutputContainer) -> VideoStream:
        """Add the video's stream to a container. Raises `UserError` for unusable settings."""
        codec, info, container = self._codec, self._info, self._container
        name = av.codec.Codec(codec.encoder, "w").canonical_name
        with_alpha = self._with_alpha
        options = codec.options_for(min(info.width, info.height)) | (
            with_alpha.options if with_alpha else {}
        )
        for name, value in (encoder_options(codec.encoder, info.hdr) or {}).items():
            options[name] = ":".join(part for part in (options.get(name), value) if part)
        quality = codec.crf if self._crf is None else self._crf
        if quality is not None:
            if codec.crf is None:
                raise UserError(f"{codec.encoder} has no --crf")
            options[codec.quality] = f"{quality:g}"
        rate = info.average_rate or Fraction(25)
        # An encoder's idea of the rate is a hint for its rate control; the timestamps rule.
        rate = max(Fraction(1, 10), min(rate, Fraction(1000))).limit_denominator(1001000)
        try:
            stream = output.add_stream(codec.encoder, rate=rate, options=options)
        except ValueError as error:
            raise UserError(cannot_hold(container, name)) from error
        assert isinstance(stream, VideoStream)
        context, colour = stream.codec_context, info.colour
        share_headers(stream, output)
        context.thread_count = codec.threads(info.height)
        if codec.most_threads is not None:
            context.thread_type = "FRAME"  # slices would cost bits
        context.width, context.height = info.width, info.height
        if with_alpha:
            own = with_alpha.deep if self._deep else with_alpha.pix_fmt
        else:
            own = choose_pixel_format(codec, info.width, info.height, self._deep)
            # Many builds of libvpx have no more than 8 bits.
            formats = av.codec.Codec(codec.encoder, "w").video_formats or ()
            self._too_deep = bool(formats) and own not in {known.name for known in formats}
            if self._too_deep:
                own = choose_pixel_format(codec, info.width, info.height, False)
        wanted = self._pix_fmt or own
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
        stores_rgb = "rgb" in context.pix_fmt or context.pix_fmt.startswith(("gbr", "bgr", "pal"))
        keeps = codec.keeps_range and container not in FORGET_RANGE
        full = stores_rgb or (colour.full_range and keeps)
        self._range = ColorRange.JPEG if full else ColorRange.MPEG
        context.color_range = int(self._range)
        context.colorspace = RGB if stores_rgb else colour.space
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        self._stored = Stored(context.pix_fmt, int(context.colorspace))
        return stream

    def notes(self, context: VideoCodecContext) -> list[str]:
        """Return sentences about the output's pixels that the user may not expect."""
        codec, info, notes = self._codec, self._info, []
        if (info.width % 2 or info.height % 2) and context.pix_fmt in ("yuv444p", "yuv444p10le"):
            notes.append(
                f"the odd size {info.width}x{info.height} needs {context.pix_fmt}, which some"
                " players do not show"
            )
        if self._deep and codec.encoder == "libx264" and not self._pix_fmt:
            notes.append(
                f"the {info.bit_depth}-bit source becomes 8-bit H.264, which every player shows:"
                " --codec h265 keeps 10 bits"
            )
        if self._deep and self._too_deep and not self._pix_fmt:
            notes.append(
                f"the {info.bit_depth}-bit source becomes 8-bit, since {codec.encoder} here has no"
                " deeper format: --codec h265, av1 and prores have"
            )
        if self._deep and self._with_alpha and self.is_vp9:
            notes.append(
                f"the {info.bit_depth}-bit source becomes 8-bit VP9, which has no deeper alpha:"
                " -o out.mov keeps 10 bits"
            )
        hdr = info.hdr
        if (hdr.display or hdr.light) and encoder_options(codec.encoder, hdr) is None:
            notes.append(
                f"the mastering display and light level were left out: {codec.encoder} cannot"
                " write them (--codec h264, h265 and av1 can)"
            )
        if hdr.dynamic:
            notes.append(
                f"the {' and '.join(hdr.dynamic)} metadata were left out: they describe the pixels"
                " of the source's frames"
            )
        return notes

    def open(self, stream: VideoStream) -> None:
        """Open the encoder now, so that a setting it refuses is told before any work is done.

        Raises `UserError` for such a setting, `OSError` when the disk is full.
        """
        try:
            with kept_priority():
                stream.codec_context.open(strict=False)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            if self._codec.encoder.endswith(HARDWARE):
                raise UserError(
                    f"the encoder {self._codec.encoder} needs the hardware it is made for and its"
                    " driver, or does not take this picture: try --codec h264"
                ) from error
            raise UserError(
                f"the encoder {self._codec.encoder} refuses {self._info.width}x{self._info.height}"
                f" in {self._pix_fmt or stream.codec_context.pix_fmt}: try another --codec or"
                " --pix-fmt"
            ) from error

    def convert(self, rgb: np.ndarray) -> av.VideoFrame:
        """Return a frame `[H, W, 3 or 4]`, uint8 or uint16, in the pixels that are stored."""
        matrix = self._info.colour.matrix
        if self._palette is None and planes.takes(rgb, self._stored.format, matrix):
            return self._tagged(planes.to_planes(rgb, matrix, self._range))
        return self._tagged(self._reformatted(rgb))

    def _reformatted(self, rgb: np.ndarray) -> av.VideoFrame:
        """Return a frame in the pixels that are stored, by FFmpeg's own conversion."""
        matrix = self._info.colour.matrix
        frame = av.VideoFrame.from_ndarray(rgb, LAYOUTS[rgb.shape[2], rgb.dtype.itemsize])
        if self._palette is not None:
            return self._palette(frame)
        return self._reformatter.reformat(
            frame,
            format=self._stored.format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=RESAMPLING,
        )

    def _tagged(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame with the tags of what it is stored as, unless that is a palette."""
        if self._palette is not None:
            return frame
        frame.color_range = int(self._range)
        frame.colorspace = self._stored.space
        # ProRes writes these from its frames, other encoders from the context.
        frame.color_primaries = self._info.colour.primaries
        frame.color_trc = self._info.colour.transfer
        return frame
