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

# FFmpeg counts in this where a file has no clock of its own (MPEG's 90 kHz).
DEFAULT_TIME_BASE = Fraction(1, 90000)

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


def frame_rate(stream: _Rated) -> Fraction | None:
    """Return a video stream's frames a second: the file's average, else FFmpeg's guess."""
    return positive(stream.average_rate) or positive(stream.guessed_rate)


def open_input(file: Any, **arguments: Any) -> InputContainer:
    """Open a file, or an object with `read`, for reading; tags are kept byte for byte.

    Raises as `av.open` does.
    """
    container: InputContainer = av.open(file, "r", **_TAGS, **arguments)
    return container


def open_output(file: Any, **arguments: Any) -> OutputContainer:
    """Open a file, or an object with `write`, for writing; tags go out as they came in."""
    container: OutputContainer = av.open(file, "w", **_TAGS, **arguments)
    return container
