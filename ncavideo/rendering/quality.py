"""How fine a render is: the size of its cells and the steps of a frame, where neither is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """What a quality chooses.

    `rows` of cells along a frame's shorter side, `decoded_rows` for a rule set with a learned
    decoder, which draws what is finer than a cell; cells are at least `least_cell` pixels a side,
    decoded ones `least_decoded`. `steps` a frame, `flow_steps` of them where the texture is warped
    along the optical flow: it moves with the clip, so that fewer are enough, and flicker less.
    """

    rows: int
    decoded_rows: int
    least_cell: int
    least_decoded: int
    steps: int
    flow_steps: int

    def cell(self, size: tuple[int, int], decoded: bool = False) -> int:
        """Return the side of a cell in pixels, for frames of a size (width, height)."""
        if decoded:
            return max(self.least_decoded, round(min(size) / self.decoded_rows))
        return max(self.least_cell, round(min(size) / self.rows))


# Some 640x360 cells show faces and type at any frame size; finer costs time with the square,
# coarser loses the picture. A frame of two thirds of the rows, decoded, takes less time. In small
# frames decoded cells of less than 3 pixels cost time, flicker and show no smaller forms.
STANDARD = "standard"
QUALITIES = {
    "draft": Quality(180, 120, 2, 3, 4, 2),
    STANDARD: Quality(360, 240, 2, 3, 8, 4),
    "fine": Quality(1080, 360, 1, 2, 8, 4),
}
