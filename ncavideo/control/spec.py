"""What a user writes to say what drives a rule: `fire=segment:person,smooth=0.5,invert`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ncavideo.util.errors import UserError

NAME = re.compile(r"[a-z][a-z0-9-]*")
MOST_SMOOTH = 60.0  # seconds
MOST_BLUR = 200.0  # cells
MOST_WEIGHT = 10.0
MOST_RISE = 400.0  # cells
MOST_EVERY = 100  # frames


@dataclass(frozen=True)
class ControlSpec:
    """One control as it was asked for.

    `rule` it drives, None for all that have none of their own; `name` and `argument` of the
    control; `weight` its values are multiplied by, before they are cut at 1; `invert` swaps 0 and
    1; `smooth`: seconds in which a change is followed to 63 %; `blur`: a Gaussian's deviation in
    cells; `rise`: how many cells tongues of it climb, at most; `every`: a segmentation network
    looks at every so many frames, 0 for its own default.
    """

    rule: str | None
    name: str
    argument: str = ""
    weight: float = 1.0
    invert: bool = False
    smooth: float = 0.0
    blur: float = 0.0
    every: int = 0
    rise: float = 0.0

    @property
    def label(self) -> str:
        """The control in the user's words, without its options."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    def __str__(self) -> str:
        """Return the control as `parse_control` takes it."""
        text = self.label if self.rule is None else f"{self.rule}={self.label}"
        for key, default in (("weight", 1.0), ("smooth", 0.0), ("blur", 0.0), ("rise", 0.0)):
            if (value := getattr(self, key)) != default:
                text += f",{key}={repr(value).removesuffix('.0')}"
        if self.every:
            text += f",every={self.every}"
        return text + (",invert" if self.invert else "")


RANGES = {"weight": MOST_WEIGHT, "smooth": MOST_SMOOTH, "blur": MOST_BLUR, "rise": MOST_RISE}


def parse_control(text: str) -> ControlSpec:
    """Parse `[RULE=]NAME[:ARGUMENT]` with options.

    They are `,weight=W`, `,invert`, `,smooth=SECONDS`, `,blur=CELLS`, `,rise=CELLS` and `,every=N`.
    What follows the last comma is an option only if it is one of these, so that a path may hold
    commas. Raises `UserError` for anything else.
    """
    body, options = _split_options(text.strip())
    rule: str | None = None
    before, equals, after = body.partition("=")
    # The name of a control holds no "=", a path behind its colon may.
    if equals and ":" not in before:
        rule, body = before.strip().lower(), after.strip()
        if not rule:
            raise UserError(f"--control {text!r} names no rule before the =")
    name, _, argument = body.partition(":")
    if not NAME.fullmatch(name):
        raise UserError(f"--control {text!r} names no control: as luminance, or fire=motion")
    return ControlSpec(rule, name, argument, **options)


def _split_options(text: str) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {}
    while "," in text:
        body, _, last = text.rpartition(",")
        key, equals, value = last.strip().partition("=")
        if key == "invert" and not equals:
            options[key] = True
        elif key in RANGES and equals:
            options[key] = _number(text, key, value)
        elif key == "every" and equals:
            options[key] = _frames(text, value)
        else:
            break
        text = body.rstrip()
    return text, options


def _number(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= RANGES[key]:
        raise UserError(
            f"{key} in --control {text!r} must be a number from 0 to {RANGES[key]:g}, not {value!r}"
        )
    return number


def _frames(text: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MOST_EVERY:
        raise UserError(
            f"every in --control {text!r} must be a number of frames from 1 to {MOST_EVERY}, not"
            f" {value!r}"
        )
    return int(value)


def parse_number(argument: str, default: float, low: float, high: float, what: str) -> float:
    """Parse one number, or nothing for the default. Raises `UserError`: `what` takes it."""
    try:
        number = float(argument) if argument else default
    except ValueError:
        number = high + 1
    if not low <= number <= high:
        raise UserError(f"{what}, from {low:g} to {high:g}, not {argument!r}")
    return number


def parse_range(argument: str, low: float, high: float, what: str) -> tuple[float, float]:
    """Parse `0.2-0.6`, or `a-b` within any limits, as two numbers; for the fields' arguments.

    Raises `UserError` naming `what`.
    """
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)-(-?\d+(?:\.\d+)?)", argument.strip())
    numbers = (float(match[1]), float(match[2])) if match else (high + 1, high + 1)
    if not all(low <= number <= high for number in numbers):
        raise UserError(
            f"{what} takes two numbers from {low:g} to {high:g}, as {what}:{low:g}-{high:g},"
            f" not {argument!r}"
        )
    return numbers
