"""What there is to compute on: cores, and the device that torch shall use."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from ncavideo.util.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")
AMD_DRIVER = Path("/dev/kfd")  # torch for ROCm calls these GPUs cuda, too


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(device: str = "auto") -> str:
    """Return the device to run on. Raises `UserError` if the named one is not here."""
    name, colon, index = device.partition(":")
    if name not in DEVICES:
        raise UserError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    counts = {"cpu": 1, "cuda": 0, "mps": 0}
    # torch takes seconds to import, and a CPU render can do without it.
    if name in ("cuda", "mps") or (name == "auto" and _may_have_gpu()):
        import torch

        counts["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
        counts["mps"] = int(torch.backends.mps.is_available())
    if device == "auto":
        return next(here for here in ("cuda", "mps", "cpu") if counts[here])
    if not counts[name]:
        raise UserError(f"there is no {name} device here: use --device cpu")
    if colon and not (index.isdecimal() and int(index) < counts[name]):
        raise UserError(
            f"there is no device {device!r} here: {name} has {counts[name]}, counted from 0"
        )
    return device


def _may_have_gpu() -> bool:
    """Return whether it is worth asking torch for a GPU: on a Mac, or with a GPU's driver."""
    if sys.platform == "darwin" or AMD_DRIVER.exists():
        return True
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        asked = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    except (OSError, AttributeError):
        return False
    return asked and count.value > 0
