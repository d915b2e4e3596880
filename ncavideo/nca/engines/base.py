"""The interface of all engines, which run steps on one grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.network import Network
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor

    from ncavideo.nca.model import Edge

UNSOUND = "the rule set is not sound: its weights let the texture grow beyond all numbers"


@dataclass(frozen=True)
class Snapshot:
    """A grid at rest: `state` `[C, H, W]` float32 and the number of steps taken so far."""

    state: np.ndarray
    step: int


class Engine(ABC):
    """Runs one rule set on one grid of `height` x `width` cells.

    Starts from the seed state. The fire mask of step n is `fire_mask(seed, n, ...)`, so two
    engines with one seed fire the same cells, and a restored snapshot continues bit for bit.
    """

    can_be_a_part = False

    def __init__(
        self, ruleset: Network, height: int, width: int, *, seed: int, edge: Edge, device: str
    ) -> None:
        self.ruleset, self.height, self.width = ruleset, height, width
        self.seed, self.edge, self.device = seed, edge, device
        self.steps_taken = 0
        self.origin = (0, 0)

    def place(self, row: int, column: int) -> None:
        """Make this grid a part of a larger one, whose cell (`row`, `column`) is its first.

        Its cells fire as they would in the whole. It does not see the cells beyond its edges: after
        n steps only cells at least n cells from an edge are as in the whole. Raises `ValueError`
        for an engine that cannot.
        """
        if not self.can_be_a_part:
            raise ValueError(f"{type(self).__name__} cannot run a part of a grid")
        self.origin = (row, column)

    def step(self, inputs: Float32[np.ndarray, "inputs h w"], steps: int) -> None:
        """Take `steps` steps under `inputs`, ordered as the rule set's."""
        self._check(inputs, "inputs", len(self.ruleset.inputs))
        self._step(inputs, steps)

    def step_on_device(self, inputs: Tensor, steps: int) -> None:
        """Like `step`, with inputs `[I, H, W]` float32 on a torch device.

        Engines on such a device leave them there.
        """
        self.step(inputs.cpu().numpy(), steps)

    def rgb_tensor(self) -> Tensor:
        """Return `rgb()` as a tensor on the engine's device, which need not be done with it."""
        import torch

        return torch.from_numpy(self.rgb())

    def texture_tensor(self) -> Tensor:
        """Return what `texture()` does, unchecked, on the engine's device; see `rgb_tensor`."""
        return self.rgb_tensor() if self.ruleset.decoder is None else self.state_tensor()

    def state_tensor(self) -> Tensor:
        """Return the state `[H, W, C]` on the engine's device, which need not be done with it."""
        import torch

        return torch.from_numpy(self.snapshot().state).permute(1, 2, 0)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from `snapshot`. Raises `ValueError` for one of another grid."""
        self._check(snapshot.state, "state", self.ruleset.channels)
        self._restore(snapshot)

    def _check(self, array: np.ndarray, what: str, channels: int) -> None:
        wanted = (channels, self.height, self.width)
        if array.shape != wanted:
            raise ValueError(f"the {what} must have the shape {wanted}, not {array.shape}")

    @abstractmethod
    def _step(self, inputs: np.ndarray, steps: int) -> None:
        """Take the steps; the shape has been checked."""

    @abstractmethod
    def _restore(self, snapshot: Snapshot) -> None:
        """Take over the snapshot; its shape has been checked."""

    @abstractmethod
    def rgb(self) -> np.ndarray:
        """Return the visible channels as float32 `[H, W, 3]`, clipped to 0..1."""

    def picture(self, cell: int = 1) -> Float32[np.ndarray, "H W 3"]:
        """Return what is seen, `[h * cell, w * cell, 3]`, 0..1, with `cell` pixels a cell.

        A learned decoder draws it; without one it is `rgb()`, a pixel a cell. Raises `UserError`
        where the state has grown beyond all numbers.
        """
        if self.ruleset.decoder is not None:
            from ncavideo.nca.decode import decoded

            return decoded(self.ruleset.decoder, self.texture(), cell, self.edge)
        if cell != 1:
            raise ValueError("only a decoder draws several pixels a cell")
        rgb = self.rgb()
        _check_numbers(rgb)
        return rgb

    def texture(self) -> Float32[np.ndarray, "h w C"]:
        """Return what is drawn: `picture()`, or the state where the rule set has a decoder.

        Raises `UserError` where the state has grown beyond all numbers.
        """
        if self.ruleset.decoder is None:
            return self.picture()
        state = self.snapshot().state
        _check_numbers(state)
        return state.transpose(1, 2, 0)

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of the grid that `restore` accepts."""


def _check_numbers(texture: np.ndarray) -> None:
    if not np.isfinite(texture.sum()):
        raise UserError(UNSOUND)
