"""What of a source goes into an output beside the picture: decided by asking the muxer itself.

Which codecs a container holds depends on the muxer's version, on a stream's parameters and on its
first packets, and some muxers say no as late as in their trailer. So the header, the first packets
of every stream and the trailer are written into memory before the first frame is painted.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import av.codec
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from ncavideo.util.errors import UserError
from ncavideo.video.codecs import cannot_hold
from ncavideo.video.muxing import BEYOND_TABLE, add_copy, known_duration, open_muxer
from ncavideo.video.names import NO_TIMECODE, TIMECODE, Names, lost_names
from ncavideo.video.pyav import DEFAULT_TIME_BASE, open_input, time_base

KINDS = {
    "audio": "sound stream",
    "subtitle": "subtitle stream",
    "data": "data stream",
    "attachment": "attachment",
    "video": "cover picture",
}
PIPED = ("audio", "subtitle", "attachment")  # what is copied of a source that is read once
# Matroska's cover is an attachment. FFmpeg's muxer would make a track of the source's.
ATTACHES_COVERS = ("matroska",)
Cover = tuple[str, str, bytes]  # name, MIME type and content
FIRST_PACKETS = 4  # of each stream
MOST_BYTES, MOST_PACKETS = 5_000_000, 4000  # that are read to find those
REFUSALS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)


@dataclass
class CopyPlan:
    """What is copied into an output, and how.

    `streams`: numbers of the source's streams; `tee`: the output is opened through the tee muxer,
    with `options`; `covers`: cover pictures to be attached; `names`: the tags of the file and of
    its picture; `left_out`: a sentence for every stream that is left out; `notes`: one for
    everything else that is.
    """

    streams: tuple[int, ...] = ()
    tee: bool = False
    options: dict[str, str] = field(default_factory=dict)
    covers: list[Cover] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Sample:
    """A packet of the source, with its times as they were read."""

    packet: Packet[Any]
    pts: int
    dts: int
    step: int
    ticks: Any


class Trial:
    """Writes headers, first packets and trailers into memory, for one source and one container.

    `add_video` adds the output's video stream to a container and opens its encoder; `blank` returns
    a frame for it. `lost`: sentences about tags that the container does not hold. Raises
    `UserError` if it cannot hold the video.
    """

    def __init__(
        self,
        kind: str,
        options: dict[str, str],
        names: Names,
        add_video: Callable[[OutputContainer], VideoStream],
        blank: Callable[[], av.VideoFrame],
    ) -> None:
        self._kind, self._options = kind, options
        self.lost: list[str] = []
        self.empty: set[int] = set()  # streams of which the whole file has no packet
        self.looked = False  # at the source's packets; without them, only headers are written
        self._packets: dict[int, list[_Sample]] = {}
        memory = _Memory()
        output = open_muxer(memory, kind, options)
        video = add_video(output)
        output.metadata.update(names.clip)
        video.metadata.update(names.picture)
        try:
            packets = [*video.encode(blank()), *video.encode(None)]
            _write(output, video, [_sample(packet, encoded=True) for packet in packets])
            output.close()
        except REFUSALS as error:
            name = av.codec.Codec(video.codec_context.name, "w").canonical_name
            raise UserError(cannot_hold(kind, name)) from error
        finally:
            with contextlib.suppress(*REFUSALS):
                output.close()
        # Read back, for what is not in it, and for the other trials: an encoder works once.
        self._video: Stream | None = None
        self._samples: list[_Sample] = []
        self._written: InputContainer | None = None
        with contextlib.suppress(*REFUSALS, IndexError):
            memory.seek(0)
            self._written = open_input(memory)
            self.lost += lost_names(names, self._written)
            video = self._written.streams.video[0]
            self._samples = [_sample(p, True) for p in self._written.demux(video) if p.size]
            self._video = video

    def close(self) -> None:
        """Let go of the memory."""
        if self._written is not None:
            self._written.close()
            self._written = None

    def takes(
        self,
        streams: Sequence[Stream],
        *,
        covers: Sequence[Cover] = (),
        tee: bool = False,
        kind: str = "",
    ) -> bool:
        """Return whether the muxer takes these streams of a source, beside the video.

        `covers`: cover pictures to be attached; `kind`: another container, for the streams alone.
        """
        memory = _Memory()
        made: OutputContainer | None = None
        try:
            made = open_muxer(
                "memory" if tee else memory,
                kind or self._kind,
                {} if kind else self._options,
                tee=tee,
                io_open=(lambda *_: memory) if tee else None,
            )
            samples: list[tuple[Stream, list[_Sample]]] = []
            if not kind and self._video is not None:
                video = made.add_stream_from_template(self._video, opaque=True)
                video.time_base = self._video.time_base
                samples.append((video, self._samples))
            for stream in streams:
                copy = add_copy(made, stream)
                samples.append((copy, self._packets.get(stream.index, [])))
            for cover in covers:
                made.add_attachment(*cover)
            made.start_encoding()
            if not self.looked:
                return True
            for copy, packets in samples:
                _write(made, copy, packets)
            made.close()
        except REFUSALS:
            return False
        finally:
            if made is not None:
                with contextlib.suppress(*REFUSALS):
                    made.close()
        expected = len(covers) + sum(map(_is_dropped_silently, streams))
        return bool(kind) or not expected or _dropped_silently(memory) == expected

    def cover(self, stream: Stream) -> Cover | None:
        """Return a cover picture of the source as an attachment, None if there is no packet."""
        packets = self._packets.get(stream.index)
        if not packets or stream.codec_context is None:
            return None
        name = stream.codec_context.name
        kind = {"mjpeg": "jpeg"}.get(name, name)
        called = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        return called, f"image/{kind}", bytes(packets[0].packet)

    def has_packets(self, stream: Stream) -> bool:
        """Return whether a packet of a stream has been read."""
        return bool(self._packets.get(stream.index))

    def read(self, source: InputContainer, streams: Iterable[Stream]) -> None:
        """Keep the first packets of a source's streams; they are near its beginning, or missing."""
        self.looked = True
        wanted = {stream.index: stream.type for stream in streams if stream.type != "attachment"}
        waited_for = set(wanted)
        read = count = 0
        with contextlib.suppress(*REFUSALS):
            for packet in source.demux():
                read, count = read + packet.size, count + 1
                kept = self._packets.setdefault(packet.stream_index, [])
                if packet.size and packet.stream_index in wanted and len(kept) < FIRST_PACKETS:
                    kept.append(_sample(packet))
                # Of subtitles, one: they are far between.
                enough = FIRST_PACKETS if wanted.get(packet.stream_index) == "audio" else 1
                if len(kept) >= enough:
                    waited_for.discard(packet.stream_index)
                if not waited_for or read > MOST_BYTES or count > MOST_PACKETS:
                    break
            else:
                self.empty = {index for index in waited_for if not self._packets.get(index)}
        # Streams that begin later, where the file says when.
        for index in waited_for:
            stream = source.streams[index]
            if not self.has_packets(stream) and stream.start_time:
                with contextlib.suppress(*REFUSALS):
                    source.seek(stream.start_time, stream=stream)
                    later = itertools.islice(source.demux(stream), FIRST_PACKETS)
                    self._packets[index] = [_sample(packet) for packet in later if packet.size]


