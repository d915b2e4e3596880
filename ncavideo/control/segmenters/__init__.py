"""Ways to tell the parts of a frame apart, one file each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from ncavideo.control.field import View
from ncavideo.util.state import Stateful


class Segmenter(Stateful, ABC):
    """Tells the parts of a frame apart; asked once for every frame, in order.

    `name`: of its method or model, for reports.
    """

    name = ""

    @abstractmethod
    def __call__(self, view: View) -> np.ndarray:
        """Return `[parts, h, w]` float32, 0..1, on the grid."""

    def look(self, view: View, before: np.ndarray | None) -> np.ndarray:
        """Do the same; `before` `[h, w]`, 0..1, is where something is expected, if known."""
        return self(view)

    def notes(self) -> list[str]:
        """Return, after the last frame, sentences that the user should read."""
        return []


class Classes(Segmenter):
    """A segmenter whose parts are classes with names."""

    @abstractmethod
    def part(self, name: str) -> int:
        """Return a class's place among the parts. Raises `UserError` for one that is not known."""


def split_model(text: str) -> tuple[str, str]:
    """Return the name and the file of `MODEL`, `FILE`, `MODEL=FILE` or nothing; either may be ''.

    Here, and not beside the networks, so that it can be asked without loading torch.
    """
    name, equals, file = text.partition("=")
    # A path may hold "=" itself; a model's name is a plain word.
    if equals and name.isidentifier() and not Path(text).exists():
        return name, file
    if not text or (not Path(text).suffix and not Path(text).exists()):
        return text, ""
    return "", text
