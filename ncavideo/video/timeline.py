"""Which source frame is shown when: the clip, with its first and last frames held if asked."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ncavideo.video.reader import ClipInfo, SourceFrame


@dataclass(frozen=True)
class Shot:
    """A source frame in its place.

    `rgb` `[H, W, 3]`; `seconds`: its time in the clip; `moment`: seconds since the render's
    beginning, below 0 while the first frame is held; `span`: for how long it is shown, in seconds;
    `pts` and `duration` in the clip's time base, as the writer takes them.
    """

    rgb: np.ndarray
    seconds: float
    moment: float
    span: float
    pts: int
    duration: int | None


def shots(
    frames: Iterable[SourceFrame],
    info: ClipInfo,
    *,
    before: float = 0.0,
    after: float = 0.0,
) -> Generator[Shot, None, None]:
    """Yield the frames of a clip, the first held for `before` seconds, the last for `after`.

    Held frames follow each other at the clip's average rate. Those before the first have earlier
    timestamps: see `held`.
    """
    tick = info.time_base
    step = frame_ticks(info)
    last: Shot | None = None
    begin: float | None = None
    for frame in frames:
        span = float((frame.duration or step) * tick)
        begin = frame.time if begin is None else begin
        shot = Shot(frame.rgb, frame.time, frame.time - begin, span, frame.pts, frame.duration)
        if last is None:
            for back in range(round(before / float(step * tick)), 0, -1):
                early = -back * float(step * tick)
                yield Shot(
                    shot.rgb, shot.seconds, early, -early / back, shot.pts - back * step, step
                )
        yield shot
        last = shot
    if last is not None:
        length = last.duration or step
        for ahead in range(round(after / float(step * tick))):
            ticks = length + ahead * step
            later = last.moment + float(ticks * tick)
            yield Shot(last.rgb, last.seconds, later, float(step * tick), last.pts + ticks, step)


def frame_ticks(info: ClipInfo) -> int:
    """Return how long a frame is usually shown, in the clip's time base."""
    return max(1, round(1 / ((info.average_rate or Fraction(25)) * info.time_base)))


def held(info: ClipInfo, before: float) -> float:
    """Return for how long the first frame is really held: whole frames, in seconds."""
    step = float(frame_ticks(info) * info.time_base)
    return round(before / step) * step
