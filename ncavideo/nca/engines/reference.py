"""The reference engine: the step of `model.py`, as it stands."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import NCA, Edge, seed_state, to_rgb
from ncavideo.nca.network import Network


def network(ruleset: Network, device: str = "cpu") -> NCA:
    """Return a rule set's network as a torch module."""
    nca = NCA(ruleset.channels, len(ruleset.inputs), ruleset.hidden)
    arrays = {"w1": ruleset.w1, "b1": ruleset.b1, "w2": ruleset.w2}
    weights = {f"update.{name}": torch.from_numpy(array.copy()) for name, array in arrays.items()}
    nca.load_state_dict(weights)
    return nca.requires_grad_(False).to(device)


class ReferenceEngine(Engine):
    """Plain torch: the definition that the other engines are tested against."""

    def __init__(
        self, ruleset: Network, height: int, width: int, *, seed: int, edge: Edge, device: str
    ) -> None:
        super().__init__(ruleset, height, width, seed=seed, edge=edge, device=device)
        self._nca = network(ruleset, device)
        self._state = seed_state(1, ruleset.channels, height, width).to(device)

    def _step(self, inputs: np.ndarray, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32."""
        self.step_on_device(torch.from_numpy(inputs), steps)

    @torch.inference_mode()
    def step_on_device(self, inputs: Tensor, steps: int) -> None:
        """Take `steps` steps under `inputs` `[I, H, W]` float32, on any device."""
        given = inputs[None].to(self.device)
        given = given.contiguous(memory_format=torch.channels_last)
        for _ in range(steps):
            mask = fire_mask_torch(
                self.seed,
                self.steps_taken,
                self.height,
                self.width,
                self.ruleset.fire_rate,
                self.device,
            )
            self._state = self._nca(self._state, given, mask[None, None], self.edge)
            self.steps_taken += 1

    def rgb(self) -> np.ndarray:
        """Return the visible channels as float32 `[H, W, 3]`, clipped to 0..1."""
        return self.rgb_tensor().cpu().numpy()

    @torch.inference_mode()
    def rgb_tensor(self) -> Tensor:
        """Return `rgb()` on the engine's device."""
        return to_rgb(self._state)[0].clamp(0, 1).permute(1, 2, 0)

    @torch.inference_mode()
    def state_tensor(self) -> Tensor:
        """Return a copy of the state `[H, W, C]` on the engine's device."""
        return self._state[0].permute(1, 2, 0).clone()

    def snapshot(self) -> Snapshot:
        """Return a copy of the grid that `restore` accepts."""
        return Snapshot(self._state[0].cpu().contiguous().numpy().copy(), self.steps_taken)

    def _restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`."""
        state = torch.from_numpy(snapshot.state.copy())[None].to(self.device)
        self._state = state.contiguous(memory_format=torch.channels_last)
        self.steps_taken = snapshot.step
