"""People, found by MediaPipe's selfie segmentation: two small networks that come with ncavideo."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from ncavideo.control.field import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.control.segmenters.presence import Presence
from ncavideo.control.segmenters.shipped import Model, answers, network

SQUARE = Model(
    "selfie_segmentation.tflite",
    "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
    (256, 256),
)
WIDE = Model(
    "selfie_segmentation_landscape.tflite",
    "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
    (256, 144),
)
# Pictures that are wider than this are for WIDE, which is faster, and at 11:9, where both stretch
# them alike, better: IoU 0.964 with the hand-drawn masks beside 0.941.
WIDER = 1.2

FOUND = 0.5  # probability from which a cell belongs to a person
FEWEST = 12  # cells that a person covers at least
SMALL = 0.5  # of the frame's sides: who takes less of both is looked at again, enlarged
MOST = 4  # people who are enlarged, the largest first
NEAR, FAR = 1.5, 2.5  # sides of the windows around a person, in the person's own size
STILL_THERE = 0.3  # overlap of a person with where one was expected
# The networks see somebody in nearly every window without people, but each time elsewhere: who is
# there is seen alike in windows of both sizes (benchmarks/segmentation.py has how often).
ALIKE, LIKELY = 0.7, 0.5
# Of what is no person the networks are seldom sure: more pixels are in doubt than belong to it.
# How many, in shares of those, are let pass for somebody seen in the whole frame, and in a search.
DOUBT, DOUBTFUL, SEARCHED = (0.1, 0.9), 1.5, 1.0
SEARCH = 2.0  # seconds between searches while nobody is found
LEAST_WINDOW = 32  # pixels a side of a search's windows: nobody can be made out in fewer
RIM = 0.12  # of a window's sides, along which its answer fades into that for the whole frame


class Window(NamedTuple):
    """A part of a frame, in shares of its sides: 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Window(0.0, 0.0, 1.0, 1.0)


class Person(Segmenter):
    """Finds people, `[1, h, w]`: first in the whole frame, then enlarged if they are small.

    A frame is scaled to 256 pixels a side or fewer, in which someone who is a tenth of it cannot be
    seen. So whoever takes less than half of the frame's width and height is looked at again in a
    window around them, and where nobody is found, windows all over the frame are searched, at most
    every two seconds.
    """

    name = "MediaPipe selfie segmentation"
    state_attributes = ("_searched",)
    parts = ("_presence",)

    def __init__(self) -> None:
        network(SQUARE)  # a damaged file is told before work begins
        network(WIDE)
        self._searched: float | None = None
        self._presence = Presence("segment:person")

    def __call__(self, view: View) -> np.ndarray:
        """Return the probability that a cell shows a person, `[1, h, w]`."""
        return self.look(view, None)

    def look(self, view: View, before: np.ndarray | None) -> np.ndarray:
        """Do the same, with where somebody was before, `[h, w]`, as a hint."""
        if view.motion is None or view.motion.cut:
            self._searched = None
        source, shape = view.source, view.luma.shape
        found = look(source, WHOLE, shape)
        for person in _people(found):
            if _is_small(person):
                window = _around(person, NEAR, source)
                answer = _answer(source, window)
                if _is_sure(answer, DOUBTFUL) or (before is not None and _is_there(before, person)):
                    found = _merged(found, _placed(answer, window, shape), window)
                else:
                    others = np.where((found > FOUND) & ~person, found, 0)
                    found = _merged(found, others, window)
        for person in [] if before is None else _people(before):
            if _is_small(person) and not _is_there(found, person):
                window = _around(person, NEAR, source)
                answer = look(source, window, shape)
                if _is_there(answer, person):
                    found = _merged(found, answer, window)
        if not _people(found) and self._may_search(view.time):
            self._searched = view.time
            found = np.maximum(found, _search(source, shape))
        self._presence.note(view.time, bool(_people(found)))
        return found[None]

    def _may_search(self, time: float) -> bool:
        return self._searched is None or not 0 <= time - self._searched < SEARCH

    def notes(self) -> list[str]:
        """Return what a user should know of a clip, or of a long end, without people."""
        return self._presence.notes()


def look(source: np.ndarray, window: Window, shape: tuple[int, int]) -> np.ndarray:
    """Return what a network finds in a part of a frame `[H, W, 3]`, uint8 or uint16.

    `[h, w]` float32, of the grid's `shape`, 0 outside of the window.
    """
    return _placed(_answer(source, window), window, shape)


