"""Previews in a process of their own, which a broken clip may take down with it."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from PIL import Image

from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

ACROSS = 960  # pixels across of a preview's picture, at most
QUALITY = 92
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Facts:
    """What the app needs to know of a clip."""

    width: int
    height: int
    seconds: float
    rate: float


class Moments:
    """Runs this module's functions in another process, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function does; its errors come through.

        Raises `UserError` if the process died of it.
        """
        pool = self._started()
        call = functools.partial(function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        except BrokenProcessPool as error:
            self._discard(pool)
            raise UserError("the preview crashed: the clip may be damaged") from error

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, context, initializer=_begin)
            return self._pool

    def _discard(self, broken: ProcessPoolExecutor) -> None:
        """End a pool that broke; who waited for it, too, may come after a new one has begun."""
        with self._lock:
            if self._pool is broken:
                self._pool = None
        broken.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    # Ctrl-C is for the server, which ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()


def facts(clip: Path) -> Facts:
    """Return what a clip is, from its first frame. Raises `UserError` if it cannot be read."""
    from ncavideo.video.clip import Clip

    source = Clip(clip)
    with source.read() as reader:
        info = reader.info
        next(iter(reader))
    rate = float(info.average_rate or 25)
    return Facts(info.width, info.height, source.length, rate)


def moment(clip: Path, options: RenderOptions, time: float, folder: Path) -> dict[str, Path]:
    """Write the pictures of a moment into `folder`, and return them by name.

    `source`, `result`, and what drives the rules there: as `ncavideo preview` shows it.
    """
    from ncavideo.nca.ruleset import find_ruleset
    from ncavideo.rendering.preview import look_at
    from ncavideo.rendering.rule_order import in_order
    from ncavideo.video.clip import file_identity

    ruleset = find_ruleset(options.rules, options.ruleset)
    across = min(ACROSS, facts(clip).width)
    found, _ = look_at(
        clip, ruleset, _levels(clip, file_identity(clip)), in_order(options, ruleset), time, across
    )
    return {
        name: _saved(picture, folder / f"{name}.jpg") for name, picture in found.pictures.items()
    }


@functools.lru_cache(16)
def _levels(clip: Path, identity: str) -> Any:
    """Return a clip's levels; `identity` changes with its file, and asks for them anew."""
    from ncavideo.control.levels import clip_range
    from ncavideo.util.pixels import luminance
    from ncavideo.video.clip import Clip

    return clip_range([luminance(rgb) for rgb in Clip(clip).sample])


def _saved(picture: np.ndarray, path: Path) -> Path:
    Image.fromarray(picture).save(path, quality=QUALITY, subsampling=0)
    return path


def samples(ruleset: str, height: int = 72, width: int = 144) -> dict[str, np.ndarray]:
    """Return a picture of each rule, `[height, width, 3]` uint8, from dark to bright."""
    from ncavideo.nca.ruleset import open_ruleset
    from ncavideo.training.sheet import grown

    found = open_ruleset(ruleset)
    light = np.broadcast_to(np.linspace(0.15, 0.9, width, dtype=np.float32), (height, width))
    return {
        name: (grown(found, index, light, 200) * 255 + 0.5).astype(np.uint8)
        for index, name in enumerate(found.rule_names)
    }
