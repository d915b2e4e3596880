"""Names of numbered pictures: `frame_%05d.png` stands for one picture a frame.

As a clip or a mask the name may end in a rate, `frame_%05d.png@24`: pictures a second.
"""

from __future__ import annotations

import os
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from ncavideo.util.errors import UserError

NUMBER = re.compile(r"%0?(\d{0,2})d")  # no file system has names of more than 255 bytes
SUFFIX = ".png"
RATE, MOST_RATE = 25.0, 1000.0  # pictures a second
NTSC = Fraction(1000, 1001)
ROUNDED = 1e-3  # pictures a second by which NTSC's rates are rounded when they are written


def is_numbered(output: Path) -> bool:
    """Return whether an output's name stands for numbered pictures."""
    return output.suffix.lower() == SUFFIX and len(NUMBER.findall(output.name)) == 1


def numbered(pattern: Path, number: int) -> Path:
    """Return the name of picture `number`."""
    return pattern.with_name(
        NUMBER.sub(lambda found: str(number).zfill(int(found[1] or 0)), pattern.name)
    )


def numbered_pictures(pattern: Path) -> list[Path]:
    """Return the files that a name such as `mask_%05d.png` stands for, in their numbers' order."""
    return [path for _, path in _found(pattern)]


def _found(pattern: Path) -> list[tuple[int, Path]]:
    name = NUMBER.sub(
        lambda found: "(" + r"\d" + (f"{{{int(found[1])},}}" if found[1] else "+") + ")",
        re.escape(pattern.name).replace(r"\%", "%"),
    )
    if not pattern.parent.is_dir():
        return []
    found = ((re.fullmatch(name, path.name), path) for path in pattern.parent.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def is_sequence(clip: Path) -> bool:
    """Return whether a clip's name stands for numbered pictures, and is no file's own name."""
    pattern, _ = _split(clip)
    return len(NUMBER.findall(pattern.name)) == 1 and not clip.exists()


def with_rate(clip: Path, fps: float | None) -> Path:
    """Return a clip's name with the rate that was asked for, of numbered pictures.

    Raises `UserError` if there is a rate for a clip that has its own.
    """
    if fps is None or str(clip) == "-":  # standard input, which has options of its own
        return clip
    if not is_sequence(clip):
        raise UserError(f"--fps is for numbered pictures (frames/f_%05d.png): {clip} has its own")
    pattern, _ = _split(clip)
    return pattern.with_name(f"{pattern.name}@{fps:.9g}")


def sequence(clip: Path) -> tuple[list[Path], Fraction]:
    """Return the pictures that a clip's name stands for, and their rate.

    Raises `UserError` if there is none, or a number is missing between the first and the last.
    """
    pattern, text = _split(clip)
    rate = float(text or RATE)
    if not 0 < rate <= MOST_RATE:
        raise UserError(f"{clip} has no rate between 0 and {MOST_RATE:g} after its @")
    if not pattern.parent.is_dir():
        raise UserError(f"there is no folder {pattern.parent} with the pictures {pattern.name}")
    found = _found(pattern)
    if not found:
        raise UserError(f"there is no picture {pattern}")
    for (number, path), (other, next_path) in pairwise(found):
        if other == number:
            raise UserError(f"{path} and {next_path} have the same number: remove one of them")
        if other > number + 1:
            raise UserError(
                f"{numbered(pattern, number + 1)} is missing between {path.name} and"
                f" {next_path.name}: numbered pictures have no gaps"
            )
    return [path for _, path in found], _exact(rate)


def clip_name(clip: Path) -> str:
    """Return what an output's name begins with: a clip's own without suffix, number and rate."""
    if not is_sequence(clip):
        return clip.stem
    pattern, _ = _split(clip)
    return NUMBER.sub("", pattern.stem).strip("_-. ") or pattern.absolute().parent.name


def clip_files(clip: Path) -> list[Path]:
    """Return the files that a clip is made of."""
    return sequence(clip)[0] if is_sequence(clip) else [clip]


def is_same(output: Path, clip: Path) -> bool:
    """Return whether an output has the place of the clip that it is made from."""
    pattern, _ = _split(clip)
    if is_numbered(output) and is_sequence(clip):
        same_folder = output.absolute().parent.resolve() == pattern.absolute().parent.resolve()
        return same_folder and output.name == pattern.name
    return output.exists() and clip.exists() and os.path.samefile(output, clip)  # noqa: PTH121


def _split(clip: Path) -> tuple[Path, str]:
    """Return a clip's name without its rate, and the rate as it is written, empty without one."""
    match = re.fullmatch(r"(.*%0?\d*d.*)@(\d+(?:\.\d+)?)", clip.name, re.S)
    return (clip.with_name(match[1]), match[2]) if match else (clip, "")


def _exact(rate: float) -> Fraction:
    """Return a rate as a fraction: 29.97 stands for 30000/1001."""
    ntsc = round(rate / float(NTSC)) * NTSC
    if abs(float(ntsc) - rate) < ROUNDED and rate != round(rate):
        return ntsc
    return Fraction(rate).limit_denominator(1000)
