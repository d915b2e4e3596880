"""The processes that share each batch of a training, and what they exchange.

Each has a whole copy of the network, the optimiser, the pool and the generators, and makes all
draws of the batch. It computes its own samples; then the new states of all samples and the sum of
all gradients go to every process, so the copies stay equal bit for bit. Sums are computed by each
process in the order of ranks, which is the same on all of them, whatever a library's all-reduce
does. Rank 0 leads: it alone writes files, and tells the others when to begin an iteration.
"""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from ncavideo.training.share import Share
from ncavideo.util.errors import ran_out

# Whoever waits is ended by the process that started it, when another one is lost.
TIMEOUT = datetime.timedelta(days=7)


class Order(IntEnum):
    """What rank 0 tells the others to do."""

    BEGIN = 0  # an iteration
    RESTORE = 1  # the checkpoint; its value is the learning rate's factor after that


class PeerLostError(Exception):
    """An exchange failed, since another process is gone."""


class ProcessGroup:
    """One of `size` processes, of number `rank`. A group of one exchanges nothing."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def join(cls, rank: int, size: int, meeting: Path, device: torch.device) -> ProcessGroup:
        """Meet the others by a file that is not there yet; waits until all have come.

        NCCL connects CUDA devices, and gloo processors, by the loopback interface. Raises
        `PeerLostError`.
        """
        loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "")
        if loopback:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        with _peers():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
                init_method=meeting.absolute().as_uri(),
                rank=rank,
                world_size=size,
                timeout=TIMEOUT,
            )
        return cls(rank, size)

    def share(self, whole: int) -> Share:
        """Return this process's share of a batch."""
        return Share.of_rank(self.rank, self.size, whole)

    def gather(self, own: Tensor, whole: int) -> Tensor:
        """Return the rows `[whole, ...]` of all processes, from each its share's, without gradient.

        A group of one gets its own tensor back.
        """
        if self.size == 1:
            return own
        shares = [Share.of_rank(rank, self.size, whole) for rank in range(self.size)]
        padded = own.new_zeros(Share.most(self.size, whole), *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = self._all(padded)
        return torch.cat([part[: s.count] for part, s in zip(parts, shares, strict=True)])

    def sum(self, own: Tensor) -> Tensor:
        """Return the sum of all processes' tensors, the same bits in each."""
        if self.size == 1:
            return own
        total, *others = self._all(own)
        for other in others:
            total = total + other
        return total

    def _all(self, own: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(own) for _ in range(self.size)]
        with _peers():
            dist.all_gather(parts, own.contiguous())
        return parts

    def tell(self, order: Order, value: float = 0.0) -> None:
        """Tell the others what to do, if this is rank 0."""
        if self.size > 1 and self.rank == 0:
            with _peers():
                dist.broadcast(torch.tensor([order, value], dtype=torch.float64), 0)

    def orders(self) -> Iterator[tuple[Order, float]]:
        """Yield what rank 0 tells, as long as it is there."""
        while True:
            told = torch.zeros(2, dtype=torch.float64)
            with _peers():
                dist.broadcast(told, 0)
            yield Order(int(told[0])), float(told[1])


ALONE = ProcessGroup()


def counted(processes: int) -> str:
    """Return a number of processes in words."""
    return f"{processes} process{'es' * (processes != 1)}"


@contextmanager
def _peers() -> Iterator[None]:
    """Raise `PeerLostError` for what torch says when an exchange fails."""
    try:
        yield
    except RuntimeError as error:
        if ran_out(error):
            raise
        raise PeerLostError(str(error)) from error


def agree(group: ProcessGroup, able: bool, device: torch.device) -> bool:
    """Return whether all processes are able to."""
    if group.size == 1:
        return able
    return float(group.sum(torch.tensor([float(able)], device=device))) == group.size


def sum_gradients(
    group: ProcessGroup, parameters: list[torch.nn.Parameter], numbers: Tensor
) -> Tensor:
    """Have every process hold the sum of all gradients; return that of `numbers`, too.

    A parameter without a gradient in any process stays without, as one that the loss of the whole
    batch does not reach.
    """
    if group.size == 1:
        return numbers
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    reached = numbers.new_tensor([float(p.grad is not None) for p in parameters])
    parts = [*(g.flatten() for g in gradients), reached, numbers]
    total = group.sum(torch.cat(parts))
    found = torch.split(total, [part.numel() for part in parts])
    for parameter, gradient, times in zip(parameters, found, found[-2].tolist(), strict=False):
        parameter.grad = gradient.view_as(parameter).clone() if times else None
    return found[-1]
