"""Timecode of a clip's first frame, moved by frames (SMPTE ST 12-1)."""

from __future__ import annotations

import re
from fractions import Fraction

PATTERN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d\d?)")
DROP = ";."  # what drop-frame timecode has before the frames


def moved(timecode: str, frames: int, rate: Fraction) -> str | None:
    """Return a timecode `frames` later, or earlier below 0, at `rate` frames a second.

    Drop-frame timecode leaves out two numbers a minute for each 30 frames a second, except every
    tenth minute. A day is followed by the next. None for a text or a rate that is no timecode's.
    """
    match = PATTERN.fullmatch(timecode.strip())
    whole = round(rate)
    if match is None or whole < 1:
        return None
    hours, minutes, seconds = (int(match[index]) for index in (1, 2, 3))
    frame, mark = int(match[5]), match[4]
    if minutes > 59 or seconds > 59 or frame >= whole:
        return None
    drop = mark in DROP
    if drop and whole % 30:
        return None
    left_out = whole // 15 if drop else 0  # a minute
    number = ((hours * 60 + minutes) * 60 + seconds) * whole + frame
    if drop:
        total = hours * 60 + minutes
        number -= left_out * (total - total // 10)
    day = 24 * (3600 * whole - 54 * left_out)
    number = (number + frames) % day
    if drop:
        ten = 600 * whole - 9 * left_out
        tens, rest = divmod(number, ten)
        later = max(0, (rest - left_out) // (60 * whole - left_out))
        number += left_out * (9 * tens + later)
    rest, frame = divmod(number, whole)
    minutes, seconds = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    width = len(match[5])
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}{mark}{frame:0{width}}"
