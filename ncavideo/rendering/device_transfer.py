"""Frames on their way to a device and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Transfer:
    """Copies frames to a device and from it; on the processor it hands them on.

    For CUDA each way has a stream of its own, so that a frame is copied while another is worked on,
    and its memory on the processor is page-locked. torch keeps such memory and gives it out anew
    when the copy is done and nobody holds the frame: two frames each way, in practice.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        if self._cuda:
            self._upwards, self._downwards = (_stream(device) for _ in range(2))

    def up(self, frame: np.ndarray) -> Tensor:
        """Return a frame `[H, W, n]`, uint8 or uint16, on the device; uint16 as int16's bits."""
        bits = frame.view(np.int16) if frame.dtype == np.uint16 else frame
        if not self._cuda:
            return torch.from_numpy(np.array(bits)).to(self._device)
        kind = torch.uint8 if bits.dtype == np.uint8 else torch.int16
        locked = torch.empty(bits.shape, dtype=kind, pin_memory=True)
        np.copyto(locked.numpy(), bits)
        with torch.cuda.stream(self._upwards):
            there = locked.to(self._device, non_blocking=True)
        working = torch.cuda.current_stream(self._device)
        working.wait_stream(self._upwards)
        there.record_stream(working)  # or its memory might be given out while it is worked on
        return there

    def down(self, frame: Tensor, flag: Tensor) -> tuple[np.ndarray, bool]:
        """Return a frame and a flag that are on the device, when both are done."""
        if not self._cuda:
            return frame.cpu().numpy(), bool(flag)
        locked = torch.empty(frame.shape, dtype=frame.dtype, pin_memory=True)
        said = torch.empty((), dtype=torch.bool, pin_memory=True)
        self._downwards.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._downwards):
            locked.copy_(frame, non_blocking=True)
            said.copy_(flag, non_blocking=True)
            done = self._downwards.record_event()
        for tensor in (frame, flag):
            tensor.record_stream(self._downwards)
        done.synchronize()
        return locked.numpy(), bool(said)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
