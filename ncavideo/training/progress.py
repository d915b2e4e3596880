"""The news of an iteration, and the handle that fetches them from the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One iteration's news.

    `losses`: each term's mean; `kinds`, `histories`: style distances by what samples were asked
    for and by what had happened to them.
    """

    iteration: int
    losses: dict[str, float]
    kinds: dict[str, float]
    histories: dict[str, float]
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether the iteration can be built on: nothing in it overflowed."""
        return all(math.isfinite(value) for value in self.losses.values())


@dataclass(frozen=True)
class Taken:
    """An iteration that is under way on its device.

    `names`: of the losses, the last of them "total"; `kinds`, `histories`: the samples'; `read`
    waits for the numbers, one for each name and then one for each sample; `steps`: how many the
    clock of the fire mask moves on.
    """

    names: list[str]
    kinds: list[str]
    histories: list[str]
    steps: int
    read: Callable[[], list[float]]

    def progress(self, iteration: int, seconds: Callable[[], float]) -> Progress:
        """Wait for the numbers and return them; `seconds` is asked after that."""
        numbers = self.read()
        losses = dict(zip(self.names, numbers, strict=False))
        distances = numbers[len(self.names) :]
        kinds, histories = means(self.kinds, distances), means(self.histories, distances)
        return Progress(iteration, losses, kinds, histories, seconds())


def means(names: list[str], values: list[float]) -> dict[str, float]:
    """Return each name's mean value."""
    found: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        found.setdefault(name, []).append(value)
    return {name: sum(of_name) / len(of_name) for name, of_name in found.items()}
