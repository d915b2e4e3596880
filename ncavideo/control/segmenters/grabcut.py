"""GrabCut: what is inside a box, told from its surroundings by colour."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.field import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.util.errors import UserError

BOX = (0.2, 0.2, 0.6, 0.6)  # of the frame: x, y, width, height
LONGEST_SIDE = 320  # pixels in which the cut is searched
FIRST, LATER = 4, 1  # iterations in the first frame and in others
RING = 0.06  # of the shorter side: how far from the last border the next one may be
SOFTNESS = 1.0  # pixels


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Parse `X,Y,W,H` in shares of the frame; nothing means the middle."""
    if not text:
        return BOX
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        x = y = width = height = -1.0
    inside = min(x, y) >= 0 and x + width <= 1.0001 and y + height <= 1.0001
    if not inside or min(width, height) < 0.02:
        raise UserError(
            "segment:grabcut takes a box in shares of the frame, as X,Y,W,H = 0.2,0.2,0.6,0.6,"
            f" not {text!r}"
        )
    return x, y, width, height


class GrabCut(Segmenter):
    """The object in a box, followed through the clip.

    Rother, Kolmogorov and Blake, "GrabCut", SIGGRAPH 2004; OpenCV's. Each later frame begins with
    the colours and the border of the one before.
    """

    name = "GrabCut"
    state_attributes = ("_mask", "_models")

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        self._box = box
        self._mask: np.ndarray | None = None
        self._models = (np.zeros((1, 65)), np.zeros((1, 65)))

    def __call__(self, view: View) -> np.ndarray:
        """Return `[1, h, w]`."""
        height, width = view.luma.shape
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(view.rgb, size, interpolation=cv2.INTER_AREA)
        picture = (np.clip(small[..., ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)
        again = self._mask is not None and self._mask.shape == picture.shape[:2]
        mask = self._expected() if again else self._boxed(size)
        kinds = set(np.unique(mask)) & {cv2.GC_FGD, cv2.GC_PR_FGD}
        if kinds and len(np.unique(mask)) > 1 and picture.std() > 0:
            steps, mode = (LATER, cv2.GC_EVAL) if again else (FIRST, cv2.GC_INIT_WITH_MASK)
            cv2.setRNGSeed(1)
            cv2.grabCut(picture, mask, (0, 0, 0, 0), *self._models, steps, mode)
        found = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
        # Nothing found is nothing to go on from: the next frame begins with the box again.
        self._mask = mask if found.any() else None
        soft = cv2.GaussianBlur(found.astype(np.float32), (0, 0), SOFTNESS)
        return np.asarray(cv2.resize(soft, (width, height))[None], np.float32)

    def _boxed(self, size: tuple[int, int]) -> np.ndarray:
        x, y, width, height = self._box
        mask = np.full(size[::-1], cv2.GC_BGD, np.uint8)
        rows = slice(round(y * size[1]), max(round((y + height) * size[1]), 1))
        columns = slice(round(x * size[0]), max(round((x + width) * size[0]), 1))
        mask[rows, columns] = cv2.GC_PR_FGD
        return mask

    def _expected(self) -> np.ndarray:
        """Return the last mask with only a ring around its border open to change."""
        assert self._mask is not None
        found = ((self._mask == cv2.GC_FGD) | (self._mask == cv2.GC_PR_FGD)).astype(np.uint8)
        reach = max(3, round(RING * min(found.shape))) * 2 + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        mask = np.where(found > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[cv2.dilate(found, kernel) == 0] = cv2.GC_BGD
        return mask
