"""What the CPU has decided about an iteration, on its way to the device in two copies."""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.training.gpu.requests import COLUMNS

# Places among the integers. Triton compiles a kernel once more for pointers that are not multiples
# of 16 bytes, which these therefore are.
OLD_WORDS, PLACE, INDEX = 4, 8, 12


class Upload:
    """Numbers on the device that every iteration overwrites; recorded graphs read them there.

    `rows` `[B, COLUMNS]`, `calm` `[B]` and `rate` `[]` float32; `index` `[B]` (places in the pool),
    `words` and `old_words` `[4]`, those of `words_of`, and `place` `[2]` (of the patch that a
    decoder draws) int64.
    """

    def __init__(self, batch: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        # Two sets on the CPU in turns: the last iteration's may still be on their way.
        self._sets = [
            (
                torch.zeros(batch * COLUMNS + batch + 1, pin_memory=pinned),
                torch.zeros(INDEX + batch, dtype=torch.int64, pin_memory=pinned),
            )
            for _ in range(2)
        ]
        self._sent = [_event() for _ in self._sets] if pinned else []
        self._turn = 0
        numbers, integers = (part.to(device, copy=True) for part in self._sets[0])
        self._arrived = numbers, integers
        self.rows = numbers[: batch * COLUMNS].view(batch, COLUMNS)
        self.calm, self.rate = numbers[batch * COLUMNS : -1], numbers[-1]
        self.words, self.old_words = integers[:OLD_WORDS], integers[OLD_WORDS:PLACE]
        self.place, self.index = integers[PLACE : PLACE + 2], integers[INDEX:]

    def send(
        self,
        rows: Tensor,
        calm: list[float],
        rate: float,
        index: list[int],
        words: list[int],
        old_words: list[int],
        place: list[int],
    ) -> None:
        """Copy these to the device, without waiting for it."""
        self._turn = 1 - self._turn
        if self._sent:
            self._sent[self._turn].synchronize()
        numbers, integers = self._sets[self._turn]
        torch.cat([rows.flatten(), torch.tensor([*calm, rate])], out=numbers)
        unused = [0] * (INDEX - PLACE - len(place))
        integers.copy_(torch.tensor([*words, *old_words, *place, *unused, *index]))
        for arrived, sent in zip(self._arrived, (numbers, integers), strict=True):
            arrived.copy_(sent, non_blocking=True)
        if self._sent:
            self._sent[self._turn].record()


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]


class Download:
    """The log's numbers on their way back, read when they are wanted."""

    def __init__(self, count: int, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._here = [torch.zeros(count, pin_memory=self._on_gpu) for _ in range(2)]
        self._turn = 0

    def fetch(self, numbers: Tensor) -> DownloadHandle:
        """Have `numbers` copied; at most one earlier handle may still be unread."""
        self._turn = 1 - self._turn
        here = self._here[self._turn]
        here[: len(numbers)].copy_(numbers, non_blocking=True)
        event = _event() if self._on_gpu else None
        if event is not None:
            event.record()
        return DownloadHandle(here[: len(numbers)], event)


class DownloadHandle:
    """Numbers that may not have arrived yet."""

    def __init__(self, numbers: Tensor, event: torch.cuda.Event | None) -> None:
        self._numbers, self._event = numbers, event

    def read(self) -> list[float]:
        """Wait for the numbers and return them."""
        if self._event is not None:
            self._event.synchronize()
        found: list[float] = self._numbers.tolist()
        return found
