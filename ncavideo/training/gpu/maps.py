"""The maps of a batch's conditions, made on the device from the rows of `requests`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ncavideo.training.conditions import blotted
from ncavideo.training.gpu.requests import DISCS, FLAT, SMOOTH, Column


class Conditions(NamedTuple):
    """`weights` `[B, R, S, S]`, `light` `[B, S, S]` in 0..1, and `gone` `[B, S, S]`.

    `gone` is True where cells return to the seed state.
    """

    weights: Tensor
    light: Tensor
    gone: Tensor


class Maps:
    """Makes the maps of grids of `size` x `size` cells; keeps what is the same for all.

    `detailed`: whether any row asks for detail in its light.
    """

    def __init__(self, size: int, rules: int, device: torch.device, detailed: bool = False) -> None:
        self.detailed = detailed
        self.size, self.rules = size, torch.arange(rules, device=device)
        frequency = torch.fft.fftfreq(size, device=device) * size
        half = frequency[: size // 2 + 1]
        self._radius = (frequency[:, None] ** 2 + half[None, :] ** 2).sqrt()
        self._varies = (self._radius > 0).float()  # all but the mean
        self._radius[0, 0] = 1
        self._axis = torch.arange(size, device=device, dtype=torch.float32)
        self._ranks = torch.linspace(0, 1, size * size, device=device)
        self._discs = torch.arange(1, DISCS + 1, device=device)[:, None, None]

    def __call__(self, rows: Tensor) -> Conditions:
        """Return the maps of `rows` `[B, COLUMNS]`, drawn with the device's own generator."""

        def column(which: Column) -> Tensor:
            return rows[:, which, None, None]

        slopes = torch.cat([rows[:, Column.LIGHT_SLOPE], rows[:, Column.BORDER_SLOPE]])
        brightness, border = self.noise(slopes).chunk(2)
        light = self._light(rows, brightness)
        if self.detailed:
            light = self._with_detail(rows, light)
        two = column(Column.TWO)
        first = torch.sigmoid(column(Column.GAIN) * (border - column(Column.BORDER)))
        first = torch.where(two > 0, first, torch.ones_like(first))[:, None]
        one = (self.rules == rows[:, Column.FIRST, None]).float()[:, :, None, None]
        other = (self.rules == rows[:, Column.SECOND, None]).float()[:, :, None, None]
        weights = one * first + other * (1 - first)
        weights = weights * column(Column.STRENGTH)[:, None]
        centre = rows[:, Column.Y, None], rows[:, Column.X, None]
        hole = self._distances(*centre)[:, 0] < column(Column.RADIUS) ** 2
        gone = (hole & (column(Column.DAMAGED) > 0)) | (column(Column.FRESH) > 0)
        return Conditions(weights, light, gone)

    def noise(self, slopes: Tensor) -> Tensor:
        """Return `smooth_noise` of each of `slopes` `[N]`: `[N, S, S]`."""
        size, count = self.size, len(slopes)
        white = torch.randn(count, size, size, device=slopes.device)
        gains = self._varies / self._radius ** slopes[:, None, None]
        noise = torch.fft.irfft2(torch.fft.rfft2(white) * gains, s=(size, size)).flatten(1)
        spread = self._ranks.expand_as(noise).contiguous()
        ranks = torch.empty_like(noise).scatter_(1, noise.argsort(1), spread)
        return ranks.view(count, size, size)

    def _light(self, rows: Tensor, noise: Tensor) -> Tensor:
        """Return the light maps `[B, S, S]`, with `noise` as the part that varies smoothly."""
        kind, level, low, high = (
            rows[:, which, None, None]
            for which in (Column.LIGHT, Column.LEVEL, Column.LOWEST, Column.HIGHEST)
        )
        discs = rows[:, len(Column) :].view(len(rows), DISCS, 4)
        radius, y, x, of_disc = discs.unbind(2)
        covered = self._distances(y, x) < radius[:, :, None, None] ** 2
        # Discs lie upon each other: the last one that covers a cell is seen, 0 is none.
        last = (covered * self._discs).amax(1)
        levels = torch.cat([rows[:, Column.LEVEL, None], of_disc], 1)
        seen = levels.gather(1, last.flatten(1)).view_as(noise)
        sharp = (seen + 0.25 * (noise - 0.5)).clamp(0, 1)
        varied = torch.where(kind == SMOOTH, low + (high - low) * noise, sharp)
        return torch.where(kind == FLAT, level.expand_as(noise), varied)

    def _with_detail(self, rows: Tensor, light: Tensor) -> Tensor:
        """Return light maps `[B, S, S]` with the detail that rows ask for; see `with_detail`."""
        slopes = torch.cat([rows[:, Column.DETAIL_SLOPE], rows[:, Column.PLACE_SLOPE]])
        blots, place = self.noise(slopes).chunk(2)
        amount, bare = (rows[:, which, None, None] for which in (Column.DETAIL, Column.BARE))
        return blotted(light, blots, place, amount, bare)

    def _distances(self, y: Tensor, x: Tensor) -> Tensor:
        """Return all cells' squared distances on the torus from points `[B, N]`: `[B, N, S, S]`."""
        dy, dx = ((self._axis - at[..., None]).abs() for at in (y, x))
        dy, dx = torch.minimum(dy, self.size - dy), torch.minimum(dx, self.size - dx)
        return dy[..., :, None] ** 2 + dx[..., None, :] ** 2
