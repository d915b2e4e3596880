"""Which encoder, pixel format and container make which output."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import av
import av.codec

from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean


@dataclass(frozen=True)
class WithAlpha:
    """How an encoder is driven for pictures with alpha: as in `Codec`, `options` on top of its.

    `containers`: those that keep its alpha.
    """

    pix_fmt: str
    deep: str
    containers: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    tag: str | None = None


@dataclass(frozen=True)
class Codec:
    """How to drive one encoder.

    `pix_fmt` for 8-bit sources, `deep` for deeper ones, `odd` and `deep_odd` for frame sizes that
    chroma subsampling cannot halve. `crf`: the encoder's constant quality by default, None where
    it has no such option; `quality`: what the encoder calls it. `most_threads`: None for an encoder
    that gives the same bits whatever its number of threads, and may take as many as there are
    cores; for the others, see `threads`. `keeps_range`: whether a file says that its YUV is of full
    range; what does not is read as limited. `with_alpha`: None for an encoder without. `large`:
    options in place of others where a frame's shorter side has more than `LARGE` pixels.
    """

    encoder: str
    pix_fmt: str
    deep: str
    odd: str
    deep_odd: str
    crf: float | None = None
    options: dict[str, str] = field(default_factory=dict)
    tag: str | None = None
    quality: str = "crf"
    most_threads: int | None = None
    keeps_range: bool = True
    with_alpha: WithAlpha | None = None
    large: dict[str, str] = field(default_factory=dict)

    def options_for(self, side: int) -> dict[str, str]:
        """Return the encoder's options for a frame whose shorter side has so many pixels."""
        return self.options | self.large if side > LARGE else self.options

    def threads(self, height: int) -> int:
        """Return the threads for a frame of `height` rows; 0 for as many as there are cores.

        Where the bits depend on it, the number depends on the frame alone: one clip and one seed
        give one file, however many cores there are.
        """
        if self.most_threads is None:
            return 0
        return min(self.most_threads, max(2, height // ROWS_A_THREAD))


# Containers that do not say that YUV is of full range where the encoder's own stream does not
# (findings/full-range-is-forgotten.sh).
FORGET_RANGE = ("nut",)

# An encoder at work on several frames waits for rows of the one before, so that small frames leave
# little for many threads to do: two for 272 rows, eight for 1080.
ROWS_A_THREAD = 128
LARGE = 1440  # pixels

# Coarse motion, no search for the cheapest coefficients and few ways to divide a block: what they
# would find in a living texture is not worth their time.
_QUICK = "mbtree=0:ref=1:subme=1:trellis=0:partitions=i8x8"

CODECS = {
    # Hardly any player shows 10-bit H.264, so deeper sources are rendered in 8 bits there.
    # Macroblock-tree rate control is off: with AVX-512 its propagation gives other bits from run to
    # run, even on one thread, and one seed must give one file. One reference frame: a living
    # texture does not return to what it was, so that looking further back finds nothing and costs
    # a sixth of the time. Every other frame is a B-frame, without a search for better places; in
    # large frames, where a cell is many pixels, those take a fifth longer than none and save less.
    # With all that a third of the time is left (benchmarks/encoder.py).
    "h264": Codec(
        "libx264",
        "yuv420p",
        "yuv420p",
        "yuv444p",
        "yuv444p",
        17.5,
        {"x264-params": f"{_QUICK}:bframes=1:b-adapt=0"},
        most_threads=16,
        large={"x264-params": f"{_QUICK}:bframes=0:weightp=0"},
    ),
    # Apple's players take H.265 only under this tag.
    "h265": Codec(
        "libx265",
        "yuv420p",
        "yuv420p10le",
        "yuv444p",
        "yuv444p10le",
        22,
        {"x265-params": "log-level=error"},
        "hvc1",
        # Its other threads share rows and change no bits; these are the frames at once.
        most_threads=4,
    ),
    "vp9": Codec(
        "libvpx-vp9",
        "yuv420p",
        "yuv420p10le",
        "yuv420p",
        "yuv420p10le",
        28,
        {"b": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"},
        most_threads=16,
        # Frames that are not shown cannot have alpha.
        with_alpha=WithAlpha("yuva420p", "yuva420p", ("matroska", "webm"), {"auto-alt-ref": "0"}),
    ),
    "av1": Codec(
        "libsvtav1",
        "yuv420p",
        "yuv420p10le",
        "yuv420p",
        "yuv420p10le",
        30,
        {"preset": "8"},
    ),
    "prores": Codec(
        "prores_ks",
        "yuv422p10le",
        "yuv422p10le",
        "yuv422p10le",
        "yuv422p10le",
        None,
        {"profile": "3", "vendor": "apl0"},
        "apch",
        keeps_range=False,
        # ProRes 4444.
        with_alpha=WithAlpha(
            "yuva444p10le",
            "yuva444p10le",
            ("mov", "matroska"),
            {"profile": "4", "alpha_bits": "16"},
            "ap4h",
        ),
    ),
    "ffv1": Codec(
        "ffv1",
        "bgr0",
        "gbrp16le",
        "bgr0",
        "gbrp16le",
        None,
        {"level": "3"},
        with_alpha=WithAlpha("bgra", "gbrap16le", ("matroska",)),
    ),
    # NVIDIA's encoders. Written after FFmpeg's documentation; nobody has run them yet.
    "h264_nvenc": Codec(
        "h264_nvenc",
        "yuv420p",
        "yuv420p",
        "yuv444p",
        "yuv444p",
        19,
        {"preset": "p5", "rc": "vbr", "b": "0"},
        quality="cq",
    ),
    "hevc_nvenc": Codec(
        "hevc_nvenc",
        "yuv420p",
        "p010le",
        "yuv444p",
        "yuv444p16le",
        23,
        {"preset": "p5", "rc": "vbr", "b": "0"},
        "hvc1",
        "cq",
    ),
    # For the next program in a pipe.
    "rawvideo": Codec(
        "rawvideo",
        "yuv420p",
        "yuv420p10le",
        "yuv444p",
        "yuv444p10le",
        with_alpha=WithAlpha("rgba", "rgba64le", ("matroska", "nut", "rawvideo")),
    ),
    "gif": Codec("gif", "pal8", "pal8", "pal8", "pal8"),
}
# Suffixes of the encoders that are part of a GPU or CPU.
HARDWARE = ("_nvenc", "_qsv", "_amf", "_vaapi", "_videotoolbox", "_mf", "_v4l2m2m", "_vulkan")
RAW = "rawvideo"
ALIASES = {"hevc": "h265", "x264": "h264", "x265": "h265", "avc": "h264"}

# File suffix: FFmpeg's name of the container and the codec it gets by default.
CONTAINERS = {
    ".mp4": ("mp4", "h264"),
    ".m4v": ("mp4", "h264"),
    ".mov": ("mov", "h264"),
    ".mkv": ("matroska", "h264"),
    ".webm": ("webm", "vp9"),
    ".gif": ("gif", "gif"),
}


def find_codec(name: str | None, container: str) -> Codec:
    """Return the codec for a friendly or encoder's own name, or the container's default.

    Raises `UserError` if this installation has no such encoder.
    """
    default = next((codec for short, codec in CONTAINERS.values() if short == container), RAW)
    wanted = ALIASES.get(name or default, name or default)
    codec = CODECS.get(wanted)
    if codec is None:
        codec = Codec(wanted, "yuv420p", "yuv420p", "yuv444p", "yuv444p")
    try:
        kind = av.codec.Codec(codec.encoder, "w").type
    except (ValueError, av.error.FFmpegError) as error:
        raise UserError(
            f"there is no encoder {codec.encoder!r} here for --codec {wanted}"
            f"{did_you_mean(wanted, CODECS)}: use one of {', '.join(CODECS)}"
        ) from error
    if kind != "video":
        raise UserError(f"--codec {wanted} is not a video encoder: use {', '.join(CODECS)}")
    return codec


def cannot_hold(kind: str, codec: str) -> str:
    """Return the sentence about video, by its canonical name, that a container cannot hold."""
    fitting = [s for s, (other, _) in CONTAINERS.items() if other != kind and _holds(other, codec)]
    named = f"name an output that ends in {' or '.join(fitting)}, or " if fitting else ""
    return f"{kind} cannot hold {codec} video: {named}choose another --codec"


def _holds(kind: str, codec: str) -> bool:
    with av.open(io.BytesIO(), "w", format=kind) as output:
        return codec in output.supported_codecs


# The codec that a container gets for pictures with alpha.
ALPHA_CODECS = {"mov": "prores", "matroska": "vp9", "webm": "vp9"}


def alpha_codec(name: str | None, container: str) -> tuple[Codec, WithAlpha]:
    """Return the codec for pictures with alpha, by a friendly or an encoder's own name.

    Raises `UserError` for a codec without, and for a container that would lose it.
    """
    advice = "use -o out.mov (ProRes 4444), out.webm (VP9), or numbered pictures, out_%05d.png"
    if name is None and container not in ALPHA_CODECS:
        raise UserError(f"an output of the kind {container} cannot hold alpha: {advice}")
    wanted = name or ALPHA_CODECS[container]
    codec = find_codec(wanted, container)
    # An encoder that is named as FFmpeg names it needs the same settings.
    codec = next((known for known in CODECS.values() if known.encoder == codec.encoder), codec)
    if codec.with_alpha is None:
        raise UserError(f"{wanted} cannot hold alpha: {advice}")
    # FFmpeg would write VP9 into an MP4 and drop the alpha without a word.
    if container not in codec.with_alpha.containers:
        raise UserError(f"{wanted} in {container} cannot hold alpha: {advice}")
    return codec, codec.with_alpha


def choose_pixel_format(codec: Codec, width: int, height: int, deep: bool) -> str:
    """Return the pixel format for a frame size and depth."""
    if width % 2 or height % 2:
        return codec.deep_odd if deep else codec.odd
    return codec.deep if deep else codec.pix_fmt
