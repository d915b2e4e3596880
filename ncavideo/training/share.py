"""The share of a batch that one of several processes computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """`count` of the `whole` samples of a batch, from the one at `first` on.

    Every process draws the same numbers for the whole batch and keeps those of its own samples, so
    that a batch has the same draws however many processes share it.
    """

    first: int
    count: int
    whole: int

    @classmethod
    def all_of(cls, whole: int) -> Share:
        """Return the share of a process that has the batch to itself."""
        return cls(0, whole, whole)

    @classmethod
    def of_rank(cls, rank: int, processes: int, whole: int) -> Share:
        """Return the share of the process `rank`: shares differ by one sample at most."""
        first = rank * whole // processes
        return cls(first, (rank + 1) * whole // processes - first, whole)

    @classmethod
    def most(cls, processes: int, whole: int) -> int:
        """Return the number of samples of the largest share."""
        return -(-whole // processes)

    @property
    def fraction(self) -> float:
        """The weight of a mean over this share in the mean over the batch."""
        return self.count / self.whole

    @property
    def rows(self) -> slice:
        """The share's samples along the first axis of the batch."""
        return slice(self.first, self.first + self.count)

    def drawn(self, draw: Callable[..., Tensor], *shape: int, **options: Any) -> Tensor:
        """Return the share's rows `[count, *shape]` of what `draw` gives for `[whole, *shape]`."""
        return draw(self.whole, *shape, **options)[self.rows]

    def within(self, places: list[int]) -> tuple[list[int], Share]:
        """Return which of some samples of the batch are in this share, and their share of those.

        `places`: of the samples in the batch, ascending. The result counts from the share's first.
        """
        own = [place - self.first for place in places if 0 <= place - self.first < self.count]
        before = sum(place < self.first for place in places)
        return own, Share(before, len(own), len(places))
