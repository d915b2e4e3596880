"""The one place that knows how PyAV's releases differ: 18 (Python 3.11 on) and 19 (3.12 on).

PyAV 18 gives rates and time bases as `Fraction`, or `None` where FFmpeg has none. PyAV 19 gives
`av.AVRational`, which cannot be rounded, whose products with each other are rounded to 32 bits,
and which is a falsy 0/1 where FFmpeg has none. Beyond `ncavideo.video` there are only `Fraction`
and `None`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import Type

# FFmpeg counts in this where a file has no clock of its own (MPEG's 90 kHz).
DEFAULT_TIME_BASE = Fraction(1, 90000)
# Ticks a second; a rate as high as its own clock, and higher than this, is that clock.
LEAST_CLOCK = 500
# Flags of kinds of files (avformat.h: AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT).
NO_TIMESTAMPS, TS_DISCONT = 0x0080, 0x0200

# Tags are bytes to FFmpeg and mostly UTF-8. Those that are not become surrogates (PEP 383) and go
# out as the bytes that they were. PyAV 19 does so by itself and has no argument for it.
_TAGS: dict[str, Any] = {}
if int(av.__version__.partition(".")[0]) < 19:
    _TAGS = {"metadata_errors": "surrogateescape"}


class Rational(Protocol):
    """A `Fraction` or an `av.AVRational`."""

    @property
    def numerator(self) -> int: ...  # noqa: D102
    @property
    def denominator(self) -> int: ...  # noqa: D102


class _Timed(Protocol):
    """A stream, a packet or a frame."""

    @property
    def time_base(self) -> Any: ...


class _Rated(Protocol):
    """A video stream."""

    @property
    def average_rate(self) -> Any: ...
    @property
    def guessed_rate(self) -> Any: ...
    @property
    def time_base(self) -> Any: ...


def _unknown_kind(kinds: type[Type], value: object) -> Type:
    """Return a member for a kind of side data that is newer than PyAV's list of them."""
    member: Any = object.__new__(kinds)
    member._name_, member._value_ = f"UNKNOWN_{value}", value  # what `enum` makes a member of
    return member  # type: ignore[no-any-return]


# FFmpeg's list grows faster than PyAV's. In PyAV 18 one kind that it does not know (a photograph's
# EXIF, the views of a spatial video) makes all side data of the frame unreadable: a `ValueError`.
Type._missing_ = classmethod(_unknown_kind)  # type: ignore[assignment]


def side_data(frame: av.VideoFrame) -> Any:
    """Return a decoded frame's side data, to be asked by a kind's name: `.get("DISPLAYMATRIX")`.

    By names, since what iterating this mapping yields differs between PyAV 18 and 19. Without ICC
    profiles: both end the process with a segmentation fault some time after they have read one that
    has a name, as that of a PNG.
    """
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or DEFAULT_TIME_BASE,
    )
    graph.link_nodes(
        source, graph.add("sidedata", "mode=delete:type=ICC_PROFILE"), graph.add("buffersink")
    )
    graph.configure()
    graph.vpush(frame)
    return graph.vpull().side_data


def positive(value: Rational | None) -> Fraction | None:
    """Return a rate, a time base or an aspect ratio exactly, or None where it is not set.

    Not set is what FFmpeg has no value above 0 for: `None`, 0/1, 0/0, or a broken file's -1/1.
    """
    if value is None or value.numerator <= 0 or value.denominator <= 0:
        return None
    return Fraction(value.numerator, value.denominator)


def time_base(thing: _Timed) -> Fraction | None:
    """Return the seconds that a tick of a stream, packet or frame lasts, or None if not set."""
    return positive(thing.time_base)


def frame_rate(stream: _Rated, *, counted: bool = False) -> Fraction | None:
    """Return a video stream's frames a second: the file's average, else FFmpeg's guess.

    `counted`: whether the file has no times (see `has_no_times`): then only the guess, which is the
    codec's own rate, comes from the file. None where the rate is not known.
    """
    average, guess = positive(stream.average_rate), positive(stream.guessed_rate)
    ticks = time_base(stream)
    # Some demuxers report their clock (DV and NUT count in 60,000ths, WebM in milliseconds).
    if ticks is not None and 1 / ticks >= LEAST_CLOCK:
        average, guess = (None if rate == 1 / ticks else rate for rate in (average, guess))
    return (guess or average) if counted else (average or guess)


def has_no_times(container: InputContainer) -> bool:
    """Return whether a file is an elementary stream: one frame after the other, without times."""
    return bool(container.format.flags & NO_TIMESTAMPS)


def counts_frames(container: InputContainer) -> bool:
    """Return whether a file has no times but the order of its packets: those of AVI.

    The presentation times that FFmpeg makes up for B-frames there are wrong.
    """
    return container.format.name == "avi"


def clock_may_jump(container: InputContainer) -> bool:
    """Return whether a kind of file is one whose clock may begin anew: MPEG's, Ogg, FLV."""
    jumps = container.format.flags & TS_DISCONT
    return bool(jumps) or container.format.name == "flv"


def open_input(path: Any, **arguments: Any) -> InputContainer:
    """Open a file, or an object with `read`, its tags kept byte for byte.

    Raises as `av.open` does.
    """
    container: InputContainer = av.open(path, "r", **_TAGS, **arguments)
    return container


def open_output(file: Any, **arguments: Any) -> OutputContainer:
    """Open a file, or an object with `write`, for writing; tags go out as they came in."""
    container: OutputContainer = av.open(file, "w", **_TAGS, **arguments)
    return container
