"""From cells to pixels: the definition of the learned decoder.

A coarse grid carries the texture, and a tiny network turns the state between its cells into colour,
trained together with the automaton:

    x = spline(soft(s))                          # C numbers a pixel, from the 5x5 cells around it
    y = x[:3] + 1/2 + W2 @ relu(W1 @ x + b)      # W1: [hidden, C], W2: [3, hidden]

`soft` weighs three cells by 1/4, 1/2 and 1/4 along each axis: a state that changes from cell to
cell is not seen. What is thinner than two cells would be drawn as stairs along the lattice; what is
left is drawn without them, and lines as thin as that lie where a soft channel crosses a value.

Softening and interpolation are linear, so `W1` may be applied to cells and its result interpolated:
what is left for a pixel is a few sums and the second layer.

After Pajouheshgar, Xu, Abbasi, Mordvintsev, Jakob and Süsstrunk, "Neural Cellular Automata: From
Cells to Pixels", 2025 (arXiv 2506.22899). Theirs is deeper, interpolates linearly, and is told the
place within the cell as well. From that place a network learns first of all to draw the same into
every cell: stripes as wide as the lattice, which a moving grid gives away.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncavideo.nca.decoder_weights import ARRAYS, REACH, DecoderWeights
from ncavideo.nca.model import Edge


def spline_taps(phases: Tensor) -> Tensor:
    """Return the weights `[k, 3]` of the cell before, a pixel's own, and the one after.

    `phases` `[k]`: the pixels' places within their cell, 0 at one side and 1 at the other. The
    quadratic B-spline: smooth at the borders of cells, where linear interpolation has a crease.
    """
    t = phases - 0.5
    return torch.stack([(0.5 - t).square() / 2, 0.75 - t.square(), (0.5 + t).square() / 2], 1)


def centres(pixels: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the places of a cell's pixels on `device`, `[pixels]` in 0..1."""
    return (torch.arange(pixels, device=device) + 0.5) / pixels


def spline(cells: Tensor, phases: Tensor) -> Tensor:
    """Interpolate `[B, F, h + 2, w + 2]`, cells with a rim, to `[B, F, h * k, w * k]`."""
    taps, k = spline_taps(phases).to(cells), len(phases)
    height, width = cells.shape[2] - 2, cells.shape[3] - 2
    kernel = (taps[:, None, :, None] * taps[None, :, None, :]).reshape(k * k, 1, 3, 3)
    batch, features = cells.shape[:2]
    flat = F.conv2d(cells.reshape(batch * features, 1, height + 2, width + 2), kernel)
    return F.pixel_shuffle(flat, k).view(batch, features, height * k, width * k)


def soft(cells: Tensor) -> Tensor:
    """Return `[B, F, h, w]`, softened, of cells with a rim, `[B, F, h + 2, w + 2]`."""
    rows = (cells[:, :, :-2] + 2 * cells[:, :, 1:-1] + cells[:, :, 2:]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


class Decoder(nn.Module):
    """The network from the state between cells to colour."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.empty(hidden, channels))
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.zeros(3, hidden))
        nn.init.xavier_uniform_(self.w1)
        nn.init.uniform_(self.b1, -0.3, 0.3)

    def forward(self, state: Tensor, pixels: int, edge: Edge | None) -> Tensor:
        """Map `[B, C, h, w]` to RGB `[B, 3, h * pixels, w * pixels]`, 0..1 where in range.

        `edge`: as for a step; None for a state that already has a rim of `REACH` cells.
        """
        phases = centres(pixels, state.device).to(state)
        if edge is not None:
            mode = "circular" if edge == "wrap" else "replicate"
            state = F.pad(state, (REACH,) * 4, mode=mode)
        cells = soft(state)
        seen = spline(F.conv2d(cells, self.w1[:, :, None, None], self.b1), phases)
        hidden = F.relu(seen)
        return spline(cells[:, :3], phases) + 0.5 + F.conv2d(hidden, self.w2[:, :, None, None])

    def weights(self, pixels: int) -> DecoderWeights:
        """Return its numbers, as a rule set holds them; `pixels`: see there."""
        arrays = (getattr(self, name).detach().to("cpu", torch.float32) for name in ARRAYS)
        return DecoderWeights(pixels, *(array.numpy().copy() for array in arrays))

    @classmethod
    def of(cls, weights: DecoderWeights) -> Decoder:
        """Return the decoder of a rule set."""
        decoder = cls(weights.channels, weights.hidden)
        with torch.no_grad():
            for name in ARRAYS:
                getattr(decoder, name).copy_(torch.from_numpy(getattr(weights, name)))
        return decoder
