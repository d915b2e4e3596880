"""The levels of a clip: as they are given, or found in its frames."""

from __future__ import annotations

from collections.abc import Callable

from ncavideo.control.levels import LEAST_SPAN, ClipRange, clip_range, parse_levels
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.pixels import luminance
from ncavideo.video.clip import Clip
from ncavideo.video.reader import VideoReader
from ncavideo.video.survey import small

AHEAD = 24  # frames of a stream that are looked at before the first is rendered: about a second
MOST_BYTES = 256 << 20  # of memory for them


def file_levels(clip: Clip, options: RenderOptions) -> ClipRange:
    """Return the darkest and brightest luminance of a file, from frames all over it."""
    if options.levels is not None:
        return parse_levels(options.levels)
    return clip_range([luminance(rgb) for rgb in clip.sample])


def find_levels(
    clip: Clip, reader: VideoReader, options: RenderOptions, warn: Callable[[str], None]
) -> ClipRange:
    """Return the darkest and brightest luminance of a clip.

    A stream cannot be surveyed: its first frames stand for all, and `warn` is told so.
    """
    if reader.pipe is None or options.levels is not None:
        return file_levels(clip, options)
    ahead = reader.look_ahead(AHEAD, MOST_BYTES)
    found = clip_range([luminance(small(frame)) for frame in ahead])
    if found.high - found.low < LEAST_SPAN:
        # As before a fade-in: whatever comes would be far outside.
        warn("the first frames are of one brightness: 0,1 was taken for --levels")
        return ClipRange()
    warn(
        f"levels {found.low:.2f},{found.high:.2f} were taken from the first {len(ahead)} frames:"
        " --levels sets them"
    )
    return found
