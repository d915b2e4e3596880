"""Label maps: each pixel names, by number, whose place it is."""

from __future__ import annotations

import re

import numpy as np

from ncavideo.control.base import Context, Field, View
from ncavideo.control.footage import LABELS, Footage, parse_path
from ncavideo.control.mask import resampled
from ncavideo.errors import UserError

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
        match = re.fullmatch(r"(.*?):(\d+)", argument)
        text, number = (match[1], int(match[2])) if match else (argument, 1)
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
        if re.fullmatch(r".*:\d+", argument):
            raise UserError(
                f"labels:{argument} is one label: give it to a rule, as fire=labels:{argument}"
            )
        return [f"{argument}:{number}" for number in range(1, count + 1)]

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        there = (self._footage.at(view.time) == self._number).astype(np.float32)
        return resampled(there, *view.luma.shape)

    def close(self) -> None:
        """Close the map's file."""
        self._footage.close()