def plan_copies(
    source: InputContainer,
    kind: str,
    options: dict[str, str],
    names: Names,
    add_video: Callable[[OutputContainer], VideoStream],
    blank: Callable[[], av.VideoFrame],
    *,
    look: bool = True,
) -> CopyPlan:
    """Return what of a source goes into a container of the kind `kind`; see `Trial`.

    `options`: those of the muxer; `names`: what the output should say of itself; `look`: whether
    the source's packets may be read, which those of a pipe may not.
    """
    flags = names.muxer_flags(kind)
    plan = CopyPlan(options=options | ({"movflags": flags} if flags else {}), names=names)
    try:
        trial = Trial(kind, plan.options, names, add_video, blank)
    except UserError:
        if TIMECODE not in names.picture:
            raise
        # A rate that no timecode counts in; or else the video itself, which is told as before.
        plan.names = names.without_timecode()
        trial = Trial(kind, plan.options, plan.names, add_video, blank)
        plan.notes.append(NO_TIMECODE)
    plan.notes += trial.lost
    with contextlib.closing(trial):
        _choose(plan, trial, source, kind, look)
    return plan


def _choose(plan: CopyPlan, trial: Trial, source: InputContainer, kind: str, look: bool) -> None:
    """Write into the plan which streams of a source the muxer takes."""
    streams = [stream for stream in source.streams if _is_candidate(stream)]
    if not look:
        streams = [stream for stream in streams if stream.type in PIPED]
    if not streams:
        return
    if look:
        trial.read(source, streams)
    if kind in ATTACHES_COVERS:
        for stream in filter(_is_cover, streams):
            cover = trial.cover(stream)
            if cover is not None and trial.takes([], covers=[*plan.covers, cover]):
                plan.covers.append(cover)
            else:
                plan.left_out.append(_left_out(stream, trial, kind, streams))
        streams = [stream for stream in streams if not _is_cover(stream)]
    known = [stream for stream in streams if _is_known(stream)]
    if len(known) == len(streams) and not trial.empty and trial.takes(streams):
        plan.streams = tuple(stream.index for stream in streams)
        return
    taken: list[Stream] = []
    for stream in streams:
        if stream not in known or stream.index in trial.empty:
            refused = True
        else:
            refused = not trial.takes([*taken, stream], tee=plan.tee)
            if refused and not plan.tee and kind in BEYOND_TABLE:
                plan.tee = trial.takes([*taken, stream], tee=True)
                refused = not plan.tee
        if refused:
            plan.left_out.append(_left_out(stream, trial, kind, streams))
        else:
            taken.append(stream)
    plan.streams = tuple(stream.index for stream in taken)


