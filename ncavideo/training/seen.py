"""The pictures that losses look at: the whole grid, or a patch that a decoder draws.

A decoded picture has `pixels` times as many pixels a side as the grid has cells. A random patch of
it, another one every time, is judged instead, so that an iteration costs what a grid of that many
cells does, while cells see as far as the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.decoder import Decoder
from ncavideo.nca.decoder_weights import REACH
from ncavideo.nca.model import Edge, pad_edge, to_rgb
from ncavideo.training.share import Share

LEAST_VARIANCE = 1e-2  # of a channel below which its changes count for less


@dataclass(frozen=True)
class Rollout:
    """A batch's states `[B, C, H, W]` before and after its last `steps`, and its requests.

    `weights` `[B, R, H, W]`: expression; `light` `[B, H, W]` in 0..1, None for rule sets without;
    `rules`: each sample's rule, None where it has several; `calm` `[B]`: 1 for samples with the
    same request as before, unhurt, and 0 for others; `edge`: what lies beyond the grid.

    Where several processes share a batch, B is the number of samples of this one's `share`.
    `rules` are all the batch's then, and `everyone` is `after` of all samples, without gradient.
    """

    before: Tensor
    after: Tensor
    steps: int
    weights: Tensor
    light: Tensor | None
    rules: list[int | None]
    calm: Tensor
    edge: Edge
    share: Share | None = None
    everyone: Tensor | None = None


@dataclass(frozen=True)
class Seen:
    """A batch's pictures `[B, 3, h, w]` before and after its last steps, and what was asked there.

    `weights` `[B, R, h, w]`, `light` `[B, h, w]` or None, `edge`: see `Rollout`; `pixels`: how many
    of them a cell is across.
    """

    before: Tensor
    after: Tensor
    weights: Tensor
    light: Tensor | None
    edge: Edge
    pixels: int


def whole(rollout: Rollout) -> Seen:
    """Return the grids as they are, a pixel a cell."""
    before, after = to_rgb(rollout.before), to_rgb(rollout.after)
    return Seen(before, after, rollout.weights, rollout.light, rollout.edge, 1)


def cells_across(side: int, pixels: int, cells: int) -> int:
    """Return how many cells a patch of `side` pixels is across, the whole grid's `cells` at most.

    `pixels`: a cell's.
    """
    return min(-(-side // pixels), cells)


@dataclass(frozen=True)
class Patch:
    """Which part of the decoded pictures is judged: of every sample the same.

    `cells`: how many it is across; `place` `[2]` int64: row and column of its first cell, on the
    CPU or on the grids' device; `edge`: what lies beyond the patch.
    """

    cells: int
    place: Tensor
    edge: Edge


class Patches:
    """Draws a random patch of each batch with `decoder`, `pixels` a cell.

    `generator`: where the places come from.
    """

    def __init__(self, decoder: Decoder, pixels: int, generator: torch.Generator) -> None:
        self.decoder, self.pixels, self.generator = decoder, pixels, generator

    def choose(self, cells: int, side: int, edge: Edge) -> Patch:
        """Choose a patch of grids of `cells` x `cells` cells with this edge.

        `side`: the patch's, in pixels; it is the whole picture where that is no larger.
        """
        count = cells_across(side, self.pixels, cells)
        if count == cells:
            return Patch(cells, torch.zeros(2, dtype=torch.int64), edge)
        last = cells if edge == "wrap" else cells - count + 1
        return Patch(count, torch.randint(0, last, (2,), generator=self.generator), "reflect")

    def __call__(self, rollout: Rollout, patch: Patch) -> Seen:
        """Return the patch of a batch.

        The same operations whatever the place is, which may be known to the device alone.
        """
        cells, place = rollout.after.shape[2], patch.place.to(rollout.after.device)
        rows, columns = (rows_of(first, patch.cells, cells, rollout.edge) for first in place)

        def cut(field: Tensor) -> Tensor:
            """Return the patch's part of `[B, F, H, W]`, with a rim of `REACH` cells."""
            padded = pad_edge(field.permute(0, 2, 3, 1), rollout.edge)
            part = padded.index_select(1, rows).index_select(2, columns)
            return part.permute(0, 3, 1, 2)

        def enlarged(field: Tensor) -> Tensor:
            """Return what was asked at the patch's pixels, linearly interpolated."""
            k, rim = self.pixels, self.pixels * REACH
            fine = F.interpolate(cut(field), scale_factor=k, mode="bilinear")
            return fine[:, :, rim:-rim, rim:-rim]

        light = rollout.light
        return Seen(
            self.decoder(cut(rollout.before), self.pixels, None),
            self.decoder(cut(rollout.after), self.pixels, None),
            enlarged(rollout.weights),
            None if light is None else enlarged(light[:, None])[:, 0],
            patch.edge,
            self.pixels,
        )


def rows_of(first: Tensor, count: int, cells: int, edge: Edge) -> Tensor:
    """Return which rows of a padded grid a patch has, with its own rim of `REACH`.

    `first`: the first of its `count` rows in the grid of `cells`, which `pad_edge` gives a rim of
    one: from there each row is taken twice at most, so that a GPU may add up its gradient in any
    order. The same holds for columns.
    """
    across = first + torch.arange(-REACH, count + REACH, device=first.device)
    return across % cells + 1 if edge == "wrap" else (across + 1).clamp(0, cells + 1)


def roughness(state: Tensor, edge: Edge) -> Tensor:
    """Return how much of a state's variance `[B, C, H, W]` lies between neighbouring cells.

    A mean over channels: 0 for states that are even, near 1 for one that changes in every cell.
    What a decoder draws from such a state is stairs along the lattice; lines that are thinner than
    a cell it can draw where smooth channels cross a value.
    """
    cells = state.permute(0, 2, 3, 1)
    rows = pad_edge(cells, edge)
    rows = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    soft = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
    rough = (cells - soft).square().mean((0, 1, 2))
    return (rough / (state.var((0, 2, 3)) + LEAST_VARIANCE)).mean()
