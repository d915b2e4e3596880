"""Label maps: each pixel names, by number, whose place it is."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.footage import LABELS, Footage, parse_path, split_path
from ncavideo.control.mask import resampled
from ncavideo.util.errors import UserError

MOST_NAMED = 12


class Labels(Field):
    """`labels:PATH[:NUMBER]`: 1 where the map has NUMBER, by default 1.

    The numbers are palette indices or grey values. Without a rule's name the labels 1, 2, 3...
    are the rules in their order, and 0 is nobody's. Cells across a border get their share of it.
    """

    def __init__(self, footage: Footage, number: int) -> None:
        self._footage, self._number = footage, number

    @classmethod
    def parse(cls, argument: str, context: Context) -> Labels:
        """Open the map; all labels of one file share it."""
        text, colon, digits = _split_number(argument)
        number = int(digits) if colon else 1
        path, loop, rate, _ = parse_path(text, "labels")
        key = ("labels", text)
        footage = context.shared.get(key)
        if footage is None:
            footage = Footage(path, LABELS, "label map", loop=loop, rate=rate)
            context.shared[key] = footage
        if footage.still:
            there = np.unique(footage.at(0))
            if number not in there:
                named = ", ".join(map(str, there[:MOST_NAMED]))
                more = " ..." if len(there) > MOST_NAMED else ""
                raise UserError(f"the label map {path} has no label {number}: it has {named}{more}")
        return cls(footage, number)

    @classmethod
    def split(cls, argument: str, count: int) -> list[str]:
        """Return the labels 1 to `count`."""
        if _split_number(argument)[1]:
            raise UserError(
                f"labels:{argument} is one label: give it to a rule, as fire=labels:{argument}"
            )
        return [f"{argument}:{number}" for number in range(1, count + 1)]

    @classmethod
    def map_paths(cls, argument: str, change: Callable[[str], str]) -> str:
        """Return the argument with its path changed."""
        text, colon, digits = _split_number(argument)
        path, options = split_path(text)
        return change(path) + options + colon + digits if path else argument

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        there = (self._footage.at(view.time) == self._number).astype(np.float32)
        return resampled(there, *view.luma.shape)

    def close(self) -> None:
        """Close the map's file."""
        self._footage.close()


def _split_number(argument: str) -> tuple[str, str, str]:
    """Return what stands before `:NUMBER`, the colon and the number; both empty without one."""
    match = re.fullmatch(r"(.*?)(:)(\d+)", argument, re.S)
    return (match[1], match[2], match[3]) if match else (argument, "", "")
