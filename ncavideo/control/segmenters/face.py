"""Faces, found by two of MediaPipe's networks: where they are, then their outline."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ncavideo.control.field import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.control.segmenters.presence import Presence
from ncavideo.control.segmenters.shipped import Model, answers, network

DETECTOR = Model(
    "face_detection_short_range.tflite",
    "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    (128, 128),
)
MESH = Model(
    "face_landmark.tflite",
    "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
    (192, 192),
)
# The layers of the mesh that hold its 468 points and whether there is a face.
POINTS, THERE = "conv2d_21", "conv2d_31"
# The detector's answers lie on grids of so many cells a side, so many in each cell.
GRIDS = ((16, 2), (8, 6))
# Of the mesh's points, those along a face's outline, from the middle of the forehead on:
# MediaPipe's FACEMESH_FACE_OVAL.
# fmt: off
OUTLINE = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]
# fmt: on
SURE = 0.5  # probability from which an answer is a face
SAME = 0.3  # overlap of two boxes from which they are one face
MOST = 4  # faces, the surest first
AROUND = 1.5  # sides of the window around a face, in those of its box
FINER = 4  # an outline is drawn on a grid so much finer, which makes it soft


class Found(NamedTuple):
    """A face's box, in pixels of the frame, and its eyes, (x, y): the picture's left one first."""

    centre: np.ndarray
    size: np.ndarray
    eyes: np.ndarray


class Face(Segmenter):
    """Finds faces, `[1, h, w]`: the forehead's hairline to the chin, and from ear to ear."""

    name = "MediaPipe face mesh"
    parts = ("_presence",)

    def __init__(self) -> None:
        network(DETECTOR)  # a damaged file is told before work begins
        network(MESH)
        self._presence = Presence("segment:face")

    def __call__(self, view: View) -> np.ndarray:
        """Return how much of a cell a face covers, `[1, h, w]`."""
        height, width = view.luma.shape
        scale = np.array([width / view.source.shape[1], height / view.source.shape[0]]) * FINER
        canvas = np.zeros((height * FINER, width * FINER), np.uint8)
        outlines = [outline(view.source, face) for face in faces(view.source)]
        for points in outlines:
            if points is not None:
                cv2.fillPoly(canvas, [np.round(points * scale).astype(np.int32)], 255)
        self._presence.note(view.time, bool(canvas.any()))
        covered = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(covered[None], np.float32) / 255

    def notes(self) -> list[str]:
        """Return what a user should know of a clip, or of a long end, without faces."""
        return self._presence.notes()


def faces(source: np.ndarray) -> list[Found]:
    """Return the faces in a frame `[H, W, 3]`, uint8 or uint16, the surest first."""
    high, wide = source.shape[:2]
    side = max(high, wide)
    shown = np.zeros((128, 128, 3), np.float32)
    size = (max(1, round(wide * 128 / side)), max(1, round(high * 128 / side)))
    left, top = (128 - size[0]) // 2, (128 - size[1]) // 2
    small = cv2.resize(source, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    shown[top : top + size[1], left : left + size[0]] = small / np.iinfo(source.dtype).max
    raw, scores = answers(DETECTOR, shown * 2 - 1, ("regressors", "classificators"))
    chance = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -50, 50)))
    boxes = raw.reshape(-1, 8, 2) / 128  # centre, size, six points
    boxes[:, np.arange(8) != 1] += _cells()[:, None]
    # From shares of the square to pixels of the frame.
    boxes *= side
    boxes[:, np.arange(8) != 1] -= [(side - wide) / 2, (side - high) / 2]
    found: list[Found] = []
    for index in np.argsort(-chance):
        if chance[index] < SURE or len(found) == MOST:
            break
        centre, extent, *points = boxes[index]
        face = Found(centre, extent, np.array(points[:2]))
        if all(_overlap(face, other) < SAME for other in found):
            found.append(face)
    return found


def outline(source: np.ndarray, face: Found) -> np.ndarray | None:
    """Return a face's outline `[36, 2]` in pixels (x, y), or None if it turns out to be none."""
    (x, y), side = face.eyes[1] - face.eyes[0], float(face.size.max()) * AROUND
    # The window, turned so that the eyes lie level, becomes the network's input.
    angle, scale = np.arctan2(y, x), 192 / max(side, 1e-3)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * scale
    matrix = np.column_stack([turn, 96 - turn @ face.centre])
    picture = cv2.warpAffine(source, matrix, MESH.size, flags=cv2.INTER_LINEAR).astype(np.float32)
    picture /= np.iinfo(source.dtype).max
    points, there = answers(MESH, picture, (POINTS, THERE))
    if 1 / (1 + np.exp(-float(there.reshape(-1)[0]))) < SURE:
        return None
    on_window = points.reshape(-1, 3)[OUTLINE, :2]
    return np.asarray((on_window - matrix[:, 2]) @ np.linalg.inv(turn).T)


def _cells() -> np.ndarray:
    """Return the middles `[896, 2]` (x, y) of the cells that the detector's answers belong to."""
    middles = []
    for cells, each in GRIDS:
        y, x = (np.indices((cells, cells)) + 0.5) / cells
        middles.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), each, 0))
    return np.concatenate(middles)


def _overlap(one: Found, other: Found) -> float:
    """Return intersection over union of two boxes."""
    low = np.maximum(one.centre - one.size / 2, other.centre - other.size / 2)
    high = np.minimum(one.centre + one.size / 2, other.centre + other.size / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(float(np.prod(one.size) + np.prod(other.size)) - shared, 1e-6)
