"""FFmpeg's muxers through PyAV: how an output is opened, and how a stream is copied into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ncavideo.video.pyav import open_output

# PyAV asks FFmpeg's table of a container's codecs before it asks the muxer. Matroska's muxer takes
# more than its table has: every codec that has a number in Windows' files (WMA, ADPCM, A-law). The
# tee muxer has no table, and writes with the muxer that its file name begins with.
TEE = "tee"
BEYOND_TABLE = ("matroska",)
LONGEST = (1 << 31) - 1  # ticks: the longest packet that MP4's muxer takes


def open_muxer(
    file: Any,
    kind: str,
    options: Mapping[str, str],
    *,
    tee: bool = False,
    io_open: Callable[[str, int, dict[str, str]], Any] | None = None,
) -> OutputContainer:
    """Open an output in the container `kind`, FFmpeg's name of it.

    `tee`: through the tee muxer, for codecs that FFmpeg's table of the container lacks; `file` is
    then a path, or any word with `io_open`, which returns the file to write into.
    Raises as `av.open` does.
    """
    if not tee:
        return open_output(file, format=kind, options=dict(options))
    head = ":".join([f"f={kind}", *(f"{name}={value}" for name, value in options.items())])
    quoted = "".join(f"\\{letter}" if letter in "\\'|" else letter for letter in str(file))
    own = {"io_open": io_open} if io_open is not None else {}
    return open_output(f"[{head}]{quoted}", format=TEE, options={}, **own)


def share_headers(stream: VideoStream, output: OutputContainer) -> None:
    """Have an encoder put its headers where the container wants them, behind the tee muxer, too."""
    if output.format.name == TEE:
        stream.codec_context.flags |= int(Flags.global_header)


def add_copy(output: OutputContainer, stream: Stream) -> Stream:
    """Add a stream that takes another one's packets as they are.

    Raises `ValueError` for a codec that the container's table lacks.
    """
    # `opaque`: by the decoder. There need not be an encoder for what is only copied.
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.time_base = stream.time_base
    copy.metadata.update(stream.metadata)
    copy.metadata.pop("DURATION", None)  # Matroska's, of the whole source
    copy.disposition = stream.disposition
    if isinstance(copy, AudioStream):
        _give_layout(copy)
    return copy


def known_duration(packet: Packet[Any]) -> int:
    """Return a packet's duration, 0 for one that is not known.

    VobSub in Matroska lasts 4294967295 ms where it lasts until the next; MP4's muxer refuses that.
    """
    duration = packet.duration or 0
    return duration if 0 < duration < LONGEST else 0


def _give_layout(sound: AudioStream) -> None:
    """Give sound without a channel layout (PCM in AVI) the usual one of as many channels."""
    layout = sound.codec_context.layout
    if layout.name.endswith(" channels"):
        with contextlib.suppress(ValueError):
            sound.codec_context.layout = f"{layout.nb_channels}c"
