"""The folded engine: filters and first layer as one dense 3x3 convolution, on any torch device.

Perception is linear, so W1 can be applied to the filters once instead of to every cell: the
first layer becomes a 3x3 convolution from C + I channels to the hidden ones, which the vendor's
library runs at near its peak. The state lives inside a padded, channels-last buffer, so that a
step copies nothing but the rim.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import FILTERS, Edge, filter_bank
from ncavideo.nca.network import Network


def fold(ruleset: Network) -> Tensor:
    """Return the 3x3 kernel `[hidden, C + I, 3, 3]` that does perception and W1 at once."""
    w1 = torch.from_numpy(ruleset.w1.copy())
    seen = FILTERS * ruleset.channels
    own = w1[:, :seen].view(ruleset.hidden, ruleset.channels, FILTERS)
    kernel = torch.einsum("hcf,fyx->hcyx", own, filter_bank())
    inputs = F.pad(w1[:, seen:, None, None], (1, 1, 1, 1))
    return torch.cat([kernel, inputs], 1)


class FoldedEngine(Engine):
    """One dense convolution, one pointwise convolution and one masked add a step."""

    def __init__(
        self, ruleset: Network, height: int, width: int, *, seed: int, edge: Edge, device: str
    ) -> None:
        super().__init__(ruleset, height, width, seed=seed, edge=edge, device=device)
        layout = torch.channels_last
        self._kernel = fold(ruleset).to(device).contiguous(memory_format=layout)
        self._bias = torch.from_numpy(ruleset.b1.copy()).to(device)
        w2 = torch.from_numpy(ruleset.w2.copy())[:, :, None, None]
        self._w2 = w2.to(device).contiguous(memory_format=layout)
        channels = ruleset.channels + len(ruleset.inputs)
        padded = torch.zeros(1, channels, height + 2, width + 2, device=device)
        self._padded = padded.contiguous(memory_format=layout)
        self._inner = self._padded[:, :, 1:-1, 1:-1]
        self._state = self._inner[:, : ruleset.channels]

    def _fill_rim(self) -> None:
        p = self._padded
        first, last = (-2, 1) if self.edge == "wrap" else (1, -2)
        p[:, :, 0], p[:, :, -1] = p[:, :, first], p[:, :, last]
        p[:, :, :, 0], p[:, :, :, -1] = p[:, :, :, first], p[:, :, :, last]

    def _step(self, inputs: np.ndarray, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32."""
        self.step_on_device(torch.from_numpy(inputs), steps)

    @torch.inference_mode()
    def step_on_device(self, inputs: Tensor, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32, on any device."""
        self._inner[:, self.ruleset.channels :] = inputs[None].to(self.device)
        for _ in range(steps):
            self._fill_rim()
            hidden = F.relu_(F.conv2d(self._padded, self._kernel, self._bias))
            change = F.conv2d(hidden, self._w2)
            mask = fire_mask_torch(
                self.seed,
                self.steps_taken,
                self.height,
                self.width,
                self.ruleset.fire_rate,
                self.device,
            )
            self._state.addcmul_(change, mask[None, None].to(change.dtype))
            self.steps_taken += 1

    def rgb(self) -> np.ndarray:
        """Return the visible channels as float32 `[H, W, 3]`, clipped to 0..1."""
        return self.rgb_tensor().contiguous().cpu().numpy()

    @torch.inference_mode()
    def rgb_tensor(self) -> Tensor:
        """Return `rgb()` on the engine's device."""
        return (self._state[0, :3].permute(1, 2, 0) + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def state_tensor(self) -> Tensor:
        """Return a copy of the state `[H, W, C]` on the engine's device."""
        return self._state[0].permute(1, 2, 0).clone()

    def snapshot(self) -> Snapshot:
        """Return a copy of the grid that `restore` accepts."""
        return Snapshot(self._state[0].cpu().contiguous().numpy().copy(), self.steps_taken)

    def _restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`."""
        self._state.copy_(torch.from_numpy(snapshot.state.copy())[None])
        self.steps_taken = snapshot.step
