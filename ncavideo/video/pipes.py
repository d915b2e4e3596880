"""Standard input and output as the places of a clip."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ncavideo.util.errors import UserError

STDIN, STDOUT = "standard input", "standard output"  # in messages
PIPE = Path("-")  # the name of both on the command line
PATIENCE = 0.1  # seconds after which a waiting reader or writer looks whether it is still needed
CHUNK = 1 << 20  # bytes that are read or written at once
# The containers that a reader needs no seek for, and FFmpeg's names of them.
FORMATS = {"matroska": "matroska", "nut": "nut", "y4m": "yuv4mpegpipe", "rawvideo": "rawvideo"}
DEFAULT = "matroska"  # it alone has colour tags
TIMELESS = ("yuv4mpegpipe", "rawvideo")  # those in which frames have no times
_streams = [1]  # descriptors of standard output; the last is the one to write to


def is_pipe(path: Path) -> bool:
    """Return whether a clip's name stands for standard input, or an output's for standard output.

    A file of that name can be given by its whole path.
    """
    return path == PIPE


def stream_descriptor() -> int:
    """Return the descriptor through which a stream reaches standard output."""
    return _streams[-1]


@contextlib.contextmanager
def nothing_but_the_stream() -> Iterator[None]:
    """Send to stderr whatever this process, its libraries and its children print on stdout.

    Only `stream_descriptor` still leads there. Raises `UserError` where stdout is a terminal, or
    was closed before this process began.
    """
    if sys.__stdout__ is None:
        raise UserError(f"{STDOUT} is closed: give an output with a name")
    if os.isatty(1):
        raise UserError(f"{STDOUT} is a terminal: pipe it into a program, as in -o - | ffplay -")
    sys.stdout.flush()
    stream = os.dup(1)
    os.dup2(2, 1)
    _streams.append(stream)
    try:
        yield
    finally:
        _streams.remove(stream)
        sys.stdout.flush()
        os.dup2(stream, 1)
        os.close(stream)
