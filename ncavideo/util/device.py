"""What there is to compute on: cores, and the device that torch shall use."""

from __future__ import annotations

import ctypes
import functools
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean

DEVICES = ("auto", "cpu", "cuda", "mps")
CGROUPS, PROCESS_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
AMD_DRIVER = Path("/dev/kfd")  # torch for ROCm calls these GPUs cuda, too


def cores() -> int:
    """Return the number of cores that this process may use.

    Those of the machine that it is not kept off, and no more than its control group, as a
    container's, gives it time for. More threads than that wait for each other's turns.
    """
    import psutil  # which the help of the command line does without

    try:
        allowed = len(psutil.Process().cpu_affinity())
    except AttributeError:  # macOS keeps no process off a core
        allowed = psutil.cpu_count() or 1
    quota = _quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def free_memory() -> int:
    """Return the bytes that programs can take without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


@functools.cache
def _quota() -> float | None:
    """Return how many cores' worth of time the process' control group gives it, None for all."""
    return min(_quotas(), default=None)


def _quotas() -> Iterator[float]:
    """Yield the quotas, in cores, of the process' control group and of those above it.

    Linux documents both versions' files: admin-guide/cgroup-v2 and scheduler/sched-bwc.
    """
    try:
        lines = PROCESS_CGROUPS.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root = CGROUPS
        elif "cpu" in controllers.split(","):
            root = CGROUPS / "cpu"
        else:
            continue
        # In a container the path may be the host's, and lead nowhere: then the root is its own.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            folder = root.joinpath(*parts[:depth])
            quota = _quota_of(folder)
            if quota is not None:
                yield quota


def _quota_of(folder: Path) -> float | None:
    """Return a control group's quota in cores, None without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text("ascii")
            period = (folder / "cpu.cfs_period_us").read_text("ascii")
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # not there, or "max"
        return None
    return cores if cores > 0 else None


def choose_device(device: str = "auto") -> str:
    """Return the device to run on. Raises `UserError` if the named one is not here."""
    name, colon, index = device.partition(":")
    if name not in DEVICES:
        close = did_you_mean(name, DEVICES)
        raise UserError(f"unknown device {device!r}{close}: use one of {', '.join(DEVICES)}")
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