class _Memory(io.BytesIO):
    """A file in memory that stays readable after the muxer has closed it."""

    def close(self) -> None:
        """Do nothing."""


def _is_candidate(stream: Stream) -> bool:
    # What a demuxer has read already (chapters, timecode) it has set to be skipped.
    if stream.type == "data" and (TIMECODE in stream.metadata or stream.discard == Discard.all):
        return False
    if stream.type == "video":
        return _is_cover(stream)
    return stream.type in KINDS


def _is_cover(stream: Stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _is_dropped_silently(stream: Stream) -> bool:
    """Return whether some muxers drop a stream of this kind and say nothing."""
    return stream.type == "attachment" or _is_cover(stream)


def _dropped_silently(memory: io.BytesIO) -> int:
    """Return how many streams of such kinds a file has all the same."""
    memory.seek(0)
    with contextlib.suppress(*REFUSALS), open_input(memory) as back:
        return sum(map(_is_dropped_silently, back.streams))
    return 0


def _is_known(stream: Stream) -> bool:
    """Return whether the source says what a stream is; PyAV copies no other."""
    return stream.codec_context is not None or stream.type in ("data", "attachment")


def _left_out(stream: Stream, trial: Trial, kind: str, streams: Sequence[Stream]) -> str:
    """Return the sentence about a stream that the muxer refuses."""
    alike = [other for other in streams if other.type == stream.type]
    number = f" {alike.index(stream) + 1}" if len(alike) > 1 else ""
    name = getattr(stream, "name", None) or "an unknown codec"
    what = f"the {KINDS[stream.type]}{number} in {name} was left out"
    known = _is_known(stream) and stream.index not in trial.empty
    if known and kind != "matroska" and trial.takes([stream], kind="matroska", tee=True):
        return f"{what}: {kind} cannot hold it (an .mkv output can)"
    declared = stream.type in ("audio", "subtitle") and trial.looked
    if declared and not trial.has_packets(stream):
        return f"{what}: the clip declares it, and has no packets of it"
    return f"{what}: {kind} cannot hold it"


def _sample(packet: Packet[Any], encoded: bool = False) -> _Sample:
    """Return a packet with its times; an encoder's only one is decoded when it is shown.

    (x265 does not know better, of a clip of one frame: see `ClipWriter`.)
    """
    ticks = time_base(packet) or DEFAULT_TIME_BASE
    pts = packet.pts if packet.pts is not None else packet.dts or 0
    dts = pts if encoded or packet.dts is None else packet.dts
    return _Sample(packet, pts, dts, max(known_duration(packet), 1), ticks)


def _write(output: OutputContainer, stream: Stream, samples: Sequence[_Sample]) -> None:
    """Write packets, moved to begin at 0 and to follow each other.

    Times are not what a trial is about; the copy that is made later mends them.
    """
    following: int | None = None
    first = samples[0].dts if samples else 0
    for sample in samples:
        packet, dts = sample.packet, sample.dts - first
        dts = dts if following is None else max(dts, following)
        packet.dts, packet.pts = dts, dts + max(sample.pts - sample.dts, 0)
        packet.time_base, packet.duration = sample.ticks, sample.step
        packet.stream = stream
        output.mux_one(packet)
        following = dts + 1
