"""The step: the definition of the neural cellular automaton. Training and engines use it.

    z  = [perception(s), inputs]               # 4C + I numbers a cell, filters channel-major
    s' = s + mask * (W2 @ relu(W1 @ z + b1))   # W1: [hidden, 4C + I], W2: [C, hidden]

The model is the texture NCA of Niklasson, Mordvintsev, Randazzo and Levin, "Self-Organising
Textures", Distill 2021, with named input channels beside the perceived state.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Edge = Literal["wrap", "reflect"]
FILTERS = 4  # identity, Sobel x, Sobel y, Laplacian

# The scales keep the response to a unit step near 1, so that no filter drowns the others.
SOBEL_SCALE = 8.0
LAPLACIAN_SCALE = 16.0


def filter_bank() -> Tensor:
    """Return the four fixed filters as a float tensor `[4, 3, 3]` (for correlation)."""
    identity = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    sobel_x = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / SOBEL_SCALE
    laplacian = torch.tensor([[1.0, 2, 1], [2, -12, 2], [1, 2, 1]]) / LAPLACIAN_SCALE
    return torch.stack([identity, sobel_x, sobel_x.T, laplacian])


def pad_edge(state: Tensor, edge: Edge) -> Tensor:
    """Return `[B, H, W, C]` with a rim of one cell, `[B, H + 2, W + 2, C]`.

    `wrap` joins opposite sides (a torus). `reflect` repeats the cell at the edge itself, which
    also works for a grid one cell wide.
    """
    if edge == "wrap":
        state = torch.cat([state[:, -1:], state, state[:, :1]], 1)
        return torch.cat([state[:, :, -1:], state, state[:, :, :1]], 2)
    state = torch.cat([state[:, :1], state, state[:, -1:]], 1)
    return torch.cat([state[:, :, :1], state, state[:, :, -1:]], 2)


def rim_sources(edge: Edge) -> tuple[int, int]:
    """Return which row of a padded grid the first one repeats, and which the last: see `pad_edge`.

    Both are counted with the rim, negative ones from the end.
    """
    return (-2, 1) if edge == "wrap" else (1, -2)


class Perception:
    """The state seen through the four filters of `filter_bank`."""

    def __call__(self, state: Tensor, edge: Edge) -> Tensor:
        """Map `[B, H, W, C]` to `[B, H, W, 4C]`, ordered filter by filter.

        The filters are separable, so columns are summed once and shared: a third of the work of
        four 3x3 correlations. `Update` reorders its weights to this order, since moving 6,000
        weights is cheaper than interleaving every cell.
        """
        padded = pad_edge(state, edge)
        up, middle, down = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        smooth = up + 2.0 * middle + down
        slope = down - up
        left, centre, right = smooth[:, :, :-2], smooth[:, :, 1:-1], smooth[:, :, 2:]
        sobel_x = (right - left) / SOBEL_SCALE
        sobel_y = (slope[:, :, :-2] + 2.0 * slope[:, :, 1:-1] + slope[:, :, 2:]) / SOBEL_SCALE
        laplacian = (left + 2.0 * centre + right) / LAPLACIAN_SCALE - state
        return torch.cat([state, sobel_x, sobel_y, laplacian], -1)


class Update(nn.Module):
    """The cell's own network: one hidden layer with ReLU, the same for every cell."""

    def __init__(self, channels: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.w1 = nn.Parameter(torch.empty(hidden, FILTERS * channels + inputs))
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.zeros(channels, hidden))
        nn.init.xavier_uniform_(self.w1)

    def forward(
        self, perception: Tensor, inputs: Tensor, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Map `[B, H, W, 4C]` (filter-major) and `[B, H, W, I]` to a change `[B, H, W, C]`.

        `dtype` is the precision of the two matrix products; None keeps the state's own.
        """
        hidden, seen = self.w1.shape[0], FILTERS * self.channels
        own = self.w1[:, :seen].view(hidden, self.channels, FILTERS).transpose(1, 2)
        w1 = torch.cat([own.reshape(hidden, seen), self.w1[:, seen:]], 1)
        z = torch.cat([perception, inputs], -1)
        if dtype is None or dtype == z.dtype:
            return F.linear(F.relu(F.linear(z, w1, self.b1)), self.w2)
        h = F.relu(F.linear(z.to(dtype), w1.to(dtype), self.b1.to(dtype)))
        return F.linear(h, self.w2.to(dtype)).to(z.dtype)


class NCA(nn.Module):
    """Perception and update, composed into one step.

    `channels` C >= 3 (the first three are red, green and blue minus 0.5), `inputs` I >= 0 named
    channels from outside (rules first), `hidden` the width of the update network.
    """

    def __init__(self, channels: int, inputs: int, hidden: int) -> None:
        super().__init__()
        if channels < 3:
            raise ValueError(f"an NCA needs at least 3 channels for RGB, not {channels}")
        self.channels, self.inputs, self.hidden = channels, inputs, hidden
        self.perceive = Perception()
        self.update = Update(channels, inputs, hidden)

    def forward(
        self,
        state: Tensor,
        inputs: Tensor,
        mask: Tensor,
        edge: Edge = "wrap",
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Take one step.

        `state` `[B, C, H, W]`, `inputs` `[B, I, H, W]`, `mask` `[B, 1, H, W]` or any shape that
        broadcasts to it, 1 where the cell fires. Returns the next state, `[B, C, H, W]`. Fastest
        when the tensors are stored channels last.
        """
        cells = state.permute(0, 2, 3, 1)
        change = self.update(self.perceive(cells, edge), inputs.permute(0, 2, 3, 1), dtype)
        stepped: Tensor = cells + change * mask.permute(0, 2, 3, 1)
        return stepped.permute(0, 3, 1, 2)


def seed_state(batch: int, channels: int, height: int, width: int) -> Tensor:
    """Return the state that everything grows from: zeros (mid grey), `[B, C, H, W]`."""
    state = torch.zeros(batch, channels, height, width)
    return state.contiguous(memory_format=torch.channels_last)


def to_rgb(state: Tensor) -> Tensor:
    """Return the visible part of `[B, C, H, W]` as `[B, 3, H, W]`, 0..1 where in range."""
    return state[:, :3] + 0.5
