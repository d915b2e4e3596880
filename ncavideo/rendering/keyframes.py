"""Keyframes: numbers that change over a render's time, as `opacity@0=0,5=1`."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ncavideo.rendering.option_table import current_name
from ncavideo.util.errors import UserError


@dataclass(frozen=True)
class Curve:
    """A number over time: straight lines between keyframes, level before and after them.

    `times` in seconds, ascending.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, time: float) -> float:
        """Return the value at `time`."""
        after = bisect.bisect_right(self.times, time)
        if after == 0:
            return self.values[0]
        if after == len(self.times):
            return self.values[-1]
        begin, end = self.times[after - 1], self.times[after]
        share = (time - begin) / (end - begin)
        return self.values[after - 1] * (1 - share) + self.values[after] * share

    def integral(self, begin: float, end: float) -> float:
        """Return the area under the curve between two times, exactly."""
        inner = [time for time in self.times if begin < time < end]
        points = [begin, *inner, end]
        return math.fsum(
            (b - a) * (self.at(a) + self.at(b)) / 2 for a, b in itertools.pairwise(points)
        )


def parse_keyframes(texts: Sequence[str]) -> dict[str, Curve]:
    """Parse `NAME@TIME=VALUE,TIME=VALUE...`, once for each name. Raises `UserError`."""
    curves: dict[str, Curve] = {}
    for text in texts:
        name, at, points = text.partition("@")
        name = name.strip()
        if not at or not name or not points.strip():
            raise UserError(
                f"--keyframes {text!r} is not NAME@SECONDS=VALUE,..., as opacity@0=0,5=1"
            )
        if name in curves:
            raise UserError(f"--keyframes {name} is given twice: put all its keyframes into one")
        curves[name] = _curve(text, points)
    return curves


def with_current_names(options: type, text: str, rules: Sequence[str]) -> str:
    """Return `NAME@...` with the present name of the option NAME, or of a rule in any case."""
    former, at, points = text.partition("@")
    name = former.strip()
    current = name.lower() if name.lower() in rules else current_name(options, name)
    return text if current == name else f"{current}{at}{points}"


def _curve(text: str, points: str) -> Curve:
    pairs: list[tuple[float, float]] = []
    for point in points.split(","):
        time, equals, value = point.partition("=")
        try:
            pair = (float(time), float(value))
        except ValueError:
            pair = (math.nan, math.nan)
        if not equals or not all(map(math.isfinite, pair)):
            raise UserError(
                f"{point.strip()!r} in --keyframes {text!r} is not SECONDS=VALUE, as"
                " opacity@0=0,5=1"
            )
        pairs.append(pair)
    times = [time for time, _ in pairs]
    if any(b <= a for a, b in itertools.pairwise(times)):
        raise UserError(f"the keyframes of --keyframes {text!r} must follow one another in time")
    return Curve(tuple(times), tuple(value for _, value in pairs))
