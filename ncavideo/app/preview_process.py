"""Previews in a process of their own: a clip that crashes a decoder crashes only that."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic as time_now
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from PIL import Image

from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.nca.engines.base import Snapshot

ACROSS = 960  # pixels across of a preview's picture, at most
QUALITY = 92
MOTION, MOTION_ACROSS = 2.0, 640  # seconds and pixels across of a clip in motion, at most
MOTION_ENCODING = {"crf": "20", "preset": "veryfast", "movflags": "+faststart"}
SPELL = 0.5  # seconds that the making of one keeps previews waiting, beside those of a frame
KEPT_GRIDS = 2
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Facts:
    """Size, length and frame rate of a clip."""

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
        """Return the function's result; its errors are raised here.

        Raises `UserError` if the process crashed.
        """
        with self._pool_of_a_call() as pool:
            return await asyncio.wrap_future(pool.submit(function, *args, **kwargs))

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same as `run`, and wait for it."""
        with self._pool_of_a_call() as pool:
            return pool.submit(function, *args, **kwargs).result()

    @contextmanager
    def _pool_of_a_call(self) -> Iterator[ProcessPoolExecutor]:
        pool = self._started()
        try:
            yield pool
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
        """End a pool that broke. A new one may have been started meanwhile."""
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

    `source`, `result`, and the controls and weights there, as `ncavideo preview` shows them.
    """
    from ncavideo.nca.ruleset import find_ruleset
    from ncavideo.rendering.preview import preview_frame
    from ncavideo.rendering.rule_order import in_order
    from ncavideo.video.clip import file_identity

    ruleset = find_ruleset(options.rules, options.ruleset)
    across = min(ACROSS, facts(clip).width)
    identity = file_identity(clip)

    def keep(grid: Snapshot) -> None:
        _grids[identity, repr(options), time] = grid
        if len(_grids) > KEPT_GRIDS:
            del _grids[next(iter(_grids))]

    found, _ = preview_frame(
        clip, ruleset, _levels(clip, identity), in_order(options, ruleset), time, across, keep
    )
    return {
        name: _saved(picture, folder / f"{name}.jpg") for name, picture in found.pictures.items()
    }


def picture(clip: Path, options: RenderOptions, time: float, output: Path) -> list[str]:
    """Write the finished frame of a moment as a PNG of the clip's size; return what is to be told.

    The same file, bit for bit, as `ncavideo preview --at`.
    """
    from ncavideo.rendering.preview import finished_frame

    return finished_frame(clip, output, options, time)


# The newest previews' grids by clip, options and moment, and the clips in motion that are being
# made, by their folders: in the process of the previews.
_grids: dict[tuple[str, str, float], Snapshot] = {}
_motions: dict[Path, Generator[tuple[int, int], None, None]] = {}


def motion(
    folder: Path, order: tuple[Path, RenderOptions, float] | None = None
) -> tuple[int, int] | None:
    """Make more of a moment's clip in motion, for `SPELL` seconds, so that previews come between.

    It lies in `folder` as `motion.mp4`: source on the left, result on the right. `order`: clip,
    options and moment at the first call. Returns how many frames are done, and of how many about;
    None when the clip is complete.
    """
    if order is not None:
        _motions[folder] = _made_motion(*order, folder)
    if folder not in _motions:
        raise UserError("the preview crashed: the clip may be damaged")
    until = time_now() + SPELL
    try:
        for news in _motions[folder]:
            if time_now() > until:
                return news
    except BaseException:
        del _motions[folder]
        raise
    del _motions[folder]
    return None


def drop_motion(folder: Path) -> None:
    """Leave a clip in motion unfinished."""
    if folder in _motions:
        _motions.pop(folder).close()


def _made_motion(
    clip: Path, options: RenderOptions, time: float, folder: Path
) -> Generator[tuple[int, int], None, None]:
    import av

    from ncavideo.nca.ruleset import find_ruleset
    from ncavideo.rendering.preview import preview_motion
    from ncavideo.rendering.rule_order import in_order
    from ncavideo.video.clip import file_identity

    known = facts(clip)
    ruleset = find_ruleset(options.rules, options.ruleset)
    identity = file_identity(clip)
    moving = preview_motion(
        clip, ruleset, _levels(clip, identity), in_order(options, ruleset), time, MOTION,
        min(MOTION_ACROSS, known.width), _grids.get((identity, repr(options), time)),
    )  # fmt: skip
    rate = Fraction(known.rate).limit_denominator(1001)
    expected = max(1, round(min(MOTION, known.seconds - time) * known.rate))
    with closing(moving), av.open(str(folder / "motion.mp4"), "w", format="mp4") as output:
        stream = None
        for index, frame in enumerate(moving):
            both = np.hstack([frame.source, frame.result])
            if stream is None:
                stream = output.add_stream("libx264", rate, options=MOTION_ENCODING)
                stream.pix_fmt = "yuv420p"
                stream.height, stream.width = both.shape[:2]
            picture = av.VideoFrame.from_ndarray(both, format="rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            output.mux(stream.encode(picture))
            yield index + 1, max(expected, index + 1)
        if stream is not None:
            output.mux(stream.encode())


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