def _answer(source: np.ndarray, window: Window) -> np.ndarray:
    """Return a network's answer to a part of a frame, `[h, w]`, of the network's size."""
    height, width = source.shape[:2]
    rows, columns = _slices(window, height, width)
    part = source[rows, columns]
    model = WIDE if part.shape[1] > WIDER * part.shape[0] else SQUARE
    smaller = part.shape[0] > model.size[1] and part.shape[1] > model.size[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    picture = cv2.resize(part, model.size, interpolation=method).astype(np.float32)
    picture /= np.iinfo(source.dtype).max
    return probabilities(model, picture)


def _placed(answer: np.ndarray, window: Window, shape: tuple[int, int]) -> np.ndarray:
    """Return the answer to a window on the grid, `[h, w]`, 0 outside of the window."""
    rows, columns = _slices(window, *shape)
    on_grid = np.zeros(shape, np.float32)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    method = cv2.INTER_AREA if size[0] < answer.shape[1] else cv2.INTER_LINEAR
    on_grid[rows, columns] = cv2.resize(answer, size, interpolation=method)
    return on_grid


def probabilities(model: Model, picture: np.ndarray) -> np.ndarray:
    """Return a network's answer `[h, w]`, 0 to 1, to a picture `[h, w, 3]` of its size, RGB."""
    return answers(model, picture)[0].reshape(model.size[::-1])


def _slices(window: Window, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a window, one of each at least."""
    top, left = math.floor(window.top * height), math.floor(window.left * width)
    bottom, right = math.ceil(window.bottom * height), math.ceil(window.right * width)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _people(found: np.ndarray) -> list[np.ndarray]:
    """Return the cells `[h, w]` of each who was found apart from others, the largest first."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats((found > FOUND).astype(np.uint8))
    sizes = facts[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda label: -int(sizes[label]))
    return [labels == label for label in order[:MOST] if sizes[label] >= FEWEST]


def _extent(person: np.ndarray) -> Window:
    """Return the narrowest window around a person's cells."""
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    height, width = person.shape
    return Window(
        float(columns[0]) / width,
        float(rows[0]) / height,
        float(columns[-1] + 1) / width,
        float(rows[-1] + 1) / height,
    )


def _is_small(person: np.ndarray) -> bool:
    left, top, right, bottom = _extent(person)
    return max(right - left, bottom - top) < SMALL


def _around(person: np.ndarray, times: float, source: np.ndarray) -> Window:
    """Return a window, square in the frame's pixels, of so many times a person's size.

    Half the frame's sides at most, and moved into the frame.
    """
    left, top, right, bottom = _extent(person)
    aspect = source.shape[1] / source.shape[0]
    tall = max(bottom - top, (right - left) * aspect) * times
    high, wide = min(tall / 2, 0.5), min(tall / aspect / 2, 0.5)
    x = min(max((left + right) / 2, wide), 1 - wide)
    y = min(max((top + bottom) / 2, high), 1 - high)
    return Window(x - wide, y - high, x + wide, y + high)


def _is_sure(answer: np.ndarray, allowed: float) -> bool:
    """Return whether fewer pixels are in doubt than so many times those of a person."""
    doubt = (answer > DOUBT[0]) & (answer < DOUBT[1])
    return int(doubt.sum()) < allowed * int((answer > FOUND).sum())


def _is_there(found: np.ndarray, person: np.ndarray) -> bool:
    return _overlap(found > FOUND, person) > STILL_THERE


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return intersection over union."""
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def _search(source: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return who is found, `[h, w]`, by windows all over the frame, each of half its shorter side.

    Windows have `LEAST_WINDOW` pixels a side or more, where the frame has as many. Whoever a window
    finds counts if both a narrow and a wide window around them do, too, and the network is sure.
    """
    height, width = source.shape[:2]
    side = max(min(height, width) / 2, LEAST_WINDOW)
    high, wide = min(side, height), min(side, width)
    found = np.zeros(shape, np.float32)
    for top in _places(high, height):
        for left in _places(wide, width):
            tile = Window(left / width, top / height, (left + wide) / width, (top + high) / height)
            for person in _people(look(source, tile, shape)):
                if _is_there(found, person):
                    continue
                window = _around(person, NEAR, source)
                answer = _answer(source, window)
                if not _is_sure(answer, SEARCHED):
                    continue
                near = _placed(answer, window, shape)
                far = look(source, _around(person, FAR, source), shape)
                alike = _overlap(near > FOUND, far > FOUND)
                if alike > ALIKE and _overlap(near > FOUND, person) > LIKELY:
                    found = np.maximum(found, near)
    return found


def _places(side: float, length: int) -> np.ndarray:
    """Return where windows begin that cover a length, each half over the one before."""
    if side >= length:
        return np.zeros(1)
    return np.linspace(0, length - side, max(2, math.ceil((length - side) / (side / 2)) + 1))


def _merged(whole: np.ndarray, part: np.ndarray, window: Window) -> np.ndarray:
    """Return the answer for a window, laid over that for the whole frame with a soft rim.

    Along the frame's own edges there is no rim: nothing is beyond them.
    """
    height, width = whole.shape
    ramps = []
    sides = ((window.top, window.bottom, height), (window.left, window.right, width))
    for low, high, count in sides:
        at = (np.arange(count, dtype=np.float32) + 0.5) / count
        rim = max((high - low) * RIM, 1 / count)
        up = np.ones(count) if low <= 0 else (at - low) / rim
        down = np.ones(count) if high >= 1 else (high - at) / rim
        ramps.append(np.clip(np.minimum(up, down), 0, 1))
    share = (ramps[0][:, None] * ramps[1]).astype(np.float32)
    return np.asarray(whole + share * (part - whole), np.float32)
