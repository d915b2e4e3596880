"""What lets a walk through hundreds of faults end within minutes: nothing is started twice.

Each run is forked from a process that has done the same once, so that all is imported and compiled,
and so are a batch's workers. The calls that can fail stay the same; only sizes are small.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import subprocess
import sys
import threading
import time
import traceback
from functools import cached_property
from pathlib import Path
from typing import Any

import inject

WIDTH = 2  # channels of each of the small VGG16's convolutions
CELLS = 16  # the side of a tile of the sample sheet and of the animation
STEPS = 8  # of the sample sheet
PART = 2  # frames of each part of the animation
WORKER = ["-m", "ncavideo.batch.worker"]
SET_CHILD_SUBREAPER = 36  # of Linux, prctl(2)
CACHED: list[cached_property[Any]] = []  # those of every class
SECONDS = 300.0  # for what a killed process left running


def prepare() -> None:
    """Keep to one thread and to small sizes in this process, which others are forked from.

    Threads do not come along into a forked process, and whoever waits for them waits for ever.
    """
    import cv2
    import torch
    import tqdm

    tqdm.tqdm.monitor_interval = 0
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    importlib.import_module("ncavideo.batch.worker")
    shrink_training()
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def warm_up(command: list[str], folder: Path) -> None:
    """Do what a command does once in this process, and see that no thread of it stays."""
    from ncavideo.cli.main import main

    before = Path.cwd()
    os.chdir(folder)
    try:
        main(command, standalone_mode=False)
    finally:
        os.chdir(before)
    gc.collect()
    CACHED.extend(thing for thing in gc.get_objects() if type(thing) is cached_property)
    # A scaler that is collected in a forked process waits for ever for its threads, which are here.
    gc.freeze()
    deadline = time.monotonic() + SECONDS
    while threading.active_count() > 1:
        if time.monotonic() > deadline:
            raise SystemExit(f"threads stay after {command[0]}: {threading.enumerate()}")
        time.sleep(0.01)


def make_vgg(path: Path) -> None:
    """Write weights for a VGG16 of `WIDTH` channels."""
    import torch
    from safetensors.torch import save_file

    from ncavideo.training.vgg import BLOCKS

    generator = torch.Generator().manual_seed(0)
    state, before = {}, 3
    # As torchvision numbers them: convolution and ReLU by turns, then the pooling of the block.
    number = 0
    for count, _ in BLOCKS:
        for _ in range(count):
            state[f"features.{number}.weight"] = torch.randn(
                WIDTH, before, 3, 3, generator=generator
            )
            state[f"features.{number}.bias"] = torch.zeros(WIDTH)
            before = WIDTH
            number += 2
        number += 1
    save_file(state, path)


def shrink_training() -> None:
    """Make VGG16, the sample sheet, the plot and the animation small, in this process."""
    import matplotlib.figure

    from ncavideo.training import animation, run, vgg
    from ncavideo.training.sheet import sample_sheet

    vgg.BLOCKS = tuple((count, WIDTH) for count, _ in vgg.BLOCKS)  # type: ignore[assignment]
    run.sample_sheet = lambda ruleset, device: sample_sheet(  # type: ignore[assignment]
        ruleset, size=CELLS, steps=STEPS, device=device
    )
    figure = matplotlib.figure.Figure
    matplotlib.figure.Figure = lambda **_: figure((2, 1), 20)  # type: ignore[assignment, misc]
    animation.SIZE = CELLS
    for name in ("GROWING", "WAVE", "HEALING", "SWITCHED"):
        setattr(animation, name, PART)


def fork_workers(faults: inject.Faults) -> None:
    """Have this process fork its batch's workers in place of starting Python anew."""
    start: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def execute(self: Any, command: Any, *more: Any) -> None:
        if not isinstance(command, list) or command[1:] != WORKER:
            start(self, command, *more)
            return
        pipes = more[9:15]
        self.pid = os.fork()
        if self.pid == 0:
            _be_a_worker(faults, pipes[0], pipes[3])
        self._child_created = True
        self._close_pipe_fds(*pipes)

    subprocess.Popen._execute_child = execute  # type: ignore[attr-defined]


def _be_a_worker(faults: inject.Faults, orders: int, news: int) -> None:
    code = 70
    try:
        # Before Python 3.12 a cached property has a lock for all its instances. Another thread of
        # the batch may have held it as this process was forked.
        for thing in CACHED:
            if hasattr(thing, "lock"):
                thing.lock = threading.RLock()
        faults.off()
        os.setsid()
        for handle, target in ((orders, 0), (news, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
            os.dup2(handle, target)
        os.closerange(3, os.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 4096)
        sys.stdin, sys.stdout = inject.open_file(0), inject.open_file(1, "w")
        from ncavideo.batch.worker import main

        code = main()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for_orphans() -> bool:
    """Wait for what a killed process left; return whether all of it ended by itself.

    `prepare` made this process the parent of what loses its own.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not process and time.monotonic() > deadline:
            return False
        if not process:
            time.sleep(0.01)
