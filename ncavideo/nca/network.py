"""The part of a rule set that engines need to run it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ncavideo.nca.decoder_weights import DecoderWeights

LIGHT = "light"  # the input channel for the brightness a region should take, -1 (dark) to 1


class Network(Protocol):
    """One trained NCA's numbers; a `RuleSet` is one, with the rules' words and a history.

    `inputs`: the input channels' names, the rules first, then others such as `light`. `w1`
    `[hidden, 4C + I]`, `b1` `[hidden]`, `w2` `[C, hidden]`, float32.
    """

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The input channels' names."""

    @property
    def fire_rate(self) -> float:
        """The share of cells that update in a step."""

    @property
    def w1(self) -> np.ndarray:
        """The hidden layer's weights."""

    @property
    def b1(self) -> np.ndarray:
        """The hidden layer's bias."""

    @property
    def w2(self) -> np.ndarray:
        """The output layer's weights."""

    @property
    def decoder(self) -> DecoderWeights | None:
        """What draws its texture, None where the first three channels are the colour."""

    @property
    def channels(self) -> int:
        """The number of state channels C."""

    @property
    def hidden(self) -> int:
        """The width of the update network."""

    @property
    def has_light(self) -> bool:
        """Whether there is an input channel for light."""
