"""The pool of living samples (Mordvintsev et al., "Growing Neural Cellular Automata", 2020).

Training on states that have already lived for a while is what makes a texture stable: a sample
goes back into the pool after its turn and is picked up again later, older. Here each entry also
remembers what it was asked to show, so that it can be asked again (a long run), or for something
else (a rule that takes over, a light that changes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BROKEN = 8.0  # a state beyond this is not worth healing: it starts again


@dataclass
class Pool:
    """`states` `[N, C, S, S]`, `weights` `[N, R, S, S]`, `light` `[N, S, S]`, `ages` `[N]`.

    `rules`: the one rule that an entry shows, None for none yet or two. It, the ages and the kinds
    are known to the CPU, so that nothing that depends on them waits for the device.
    """

    states: Tensor
    weights: Tensor
    light: Tensor
    ages: Tensor
    kinds: list[str]
    rules: list[int | None]

    @classmethod
    def empty(
        cls, entries: int, channels: int, rules: int, size: int, device: torch.device | str = "cpu"
    ) -> Pool:
        """Return a pool of seeds that have not been asked for anything yet (`kinds` are empty)."""
        return cls(
            torch.zeros(entries, channels, size, size, device=device),
            torch.zeros(entries, rules, size, size, device=device),
            torch.full((entries, size, size), 0.5, device=device),
            torch.zeros(entries, dtype=torch.int64),
            [""] * entries,
            [None] * entries,
        )

    def __len__(self) -> int:
        return len(self.states)

    def state_dict(self) -> dict[str, object]:
        """Return everything in the pool, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device | str) -> Pool:
        """Return the pool of a checkpoint, on `device`. The ages stay on the CPU."""
        on_device = {key: state[key].to(device) for key in ("states", "weights", "light")}
        return cls(
            **on_device,
            ages=state["ages"],
            kinds=list(state["kinds"]),
            rules=list(state["rules"]),
        )

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` different entries' indices."""
        return torch.randperm(len(self), generator=generator)[:count]


def without_broken(state: Tensor) -> Tensor:
    """Return `[B, C, H, W]` with states that blew up (or are not finite) back at the seed."""
    broken = ~(state.abs().flatten(1).amax(1) < BROKEN)
    return torch.where(broken[:, None, None, None], torch.zeros_like(state), state)
